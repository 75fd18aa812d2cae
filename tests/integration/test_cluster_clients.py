"""The client of Marathon and what watches it, on emulated Marathons of three generations, asked through a follower."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shipper.cluster.events import listen
from shipper.cluster.marathon import Marathon
from shipper.cluster.model import App
from shipper.cluster.settings import ClusterSettings
from shipper.cluster.watch import watch
from shipper.errors import ClusterError, ClusterLocked, ClusterRefused
from tests.emulator.process import Emulator

#: Longer than any test: what is seen was told by an event.
NEVER = 3600.0
APP = {"id": "/shop/api", "cmd": "sleep 600", "cpus": 0.1, "mem": 32, "instances": 1, "labels": {"SHIPPER_OWNER": "a"}}


@pytest.fixture(scope="module", params=["0.9.1", "1.4", "1.10"])
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("marathon")
    options = {"profile": request.param, "user": "ops", "password": "geheim", "follower": True, "time_scale": 0.05}
    with Emulator(folder, **options) as running:
        yield running


@asynccontextmanager
async def _marathon(emulator: Emulator, folder: Path, password: str = "geheim") -> AsyncIterator[Marathon]:
    secret = folder / "password"
    secret.write_text(password)
    settings = ClusterSettings(marathon_urls=[emulator.follower], user="ops", password_file=secret, request_seconds=60)
    async with asyncio.timeout(120), Marathon(settings) as marathon:
        yield marathon


async def _until(answers: Any, holds: Callable[[dict[str, App]], object]) -> dict[str, App]:
    async for answer in answers:
        assert not isinstance(answer, ClusterError), answer
        if holds(found := {app.id: app for app in answer}):
            return found
    raise AssertionError("it ended")


def _running(apps: dict[str, App]) -> int:
    return sum(bool(task.started_at) for task in apps["/shop/api"].tasks) if "/shop/api" in apps else 0


async def test_a_life_of_an_app_as_events_tell_it(emulator: Emulator, tmp_path: Path) -> None:
    async with _marathon(emulator, tmp_path) as marathon:
        async with aclosing(watch(marathon, poll_seconds=NEVER, debounce_seconds=0.05)) as answers:
            await _until(answers, lambda apps: "/shop/api" not in apps)
            assert (await marathon.create(APP)).id == "/shop/api"
            apps = await _until(answers, lambda apps: _running(apps) == 1)
            (task,) = apps["/shop/api"].tasks
            assert (task.app_id, task.host in emulator.agents, bool(task.agent_id)) == ("/shop/api", True, True)
            with pytest.raises(ClusterRefused, match="already exists"):
                await marathon.create(APP)
            await _unlocked(marathon)
            await marathon.scale("shop/api", 3)
            await _until(answers, lambda apps: _running(apps) == 3)
            await _unlocked(marathon)
            await marathon.update("/shop/api", {**APP, "instances": 3, "labels": {"SHIPPER_OWNER": "b"}})
            await _until(answers, lambda apps: apps["/shop/api"].labels == {"SHIPPER_OWNER": "b"})
            await _unlocked(marathon)
            before = {task.id for task in (await _app(marathon)).tasks}
            await marathon.kill([min(before)])
            await _until(answers, lambda apps: _running(apps) == 3 and min(before) not in _ids(apps))
            assert len(await marathon.versions("/shop/api")) >= 2
            await marathon.delete("/shop/api", force=True)
            await _until(answers, lambda apps: "/shop/api" not in apps)
        assert await marathon.app("/shop/api") is None


def _ids(apps: dict[str, App]) -> set[str]:
    return {task.id for task in apps["/shop/api"].tasks}


async def _app(marathon: Marathon) -> App:
    app = await marathon.app("/shop/api")
    assert app is not None
    return app


async def _unlocked(marathon: Marathon) -> None:
    while await marathon.deployments():  # noqa: ASYNC110  Marathon's, not ours
        await asyncio.sleep(0.05)


async def test_a_change_of_what_is_being_changed(emulator: Emulator, tmp_path: Path) -> None:
    async with _marathon(emulator, tmp_path) as marathon:
        # No host is called so: this deployment goes on.
        await marathon.create({**APP, "id": "/nowhere", "constraints": [["hostname", "LIKE", "nowhere"]]})
        with pytest.raises(ClusterLocked, match="is being changed by deployment") as caught:
            await marathon.scale("/nowhere", 2)
        found = await marathon.deployments()  # what another test has begun may go on
        (deployment,) = [one for one in found if "/nowhere" in one.app_ids]
        assert caught.value.deployments == (deployment.id,)
        assert deployment.app_ids == ("/nowhere",)
        while [(one.app_id, one.count) for one in await marathon.queue()] != [("/nowhere", 1)]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await marathon.delete("/nowhere", force=True)
        await _unlocked(marathon)


async def test_mistakes_are_named(emulator: Emulator, tmp_path: Path) -> None:
    async with _marathon(emulator, tmp_path) as marathon:
        with pytest.raises(ClusterRefused, match="Object is not valid") as caught:
            await marathon.create({**APP, "id": "/wrong", "upgradeStrategy": {"minimumHealthCapacity": 7}})
        assert "minimumHealthCapacity" in str(caught.value)
    async with _marathon(emulator, tmp_path, "falsch") as marathon:
        with pytest.raises(ClusterRefused, match="check user and password_file"):
            await marathon.apps()


async def test_events_after_a_lost_stream(emulator: Emulator, tmp_path: Path) -> None:
    async with _marathon(emulator, tmp_path) as marathon, aclosing(listen(marathon, pause_seconds=0.05)) as events:
        assert (await anext(events)).type == "connected"
        await asyncio.to_thread(emulator.fault, "cut_events")
        async for event in events:
            if event.type == "connected":
                break
