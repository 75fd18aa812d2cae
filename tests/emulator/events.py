"""Marathon's events: published once, sent to every stream and callback that wants them."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from typing import Any

import aiohttp

from tests.emulator.model import World

#: A stream that has so many events still to be sent is cut off, as Marathon does.
OUTSTANDING_LIMIT = 1024


class Stream:
    """One listener of /v2/events."""

    def __init__(self, types: Collection[str], *, light: bool) -> None:
        """`types` filters when it is not empty; `light` leaves the groups out of deployment plans."""
        self._types = types
        self._light = light
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, event: dict[str, Any]) -> None:
        """Queue an event, or cut the stream off when it does not keep up."""
        if self._types and event["eventType"] not in self._types:
            return
        if self._waiting.qsize() >= OUTSTANDING_LIMIT:
            self.close()
            return
        if self._light and "plan" in event:
            plan = {key: value for key, value in event["plan"].items() if key not in {"original", "target"}}
            event = {**event, "plan": plan}
        self._waiting.put_nowait(f"event: {event['eventType']}\r\ndata: {json.dumps(event)}\r\n\r\n".encode())

    def close(self) -> None:
        """End it at once; what was not sent is lost."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames to send, until the stream is closed."""
        while (frame := await self._waiting.get()) is not None:
            yield frame


class Events:
    """Who listens, and what was said last."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._streams: list[Stream] = []
        self._to_drop = 0
        self._posting: set[asyncio.Task[None]] = set()
        #: Addresses that get every event by POST (up to 1.4).
        self.callbacks: list[str] = []
        #: Clear while a fault holds all streams up.
        self.flowing = asyncio.Event()
        self.flowing.set()

    def publish(self, kind: str, **fields: Any) -> None:
        """Say it to everybody who listens now."""
        event = {**fields, "eventType": kind, "timestamp": self._world.clock.text()}
        if self._to_drop:
            self._to_drop -= 1
            return
        for stream in self._streams:
            stream.put(event)
        for url in self.callbacks:
            posting = asyncio.create_task(_post(url, event))
            self._posting.add(posting)
            posting.add_done_callback(self._posting.discard)

    def attach(self, stream: Stream, address: str) -> None:
        """Send it what is published from now on."""
        self._streams.append(stream)
        self.publish("event_stream_attached", remoteAddress=address)

    def detach(self, stream: Stream, address: str) -> None:
        """Send it nothing more."""
        self._streams.remove(stream)
        self.publish("event_stream_detached", remoteAddress=address)

    def drop(self, count: int) -> None:
        """Lose the next events; nobody is told."""
        self._to_drop = count

    def cut(self) -> None:
        """End every stream."""
        for stream in self._streams:
            stream.close()

    async def close(self) -> None:
        """End every stream and what is being posted."""
        self.flowing.set()
        self.cut()
        for posting in self._posting:
            posting.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)


async def _post(url: str, event: dict[str, Any]) -> None:
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            await session.post(url, json=event)
    except (aiohttp.ClientError, TimeoutError):
        pass  # Marathon tries once
