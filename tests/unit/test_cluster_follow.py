"""The follower: full reads and events in, the registry's file out, and nobody harmed while Marathon is away."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shipper.cluster.follow import Follower
from shipper.cluster.registry import Registry
from shipper.cluster.registry_file import load
from shipper.cluster.settings import ClusterSettings
from tests.unit.cluster_server import Server, free_url, serving

DEADLINE = 20
VERSION = "2026-01-01T00:00:00.001Z"


class Marathon:
    """A Marathon of one app: its answer, and its event stream."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tasks: list[dict[str, Any]] = []
        self._listeners: list[asyncio.Queue[dict[str, Any]]] = []
        server.replies["GET /v2/apps"] = self._apps
        server.replies["GET /v2/events"] = self._stream

    def start(self, name: str, **more: Any) -> dict[str, Any]:
        """Add a task; return the event that tells of it."""
        task = {"id": name, "appId": "/shop/api", "host": "10.0.0.1", "ports": [31001], "version": VERSION}
        self.tasks.append({**task, "state": "TASK_RUNNING"})
        return {
            "eventType": "status_update_event", "taskId": name, "appId": "/shop/api", "taskStatus": "TASK_RUNNING",
            "host": "10.0.0.1", "ports": [31001], "version": VERSION, **more,
        }  # fmt: skip

    def tell(self, event: dict[str, Any]) -> None:
        for listener in self._listeners:
            listener.put_nowait(event)

    @property
    def streams(self) -> int:
        """How many streams were opened."""
        return len(self._listeners)

    async def _apps(self, request: web.Request) -> web.StreamResponse:
        app = {"id": "/shop/api", "version": VERSION, "labels": {"team": "a"}, "instances": 1, "tasks": self.tasks}
        return web.json_response({"apps": [app]})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._listeners.append(events)
        while True:
            event = await events.get()
            await response.write(f"event: {event['eventType']}\ndata: {json.dumps(event)}\n\n".encode())


@pytest.fixture
async def marathon() -> AsyncIterator[Marathon]:
    async with serving() as server:
        yield Marathon(server)


@contextlib.asynccontextmanager
async def following(url: str, registry: Registry, path: Path | None = None) -> AsyncIterator[Follower]:
    follower = Follower(ClusterSettings(marathon_urls=[url], refresh_seconds=3600), registry, path)
    stopping = asyncio.Event()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        group.create_task(follower.run(stopping))
        try:
            yield follower
        finally:
            stopping.set()


async def until(true: Callable[[], Any]) -> None:
    while not true():  # noqa: ASYNC110  what is waited for says nothing by itself
        await asyncio.sleep(0.01)


async def test_a_full_read_comes_first(marathon: Marathon) -> None:
    marathon.start("t1")
    registry = Registry()
    async with following(marathon.server.url, registry) as follower:
        await until(lambda: registry.find("t1"))
        await until(lambda: follower.fresh_at)
        assert follower.trouble is None


async def test_from_event_to_effect_in_less_than_two_seconds(marathon: Marathon) -> None:
    """A task's own event is taken at once, what else changed is read after half a second; the best of three counts."""
    registry = Registry()
    loop = asyncio.get_running_loop()
    started, ended = [], []
    async with following(marathon.server.url, registry):
        await until(lambda: marathon.streams == 2)
        for name in ("t1", "t2", "t3"):
            at = loop.time()
            marathon.tell(marathon.start(name))
            await until(partial(registry.find, name))
            started.append(loop.time() - at)
            await until(lambda: registry.alive == 1)
            marathon.tasks.clear()
            at = loop.time()
            marathon.tell({"eventType": "app_terminated_event", "appId": "/shop/api"})
            await until(lambda: registry.alive == 0)
            ended.append(loop.time() - at)
    assert min(started) < 2
    assert min(ended) < 2
    assert len(registry) == 3


async def test_a_task_that_no_read_shows_is_known_by_its_event(marathon: Marathon) -> None:
    registry = Registry()
    async with following(marathon.server.url, registry):
        await until(lambda: marathon.streams == 2)
        event = marathon.start("t1")
        marathon.tasks.clear()
        marathon.tell(event)
        marathon.tell({**event, "taskStatus": "TASK_FAILED"})
        await until(lambda: (found := registry.find("t1")) is not None and found.until)


async def test_the_file_is_written_at_the_end(marathon: Marathon, tmp_path: Path) -> None:
    marathon.start("t1")
    registry, again = Registry(), Registry()
    async with following(marathon.server.url, registry, tmp_path / "registry.json"):
        await until(lambda: registry.find("t1"))
    load(tmp_path / "registry.json", again)
    assert list(again) == list(registry)


async def test_a_file_that_cannot_be_written_is_a_warning(
    marathon: Marathon, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marathon.start("t1")
    registry = Registry()
    (tmp_path / "file").write_text("")
    async with following(marathon.server.url, registry, tmp_path / "file" / "registry.json"):
        await until(lambda: registry.find("t1"))
    assert "the registry's file cannot be written" in [one.message for one in caplog.records]


BAD = {
    "500": (500, "no"), "401": (401, {"message": "who?"}), "garbage": (200, "<html>"), "no apps": (200, {"apps": 7}),
}  # fmt: skip


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
async def test_what_is_known_stays_while_marathon_does_not_answer(
    marathon: Marathon, answer: tuple[int, Any], caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry()
    marathon.start("t1")
    async with following(marathon.server.url, registry) as follower:
        await until(lambda: registry.find("t1") and marathon.streams == 2)
        marathon.server.replies["GET /v2/apps"] = answer
        marathon.tell({"eventType": "api_post_event"})
        await until(lambda: follower.trouble)
        assert registry.find("t1") is not None
    warnings = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert "tasks cannot be read; those known are kept" in [one.message for one in warnings]
    assert all(one.exc_info is None for one in warnings)


async def test_nobody_there_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with following(free_url(), Registry()) as follower:
        await until(lambda: follower.trouble)
        assert follower.fresh_at == 0
