"""An API that asks who asks: tokens in a file, a trusted proxy, records of two teams; every route with a link to it."""

from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.routing import Route

from shipper.api.access import tokens
from shipper.api.access.entrance import Entrance
from shipper.api.app import build
from shipper.config import AccessSettings, ApiSettings
from tests.unit.api_world import NOW, SECOND, MemoryReader, record

REQUEST = "req-0123456789ab"
#: In everything that the other team wrote.
CANARY = "canary7731"
#: Name → scope, apps, and when it expires.
TOKENS: dict[str, tuple[str, tuple[str, ...], int | None]] = {
    "reader": ("read", (), None),
    "tailer": ("tail", (), None),
    "admin": ("admin", (), None),
    "shop": ("tail", ("/shop/*",), None),
    "old": ("admin", (), NOW - SECOND),
    "gone": ("admin", (), None),
}
TEXTS = {name: f"shp_{name}-{'x' * 30}" for name in TOKENS}
_MINE, _OTHER = "65614f3a9c1en", "77714f3a9c1en"


def entrance(folder: Path, **settings: Any) -> Entrance:
    """An entrance that knows all tokens but `gone`."""
    path = folder / "tokens.json"
    made = [
        tokens.token(name, tokens.digest(TEXTS[name].encode()), [scope], apps, NOW, expires)
        for name, (scope, apps, expires) in TOKENS.items()
        if name != "gone"
    ]
    tokens.write(path, made)
    access = AccessSettings(tokens_file=str(path), user_header="X-User", trusted_proxies=["10.0.0.0/8"], **settings)
    found = Entrance.of(ApiSettings(host="::", access=access))
    return Entrance(
        found.settings, found.open, found.tokens, found.proxies, found.hosts, found.limits, clock=lambda: NOW
    )


def reader() -> MemoryReader:
    """Records of one request in two teams' apps on one host."""
    records = []
    for number in range(1, 9):
        mine = number % 2 == 1
        app = "/shop/api" if mine else f"/bank/{CANARY}"
        series = _MINE if mine else _OTHER
        made = record(number, "a word" if mine else f"a word {CANARY}", at=NOW - (10 - number) * SECOND, series=series)
        said = {} if mine else {"labels": {CANARY: CANARY}, "error.message": CANARY, "user.id": CANARY}
        name = "shop-api" if mine else CANARY
        records.append(
            made
            | said
            | {
                "service.name": name,
                "service.version": "1" if mine else CANARY,
                "http.request.id": REQUEST,
                "orchestrator.resource.name": app,
                "orchestrator.resource.id": f"{name}.task",
                "container.id": "c" * 12 if mine else CANARY,
                "log.level": "error",
            }
        )
    found = MemoryReader(*records)
    found.letters = [{"id": f"{_OTHER}-0000000099", "host": "web-3", "series": _OTHER, "sequence": 99,
                      "reason": "rejected", "detail": CANARY, "received_at": "2026-11-22T14:00:00Z",
                      "original": CANARY.encode()}]  # fmt: skip
    return found


def web(folder: Path, **settings: Any) -> FastAPI:
    """The application over these records."""
    return build(reader(), clock=lambda: NOW, entrance=entrance(folder, **settings))


def client(app: FastAPI, peer: str = "192.0.2.7") -> httpx.AsyncClient:
    """Somebody at an address."""
    transport = httpx.ASGITransport(app, client=(peer, 40000))
    return httpx.AsyncClient(transport=transport, base_url="http://shipper")


def bearer(name: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {TEXTS[name]}"}


def _link(path: str, number: int = 1, series: str = _MINE) -> str:
    at = NOW - (10 - number) * SECOND
    known = {"{id}": f"{series}-{number:010d}", "{id:path}": REQUEST}
    if "requests" in path:
        known = {"{id}": REQUEST, "{id:path}": REQUEST}
    if "tasks" in path:
        known = {"{id}": f"{'shop-api' if series == _MINE else CANARY}.task"}
        known["{id:path}"] = known["{id}"]
    for name, value in known.items():
        path = path.replace(name, value)
    more = {
        "/api/v1/top": "?field=app",
        "/api/v1/values": "?field=app&prefix=",
        "/api/v1/compare": "?before_start=2h&before_end=1h&start=1h",
        "/requests": f"?id={REQUEST}",
        "/": "?app=shop-api",
    }
    at_it = f"?at={at}" if "/records/" in path else ""
    return path + more.get(path, at_it)


def links(app: FastAPI) -> list[str]:
    """A link to every route of the API and every page: what the OpenAPI lists, and what it does not."""
    paths = [path for path, methods in app.openapi()["paths"].items() if "get" in methods]
    paths += [route.path for route in app.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    return [_link(path) for path in dict.fromkeys(paths)]


def links_of_others(app: FastAPI) -> list[str]:
    """The same, to what the other team wrote."""
    paths = [path for path in app.openapi()["paths"] if "{id" in path and ("records" in path or "tasks" in path)]
    pages = [
        route.path
        for route in app.routes
        if isinstance(route, Route) and route.path.startswith(("/records/", "/tasks/"))
    ]
    return [_link(path, 2, _OTHER) for path in (*paths, *pages)]
