"""A small Elasticsearch in memory: API keys, bulk requests with a login, snapshot policies, in the documented shapes.

Shapes: elastic.co/docs/api/doc/elasticsearch, operations security-create-api-key, security-get-api-key,
security-invalidate-api-key, security-authenticate, slm-put-lifecycle, slm-get-lifecycle, bulk, info.
"""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USER, PASSWORD = "admin", "canary-password"
_MADE_AT = 1_763_900_000_000


def refused(status: int, kind: str, reason: str) -> web.Response:
    error = {"type": kind, "reason": reason}
    return web.json_response({"error": {**error, "root_cause": [error]}, "status": status}, status=status)


@dataclass
class Fake:
    """What it holds; `asked` are the requests that came, as "METHOD /path"."""

    url: str = ""
    version: dict[str, Any] = field(default_factory=lambda: {"number": "9.2.0", "build_flavor": "default"})
    #: Keys by id, as `GET /_security/api_key` shows them.
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)
    repositories: set[str] = field(default_factory=set)
    documents: dict[str, Any] = field(default_factory=dict)
    duplicates: int = 0
    asked: list[str] = field(default_factory=list)

    def encoded(self, key: str) -> str:
        return base64.b64encode(f"{key}:{self.secrets[key]}".encode()).decode()

    def _login(self, request: web.Request) -> str | None:
        """Return who asks: USER, the id of a key, or None."""
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(text or b"").decode().partition(":")
        if kind == "Basic":
            return name if (name, secret) == (USER, PASSWORD) else None
        valid = self.secrets.get(name) == secret and not self.keys[name]["invalidated"] if name in self.keys else False
        return name if valid else None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        who = self._login(request)
        if who is None:
            return refused(401, "security_exception", "unable to authenticate")
        if request.path == "/":
            return web.json_response({"version": self.version, "tagline": "You Know, for Search"})
        if request.path == "/_security/_authenticate":
            return web.json_response({"username": who, "authentication_type": "api_key"})
        if request.path == "/_security/api_key":
            return await self._api_key(request, who)
        if request.path == "/_bulk":
            return await self._bulk(request)
        if request.path.startswith("/_snapshot/"):
            return self._repository(request.path.split("/")[2])
        if request.path.startswith("/_slm/policy/"):
            return await self._policy(request, request.path.rpartition("/")[2])
        return web.json_response({})

    async def _api_key(self, request: web.Request, who: str) -> web.Response:
        if request.method == "GET":
            name = request.query["name"]
            found = [key for key in self.keys.values() if key["name"] == name and not key["invalidated"]]
            return web.json_response({"api_keys": found})
        body = await request.json()
        if request.method == "DELETE":
            return self._invalidated(body["ids"])
        if who != USER and any(body["role_descriptors"].values()):
            reason = "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)"
            return refused(400, "illegal_argument_exception", reason)
        key = f"id{len(self.keys):018d}"
        self.secrets[key] = f"canary-secret-{len(self.keys)}"
        self.keys[key] = {
            "id": key, "name": body["name"], "type": "rest", "creation": _MADE_AT, "invalidated": False,
            "username": who, "realm": "native1", "realm_type": "native", "metadata": body.get("metadata", {}),
            "role_descriptors": body["role_descriptors"],
        }  # fmt: skip
        shown = {"id": key, "name": body["name"], "api_key": self.secrets[key], "encoded": self.encoded(key)}
        return web.json_response(shown)

    def _invalidated(self, ids: list[str]) -> web.Response:
        done = [one for one in ids if one in self.keys and not self.keys[one]["invalidated"]]
        before = [one for one in ids if one in self.keys and one not in done]
        for one in done:
            self.keys[one]["invalidated"] = True
        answer = {"invalidated_api_keys": done, "previously_invalidated_api_keys": before, "error_count": 0}
        return web.json_response(answer)

    async def _bulk(self, request: web.Request) -> web.Response:
        lines = (await request.text()).splitlines()
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            key = json.loads(action)["create"]["_id"]
            status = 409 if key in self.documents else 201
            self.duplicates += status == 409
            self.documents.setdefault(key, document)
            items.append({"create": {"status": status}})
        return web.json_response({"errors": any(item["create"]["status"] == 409 for item in items), "items": items})

    def _repository(self, name: str) -> web.Response:
        if name not in self.repositories:
            return refused(404, "repository_missing_exception", f"[{name}] missing")
        return web.json_response({"nodes": {"a": {"name": "node-1"}}})

    async def _policy(self, request: web.Request, name: str) -> web.Response:
        if request.method == "PUT":
            before = self.policies.get(name, {"version": 0})
            self.policies[name] = {
                "version": before["version"] + 1, "modified_date_millis": _MADE_AT, "policy": await request.json(),
                "next_execution_millis": _MADE_AT, "stats": {"policy": name, "snapshots_taken": 0},
            }  # fmt: skip
            return web.json_response({"acknowledged": True})
        if name not in self.policies:
            return refused(404, "resource_not_found_exception", f"snapshot lifecycle policy [{name}] not found")
        return web.json_response({name: self.policies[name]})


@asynccontextmanager
async def elasticsearch() -> AsyncIterator[Fake]:
    """A running one, empty."""
    fake = Fake()
    application = web.Application(client_max_size=64 * 2**20)
    application.router.add_route("*", "/{any:.*}", fake.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
