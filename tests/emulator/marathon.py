"""Marathon's HTTP side: its paths, who may call them, and errors in its shape."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.emulator.apps import Apps
from tests.emulator.cluster import Cluster
from tests.emulator.engine import Engine
from tests.emulator.errors import Refused
from tests.emulator.faults import Faults
from tests.emulator.tasks import Tasks

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(engine: Engine, address: str, authorization: str = "") -> web.Application:
    """The leader; `address` is its own host and port. `authorization` is the header that all paths ask for."""
    faults = Faults(engine)

    @web.middleware
    async def around(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            if not _allowed(request, authorization):
                raise Refused(401, "Invalid username or password.")
            answer = await faults.meddle(request, handler)
        except Refused as refused:
            return _refusal(refused)
        except web.HTTPException as error:
            unknown = engine.world.profile.unknown_route if error.status == 404 else error.status
            return web.json_response(
                {"message": "URI not found" if error.status == 404 else error.reason}, status=unknown
            )
        if not answer.prepared:
            answer.headers["X-Marathon-Leader"] = f"http://{address}"
        return answer

    app = web.Application(middlewares=[around])
    for part in (Apps(engine), Tasks(engine), Cluster(engine, address), faults):
        app.add_routes(part.routes())
    return app


def _allowed(request: web.Request, authorization: str) -> bool:
    given = request.headers.get("Authorization", "")
    return not authorization or given == authorization or request.path.startswith("/emulator/")


def _refusal(refused: Refused) -> web.Response:
    headers = {"WWW-Authenticate": 'Basic realm="Mesosphere"'} if refused.status == 401 else {}
    return web.json_response(text=refused.text, status=refused.status, headers=headers)
