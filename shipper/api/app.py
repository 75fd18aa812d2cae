"""The HTTP service: API, pages, health and metrics over one store, read only."""

import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from shipper import __version__
from shipper.api.ask import Asking
from shipper.api.docs import add_docs
from shipper.api.errors import add_handlers
from shipper.api.html import STATIC
from shipper.api.pages import pages
from shipper.api.routes import health, questions
from shipper.api.security import SecurityHeaders
from shipper.api.status import Status, api_only
from shipper.stores import Reader

__all__ = ["Status", "build"]

_ABOUT = "Search the records of a cluster, tell the story of one request, account for every record. Times are UTC."


class _OwnFiles(StaticFiles):
    """Our CSS and script: their links change when they do."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Return a file that may be kept for a day."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response


def build(reader: Reader, status: Callable[[], Status] = api_only, clock: Callable[[], int] = time.time_ns) -> FastAPI:
    """Return the web application over a store that is open; `status` says what the rest of the process does."""
    asking = Asking(reader, status, clock)
    web = FastAPI(
        title="shipper",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    web.add_middleware(SecurityHeaders)
    add_handlers(web)
    web.include_router(questions(asking))
    web.include_router(health(asking))
    web.router.routes.extend(pages(asking))
    add_docs(web)
    web.mount("/static", _OwnFiles(directory=STATIC))
    return web
