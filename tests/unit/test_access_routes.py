"""Every route and page, asked in every wrong way: refused, never a bug, never a record."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from shipper.api.access import rules
from shipper.api.access.entrance import COOKIE
from tests.unit.access_world import CANARY, REQUEST, TEXTS, TOKENS, bearer, client, links, links_of_others, web

Headers = list[tuple[bytes, bytes]]
_GOOD = TEXTS["admin"].encode()


def _bearer(text: bytes) -> Headers:
    return [(b"authorization", b"Bearer " + text)]


STRANGERS: dict[str, Headers] = {
    "no token": [],
    "empty header": [(b"authorization", b"")],
    "empty token": _bearer(b""),
    "wrong token": _bearer(b"shp_" + b"A" * 43),
    "wrong case": _bearer(_GOOD.swapcase()),
    "a piece of one": _bearer(_GOOD[:-1]),
    "one and more": _bearer(_GOOD + b"x"),
    "long": _bearer(b"x" * 60_000),
    "unicode": _bearer("shp_ünïcödé-💥".encode()),
    "latin": _bearer(b"shp_\xff\xfe\x80"),
    "control characters": _bearer(b"shp_\x01\x7f"),
    "basic": [(b"authorization", b"Basic " + _GOOD)],
    "no scheme": [(b"authorization", _GOOD)],
    "twice": _bearer(_GOOD) * 2,
    "good and bad": [*_bearer(_GOOD), *_bearer(b"x")],
    "two in one": [(b"authorization", b"Bearer " + _GOOD + b", Bearer x")],
    "revoked": _bearer(TEXTS["gone"].encode()),
    "expired": _bearer(TEXTS["old"].encode()),
    "hash instead": _bearer(b"0" * 64),
    "wrong header of all good": [(b"x-authorization", b"Bearer " + _GOOD)],
    "user from anywhere": [(b"x-user", b"root")],
    "forwarded user": [(b"x-user", b"root"), (b"x-forwarded-for", b"10.0.0.1"), (b"forwarded", b"for=10.0.0.1")],
    "wrong cookie": [(b"cookie", f"{COOKIE}=shp_wrong".encode())],
    "unicode cookie": [(b"cookie", f"{COOKIE}=".encode() + b"\xff\xfe")],
    "wrong token, good cookie": [*_bearer(b"x"), (b"cookie", f"{COOKIE}=".encode() + _GOOD)],
}


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return web(tmp_path, requests_per_minute=100_000)


def _needing(app: FastAPI) -> list[str]:
    return [link for link in links(app) if not rules.is_open(urlsplit(link).path)]


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
async def test_strangers_are_refused_everywhere(app: FastAPI, headers: Headers) -> None:
    asked = _needing(app)
    assert len(asked) > 20
    async with client(app) as somebody:
        for link in asked:
            answer = await somebody.get(link, headers=httpx.Headers(headers))
            assert answer.status_code == 401, link
            said = answer.json()["error"]["message"]
            assert ("who asks?" in said) is ("authorization" not in httpx.Headers(headers)), "was a token seen at all"
            assert answer.json()["error"]["position"] is None
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "X" * 90])
async def test_no_method_is_a_way_in(app: FastAPI, method: str) -> None:
    async with client(app) as somebody:
        for link in _needing(app):
            stranger = await somebody.request(method, link)
            assert stranger.status_code == 401, link
            overriding = {"X-HTTP-Method-Override": "GET", "X-Method-Override": "GET", "X-HTTP-Method": "GET"}
            assert (await somebody.request(method, link, headers=overriding)).status_code == 401
            if not link.startswith(("/api/v1/tail", "/api/v1/feed")):
                known = await somebody.request(method, link, headers=bearer("admin") | overriding)
                assert known.status_code in ({200, 303, 405} if method == "HEAD" else {405}), link


async def test_a_cookie_reads_and_does_nothing_else(app: FastAPI) -> None:
    cookie = {"Cookie": f"{COOKIE}={TEXTS['reader']}"}
    async with client(app) as somebody:
        assert (await somebody.get("/api/v1/records", headers=cookie)).status_code == 200
        assert (await somebody.head("/", headers=cookie)).status_code == 200
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert (await somebody.request(method, "/api/v1/records", headers=cookie)).status_code == 401


PATHS = [
    *("//api/v1/records", "/api//v1/records", "/api/v1/records/", "/API/V1/RECORDS", "/api/v1/./records"),
    *("/static/../api/v1/records", "/static/%2e%2e/api/v1/records", "/health/../metrics", "/health/"),
    *("/health;/metrics", "/login/../api/v1/records", "/api/v1/records%00", "/api/v1/records%2f"),
    *("/%2fapi/v1/records", "/metrics/", "//metrics", "/ready%20", "/loginx", "/nothing", "/api/v1/nothing", "//"),
]


@pytest.mark.parametrize("path", PATHS)
async def test_no_spelling_of_a_path_is_a_way_in(app: FastAPI, path: str) -> None:
    async with client(app) as somebody:
        answer = await somebody.get(httpx.URL(f"http://shipper{path}"))
        if path.startswith("/static/"):
            assert answer.status_code in (401, 404, 405)
        else:
            assert answer.status_code == 401
        known = await somebody.get(httpx.URL(f"http://shipper{path}"), headers=bearer("reader"))
        assert known.status_code in (200, 303, 400, 403, 404)
        assert "shipper_records" not in known.text


async def test_scopes(app: FastAPI) -> None:
    needed = {"/metrics": "admin", "/api/v1/feed": "admin", "/api/v1/tail": "tail"}
    async with client(app) as somebody:
        for path, scope in needed.items():
            for name in ("reader", "tailer", "shop"):
                if scope == "tail" and name != "reader":
                    continue
                answer = await somebody.get(path, headers=bearer(name))
                assert answer.status_code == 403, (path, name)
                assert scope in answer.json()["error"]["message"]
        assert (await somebody.get("/metrics", headers=bearer("admin"))).status_code == 200
        for name in TOKENS.keys() - {"old", "gone"}:
            assert (await somebody.get("/api/v1/records", headers=bearer(name))).status_code == 200


async def test_an_app_scope_hides_other_apps_everywhere(app: FastAPI) -> None:
    async with client(app) as somebody:
        asked = [link for link in links(app) if urlsplit(link).path not in rules.STREAMS]
        seen = [link for link in asked if CANARY in (await somebody.get(link, headers=bearer("admin"))).text]
        assert len(seen) > 8, "the admin sees it: else this test shows nothing"
        for link in (*asked, *links_of_others(app)):
            answer = await somebody.get(link, headers=bearer("shop") | {"Accept": "text/html"})
            assert answer.status_code < 500, link
            assert CANARY not in answer.text, link
        for hunt in (f"text={CANARY}", f"app={CANARY}", f"query=app:{CANARY}%20or%20{CANARY}"):
            assert (await somebody.get(f"/api/v1/records?{hunt}", headers=bearer("admin"))).json()["records"]
            assert (await somebody.get(f"/api/v1/records?{hunt}", headers=bearer("shop"))).json()["records"] == []
        mine = (await somebody.get("/api/v1/records", headers=bearer("shop"))).json()["records"]
        assert [one["service.name"] for one in mine] == ["shop-api"] * 4
        story = (await somebody.get(f"/api/v1/requests/{REQUEST}", headers=bearer("shop"))).json()
        assert len(story["records"]) == 4
        for path in ("/dead-letters", "/api/v1/dead-letters"):
            assert (await somebody.get(path, headers=bearer("shop"))).status_code == 403
            assert CANARY in (await somebody.get(path, headers=bearer("reader"))).text


async def test_an_app_scope_is_not_widened_by_what_others_have_asked(app: FastAPI) -> None:
    async with client(app) as somebody:
        for link in (f"/api/v1/requests/{REQUEST}", "/api/v1/apps", "/api/v1/top?field=app"):
            assert CANARY in (await somebody.get(link, headers=bearer("admin"))).text
            assert CANARY not in (await somebody.get(link, headers=bearer("shop"))).text
            assert CANARY in (await somebody.get(link, headers=bearer("admin"))).text


async def test_a_browser_is_led_to_the_login_and_back(app: FastAPI) -> None:
    page = {"Accept": "text/html"}
    async with client(app) as somebody:
        sent = await somebody.get("/requests/a+b?x=%2F&y=1", headers=page)
        assert sent.status_code == 303
        back = parse_qs(urlsplit(sent.headers["location"]).query)["next"][0]
        assert back == "/requests/a+b?x=%2F&y=1"
        assert "password" in (await somebody.get(sent.headers["location"], headers=page)).text
        wrong = await somebody.post("/login", data={"token": "shp_wrong", "next": back}, headers=page)
        assert wrong.status_code == 401
        assert "set-cookie" not in wrong.headers
        entered = await somebody.post("/login", data={"token": TEXTS["reader"], "next": back}, headers=page)
        assert (entered.status_code, entered.headers["location"]) == (303, back)
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie
        assert (await somebody.get("/", headers=page)).status_code == 200
        assert (await somebody.get("/login?next=/ledger")).headers["location"] == "/ledger"
        left = await somebody.post("/logout")
        assert left.headers["location"] == "/login"
        assert (await somebody.get("/", headers=page)).status_code == 303


@pytest.mark.parametrize(
    "link", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)",
             "\\\\evil.example", "/\n/evil.example", " /x", "", "/" + "x" * 5000, 
             "@evil.example", "/%0a/x\r\nSet-Cookie: a=b"],
)  # fmt: skip
async def test_the_way_back_never_leads_elsewhere(app: FastAPI, link: str) -> None:
    async with client(app) as somebody:
        entered = await somebody.post("/login", data={"token": TEXTS["reader"], "next": link})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")


async def test_forms_of_other_sites_and_of_any_size_are_refused(app: FastAPI) -> None:
    async with client(app) as somebody:
        data = {"token": TEXTS["reader"]}
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert (await somebody.post("/login", data=data, headers=foreign)).status_code == 403
        assert (await somebody.post("/logout", headers=foreign)).status_code == 403
        assert (await somebody.post("/login", data={"token": "x" * 20_000})).status_code == 413
        assert (await somebody.post("/login", content=b"\xff\xfe", headers={"Content-Type": "x"})).status_code == 415
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await somebody.post("/login", content=b"\xff\xfe=1", headers=form)).status_code == 400
        assert (await somebody.post("/login", content=b"a&" * 200, headers=form)).status_code in (400, 401)
        assert (await somebody.post("/login", content=b"", headers=form)).status_code == 401
        elsewhere = await somebody.get("/login?next=/ledger", headers=foreign)
        assert elsewhere.headers["refresh"] == "0; url=/login?next=%2Fledger"


async def test_a_trusted_proxy_names_the_user(app: FastAPI) -> None:
    async with client(app, "::ffff:10.0.0.9") as proxy:
        assert (await proxy.get("/api/v1/records", headers={"X-User": "ann"})).status_code == 200
        assert (await proxy.get("/metrics", headers={"X-User": "ann"})).status_code == 403
        assert (await proxy.get("/api/v1/records", headers={"X-User": ""})).status_code == 401
        assert (await proxy.get("/api/v1/records", headers={"X-User": "a b"})).status_code == 401
        assert (await proxy.get("/api/v1/records", headers=[("X-User", "a"), ("X-User", "b")])).status_code == 401
        wrong = {"X-User": "ann", "Authorization": "Bearer x"}
        assert (await proxy.get("/api/v1/records", headers=wrong)).status_code == 401
        secure = {"X-Forwarded-Proto": "https"}
        entered = await proxy.post("/login", data={"token": TEXTS["reader"]}, headers=secure)
        assert "secure" in entered.headers["set-cookie"].lower()
    async with client(app, "11.0.0.9") as stranger:
        assert (await stranger.get("/api/v1/records", headers={"X-User": "ann"})).status_code == 401


async def test_a_stranger_sees_whether_it_is_ready_and_no_figures(app: FastAPI) -> None:
    async with client(app) as somebody:
        assert (await somebody.get("/health")).json() == {"status": "up"}
        assert (await somebody.get("/ready")).json()["figures"] == {}


async def test_a_body_is_not_taken(app: FastAPI) -> None:
    async with client(app) as somebody:
        for length in ("1048577", "9" * 30, "-1", "x"):
            asked = {"Content-Length": length} | bearer("reader")
            assert (await somebody.get("/api/v1/records", headers=asked)).status_code == 413


def test_the_description_says_who_may_ask_what(app: FastAPI) -> None:
    described = app.openapi()
    assert set(described["components"]["securitySchemes"]) == {"token", "cookie"}
    for path, methods in described["paths"].items():
        operation = methods["get"]
        assert bool(operation["security"]) is not rules.is_open(path)
        if not rules.is_open(path):
            assert f"Scope: {rules.scope_of(path)}" in operation["description"]
            assert {"401", "403", "429"} <= set(operation["responses"])
