"""The HTTP service: API, pages, health and metrics over one store, read only."""

import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from shipper import __version__
from shipper.api.access import rules
from shipper.api.access.entrance import Entrance
from shipper.api.access.gate import Gate
from shipper.api.access.login import login_routes
from shipper.api.analysis import analysis
from shipper.api.ask import Asking
from shipper.api.docs import add_docs
from shipper.api.errors import add_handlers
from shipper.api.feed import Hub
from shipper.api.feed_stream import feeds
from shipper.api.fields import fields
from shipper.api.html import STATIC
from shipper.api.kibana import base_url
from shipper.api.pages import pages
from shipper.api.recent_routes import recents
from shipper.api.recent_wire import Own
from shipper.api.routes import health, questions
from shipper.api.security import SecurityHeaders
from shipper.api.short_links import ShortLinks
from shipper.api.status import Status, api_only
from shipper.api.tail import tails
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


class _Web(FastAPI):
    """FastAPI whose description says who may ask what."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        if self.openapi_schema is None:
            self.openapi_schema = rules.describe(super().openapi())
        return self.openapi_schema


def build(
    reader: Reader,
    status: Callable[[], Status] = api_only,
    clock: Callable[[], int] = time.time_ns,
    entrance: Entrance | None = None,
    hub: Hub | None = None,
    own: Own | None = None,
    kibana: str | None = None,
    short_links: ShortLinks | None = None,
) -> FastAPI:
    """Return the web application over a store that is open; `status` says what the rest of the process does.

    Without an entrance everybody is let in; without a hub live tails ask the store; `kibana` is where links to it go
    (its address, with its space), `short_links` makes short ones.
    """
    entrance = entrance or Entrance()
    asking = Asking(reader, status, clock, kibana=kibana and base_url(kibana), short_links=short_links)
    hub = hub or Hub(reader, clock=clock)
    web = _Web(
        title="shipper",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    web.add_middleware(Gate, entrance=entrance, asking=asking)
    web.add_middleware(SecurityHeaders)  # around the gate: its refusals carry them too
    add_handlers(web)
    web.include_router(questions(asking))
    web.include_router(analysis(asking))
    web.include_router(fields(asking))
    web.include_router(tails(asking, hub))
    web.include_router(feeds(hub))
    web.include_router(recents(asking, own))
    web.include_router(health(asking))
    web.router.routes.extend(pages(asking))
    web.router.routes.extend(login_routes(entrance))
    add_docs(web)
    web.mount("/static", _OwnFiles(directory=STATIC))
    return web
