"""Live tails in one process: a hub, the API on a real port, and clients that read Server-Sent Events."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import orjson
import uvicorn

from shipper.api.app import build
from shipper.api.feed import Hub
from shipper.api.recent_wire import Own
from shipper.api.status import Status, api_only
from shipper.pipeline.feed import Feed
from shipper.record import STORED, Record
from shipper.stores import Reader

SECONDS = 20


@dataclass
class Follower:
    """One client: what it has read so far."""

    answer: aiohttp.ClientResponse
    last_id: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    comments: int = 0

    @property
    def numbers(self) -> list[int]:
        """The sequence numbers of the records."""
        return [record["event.sequence"] for record in self.records]

    async def event(self) -> bool:
        """Read one block of lines; False at the end."""
        name = ""
        while line := await self.answer.content.readline():
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key == "event":
                name = value
            elif key == "id":
                self.last_id = value
            elif key == "data":
                self._take(name, orjson.loads(value))
            elif key == "":
                self.comments += value != ""
                if not value:
                    return True
        return False

    def _take(self, name: str, data: dict[str, Any]) -> None:
        if name == "record":
            self.records.append(data)
        elif name == "skipped":
            self.skipped.append(data)
        else:
            self.notes.append(data["text"])

    async def until(self, count: int) -> Self:
        """Read until there are so many records."""
        async with asyncio.timeout(SECONDS):
            while len(self.records) < count:
                assert await self.event(), f"ended after {len(self.records)} records: {self.notes}"
        return self

    async def to_the_end(self) -> Self:
        """Read until the server ends it."""
        async with asyncio.timeout(SECONDS):
            while await self.event():
                pass
        return self


class World:
    """The API of one process and its clients."""

    def __init__(self, url: str, feed: Feed, hub: Hub, session: aiohttp.ClientSession) -> None:
        self.url, self.feed, self.hub, self.session = url, feed, hub, session

    @contextlib.asynccontextmanager
    async def tail(self, query: str = "", **headers: str) -> AsyncIterator[Follower]:
        """Follow; the server has begun when it is entered."""
        async with self.session.get(f"{self.url}/api/v1/tail{query}", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            follower = Follower(answer)
            assert await follower.event()
            yield follower

    async def refused(self, query: str) -> tuple[int, str]:
        """The status and the message of an answer that is no tail."""
        async with self.session.get(f"{self.url}/api/v1/tail{query}") as answer:
            return answer.status, (await answer.json())["error"]["message"]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that the server does by itself."""
        async with asyncio.timeout(SECONDS):
            while not condition():  # noqa: ASYNC110  no event tells it
                await asyncio.sleep(0.01)

    def store(self, *documents: dict[str, Any]) -> None:
        """Say that the store has taken records."""
        batch = self.feed.begin()
        records = [sealed(document) for document in documents]
        self.feed.taken(batch, records, [STORED] * len(records))
        self.feed.end(batch)


def sealed(document: dict[str, Any]) -> Record:
    """A record as it is on its way to the store."""
    record = Record(b"", 0)
    record.document = orjson.dumps(document)
    record.series, record.sequence = document["shipper.series"], document["event.sequence"]
    return record


@contextlib.asynccontextmanager
async def serving(
    reader: Reader,
    *,
    fed: bool = True,
    hub: Hub | None = None,
    own: Own | None = None,
    status: Callable[[], Status] = api_only,
) -> AsyncIterator[World]:
    """Run the API on a free port, with a feed of its own or only a store, and perhaps with a recent copy."""
    feed = Feed()
    hub = hub or Hub(reader, feed if fed else None)
    settings = uvicorn.Config(
        build(reader, status, hub=hub, own=own),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(server._serve([listening]))
    try:
        async with aiohttp.ClientSession() as session:
            yield World(f"http://127.0.0.1:{listening.getsockname()[1]}", feed, hub, session)
    finally:
        hub.end("shipper is stopping")
        server.should_exit = True
        await running
        listening.close()
