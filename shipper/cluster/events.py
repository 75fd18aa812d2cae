"""Marathon's events, for as long as anybody listens. They only say that something changed: read what is true then."""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from shipper.cluster._answers import text
from shipper.cluster._refusals import clean
from shipper.cluster.marathon import Marathon
from shipper.errors import ClusterError

_log = logging.getLogger(__name__)

#: A stream that says nothing for this long is taken for dead.
SILENCE_SECONDS: Final = 300.0
#: Bytes of one event; a heavy plan of an old Marathon holds every app twice.
LARGEST_EVENT: Final = 16 * 2**20
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
#: A stream that lived this long was not broken from the start.
_STEADY_SECONDS: Final = 60.0
_LONGEST_NAME: Final = 100
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type and all its fields; "connected" is ours and has none."""

    type: str
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Frames:
    """Cuts the bytes of a stream into events; an event that is too large or cannot be read has no fields."""

    largest: int = LARGEST_EVENT
    _line: bytearray = field(default_factory=bytearray)
    _name: str = ""
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0
    _cut: bool = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete."""
        events: list[Event] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._take(data[start:end])
            line = bytes(self._line.removesuffix(b"\r"))
            self._line.clear()
            if line:
                self._field(line)
            else:
                events.extend(self._complete())
            start = end + 1
        self._take(data[start:])
        return events

    def _take(self, part: bytes) -> None:
        # One byte of a line is always kept: without any, it would look like the empty line that ends an event.
        room = max(1, self.largest - self._size) - len(self._line)
        if len(part) > room:
            self._cut = True
        self._line += part[:room]

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._name = value[:_LONGEST_NAME].decode(errors="replace")
        elif name == b"data":
            self._data.append(value)
            self._size += len(value)

    def _complete(self) -> Iterator[Event]:
        """Marathon's own proxies put several JSONs into one frame, each with its type."""
        name, data, cut = self._name, b"\n".join(self._data), self._cut
        self._name, self._data, self._size, self._cut = "", [], 0, False
        documents = [] if cut else list(_documents(data))
        for document in documents:
            yield Event(text(document.get("eventType")) or name, document)
        if name and not documents and (data or cut):
            yield Event(name, {})


def _documents(data: bytes) -> Iterator[Mapping[str, Any]]:
    rest = data.decode(errors="replace").strip()
    while rest:
        try:
            document, end = _DECODER.raw_decode(rest)
        except (ValueError, RecursionError):
            return
        if isinstance(document, dict):
            yield document
        rest = rest[end:].lstrip()


async def listen(
    marathon: Marathon,
    types: Sequence[str] = (),
    *,
    silence_seconds: float = SILENCE_SECONDS,
    pause_seconds: float = _FIRST_PAUSE_SECONDS,
) -> AsyncGenerator[Event, None]:
    """Yield the events of these types (none: all), and Event("connected", {}) whenever some may have been missed.

    It never ends: a stream that breaks, is silent for `silence_seconds` or cannot be had is opened again, after
    `pause_seconds` and more each time.
    """
    failures = 0
    while True:
        opened = time.monotonic()
        try:
            async with marathon.event_stream(types) as stream:
                yield Event("connected", {})
                async for event in _events(stream, silence_seconds):
                    if not types or event.type in types:
                        yield event
            reason = "it was closed"
        except TimeoutError:
            reason = f"it was silent for {silence_seconds:g} s"
        except (ClusterError, aiohttp.ClientError, OSError) as error:
            reason = clean(error)
        failures = 0 if time.monotonic() - opened > _STEADY_SECONDS else failures + 1
        if failures <= 1:
            _log.warning("event stream of Marathon broken; opened again", extra={"reason": reason})
        await asyncio.sleep(_pause(pause_seconds, failures))


async def _events(stream: aiohttp.StreamReader, silence_seconds: float) -> AsyncIterator[Event]:
    frames = Frames()
    while True:
        async with asyncio.timeout(silence_seconds):
            data = await stream.readany()
        if not data:
            return
        for event in frames.feed(data):
            yield event


def _pause(first_seconds: float, failures: int) -> float:
    """Twice as long after each failure, up to a limit, and never the same for all who lost the same leader."""
    longest = min(_LONGEST_PAUSE_SECONDS, first_seconds * 2.0 ** min(failures, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  no secret
