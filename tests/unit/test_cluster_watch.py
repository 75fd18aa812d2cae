"""All apps, read at the start, after changes and from time to time; never twice at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from aiohttp import web

from shipper.cluster.marathon import Marathon
from shipper.cluster.model import App
from shipper.cluster.settings import ClusterSettings
from shipper.cluster.watch import watch
from shipper.errors import ClusterBusy, ClusterRefused
from tests.unit.cluster_server import Server, serving

#: Longer than any test: what happens was not a poll.
NEVER = 3600.0


class World:
    """A Marathon whose apps and events a test makes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.versions = 0
        self.reads = self.most_at_once = self.now = 0
        self.attached = asyncio.Event()
        self._streams: list[web.StreamResponse] = []
        server.replies["GET /v2/apps"] = self._apps
        server.replies["GET /v2/events"] = self._attach

    async def change(self, kind: str = "status_update_event") -> None:
        self.versions += 1
        for stream in self._streams:
            await stream.write(f'event: {kind}\ndata: {{"eventType": "{kind}"}}\n\n'.encode())

    async def _apps(self, _: web.Request) -> web.StreamResponse:
        self.reads += 1
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        version = str(self.versions)
        await asyncio.sleep(0)
        self.now -= 1
        return web.json_response({"apps": [{"id": "/a", "version": version}]})

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        self._streams.append(stream)
        self.attached.set()
        await asyncio.Event().wait()
        raise AssertionError


@asynccontextmanager
async def _watching(url: str, poll: float, debounce: float = 0.01) -> AsyncIterator[Any]:
    settings = ClusterSettings(marathon_urls=[url], request_seconds=30)
    async with asyncio.timeout(60), Marathon(settings) as marathon:
        async with aclosing(watch(marathon, poll_seconds=poll, debounce_seconds=debounce)) as answers:
            yield answers


def _version(answer: list[App]) -> str:
    return answer[0].version


async def test_at_the_start_and_after_each_change() -> None:
    async with serving() as server:
        world = World(server)
        async with _watching(server.url, NEVER) as answers:
            assert _version(await anext(answers)) == "0"
            # Attached: something may have changed before.
            assert _version(await anext(answers)) == "0"
            await world.attached.wait()
            for version in ("1", "2", "3"):
                await world.change()
                assert _version(await anext(answers)) == version
        assert world.reads == 5
        assert world.most_at_once == 1


async def test_many_changes_are_one_read() -> None:
    async with serving() as server:
        world = World(server)
        async with _watching(server.url, NEVER, debounce=0.5) as answers:
            await anext(answers)
            await anext(answers)
            for _ in range(50):
                await world.change()
            while _version(await anext(answers)) != "50":
                pass
        assert world.reads <= 10  # two at the start; a slow machine may spread the fifty over some


async def test_without_events_there_are_polls() -> None:
    async with serving() as server:
        world = World(server)
        server.replies["GET /v2/events"] = (405, "no")
        async with _watching(server.url, 0.05) as answers:
            assert _version(await anext(answers)) == "0"
            world.versions = 7
            assert _version(await anext(answers)) == "7"


async def test_other_events_are_no_change() -> None:
    async with serving() as server:
        world = World(server)
        async with _watching(server.url, NEVER) as answers:
            await anext(answers)
            await anext(answers)
            await world.change("framework_message_event")
            await world.change()
            assert _version(await anext(answers)) == "2"
        assert world.reads == 3


async def test_what_cannot_be_read_is_said_and_tried_again() -> None:
    async with serving() as server:
        world = World(server)
        read: Callable[..., Any] = world._apps
        replies: list[Any] = [(503, "no leader"), (401, "no"), (200, "garbage"), (200, {"apps": 1}), read]
        async with _watching(server.url, 0.05) as answers:
            seen = []
            for reply in replies:
                server.replies["GET /v2/apps"] = reply
                seen.append(await anext(answers))
    assert [type(one) for one in seen] == [ClusterBusy, ClusterRefused, ClusterBusy, ClusterBusy, list]


async def test_nothing_listens_any_more_when_it_is_closed() -> None:
    async with serving() as server:
        World(server)
        async with _watching(server.url, NEVER) as answers:
            await anext(answers)
            assert len(_listeners()) == 1
        assert _listeners() == []


def _listeners() -> list[str]:
    return [name for task in asyncio.all_tasks() if (name := getattr(task.get_coro(), "__name__", "")) == "_listen"]
