"""One live tail: which records it wants, and those that wait for its reader, in bounded memory.

What does not fit while the reader is slow is counted, and told at the place where it would have been.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

#: Records that wait for one reader, at most.
MOST_RECORDS: Final = 5000
SLOW: Final = "the reader is slower than the records come"


def message(event: str, data: Mapping[str, Any]) -> bytes:
    """Return one Server-Sent Event without an id."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps(data))


class _Skipped:
    """So many records would have been here."""

    __slots__ = ("count", "reason")

    def __init__(self, count: int, reason: str) -> None:
        self.count = count
        self.reason = reason

    def encode(self) -> bytes:
        return message("skipped", {"count": self.count, "reason": self.reason})


class Tail:
    """Filled by the hub, emptied by the answer to one reader."""

    def __init__(self, matches: Callable[[Mapping[str, Any]], bool]) -> None:
        self.matches = matches
        #: Set while there is something to take, or the end has come.
        self.ready = asyncio.Event()
        #: Why there will be no more; None while it goes on.
        self.ended: str | None = None
        self._waiting: deque[tuple[str, bytes] | _Skipped] = deque()
        self._bytes = 0
        #: Ids of records that its reader got from the store, and that may come a second time.
        self._known: set[str] = set()

    @property
    def empty(self) -> bool:
        """Whether nothing waits for the reader."""
        return not self._waiting

    def offer(self, record_id: str, event: bytes, most_bytes: int) -> None:
        """Take a record for the reader; count it when `most_bytes` wait already."""
        if record_id in self._known:
            return
        full = len(self._waiting) >= MOST_RECORDS or self._bytes + len(event) > most_bytes
        if full and self._waiting:
            self.skip(1, SLOW)
            return
        self._waiting.append((record_id, event))
        self._bytes += len(event)
        self.ready.set()

    def skip(self, count: int, reason: str) -> None:
        """Count records that the reader does not get."""
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, _Skipped) and last.reason == reason:
            last.count += count
        else:
            self._waiting.append(_Skipped(count, reason))
        self.ready.set()

    def say(self, text: str) -> None:
        """Tell the reader something about the tail itself."""
        event = message("note", {"text": text})
        self._waiting.append(("", event))
        self._bytes += len(event)
        self.ready.set()

    def knows(self, record_ids: set[str]) -> None:
        """Note what the reader got from the store, in place of what was noted before."""
        self._known = record_ids

    def end(self, why: str) -> None:
        """Let the reader take what waits, and nothing after it."""
        self.ended = why
        self.ready.set()

    def take(self, most_bytes: int) -> bytes:
        """Return events for the reader, in order, as many as fit but at least one; b"" when none waits."""
        parts: list[bytes] = []
        size = 0
        while self._waiting and size < most_bytes:
            event = self._next()
            parts.append(event)
            size += len(event)
        if not self._waiting and self.ended is None:
            self.ready.clear()
        return b"".join(parts)

    def _next(self) -> bytes:
        waiting = self._waiting.popleft()
        if isinstance(waiting, _Skipped):
            return waiting.encode()
        record_id, event = waiting
        self._bytes -= len(event)
        return b"" if record_id in self._known else event
