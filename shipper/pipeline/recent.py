"""The last hours of what was received, in a cheap local copy without a full-text index: for when the store is away.

A bounded ring of files with compressed blocks, written whether or not the store has taken the records. It is a copy,
never the way of a record: nothing waits for it. When its disk is slow or full, blocks are dropped and counted.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from shipper import telemetry
from shipper.config import RecentSettings
from shipper.errors import ConfigError
from shipper.pipeline import _recent_search as searching
from shipper.pipeline._recent_blocks import Open
from shipper.pipeline._recent_ring import Ring
from shipper.record import Record
from shipper.search.query import Page, Query

_log = logging.getLogger(__name__)

#: Bytes of documents in one block, and how long one grows at most, in seconds.
_BLOCK_BYTES: Final = 512 * 2**10
_BLOCK_SECONDS: Final = 1.0
#: Blocks that wait for the disk.
_MOST_WAITING: Final = 16
_LOG_SECONDS: Final = 60.0
#: A stop does not wait longer for the disk.
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a copy has: all that its process received from `begins` until `ends` (nanoseconds since 1970)."""

    begins: int
    ends: int
    #: Records that the disk was too slow or too full for, and when that was last; 0: never.
    dropped: int = 0
    dropped_at: int = 0


class Recent:
    """Takes records in the event loop, keeps them by a thread, answers in another; use it in an `async with`."""

    def __init__(self, settings: RecentSettings) -> None:
        if settings.directory is None:
            raise ConfigError("pipeline.recent.directory: there is none")
        self._ring = Ring(Path(settings.directory), settings.bytes, settings.hours)
        self._open = Open()
        #: Closed and not in the ring yet, oldest first.
        self._waiting: deque[Open] = deque()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Open | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="recent", daemon=True)
        self._began = self._received_at = time.time_ns()
        self._dropped = self._dropped_at = 0
        self._logged_at = 0.0

    async def __aenter__(self) -> Self:
        """Take the directory, find what is in it and begin to write; ConfigError when it cannot be used."""
        await asyncio.to_thread(self._ring.open)
        self._thread.start()
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is there, as far as the disk takes it in time."""
        self._ticking.cancel()
        self.close_block()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, _STOP_SECONDS)
        if not self._thread.is_alive():
            self._ring.close()

    def keep(self, record: Record) -> None:
        """Take a sealed record with its fields; figures, and what is not to be stored, are none of ours."""
        if record.rejection is None and not record.discarded and record.report is None:
            self._open.add(record)
            self._received_at = record.received_at
            if self._open.size >= _BLOCK_BYTES:
                self.close_block()

    def close_block(self) -> None:
        """Give what was taken to the thread; drop it when too much waits there."""
        closed, self._open = self._open, Open()
        if not closed.documents:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._drop(closed, "slow")
            return
        with self._lock:
            self._waiting.append(closed)
        self._queue.put(closed)

    def coverage(self) -> Coverage:
        """Return from when to when it has what was received."""
        with self._lock:
            kept = [block.began for _, block in self._ring.blocks()]
            kept += [one.began for one in (*self._waiting, self._open) if one.documents]
        begins = min(kept, default=self._began)
        return Coverage(begins, self._received_at, self._dropped, self._dropped_at)

    async def search(self, query: Query) -> Page:
        """Return the records that match, in order."""
        return await asyncio.to_thread(searching.search, self._kept(), query)

    def _kept(self) -> searching.Kept:
        with self._lock:
            blocks = self._ring.blocks()
            loose = [document for waiting in self._waiting for document in waiting.documents]
        return searching.Kept(blocks, loose + self._open.documents)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_BLOCK_SECONDS)
            self.close_block()

    def _write(self) -> None:
        """Pack and write, in the thread, until None comes."""
        while (closed := self._queue.get()) is not None:
            block = closed.pack()
            with self._lock:
                self._ring.add(block)
                self._waiting.popleft()
            try:
                self._ring.write(block)
            except OSError as error:
                self._drop(closed, "disk", str(error))
            self._ring.prune(time.time_ns())
            telemetry.RECENT_BYTES.set(self._ring.size)

    def _drop(self, closed: Open, reason: str, why: str = "the disk is too slow") -> None:
        """Count what is not kept; from any thread."""
        self._dropped += len(closed.documents)
        self._dropped_at = time.time_ns()
        telemetry.RECENT_DROPPED.labels(reason).inc(len(closed.documents))
        if time.monotonic() - self._logged_at > _LOG_SECONDS:
            self._logged_at = time.monotonic()
            _log.warning("recent records are not kept; delivery goes on", extra={"reason": why})
