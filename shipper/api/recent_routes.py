"""`/api/v1/feed/recent`: what this process received lately, for the other processes while the store is away."""

import asyncio
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from shipper.api import recent_wire as wire
from shipper.api.access.scoped import Scoped
from shipper.api.ask import Asking
from shipper.api.question import Question
from shipper.search.expression import both

#: Answers that are being looked for at a time; each is a thread.
_MOST: Final = 4
_WAIT_SECONDS: Final = 2.0


def recents(asking: Asking, own: wire.Own | None) -> APIRouter:
    """Return the route; 404 in a process that keeps no copy."""
    routes = APIRouter(prefix="/api/v1", tags=["live"])
    places = asyncio.Semaphore(_MOST)

    @routes.get("/feed/recent", response_class=Response, responses={404: {}, 503: {}})
    async def recent(request: Request, asked: Annotated[Question, Query()]) -> Response:
        """Search this process's recent copy, whether or not the store has it: NDJSON, how far it is whole first."""
        if own is None:
            raise HTTPException(404, "this process keeps no recent copy: see pipeline.recent.directory")
        mine = asking.of(request)
        query = asked.query(mine.clock())
        if isinstance(mine.reader, Scoped):
            query = replace(query, where=both((query.where, mine.reader.where)))
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await places.acquire()
        except TimeoutError:
            raise HTTPException(503, f"{_MOST} answers are being looked for already") from None
        try:
            return Response(wire.write(await own.ask(query)), media_type=wire.MEDIA_TYPE)
        finally:
            places.release()

    return routes
