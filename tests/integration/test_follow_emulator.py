"""The follower against the emulated cluster: what it knows of real tasks, in each age of Marathon."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipper.cluster.follow import Follower
from shipper.cluster.known import Known
from shipper.cluster.marathon import Marathon
from shipper.cluster.registry import Registry
from shipper.cluster.settings import ClusterSettings
from tests.emulator.process import Emulator

DEADLINE = 60
APP = {
    "id": "/shop/api", "cmd": "exec sleep 1000", "instances": 3, "cpus": 0.1, "mem": 16,
    "labels": {"team": "a", "SHIPPER_SERVICE": "shop"}, "ports": [0],
}  # fmt: skip


async def until(true: Callable[[], Any]) -> None:
    while not true():  # noqa: ASYNC110  what is waited for says nothing by itself
        await asyncio.sleep(0.02)


def alive(registry: Registry) -> list[Known]:
    return [known for known in registry if known.until is None]


@pytest.mark.parametrize("profile", ["0.9.1", "1.4", "1.10"])
async def test_tasks_are_known_while_they_live_and_after(profile: str, tmp_path: Path) -> None:
    with Emulator(tmp_path, profile=profile) as emulator:
        settings = ClusterSettings(marathon_urls=[emulator.marathon], refresh_seconds=2)
        registry, stopping = Registry(), asyncio.Event()
        async with asyncio.timeout(DEADLINE), Marathon(settings) as marathon, asyncio.TaskGroup() as group:
            group.create_task(Follower(settings, registry).run(stopping))
            await marathon.create(APP)
            await until(lambda: len(alive(registry)) == 3)
            running = {task["id"] for task in emulator.tasks() if task["state"] == "TASK_RUNNING"}
            for known in alive(registry):
                assert known.definition is not None
                assert known.definition.wishes.service == "shop"
                assert known.definition.labels["team"] == "a"
                assert known.host in emulator.agents
                assert known.app_id == "/shop/api"
            await until(lambda: running <= {known.id for known in registry})
            await marathon.update("/shop/api", {**APP, "labels": {"team": "b"}, "instances": 1}, force=True)
            await until(lambda: [_team(known) for known in alive(registry)] == ["b"])
            assert {_team(known) for known in registry if known.until is not None} == {"a"}
            await marathon.delete("/shop/api", force=True)
            await until(lambda: registry.alive == 0)
            assert all(registry.find(task_id) for task_id in running)
            stopping.set()


def _team(known: Known) -> str:
    return known.definition.labels["team"] if known.definition else ""
