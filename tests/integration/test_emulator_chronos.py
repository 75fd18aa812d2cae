"""The emulator's Chronos side: jobs run for real when they are due, and Mesos tells of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from tests.conftest import DATA
from tests.emulator import chronos, chronos_schedule, mesos_state
from tests.emulator.model import Task, World, make_world
from tests.emulator.profiles import PROFILES
from tests.emulator.running import Runner

NOW = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "due", "left"),
    [
        ("R/2014-09-25T17:22:00Z/PT2M", "", "2026-05-04T12:02:00.000Z", None),
        ("R/2026-05-04T12:00:30Z/P1D", "", "2026-05-04T12:00:30.000Z", None),
        ("R/2026-01-31T03:00:00Z/P1M", "", "2026-05-31T03:00:00.000Z", None),
        ("R/2020-02-29T00:00:00+02:00/P1Y", "", "2027-02-27T22:00:00.000Z", None),
        ("R5/2026-05-04T12:00:00Z/PT20S", "", "2026-05-04T12:00:40.000Z", 3),
        ("R3/2026-05-04T11:00:00Z/PT20S", "", "2026-05-04T12:00:40.000Z", 0),
        ("R1/2026-05-05T00:00:00Z/PT0.5S", "", "2026-05-05T00:00:00.000Z", 1),
        ("R/2026-05-05T03:00:00Z/P1D", "Europe/Rome", "2026-05-05T01:00:00.000Z", None),
        ("R/2026-05-05T03:00:00Z/P1W", "No/Where", "2026-05-05T03:00:00.000Z", None),
    ],
)
def test_a_schedule_is_due_next(text: str, zone: str, due: str, left: int | None) -> None:
    schedule = chronos_schedule.parse(text, zone, NOW).not_before(NOW)
    times = "" if left is None else left
    assert (str(schedule), schedule.times) == (f"R{times}/{due}/{text.rsplit('/', 1)[1]}", left)


def test_without_a_start_a_job_is_due_at_once() -> None:
    schedule = chronos_schedule.parse("R2//PT10M", "", NOW)
    assert str(schedule) == "R2/2026-05-04T12:00:29.000Z/PT10M"
    assert str(schedule.after(1)) == "R1/2026-05-04T12:10:29.000Z/PT10M"


def test_what_is_no_schedule_is_said() -> None:
    starts = ("", "R", "R/2026-05-04T12:00:00Z", "R/x/PT1M", "Rx//PT1M", "R-1//PT1M", "* * * * *")
    ends = ("", "P", "PT", "PT0S", "1M", "P1Y/x", "PT" + "9" * 99)
    for text in (*starts, *(f"R//{end}" for end in ends), "R/9999-12-31T00:00:00Z/P99Y"):
        with pytest.raises(ValueError, match="Cannot parse schedule"):
            chronos_schedule.parse(text, "", NOW)


class Chronos:
    """A Chronos with two agents, and its API at one of the base paths."""

    def __init__(self, world: World, url: str, http: aiohttp.ClientSession) -> None:
        self.world, self._url, self._http = world, url, http
        self.base = "/v1/scheduler"

    async def ask(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, Any]:
        """Status and body, which is JSON or text."""
        async with self._http.request(method, self._url + self.base + path, json=body, params=query) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def post(self, name: str, command: str, **more: object) -> None:
        """Post a job; it is due at once and then never again, if nothing else is said."""
        kind = "dependency" if "parents" in more else "iso8601"
        job = {"name": name, "command": command, "schedule": "R1//PT1H", "owner": "o@example.org"} | more
        assert await self.ask("POST", f"/{kind}", job) == (204, "")

    async def job(self, name: str) -> Any:
        """The job as it is told."""
        status, jobs = await self.ask("GET", "/jobs")
        assert status == 200
        return next(job for job in jobs if job["name"] == name)

    def runs(self, name: str, state: str = "TASK_FINISHED") -> list[Task]:
        """Its runs that are in this state, oldest first."""
        known = [*self.world.completed, *self.world.tasks.values()]
        return [task for task in known if task.owner == name and task.state == state]


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the condition is about processes, too
            await asyncio.sleep(0.01)


@pytest.fixture(params=["1.10"])
async def cluster(run_dir: Path, request: pytest.FixtureRequest) -> AsyncIterator[Chronos]:
    world = make_world(run_dir, PROFILES[request.param], ["127.0.1.1", "127.0.1.2"], time_scale=0.01)
    runner = Runner(world)
    try:
        async with TestServer(chronos.application(world, runner), host="127.0.0.1") as server:
            async with aiohttp.ClientSession() as http:
                yield Chronos(world, str(server.make_url("")).rstrip("/"), http)
    finally:
        await runner.close()


@pytest.mark.parametrize("base", ["/scheduler", "/v1/scheduler"])
async def test_a_job_runs_with_sandbox_and_environment(cluster: Chronos, base: str) -> None:
    cluster.base = base
    await cluster.post("nightly", "env; echo oops >&2", environmentVariables=[{"name": "EXTRA", "value": "a b"}])
    await until(lambda: cluster.runs("nightly"))
    (task,) = cluster.runs("nightly")
    kind, due, attempt, job, arguments = task.id.split(":")
    assert (kind, attempt, job, arguments) == ("ct", "0", "nightly", "")
    env = dict(line.split("=", 1) for line in (task.sandbox / "stdout").read_text().splitlines())
    assert (task.sandbox / "stderr").read_text() == "oops\n"
    wanted = {
        "mesos_task_id": task.id,
        "CHRONOS_JOB_NAME": "nightly",
        "CHRONOS_JOB_OWNER": "o@example.org",
        "CHRONOS_JOB_RUN_ATTEMPT": "0",
        "CHRONOS_JOB_RUN_TIME": due,
        "CHRONOS_RESOURCE_CPU": "0.1",
        "CHRONOS_RESOURCE_DISK": "256.0",
        "CHRONOS_RESOURCE_MEM": "128.0",
        "EXTRA": "a b",
        "HOST": task.agent.host,
        "MESOS_SANDBOX": str(task.sandbox),
    }
    assert {name: env.get(name) for name in wanted} == wanted
    assert not [name for name in env if name.startswith("MARATHON_")]


async def test_mesos_tells_of_its_tasks_under_its_own_framework(cluster: Chronos) -> None:
    await cluster.post("nap", "sleep 60")
    await until(lambda: cluster.runs("nap", "TASK_RUNNING"))
    _, framework = mesos_state.master(cluster.world, 5050)["frameworks"]
    (task,) = framework["tasks"]
    assert (framework["name"], task["name"], task["state"]) == ("chronos", "ChronosTask:nap", "TASK_RUNNING")
    assert task["id"].endswith(":0:nap:")


@pytest.mark.parametrize("cluster", ["0.9.1"], indirect=True)
async def test_an_old_chronos_has_one_path_and_tells_its_tasks_less(cluster: Chronos) -> None:
    assert (await cluster.ask("GET", "/jobs"))[0] == 404
    cluster.base = "/scheduler"
    await cluster.post("old", "env")
    await until(lambda: cluster.runs("old"))
    env = (cluster.runs("old")[0].sandbox / "stdout").read_text()
    assert "mesos_task_id=ct:" in env
    assert "CHRONOS_JOB_RUN" not in env


async def test_a_job_repeats_and_is_disabled_when_it_has_no_more_runs(cluster: Chronos) -> None:
    await cluster.post("thrice", "true", schedule="R3//PT0.3S", concurrent=True)
    await until(lambda: len(cluster.runs("thrice")) == 3)
    dues = [int(task.id.split(":")[1]) for task in cluster.runs("thrice")]
    assert [later - earlier for earlier, later in pairwise(sorted(dues))] == [300, 300]
    job = await cluster.job("thrice")
    assert (job["disabled"], job["successCount"], job["errorCount"]) == (True, 3, 0)
    assert job["schedule"].startswith("R0/")
    assert job["lastSuccess"]


async def test_a_job_that_fails_is_tried_again_and_then_counted(cluster: Chronos) -> None:
    await cluster.post("broken", "exit 3", retries=2)
    await until(lambda: len(cluster.runs("broken", "TASK_FAILED")) == 3)
    assert [task.id.split(":")[2] for task in cluster.runs("broken", "TASK_FAILED")] == ["0", "1", "2"]

    job = await cluster.job("broken")
    assert (job["errorCount"], job["errorsSinceLastSuccess"], bool(job["lastError"])) == (1, 1, True)


async def test_a_job_runs_after_all_the_jobs_it_waits_for(cluster: Chronos) -> None:
    later = "R1/2099-01-01T00:00:00Z/P1D"
    await cluster.post("first", "true", schedule=later)
    await cluster.post("second", "true", schedule=later)
    await cluster.post("both", "true", parents=["first", "second"])
    assert (await cluster.job("both"))["parents"] == ["first", "second"]
    assert await cluster.ask("PUT", "/job/first") == (204, "")
    await until(lambda: cluster.runs("first"))
    assert not cluster.runs("both")
    assert await cluster.ask("PUT", "/job/second") == (204, "")
    await until(lambda: cluster.runs("both"))
    assert await cluster.ask("DELETE", "/job/second") == (204, "")
    assert (await cluster.job("both"))["parents"] == ["first"]
    assert await cluster.ask("DELETE", "/job/first") == (204, "")
    assert (await cluster.job("both"))["schedule"] == later.replace("Z/P1D", ".000Z/P1D")


async def test_a_job_is_run_by_hand_with_arguments_and_killed(cluster: Chronos) -> None:
    await cluster.post("hand", "exec sleep", schedule="R/2099-01-01T00:00:00Z/P1D")
    assert await cluster.ask("PUT", "/job/hand", arguments="60") == (204, "")
    await until(lambda: cluster.runs("hand", "TASK_RUNNING"))
    assert await cluster.ask("PUT", "/job/hand", arguments="61") == (204, "")  # runs already, so it does nothing
    assert await cluster.ask("DELETE", "/task/kill/hand") == (204, "")
    await until(lambda: cluster.runs("hand", "TASK_KILLED"))
    (task,) = [*cluster.runs("hand", "TASK_KILLED"), *cluster.runs("hand", "TASK_RUNNING")]
    assert task.id.endswith(":0:hand:60")
    job = await cluster.job("hand")
    assert (job["errorCount"], job["successCount"]) == (0, 0)


async def test_a_job_goes_where_its_constraints_say(cluster: Chronos) -> None:
    for number in range(3):
        await cluster.post(f"there{number}", "true", constraints=[["hostname", "EQUALS", "127.0.1.2"]])
        await cluster.post(f"not-here{number}", "true", constraints=[["rack_id", "UNLIKE", "rack-1"]])
    await until(lambda: len(cluster.world.completed) == 6)
    assert {task.agent.host for task in cluster.world.completed} == {"127.0.1.2"}


async def test_jobs_are_listed_searched_replaced_and_deleted(cluster: Chronos) -> None:
    for name in ("Date", "report", "retention"):
        await cluster.post(name, f"echo {name}", schedule="R/2099-01-01T00:00:00Z/P1D")

    async def found(**query: str) -> list[str]:
        return [job["name"] for job in (await cluster.ask("GET", "/jobs/search", **query))[1]]

    assert await found() == ["Date", "report", "retention"]
    assert await found(name="RE") == ["report", "retention"]
    assert await found(name="re", command="port") == ["report"]
    assert await found(any="date") == ["Date"]
    assert await found(limit="1", offset="1") == ["report"]
    await cluster.post("report", "true", schedule="R/2099-01-01T00:00:00Z/P7D", cpus="0.5", mem="64")
    job = await cluster.job("report")
    assert (job["command"], job["cpus"], job["mem"], job["schedule"]) == (
        "true",
        0.5,
        64,
        "R/2099-01-01T00:00:00.000Z/P7D",
    )
    assert await cluster.ask("DELETE", "/job/report") == (204, "")
    assert await found() == ["Date", "retention"]


async def test_what_chronos_does_not_take_is_said(cluster: Chronos) -> None:
    good: dict[str, object] = {"name": "a", "command": "true", "schedule": "R//P1D"}
    wrongs: list[tuple[dict[str, object], str]] = [
        ({"name": "a/b"}, "name is invalid"),
        ({"command": ""}, "no command"),
        ({"schedule": "* * * * *"}, "Cannot parse schedule"),
        ({"schedule": "R/2014-09-25T17:22:00Z/PT2M"}, "more than 1 year in the past"),
        ({"cpus": "many"}, "cpus"),
        ({"retries": []}, "retries"),
        ({"shell": "yes"}, "shell"),
        ({"uris": ["http://a"], "fetch": [{"uri": "http://a"}]}, "both uri"),
        ({"constraints": [["hostname", "UNIQUE"]]}, "constraints"),
        ({"environmentVariables": [{"name": "A"}]}, "environmentVariables"),
        ({"epsilon": "1m"}, "period"),
        ({"fetch": ["http://a"]}, "fetch"),
        ({"container": {}}, "image"),
        ({"container": {"image": "a", "volumes": [{"hostPath": "/"}]}}, "volumes"),
        ({"container": {"image": "a", "parameters": [{"key": "label"}]}}, "parameters"),
    ]
    for wrong, reason in wrongs:
        status, body = await cluster.ask("POST", "/iso8601", good | wrong)
        assert (status, reason in body["message"]) == (400, True), (wrong, body)
    status, body = await cluster.ask("POST", "/dependency", {"name": "b", "command": "true", "parents": ["none"]})
    assert (status, body) == (400, "Error, parent does not exist: none")
    assert await cluster.ask("PUT", "/job/none") == (400, "Job 'none' not found")
    assert await cluster.ask("DELETE", "/job/none") == (400, "Job 'none' not found")
    assert (await cluster.ask("DELETE", "/task/kill/none"))[0] == 500
    assert (await cluster.ask("GET", "/jobs"))[1] == []


async def test_the_demos_job_is_taken_by_the_chronos_it_was_written_for(cluster: Chronos) -> None:
    file = DATA / "marathon/chronos/demo-date.json"
    if not file.is_file():
        pytest.skip("no data folder ../shared/data/marathon beside this checkout")
    cluster.base = "/scheduler"
    demo = json.loads(file.read_text())
    assert await cluster.ask("POST", "/iso8601", demo) == (204, "")
    job = await cluster.job("date")
    assert (job["cpus"], job["mem"], job["command"]) == (0.1, 64.0, demo["command"])
    assert await cluster.ask("PUT", "/job/date") == (204, "")
    await until(lambda: cluster.runs("date"))
    assert "Running Chronos Job" in (cluster.runs("date")[0].sandbox / "stdout").read_text()
