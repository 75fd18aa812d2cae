"""One way through everything: Marathon and Chronos start it, Mesos says where it is, its agent gives what it wrote."""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shipper.cluster import task_ids
from shipper.cluster.chronos import Chronos
from shipper.cluster.mesos import Mesos, Place
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterRefused
from tests.emulator.process import Emulator

WORDS = "first\nsecond é\n"
LATER = "R/2099-01-01T00:00:00Z/P1D"


@pytest.fixture(scope="module", params=["0.9.1", "1.10"])
def emulator(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), profile=request.param, time_scale=0.02) as running:
        yield running


@pytest.fixture
def settings(emulator: Emulator) -> ClusterSettings:
    return ClusterSettings(mesos_urls=[emulator.mesos], chronos_urls=[emulator.chronos])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the condition is about processes
            await asyncio.sleep(0.02)


def _run_app(emulator: Emulator, name: str, command: str) -> None:
    app = {"id": name, "cmd": command, "cpus": 0.1, "mem": 32, "instances": 1, "backoffSeconds": 300}
    body = json.dumps(app).encode()
    request = urllib.request.Request(f"{emulator.marathon}/v2/apps", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201


def _task_of(emulator: Emulator, owner: str, state: str) -> str | None:
    """The id of its task in this state, once it has written all it has to say."""
    for task in emulator.tasks():
        if task["owner"] == owner and task["state"] == state:
            stdout = Path(task["sandbox"], "stdout")
            return str(task["id"]) if stdout.exists() and stdout.stat().st_size else None
    return None


async def _placed(settings: ClusterSettings, task_id: str | None) -> Place:
    assert task_id is not None
    async with Mesos(settings) as mesos:
        place = await mesos.find(task_id)
    assert place is not None
    return place


@pytest.mark.parametrize(("end", "state"), [("exec sleep 300", "TASK_RUNNING"), ("exit 3", "TASK_FAILED")])
async def test_what_an_app_wrote_is_read_through_mesos(
    emulator: Emulator, settings: ClusterSettings, end: str, state: str
) -> None:
    app_id = f"/reads/{state.removeprefix('TASK_').lower()}"
    _run_app(emulator, app_id, f"echo oops >&2; printf 'first\\nsecond é\\n'; {end}")
    await until(lambda: _task_of(emulator, app_id, state))
    place = await _placed(settings, _task_of(emulator, app_id, state))
    assert place.agent_url == emulator.agents[place.agent_host]
    assert place.state == state
    async with Mesos(settings) as mesos:
        assert await mesos.size(place, "stdout") == len(WORDS.encode())
        assert (await mesos.read(place, "stdout", 0, 10**6)).decode() == WORDS
        assert await mesos.read(place, "stdout", 6, 6) == b"second"
        assert await mesos.read(place, "stderr", 0, 100) == b"oops\n"
        assert [file.name for file in await mesos.files(place)] == ["stderr", "stdout"]
        with pytest.raises(ClusterRefused):
            await mesos.read(place, "none", 0, 1)


async def test_more_than_an_agent_gives_at_once_is_read(emulator: Emulator, settings: ClusterSettings) -> None:
    _run_app(emulator, "/reads/much", "seq 60000 > much; echo done; exec sleep 300")
    await until(lambda: _task_of(emulator, "/reads/much", "TASK_RUNNING"))
    place = await _placed(settings, _task_of(emulator, "/reads/much", "TASK_RUNNING"))
    wanted = "".join(f"{number}\n" for number in range(1, 60001)).encode()
    async with Mesos(settings) as mesos:
        assert await mesos.read(place, "much", 0, 10**7) == wanted


async def test_a_job_is_put_run_found_and_deleted(emulator: Emulator, settings: ClusterSettings) -> None:
    job = {"name": "nightly", "command": "echo $CHRONOS_JOB_NAME", "schedule": LATER, "owner": "o@example.org"}
    async with Chronos(settings) as chronos:
        await chronos.put(job)
        assert [found["name"] for found in await chronos.jobs()] == ["nightly"]
        await chronos.run("nightly")
        await until(lambda: _task_of(emulator, "nightly", "TASK_FINISHED"))
        (found,) = await chronos.jobs()
        assert found["successCount"] == 1
        await chronos.delete("nightly")
        assert await chronos.jobs() == []
        with pytest.raises(ClusterRefused):
            await chronos.run("nightly")
    task_id = _task_of(emulator, "nightly", "TASK_FINISHED") or ""
    told = task_ids.read(task_id)
    assert told is not None
    assert (told.kind, told.job, told.attempt) == ("job", "nightly", 0)
    place = await _placed(settings, task_id)
    async with Mesos(settings) as mesos:
        assert await mesos.read(place, "stdout", 0, 100) == b"nightly\n"
        (task,) = [one for one in await mesos.tasks() if one.id == task_id]
        assert (task.name, task.state) == ("ChronosTask:nightly", "TASK_FINISHED")


async def test_a_lost_agent_keeps_its_sandboxes_to_itself(emulator: Emulator, settings: ClusterSettings) -> None:
    _run_app(emulator, "/reads/lost", "echo here; exec sleep 300")
    await until(lambda: _task_of(emulator, "/reads/lost", "TASK_RUNNING"))
    task_id = _task_of(emulator, "/reads/lost", "TASK_RUNNING")
    place = await _placed(settings, task_id)
    emulator.fault("lose_agent", agent=place.agent_host, kill=True)
    lost = await _placed(settings, task_id)
    assert (lost.agent_url, lost.state in {"TASK_LOST", "TASK_UNREACHABLE"}) == ("", True)
    async with Mesos(settings) as mesos:
        with pytest.raises(ClusterRefused, match="has left"):
            await mesos.read(lost, "stdout", 0, 100)
