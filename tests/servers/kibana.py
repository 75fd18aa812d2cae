"""A fake Kibana that remembers, for what our set-up asks; with Prism before it, both are held to Kibana's contract.

As in Kibana, an id of a saved object, data view or rule is taken in all spaces, whichever has it. Behaviour is that of
the API reference and of Kibana's sources (saved objects import and export, data views, spaces, short URLs, alerting).
"""

import asyncio
import copy
import ssl
import threading
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from tests.servers.kibana_rules import Rules

#: It answers below this path, too.
BASE_PATH = "/kibana"
KEY = "a2V5OnNlY3JldA=="
#: The newest version of each type that this Kibana knows.
KNOWN = {"index-pattern": (8, 0, 0), "search": (10, 6, 0), "dashboard": (10, 3, 0), "lens": (10, 1, 0)}
_CHECKED_REFERENCES = ("index-pattern", "search")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Json = dict[str, Any]


def boom(status: int, message: str, **attributes: Any) -> web.Response:
    """An error as Kibana says it."""
    names = {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        409: "Conflict",
        422: "Unprocessable Entity",
    }
    body = {"statusCode": status, "error": names[status], "message": message}
    return web.json_response({**body, **({"attributes": attributes} if attributes else {})}, status=status)


class FakeKibana:
    """A Kibana in a thread of this process, on a free port; its state is read and written by tests directly."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._tls = tls
        self.reset()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def reset(self) -> None:
        """Forget everything: a new Kibana with a default space."""
        self.version = "9.2.0"
        self.level = "available"
        #: So many requests are answered with 503 first, as a starting Kibana does.
        self.starting = 0
        #: Given instead of any answer: status, content type, bytes.
        self.instead: tuple[int, str, bytes] | None = None
        self.spaces: dict[str, Json] = {"default": {"id": "default", "name": "Default", "_reserved": True}}
        self.views: dict[str, tuple[str, Json]] = {}
        self.objects: dict[tuple[str, str], tuple[str, Json]] = {}
        self.defaults: dict[str, str] = {}
        self.slugs: dict[tuple[str, str], Json] = {}
        self.rules = Rules()
        #: Method and path of every request that was answered.
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    @property
    def changes(self) -> list[str]:
        """The requests that may have changed something."""
        return [one for one in self.asked if not one.startswith("GET ") and not one.endswith("/_export")]

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    def stop(self) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def view(self, name: str) -> Json:
        """A data view as it is."""
        return self.views[name][1]

    def saved(self, kind: str, name: str) -> Json:
        """A saved object as it is."""
        return self.objects[kind, name][1]

    async def _start(self) -> None:
        web_app = web.Application(middlewares=[self._gate], client_max_size=30 * 2**20)
        for base in ("", BASE_PATH):
            web_app.add_routes([web.get(f"{base}/api/status", self._status)])
            web_app.add_routes(self._routes(base))
            web_app.add_routes(self._routes(f"{base}/s/{{space}}"))
        self._runner = web.AppRunner(web_app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    def _routes(self, prefix: str) -> list[web.RouteDef]:
        views, saved, rule = f"{prefix}/api/data_views", f"{prefix}/api/saved_objects", f"{prefix}/api/alerting/rule"
        return [
            web.get(f"{prefix}/api/spaces/space", self._list_spaces),
            web.post(f"{prefix}/api/spaces/space", self._create_space),
            web.get(f"{prefix}/api/spaces/space/{{id}}", self._get_space),
            web.put(f"{prefix}/api/spaces/space/{{id}}", self._put_space),
            web.get(f"{views}/default", self._get_default),
            web.post(f"{views}/default", self._set_default),
            web.post(f"{views}/data_view", self._create_view),
            web.get(f"{views}/data_view/{{id}}", self._get_view),
            web.post(f"{views}/data_view/{{id}}", self._update_view),
            web.post(f"{views}/data_view/{{id}}/fields", self._update_fields),
            web.put(f"{views}/data_view/{{id}}/runtime_field", self._set_runtime),
            web.post(f"{saved}/_import", self._import),
            web.post(f"{saved}/_export", self._export),
            web.delete(f"{saved}/{{type}}/{{id}}", self._delete),
            web.post(f"{prefix}/api/short_url", self._create_slug),
            web.get(f"{prefix}/api/short_url/_slug/{{slug}}", self._get_slug),
            web.get(f"{rule}/{{id}}", self._rule),
            web.post(f"{rule}/{{id}}", self._rule),
            web.put(f"{rule}/{{id}}", self._rule),
        ]

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.instead is not None:
            status, kind, body = self.instead
            return web.Response(status=status, body=body, headers={"Content-Type": kind})
        if self.starting > 0:
            self.starting -= 1
            return web.Response(status=503, text="Kibana server is not ready yet.")
        self.asked.append(f"{request.method} {request.path}")
        if request.method != "GET" and "kbn-xsrf" not in request.headers:
            return boom(400, "Request must contain a kbn-xsrf header.")
        given = request.headers.get("Authorization")
        if given != f"ApiKey {KEY}" and (given is not None or not request.path.endswith("/api/status")):
            return boom(401, "[security_exception: missing authentication credentials]")
        if _space(request) not in self.spaces:
            return boom(404, "Not Found")
        return await handler(request)

    async def _status(self, request: web.Request) -> web.Response:
        status = {"overall": {"level": self.level, "summary": "as set"}}
        known = {"name": "fake", "version": {"number": self.version, "build_flavor": "traditional"}}
        code = 503 if self.level in {"unavailable", "critical"} else 200
        return web.json_response(
            {**(known if "Authorization" in request.headers else {}), "status": status}, status=code
        )

    async def _list_spaces(self, request: web.Request) -> web.Response:
        return web.json_response(list(self.spaces.values()))

    async def _create_space(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["id"] in self.spaces:
            return boom(409, f"A space with the identifier {body['id']} already exists.")
        if "solution" in body and _numbers(self.version) < (8, 16, 0):
            return boom(400, "[request body.solution]: definition for this key is missing")
        self.spaces[body["id"]] = body
        return web.json_response(body)

    async def _get_space(self, request: web.Request) -> web.Response:
        known = self.spaces.get(request.match_info["id"])
        return boom(404, "Not Found") if known is None else web.json_response(known)

    async def _put_space(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name not in self.spaces:
            return boom(404, "Not Found")
        self.spaces[name] = await request.json()
        return web.json_response(self.spaces[name])

    def _view(self, request: web.Request) -> Json | None:
        space, view = self.views.get(request.match_info["id"], (None, None))
        return view if space == _space(request) else None

    async def _create_view(self, request: web.Request) -> web.Response:
        view = (await request.json())["data_view"]
        space, name = _space(request), view.get("id") or str(uuid.uuid4())
        if any(owner == space and other.get("name") == view.get("name") for owner, other in self.views.values()):
            return boom(400, f"Duplicate data view: {view.get('name')}")
        if name in self.views:
            return boom(409, f"Saved object [index-pattern/{name}] conflict")
        empty: Json = {"sourceFilters": [], "fieldFormats": {}, "runtimeFieldMap": {}, "fieldAttrs": {}, "fields": {}}
        self.views[name] = (space, {**empty, **view, "id": name, "version": "WzEsMV0=", "namespaces": [space]})
        return web.json_response({"data_view": self.views[name][1]})

    async def _get_view(self, request: web.Request) -> web.Response:
        view = self._view(request)
        return _no_view(request) if view is None else web.json_response({"data_view": view})

    async def _update_view(self, request: web.Request) -> web.Response:
        if (view := self._view(request)) is None:
            return _no_view(request)
        view.update((await request.json())["data_view"])
        return web.json_response({"data_view": view})

    async def _update_fields(self, request: web.Request) -> web.Response:
        if (view := self._view(request)) is None:
            return _no_view(request)
        for name, change in (await request.json())["fields"].items():
            if "format" in change:
                view["fieldFormats"][name] = change["format"]
            attributes = view["fieldAttrs"].setdefault(name, {})
            attributes.update({key: value for key, value in change.items() if key != "format"})
        return web.json_response({"data_view": view})

    async def _set_runtime(self, request: web.Request) -> web.Response:
        if (view := self._view(request)) is None:
            return _no_view(request)
        body = await request.json()
        view["runtimeFieldMap"][body["name"]] = body["runtimeField"]
        return web.json_response({"data_view": view, "fields": []})

    async def _get_default(self, request: web.Request) -> web.Response:
        return web.json_response({"data_view_id": self.defaults.get(_space(request), "")})

    async def _set_default(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("force") or not self.defaults.get(_space(request)):
            self.defaults[_space(request)] = body["data_view_id"]
        return web.json_response({"acknowledged": True})

    async def _import(self, request: web.Request) -> web.Response:
        file = (await request.post()).get("file")
        if not isinstance(file, web.FileField):
            return boom(400, "[request body.file]: expected value of type [Stream]")
        if not file.filename.endswith(".ndjson"):
            return boom(400, f"Invalid file extension .{file.filename.rpartition('.')[2]}")
        lines = [orjson.loads(line) for line in file.file.read().splitlines() if line]
        keys = [(one["type"], one["id"]) for one in lines]
        if len(set(keys)) < len(keys):
            return boom(400, "Non-unique import objects detected")
        for one in lines:
            known = KNOWN[one["type"]]
            if (wanted := _numbers(one["typeMigrationVersion"])) > known:
                return boom(422, _newer(one["id"], wanted, known))
        space, overwrite = _space(request), request.query.get("overwrite") == "true"
        errors = [error for one in lines if (error := self._import_error(space, one, set(keys), overwrite=overwrite))]
        bad = {(one["type"], one["id"]) for one in errors}
        results = [self._imported(space, one) for one in lines if (one["type"], one["id"]) not in bad]
        body: Json = {"success": not errors, "successCount": len(results), "warnings": [], "successResults": results}
        return web.json_response({**body, **({"errors": errors} if errors else {})})

    def _import_error(self, space: str, saved: Json, file: set[tuple[str, str]], *, overwrite: bool) -> Json | None:
        key = (saved["type"], saved["id"])
        meta = {"type": saved["type"], "id": saved["id"], "meta": {"title": saved["attributes"].get("title", "")}}
        references = [
            {"type": one["type"], "id": one["id"]}
            for one in saved["references"]
            if one["type"] in _CHECKED_REFERENCES
            and (one["type"], one["id"]) not in file
            and self._owner(one["type"], one["id"]) != space
        ]
        if references:
            return {**meta, "error": {"type": "missing_references", "references": references}}
        if not overwrite and key in self.objects and self.objects[key][0] == space:
            return {**meta, "error": {"type": "conflict"}}
        return None

    def _owner(self, kind: str, name: str) -> str | None:
        found = self.views.get(name) if kind == "index-pattern" else self.objects.get((kind, name))
        return found[0] if found else None

    def _imported(self, space: str, saved: Json) -> Json:
        kind, name = saved["type"], saved["id"]
        result = {"type": kind, "id": name, "managed": saved.get("managed", False), "meta": {}}
        if self._owner(kind, name) not in (None, space):
            name = str(uuid.uuid4())
            result["destinationId"] = name
        self.objects[kind, name] = (space, {**copy.deepcopy(saved), "id": name, "managed": result["managed"]})
        return result

    async def _export(self, request: web.Request) -> web.Response:
        body, space = await request.json(), _space(request)
        mine = {key: saved for key, (owner, saved) in self.objects.items() if owner == space}
        if "objects" in body:
            keys = [(one["type"], one["id"]) for one in body["objects"]]
            missing = [{"type": kind, "id": name} for kind, name in keys if (kind, name) not in mine]
            if missing:
                listed = [{**one, "error": {"statusCode": 404, "message": "Not found"}} for one in missing]
                return boom(400, "Error fetching objects to export", objects=listed)
            found = [mine[key] for key in keys]
        else:
            wanted = {(one["type"], one["id"]) for one in body.get("hasReference", [])}
            kinds = {body["type"]} if isinstance(body["type"], str) else set(body["type"])
            found = [one for one in mine.values() if one["type"] in kinds and (not wanted or _refers(one, wanted))]
        lines = [orjson.dumps({**one, "version": "WzEsMV0=", "updated_at": "2026-01-01T00:00:00Z"}) for one in found]
        if not body.get("excludeExportDetails"):
            lines.append(orjson.dumps({"exportedCount": len(found), "missingRefCount": 0, "missingReferences": []}))
        return web.Response(body=b"\n".join(lines), content_type="application/ndjson")

    async def _delete(self, request: web.Request) -> web.Response:
        key = (request.match_info["type"], request.match_info["id"])
        if self._owner(*key) != _space(request):
            return boom(404, f"Saved object [{'/'.join(key)}] not found")
        del self.objects[key]
        return web.json_response({})

    async def _create_slug(self, request: web.Request) -> web.Response:
        body = await request.json()
        key = (_space(request), body["slug"])
        if key in self.slugs:
            return boom(409, f'Slug "{body["slug"]}" already exists.')
        locator = {"id": body["locatorId"], "version": self.version, "state": body["params"]}
        self.slugs[key] = {"id": uuid.uuid4().hex, "slug": body["slug"], "locator": locator, "accessCount": 0}
        return web.json_response(self.slugs[key])

    async def _get_slug(self, request: web.Request) -> web.Response:
        known = self.slugs.get((_space(request), request.match_info["slug"]))
        return boom(404, "Saved object [url] not found") if known is None else web.json_response(known)

    async def _rule(self, request: web.Request) -> web.Response:
        body = None if request.method == "GET" else await request.json()
        status, answer = self.rules.answer(request.method, _space(request), request.match_info["id"], body)
        return web.json_response(answer) if isinstance(answer, dict) else boom(status, answer)


def _space(request: web.Request) -> str:
    return request.match_info.get("space", "default")


def _no_view(request: web.Request) -> web.Response:
    return boom(404, f"Saved object [index-pattern/{request.match_info['id']}] not found")


def _refers(saved: Json, wanted: set[tuple[str, str]]) -> bool:
    return any((one["type"], one["id"]) in wanted for one in saved["references"])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _newer(name: str, wanted: tuple[int, ...], known: tuple[int, ...]) -> str:
    texts = [".".join(map(str, version)) for version in (wanted, known)]
    newer = f'Document "{name}" belongs to a more recent version of Kibana [{texts[0]}]'
    return f"{newer} when the last known version is [{texts[1]}]."
