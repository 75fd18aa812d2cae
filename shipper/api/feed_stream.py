"""`/api/v1/feed`: all that this process stores, for the tails of other shippers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from shipper.api import feed_wire
from shipper.api.feed import Hub
from shipper.api.feed_response import Live
from shipper.pipeline.feed import Feed

#: What waits for one peer, at most.
_MOST_RECORDS: Final = 20_000
_MOST_BYTES: Final = 32 * 2**20
#: How often a peer hears how far the feed is, in seconds.
_MARK_SECONDS: Final = 1.0
_MOST_PEERS: Final = 64


class _Waiting:
    """Blocks that one peer has not taken yet, in bounded memory."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ended = False
        self._blocks: deque[tuple[int, list[bytes]]] = deque()
        self._records = self._bytes = self._skipped = 0

    def add(self, documents: list[bytes], mark: int) -> None:
        """Take what was stored, or count it."""
        size = sum(map(len, documents))
        if self._blocks and (self._records + len(documents) > _MOST_RECORDS or self._bytes + size > _MOST_BYTES):
            self._skipped += len(documents)
            return
        self._blocks.append((mark, documents))
        self._records += len(documents)
        self._bytes += size
        self.ready.set()

    def end(self, _: str) -> None:
        """Let the peer take what waits, and nothing after it."""
        self.ended = True
        self.ready.set()

    def take(self, feed: Feed) -> bytes:
        """Return the oldest block; one without records when none waits."""
        skipped, self._skipped = self._skipped, 0
        if not self._blocks:
            return feed_wire.encode(feed.mark(), skipped, ())
        mark, documents = self._blocks.popleft()
        self._records -= len(documents)
        self._bytes -= sum(map(len, documents))
        if not self._blocks and not self.ended:
            self.ready.clear()
        return feed_wire.encode(mark, skipped, documents)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._blocks


def feeds(hub: Hub) -> APIRouter:
    """Return the route; 404 in a process that receives no records."""
    routes = APIRouter(prefix="/api/v1", tags=["live"])
    open_feeds: list[_Waiting] = []

    @routes.get("/feed", response_class=Response, responses={404: {}, 503: {}})
    async def feed() -> Response:
        """Follow all records that this process stores, for other shippers: NDJSON without an end."""
        if hub.feed is None:
            raise HTTPException(404, "this process receives no records: ask those that do")
        if hub.ended or len(open_feeds) >= _MOST_PEERS:
            raise HTTPException(503, hub.ended or f"{_MOST_PEERS} shippers read this feed already")
        waiting = _Waiting()
        enders = (hub.feed.listen(waiting.add), hub.when_ending(waiting.end))
        open_feeds.append(waiting)

        def close() -> None:
            for end in enders:
                end()
            open_feeds.remove(waiting)

        return Live(_blocks(waiting, hub.feed), feed_wire.MEDIA_TYPE, close)

    return routes


async def _blocks(waiting: _Waiting, feed: Feed) -> AsyncIterator[bytes]:
    yield waiting.take(feed)
    while not (waiting.ended and waiting.empty):
        try:
            async with asyncio.timeout(_MARK_SECONDS):
                await waiting.ready.wait()
        except TimeoutError:
            pass
        yield waiting.take(feed)
