"""/v2/apps: apps listed, made, changed, restarted and deleted."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from tests.emulator import answers, definitions, tasks, validation
from tests.emulator.deploying import Locked, service_ports_taken
from tests.emulator.engine import Engine
from tests.emulator.errors import Refused, flag, locked, no_app, no_json, not_valid
from tests.emulator.model import App, Definition, Deployment
from tests.emulator.selecting import selected

#: What may stand behind an app's id; ids hold slashes themselves, and clients begin them with one.
_PATH: Final = re.compile(r"(?P<id>.*?)(?:/(?P<part>versions|tasks|restart)(?:/(?P<item>[^/]+))?)?/?")


class Apps:
    """Handlers of one path with many meanings, told apart by what stands behind the app's id."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._world = engine.world
        self._tasks = tasks.Tasks(engine)

    def routes(self) -> list[web.RouteDef]:
        """Both paths, with and without an app."""
        return [
            web.get("/v2/apps", self._list),
            web.post("/v2/apps", self._create),
            web.put("/v2/apps", self._change_many),
            web.patch("/v2/apps", self._change_many),
            web.route("*", "/v2/apps/{path:.*}", self._one),
        ]

    async def _one(self, request: web.Request) -> web.Response:
        if not request.match_info["path"].strip("/"):
            return await (self._create(request) if request.method == "POST" else self._list(request))
        parsed = _PATH.fullmatch(request.match_info["path"])
        assert parsed is not None
        app_id = "/" + parsed["id"].strip("/")
        handlers: dict[tuple[str, str | None], Callable[..., Any]] = {
            ("GET", None): self._show,
            ("PUT", None): self._put,
            ("PATCH", None): self._patch,
            ("DELETE", None): self._delete,
            ("POST", "restart"): self._restart,
            ("GET", "versions"): self._versions,
            ("GET", "tasks"): self._tasks.of_app,
            ("DELETE", "tasks"): self._tasks.kill_of_app,
        }
        handler = handlers.get((request.method, parsed["part"]))
        if handler is None:
            raise Refused(405, "HTTP 405 Method Not Allowed")
        if parsed["item"]:
            answer = await handler(request, app_id, parsed["item"])
        else:
            answer = await handler(request, app_id)
        assert isinstance(answer, web.Response)
        return answer

    async def _list(self, request: web.Request) -> web.Response:
        embed = {one.removeprefix("apps.").removeprefix("app.") for one in request.query.getall("embed", [])}
        shown = [self._embedded(app, embed) for app in selected(list(self._world.apps.values()), request.query)]
        return web.json_response({"apps": shown})

    def _embedded(self, app: App, embed: set[str]) -> dict[str, Any]:
        shown = answers.app(self._world, app, full=True)
        tasks_too, failure_too = embed & {"tasks", "failures"}, embed & {"lastTaskFailure", "failures"}
        hidden = ({"tasks"} if not tasks_too else set()) | ({"lastTaskFailure"} if not failure_too else set())
        return {key: value for key, value in shown.items() if key not in hidden}

    async def _show(self, request: web.Request, app_id: str) -> web.Response:
        if app_id.endswith("*"):
            apps = [app for app in self._world.apps.values() if app.id.startswith(app_id[:-1])]
            return web.json_response({"*": [answers.app(self._world, app, full=True) for app in apps]})
        return web.json_response({"app": answers.app(self._world, self._app(app_id), full=True)})

    async def _versions(self, request: web.Request, app_id: str, version: str = "") -> web.Response:
        app = self._app(app_id)
        if not version:
            return web.json_response({"versions": sorted(app.versions, reverse=True)})
        if version not in app.versions:
            raise Refused(404, f"App '{app_id}' does not exist in version {version}")
        return web.json_response(answers.definition(self._world, app, version))

    async def _create(self, request: web.Request) -> web.Response:
        given = await _object(request)
        definition = self._checked(given, None)
        app_id = definition["id"]
        if app_id in self._world.apps:
            raise Refused(409, f"An app with id [{app_id}] already exists.")
        deployment = self._deploy(request, {app_id: definition})
        shown = answers.app(self._world, self._world.apps[app_id])
        shown["deployments"] = [{"id": deployment.id}]
        headers = {"Marathon-Deployment-Id": deployment.id, "Location": f"/v2/apps{app_id}"}
        return web.json_response(shown, status=201, headers=headers)

    async def _put(self, request: web.Request, app_id: str) -> web.Response:
        given = {**await _object(request), "id": app_id}
        known = app_id in self._world.apps
        definition = self._target(given, merge=flag(request.query, "partialUpdate", default=True))
        return _started(self._deploy(request, {app_id: definition}), 200 if known else 201)

    async def _patch(self, request: web.Request, app_id: str) -> web.Response:
        given = {**await _object(request), "id": app_id}
        self._app(app_id)
        return _started(self._deploy(request, {app_id: self._target(given, merge=True)}))

    async def _change_many(self, request: web.Request) -> web.Response:
        given = await _json(request)
        if not isinstance(given, list) or not all(isinstance(one, dict) and "id" in one for one in given):
            raise no_json("error.expected.jsarray")
        if request.method == "PATCH":
            for one in given:
                self._app("/" + str(one["id"]).strip("/"))
        merge = request.method == "PATCH" or flag(request.query, "partialUpdate", default=True)
        targets = [self._target(one, merge=merge) for one in given]
        return _started(self._deploy(request, {target["id"]: target for target in targets}))

    async def _delete(self, request: web.Request, app_id: str) -> web.Response:
        self._app(app_id)
        return _started(self._deploy(request, {app_id: None}, force=flag(request.query, "force", default=True)))

    async def _restart(self, request: web.Request, app_id: str) -> web.Response:
        return _started(self._deploy(request, {app_id: self._app(app_id).definition}, restart=True))

    def _app(self, app_id: str) -> App:
        app = self._world.apps.get(app_id)
        if app is None:
            raise no_app(app_id)
        return app

    def _target(self, given: Mapping[str, Any], *, merge: bool) -> Definition:
        """The definition that a change asks for: a version of before, or what is given over what there is."""
        app = self._world.apps.get("/" + str(given["id"]).strip("/"))
        version = given.get("version")
        if version is None or app is None:
            whole = definitions.merged(app.definition, given) if app and merge else given
            return self._checked(whole, app)
        if set(given) - {"id", "version"}:
            raise not_valid([("/version", "The 'version' field may only be combined with the 'id' field.")])
        if version not in app.versions:
            raise Refused(404, f"App '{app.id}' does not exist in version {version}")
        return app.versions[version]

    def _checked(self, given: Mapping[str, Any], app: App | None) -> Definition:
        try:
            wrong = validation.problems(given)
            if wrong:
                raise not_valid(wrong)
            definition = definitions.normalised(given, self._world.profile)
        except (TypeError, ValueError, AttributeError, KeyError) as error:  # a wrong type deep inside
            raise not_valid([("/", f"{type(error).__name__}: {error}")]) from None
        before = definitions.service_ports(app.definition) if app else []
        definitions.assign_service_ports(definition, before, service_ports_taken(self._world, definition["id"]))
        return definition

    def _deploy(
        self,
        request: web.Request,
        target: dict[str, Definition | None],
        *,
        force: bool | None = None,
        restart: bool = False,
    ) -> Deployment:
        force = flag(request.query, "force") if force is None else force
        if not force:
            self._refuse_locked(target)
        for app_id, definition in target.items():
            if definition is not None and not restart:
                self._engine.events.publish(
                    "api_post_event",
                    clientIp=request.remote,
                    uri=request.path,
                    appDefinition=definitions.rendered(definition, self._world.profile) | {"id": app_id},
                )
        return self._engine.deployer.change(target, force=force, restart=restart)

    def _refuse_locked(self, target: Mapping[str, Definition | None]) -> None:
        try:
            self._engine.deployer.check_unlocked(target)
        except Locked as error:
            raise locked(error.deployments) from None


def _started(deployment: Deployment, status: int = 200) -> web.Response:
    return web.json_response(
        {"version": deployment.version, "deploymentId": deployment.id},
        status=status,
        headers={"Marathon-Deployment-Id": deployment.id},
    )


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise no_json(str(error)) from None


async def _object(request: web.Request) -> dict[str, Any]:
    given = await _json(request)
    if not isinstance(given, dict):
        raise no_json("error.expected.jsobject")
    return given
