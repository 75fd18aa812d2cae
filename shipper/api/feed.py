"""The one place that all live tails of a process hear from, however many they are.

Sources (this process's pipeline, other shippers, the store when there is neither) post what was stored; each record is
read once, matched against every tail and written once for all that want it. Nothing runs while nobody tails.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shipper.api.actions import actions_of
from shipper.api.answers import encode
from shipper.api.feed_peers import Peers
from shipper.api.feed_poll import Poll
from shipper.api.feed_seen import Seen
from shipper.api.shown import identify
from shipper.api.tail_buffer import Tail
from shipper.errors import ShipperError
from shipper.pipeline.feed import Feed
from shipper.stores import Reader

_log = logging.getLogger(__name__)

#: Live tails of one process at a time.
MOST_TAILS: Final = 500
#: Bytes that wait for all readers together; each may have its part, within these limits.
_ALL_BYTES: Final = 64 * 2**20
_LEAST_BYTES, _MOST_BYTES = 128 * 2**10, 4 * 2**20
#: Records that wait to be matched.
_MOST_POSTED: Final = 20_000
#: How long records are matched before others get their turn, in seconds.
_TURN_SECONDS: Final = 0.01
_MARK_SECONDS: Final = 1.0
LATE: Final = "more records came than the server could look at"
_OWN: Final = "own"


class TooMany(ShipperError):
    """No further tail can be served now."""


@dataclass(frozen=True, slots=True)
class _Posted:
    """What a source has posted, and how far it is."""

    source: str
    records: Sequence[bytes | dict[str, Any]]
    mark: int
    skipped: int


class Hub:
    """Takes records from sources and gives them to tails."""

    def __init__(
        self,
        reader: Reader,
        feed: Feed | None = None,
        peers: Peers | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`feed` is that of this process when it receives records; `reader` sees everything."""
        self.feed = feed
        self.clock = clock
        self._peers = peers
        self._poll = Poll(reader, clock)
        self._tails: list[Tail] = []
        self._enders: list[Callable[[str], None]] = []
        #: Why nobody is served any more; None while the server runs.
        self.ended: str | None = None
        self._running: asyncio.Task[None] | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget what an earlier run knew."""
        self._posted: deque[_Posted] = deque()
        self._posted_records = 0
        self._lost = 0
        self._wake = asyncio.Event()
        self._marks: dict[str, int] = {}
        self._mark = self.clock() if self.feed is None else self.feed.mark()
        self._seen = Seen()

    @property
    def mark(self) -> int:
        """Everything before it has been given to the tails: nanoseconds since 1970, of `event.ingested`."""
        self._mark = max(self._mark, min(self._marks.values(), default=0))
        return self._mark

    @property
    def polls(self) -> bool:
        """Whether the store must be asked: there is no source, or one of them cannot be heard now."""
        if self._peers is not None and self._peers.any:
            return not self._peers.heard
        return self.feed is None

    def open(self, matches: Callable[[Mapping[str, Any]], bool]) -> Tail:
        """Return a new tail, which hears everything from now on; TooMany when there are enough."""
        if self.ended is not None:
            raise TooMany(self.ended)
        if len(self._tails) >= MOST_TAILS:
            raise TooMany(f"{MOST_TAILS} live tails are open on this server, which is the limit; try again later")
        tail = Tail(matches)
        self._tails.append(tail)
        if self._running is None:
            self._begin()
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(_raise)
        return tail

    def close(self, tail: Tail) -> None:
        """Forget a tail; the last one stops all sources."""
        self._tails.remove(tail)
        if not self._tails and self._running is not None:
            self._running.cancel()
            self._running = None

    def when_ending(self, end: Callable[[str], None]) -> Callable[[], None]:
        """Call `end` with the reason when the server stops; returns what takes that back."""
        self._enders.append(end)
        return lambda: self._enders.remove(end)

    def end(self, why: str) -> None:
        """End all tails, after what waits for them, and take no new one."""
        self.ended = why
        for end in [*(tail.end for tail in self._tails), *self._enders]:
            end(why)

    def post(self, source: str, records: Sequence[bytes | dict[str, Any]], mark: int, skipped: int = 0) -> None:
        """Take what a source has, and its mark: whatever it posts later was ingested at or after it."""
        if self._posted_records + len(records) > _MOST_POSTED and self._posted_records:
            self._lost += len(records) + skipped
            records, skipped = (), 0
        self._posted.append(_Posted(source, records, mark, skipped))
        self._posted_records += len(records)
        self._wake.set()

    def drop(self, source: str) -> None:
        """Heed the mark of a source no longer."""
        self._marks.pop(source, None)

    def say(self, text: str) -> None:
        """Tell all readers something about their tails."""
        for tail in self._tails:
            tail.say(text)

    async def _run(self) -> None:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            if self.feed is not None:
                stack.callback(self.feed.listen(lambda documents, mark: self.post(_OWN, documents, mark)))
                group.create_task(self._tell_marks(self.feed))
            if self._peers is not None:
                group.create_task(self._peers.run(self))
            group.create_task(self._poll.run(self))
            await self._distribute()

    async def _tell_marks(self, feed: Feed) -> None:
        while True:
            self.post(_OWN, (), feed.mark())
            await asyncio.sleep(_MARK_SECONDS)

    async def _distribute(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._posted:
                posted = self._posted.popleft()
                await self._give(posted)
                self._posted_records -= len(posted.records)
                self._marks[posted.source] = posted.mark
                if self._lost or posted.skipped:
                    self._skip(self._lost + posted.skipped)

    async def _give(self, posted: _Posted) -> None:
        until = time.perf_counter() + _TURN_SECONDS
        for found in posted.records:
            record = identify(orjson.loads(found) if isinstance(found, bytes) else found)
            if self._seen.add(record["id"]):
                self._offer(record, posted.mark)
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + _TURN_SECONDS

    def _offer(self, record: dict[str, Any], mark: int) -> None:
        event: bytes | None = None
        for tail in self._tails:
            try:
                wanted = tail.matches(record)
            except Exception:  # noqa: BLE001  the filter's bug ends its own tail, nobody else's and never the process
                _log.exception("a filter failed", extra={"record": record["id"]})
                tail.end("a bug in shipper; its own log has the details")
                continue
            if wanted:
                event = event or record_event(record, min(mark, self.mark))
                share = _ALL_BYTES // len(self._tails)
                tail.offer(record["id"], event, max(_LEAST_BYTES, min(_MOST_BYTES, share)))

    def _skip(self, count: int) -> None:
        self._lost = 0
        for tail in self._tails:
            tail.skip(count, f"{LATE}; of all apps together")


def record_event(record: dict[str, Any], mark: int) -> bytes:
    """Return a record as a Server-Sent Event; its id says from where to go on: the mark and the record."""
    data = {**record, "actions": [action.as_json() for action in actions_of(record)]}
    return b"id: %d:%b\nevent: record\ndata: %b\n\n" % (mark, record["id"].encode(), encode(data))


def _raise(task: asyncio.Task[None]) -> None:
    """Let a bug in a source be seen: the process stops on it."""
    if not task.cancelled():
        task.result()
