"""The pages: search, live tail, patterns, apps, a record, a request, a task, the ledger. All work without script."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shipper.api.ask import Asking
from shipper.api.errors import answer
from shipper.api.pages.apps import apps
from shipper.api.pages.ledger import dead_letters, ledger
from shipper.api.pages.patterns import patterns
from shipper.api.pages.record import record, same
from shipper.api.pages.search import search
from shipper.api.pages.story import find_request, story
from shipper.api.pages.tail import tail
from shipper.api.pages.task import task
from shipper.errors import ShipperError

Answer = Callable[[Asking, Request], Awaitable[Response]]


def pages(asking: Asking) -> list[Route]:
    """Return the routes of all pages."""
    routes: dict[str, Answer] = {
        "/": search,
        "/tail": tail,
        "/patterns": patterns,
        "/apps": apps,
        "/records/{id}": record,
        "/records/{id}/same": same,
        "/requests": find_request,
        "/requests/{id:path}": story,
        "/tasks/{id:path}": task,
        "/ledger": ledger,
        "/dead-letters": dead_letters,
    }
    return [Route(path, _page(asking, made)) for path, made in routes.items()]


def _page(asking: Asking, made: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        try:
            return await made(asking.of(request), request)
        except ShipperError as error:
            return answer(request, error)

    return page
