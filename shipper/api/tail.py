"""`/api/v1/tail`: records as they are stored, filtered here, as Server-Sent Events.

A tail hears everything from the moment it is opened; then what it asks for from before is read from the store and
sent first. What comes both ways is sent once, so nothing is missing between the two.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from shipper.api import tail_question
from shipper.api.answers import ErrorAnswer
from shipper.api.ask import Asking
from shipper.api.feed import Hub, TooMany, record_event
from shipper.api.feed_history import LATEST, MARGIN, SECOND, History, ingested_since, last
from shipper.api.feed_response import Live
from shipper.api.shown import identify
from shipper.api.tail_buffer import Tail, message
from shipper.api.tail_question import Asked
from shipper.search.expression import Everything, Expression, both
from shipper.search.expression_of import whole
from shipper.search.matching import matcher

HEARTBEAT_SECONDS: Final = 10.0
#: A reader gets what has come in the meantime at once: fewer, bigger pieces for busy tails, no wait for quiet ones.
PACE_SECONDS: Final = 0.1
#: A client that has been away for longer begins anew.
_LONGEST_AWAY: Final = 24 * 3600 * SECOND
_MOST_RESUMED: Final = 10_000
_CHUNK_BYTES: Final = 64 * 2**10
_RETRY_MS: Final = 1000
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {}}, "description": "events: record, skipped, note"},
    400: {"model": ErrorAnswer},
    503: {"model": ErrorAnswer},
}


def tails(asking: Asking, hub: Hub) -> APIRouter:
    """Return the route."""
    routes = APIRouter(prefix="/api/v1", tags=["live"])

    @routes.get("/tail", response_class=Response, responses=_ERRORS, openapi_extra=tail_question.openapi())
    async def tail(request: Request) -> Response:
        """Follow records as they are stored, as Server-Sent Events; resumes by Last-Event-ID without a gap.

        `record` carries one record, `skipped` says how many did not fit while the reader was slow, `note` is for
        people.
        """
        mine = asking.of(request)
        header = request.headers.get("last-event-id")
        asked = tail_question.read(request.query_params.multi_items(), header, mine.clock())
        try:
            opened = hub.open(matcher(_wanted(asked, mine)))
        except TooMany as error:
            raise HTTPException(503, str(error)) from None
        begun = hub.mark
        try:
            history = await _before(mine, asked)
        except BaseException:
            hub.close(opened)
            raise
        return Live(
            _events(hub, opened, history, (asked.since or begun, begun)), "text/event-stream", lambda: hub.close(opened)
        )

    return routes


def _wanted(asked: Asked, mine: Asking) -> Expression:
    """Return what a record must match: what is asked, within what the caller may see."""
    scope: Expression | None = getattr(mine.reader, "where", None)
    return both((scope, whole(asked.query))) or Everything()


async def _before(mine: Asking, asked: Asked) -> History:
    """Return the records that come first; StoreBusy when they cannot be read now."""
    now = mine.clock()
    if asked.since is not None and now - asked.since < _LONGEST_AWAY:
        since = min(asked.since, now) - MARGIN
        return await mine.within(ingested_since(mine.reader, asked.query, since, now, _MOST_RESUMED))
    if asked.since is not None:
        return History(incomplete=("the last event is more than a day old: only new records come",))
    if asked.back:
        return await mine.within(last(mine.reader, asked.query, asked.back))
    return History()


async def _events(hub: Hub, tail: Tail, history: History, marks: tuple[int, int]) -> AsyncIterator[bytes]:
    """Give what the reader gets, in chunks: what was before, then what comes, then why it ends.

    `marks` are where its reader begins again when the connection is lost: until it has what was before, and then.
    """
    since, begun = marks
    yield b"retry: %d\n%b" % (_RETRY_MS, _alive(since))
    async for chunk in _past(history, since):
        yield chunk
    yield _alive(begun)
    tail.knows({identify(record)["id"] for record in history.records})
    forget_at = hub.clock() + LATEST
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await tail.ready.wait()
        except TimeoutError:
            yield _alive(hub.mark)
            continue
        chunk = tail.take(_CHUNK_BYTES)
        if chunk:
            yield chunk
        if tail.ended is not None and tail.empty:
            yield message("note", {"text": tail.ended})
            return
        if tail.empty:
            await asyncio.sleep(PACE_SECONDS)
        if hub.clock() > forget_at:
            tail.knows(set())
            forget_at = hub.clock() + _LONGEST_AWAY


async def _past(history: History, since: int) -> AsyncIterator[bytes]:
    """Give what was read from the store; who loses the connection meanwhile begins again from `since`."""
    for note in history.incomplete:
        yield message("note", {"text": note})
    if history.left_out:
        yield message("skipped", {"count": history.left_out, "reason": "more were stored than are sent at once"})
    parts: list[bytes] = []
    size = 0
    for record in history.records:
        parts.append(record_event(identify(record), since))
        size += len(parts[-1])
        if size > _CHUNK_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _alive(mark: int) -> bytes:
    """Return a comment that keeps the connection open, and the id from which to go on."""
    return b": alive\nid: %d\n\n" % mark
