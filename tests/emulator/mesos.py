"""Mesos's master and agents over HTTP: they only tell what the world holds."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from tests.emulator import mesos_state
from tests.emulator.mesos_files import Files, answer
from tests.emulator.model import Agent, World

#: How many tasks /tasks gives when it is not told (Mesos, src/master/constants.hpp).
TASK_LIMIT: Final = 100
_PAGING: Final = {"offset": 0, "limit": TASK_LIMIT}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def master(world: World) -> web.Application:
    """Every path of a master, each with `/master` before it and without, with `.json` behind it and without."""
    app = web.Application()
    _answer(app, "/master", "/state", lambda request: mesos_state.master(world, _port(request)))
    _answer(app, "/master", "/slaves", lambda _: mesos_state.slaves(world))
    _answer(app, "/master", "/tasks", lambda request: {"tasks": _selected(mesos_state.tasks(world), request)})
    _answer(app, "", "/version", lambda _: mesos_state.version(world))
    app.router.add_get("/redirect", _redirect)
    app.router.add_get("/master/redirect", _redirect)
    return app


def agent(world: World, agent: Agent) -> web.Application:
    """Every path of one agent; when it is lost, connections to it end without an answer."""

    @web.middleware
    async def only_alive(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not agent.alive and request.transport is not None:
            request.transport.abort()
        return await handler(request)

    app = web.Application(middlewares=[only_alive])
    _answer(app, "/slave(1)", "/state", lambda _: mesos_state.agent(world, agent))
    _answer(app, "/slave(1)", "/containers", lambda _: mesos_state.containers(world, agent))
    _answer(app, "", "/version", lambda _: mesos_state.version(world))
    app.add_routes(Files(lambda: _sandboxes(world, agent)).routes())
    return app


def _answer(app: web.Application, prefix: str, path: str, make: Callable[[web.Request], Any]) -> None:
    async def handler(request: web.Request) -> web.Response:
        return answer(make(request))

    for start in {"", prefix}:
        for end in ("", ".json"):
            app.router.add_get(f"{start}{path}{end}", handler)


async def _redirect(request: web.Request) -> web.Response:
    return web.Response(status=307, headers={"Location": f"//127.0.0.1:{_port(request)}"})


def _port(request: web.Request) -> int:
    """The port on which this was asked."""
    assert request.transport is not None
    return int(request.transport.get_extra_info("sockname")[1])


def _selected(tasks: list[dict[str, Any]], request: web.Request) -> list[dict[str, Any]]:
    try:
        offset, limit = (int(request.query.get(name, default)) for name, default in _PAGING.items())
    except ValueError:
        raise web.HTTPBadRequest(text="Failed to parse limit or offset\n") from None
    for name, key in (("framework_id", "framework_id"), ("task_id", "id")):
        if wanted := request.query.get(name):
            tasks = [task for task in tasks if task[key] == wanted]
    if request.query.get("order") != "asc":
        tasks = tasks[::-1]
    return tasks[max(offset, 0) :][: max(limit, 0)]


def _sandboxes(world: World, agent: Agent) -> Mapping[str, Path]:
    """Each sandbox of the agent by its path, by the link to the last run, and by Mesos's virtual path."""
    found: dict[str, Path] = {}
    for task in (*world.completed, *world.tasks.values()):
        if task.agent is agent:
            executor = f"/frameworks/{task.framework.id}/executors/{task.executor_id}"
            latest = task.sandbox.with_name("latest")
            names = (f"{executor}/runs/latest", str(task.sandbox), str(latest))
            found.update((name, task.sandbox) for name in names)
    return found
