"""The emulator's Mesos side, held against the answers of a real Mesos 1.11.0: the same keys, the same types."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conftest import DATA
from tests.emulator import mesos
from tests.emulator.model import Task, World, make_world
from tests.emulator.profiles import PROFILES

REAL = DATA / "marathon/real-mesos-1.11.0"
RUNNING = "logdemo_date.8b5d4e2c-1111-11ea-a0f7-0242ac110002"
FAILED = "logdemo_exit.instance-0b2e4a90-1111-11ea-a0f7-0242ac110002._app.1"


class Cluster:
    """A master and an agent with what the real one had when it was asked: one task that runs, one that failed."""

    def __init__(self, world: World, master: str, agent: str, http: aiohttp.ClientSession) -> None:
        self.world, self.master, self.agent, self._http = world, master, agent, http
        self.running, self.failed = world.tasks[RUNNING], world.completed[0]

    async def get(self, url: str, **query: str) -> tuple[int, Any, dict[str, str]]:
        """Status, the JSON or text of the body, headers."""
        async with self._http.get(url, params=query, allow_redirects=False) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(body) if is_json else body.decode(), dict(answer.headers)

    async def bytes_of(self, endpoint: str, **query: str) -> bytes:
        """The body of an answer of the agent."""
        async with self._http.get(self.agent + endpoint, params=query) as answer:
            assert answer.status == 200
            return await answer.read()


@pytest.fixture
async def cluster(run_dir: Path) -> AsyncIterator[Cluster]:
    world = make_world(run_dir, PROFILES["1.10"], ["127.0.0.1"])
    agent = world.agents["127.0.0.1"]
    agent.attributes = {}
    for task_id, labels in ((RUNNING, {"HAPROXY_GROUP": "external"}), (FAILED, {})):
        task = Task(task_id, "date.logdemo", world.marathon, agent, "/logdemo/date", labels=labels, pid=os.getpid())
        task.sandbox.mkdir(parents=True)
        task.sandbox.with_name("latest").symlink_to(task.sandbox)
        (task.sandbox / "stdout").write_text("out-line\n")
        (task.sandbox / "stderr").write_text("err-line\n")
        for state in ("TASK_STAGING", "TASK_RUNNING"):
            world.set_status(task, state)
    world.set_status(world.tasks[FAILED], "TASK_FAILED")
    async with _serving(mesos.master(world)) as master, _serving(mesos.agent(world, agent)) as slave:
        agent.port = slave.port or 0
        async with aiohttp.ClientSession() as http:
            yield Cluster(world, str(master.make_url("")).rstrip("/"), str(slave.make_url("")).rstrip("/"), http)


def _serving(app: web.Application) -> TestServer:
    return TestServer(app, host="127.0.0.1")


def _real(name: str) -> Any:
    if not REAL.is_dir():
        pytest.skip("no answers of a real Mesos beside this checkout")
    return json.loads((REAL / name).read_text())


def _differences(real: Any, ours: Any, where: str = "") -> list[str]:
    """Where keys or JSON types differ; each element of a list is of the form of one in the other's list."""
    if where.endswith(("/flags", "/capabilities")):  # what that build could do, and was told
        return []
    if type(real) is not type(ours):
        return [f"{where}: {type(real).__name__} and not {type(ours).__name__}"]
    if isinstance(real, dict):
        alone = [f"{where}/{key}: only one has it" for key in real.keys() ^ ours.keys()]
        both = [_differences(real[key], ours[key], f"{where}/{key}") for key in real.keys() & ours.keys()]
        return sum(both, alone)
    if isinstance(real, list):
        if bool(real) != bool(ours):
            return [f"{where}: only one is empty"]
        return [
            difference for one, other in ((real, ours), (ours, real)) for difference in _unmatched(one, other, where)
        ]
    return []


def _unmatched(some: list[Any], others: list[Any], where: str) -> list[str]:
    nearest = (min((_differences(other, one, f"{where}[]") for other in others), key=len) for one in some)
    return [difference for found in nearest for difference in found]


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("master_state.json", ("/state", "/master/state", "/state.json", "/master/state.json")),
        ("master_slaves.json", ("/slaves", "/master/slaves")),
        ("master_tasks.json", ("/tasks", "/master/tasks.json")),
        ("master_version.json", ("/version",)),
    ],
)
async def test_a_master_answers_as_a_real_one_key_by_key(cluster: Cluster, name: str, paths: tuple[str, ...]) -> None:
    for path in paths:
        status, ours, headers = await cluster.get(cluster.master + path)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        if name == "master_state.json":  # where it was asked, there was no Chronos
            ours["frameworks"] = ours["frameworks"][:1]
        assert _differences(_real(name), ours) == []


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("agent_state.json", ("/state", "/slave(1)/state", "/state.json")),
        ("agent_containers.json", ("/containers", "/slave(1)/containers")),
        ("master_version.json", ("/version",)),
    ],
)
async def test_an_agent_answers_as_a_real_one_key_by_key(cluster: Cluster, name: str, paths: tuple[str, ...]) -> None:
    for path in paths:
        status, ours, headers = await cluster.get(cluster.agent + path)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert _differences(_real(name), ours) == []


def test_a_key_or_a_type_that_differs_is_found() -> None:
    real = {"a": 1, "b": [{"c": "x"}, {"d": 1.0}], "e": []}
    assert _differences(real, {"a": 2, "b": [{"d": 2.0}, {"c": "y"}, {"c": "z"}], "e": []}) == []
    others: list[dict[str, Any]] = [{"a": 1.0}, {"b": [{"c": "x"}]}, {"b": [{"c": 1}, {"d": 1.0}]}, {"b": []}]
    for other in [*others, {"e": [1]}, {"f": 1}]:
        assert _differences(real, real | other), other


async def test_a_task_leads_to_its_sandbox(cluster: Cluster) -> None:
    """Master, framework, task, agent, executor, directory: the way every client goes."""
    _, state, _ = await cluster.get(cluster.master + "/state")
    marathon = next(framework for framework in state["frameworks"] if framework["name"] == "marathon")
    (running,), (failed,) = marathon["tasks"], marathon["completed_tasks"]
    assert (running["id"], running["state"]) == (RUNNING, "TASK_RUNNING")
    assert (failed["id"], failed["state"], failed["executor_id"]) == (FAILED, "TASK_FAILED", "")
    assert running["labels"] == [{"key": "HAPROXY_GROUP", "value": "external"}]
    assert running["statuses"][-1]["container_status"]["container_id"] == {"value": cluster.running.container_id}
    (slave,) = state["slaves"]
    assert slave["id"] == running["slave_id"]
    assert slave["pid"] == f"slave(1)@127.0.0.1:{cluster.agent.rsplit(':', 1)[1]}"
    _, state, _ = await cluster.get(cluster.agent + "/state")
    (framework,) = state["frameworks"]
    for kind, task in (("executors", cluster.running), ("completed_executors", cluster.failed)):
        (executor,) = framework[kind]
        assert (executor["id"], executor["directory"]) == (task.id, str(task.sandbox))


async def test_a_framework_with_nothing_left_is_a_completed_one_for_the_agent(cluster: Cluster) -> None:
    cluster.world.set_status(cluster.running, "TASK_KILLED")
    _, state, _ = await cluster.get(cluster.agent + "/state")
    assert state["frameworks"] == []
    (framework,) = state["completed_frameworks"]
    assert [executor["id"] for executor in framework["completed_executors"]] == [FAILED, RUNNING]


async def test_what_ended_long_ago_is_forgotten(cluster: Cluster) -> None:
    """As max_completed_tasks_per_framework and max_completed_executors_per_framework have it."""
    world, agent = cluster.world, cluster.running.agent
    for number in range(1100):
        task = Task(f"short.{number}", "short", world.marathon, agent, "/short")
        world.set_status(task, "TASK_RUNNING")
        world.set_status(task, "TASK_FINISHED")
    _, state, _ = await cluster.get(cluster.master + "/state")
    ended = [task["id"] for task in state["frameworks"][0]["completed_tasks"]]
    assert ended == [f"short.{number}" for number in range(100, 1100)]
    _, state, _ = await cluster.get(cluster.agent + "/state")
    ended = [executor["id"] for executor in state["frameworks"][0]["completed_executors"]]
    assert ended == [f"short.{number}" for number in range(950, 1100)]
    _, found, _ = await cluster.get(cluster.master + "/tasks")
    assert len(found["tasks"]) == 100


async def test_tasks_come_in_pages(cluster: Cluster) -> None:
    async def ids(**query: str) -> list[str]:
        _, found, _ = await cluster.get(cluster.master + "/tasks", **query)
        return [task["id"] for task in found["tasks"]]

    assert await ids() == [FAILED, RUNNING]
    assert await ids(order="asc") == [RUNNING, FAILED]
    assert await ids(limit="1") == [FAILED]
    assert await ids(limit="1", offset="1") == [RUNNING]
    assert await ids(offset="2") == []
    assert await ids(task_id=RUNNING) == [RUNNING]
    assert await ids(framework_id="other") == []
    assert (await cluster.get(cluster.master + "/tasks", limit="x"))[0] == 400


async def test_a_lost_agent_leaves_the_state_and_answers_nothing(cluster: Cluster) -> None:
    cluster.running.agent.alive = False
    cluster.world.set_status(cluster.running, "TASK_UNREACHABLE")
    _, state, _ = await cluster.get(cluster.master + "/state")
    assert (state["slaves"], state["activated_slaves"], state["unreachable_slaves"]) == ([], 0, 1)
    marathon = state["frameworks"][0]
    assert [task["id"] for task in marathon["unreachable_tasks"]] == [RUNNING]
    assert [task["id"] for task in marathon["completed_tasks"]] == [FAILED]
    with pytest.raises(aiohttp.ClientConnectionError):
        await cluster.get(cluster.agent + "/state")


async def test_the_leader_is_named_without_a_scheme(cluster: Cluster) -> None:
    for path in ("/redirect", "/master/redirect"):
        status, _, headers = await cluster.get(cluster.master + path)
        assert (status, headers["Location"]) == (307, cluster.master.removeprefix("http:"))


async def test_a_sandbox_is_listed_as_by_a_real_agent(cluster: Cluster) -> None:
    sandbox = str(cluster.running.sandbox)
    status, ours, headers = await cluster.get(cluster.agent + "/files/browse", path=sandbox)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert [(entry["path"], entry["size"], entry["mode"]) for entry in ours] == [
        (f"{sandbox}/stderr", 9, "-rw-r--r--"),
        (f"{sandbox}/stdout", 9, "-rw-r--r--"),
    ]
    assert _differences(_real("files_browse.json"), ours) == []


async def test_a_file_is_read_in_parts_of_16_pages(cluster: Cluster) -> None:
    text = "".join(f"{number} é\n" for number in range(20000))
    (cluster.running.sandbox / "stdout").write_text(text)
    path, size = f"{cluster.running.sandbox}/stdout", len(text.encode())
    read = cluster.agent + "/files/read"
    assert (await cluster.get(read, path=path))[1] == {"data": "", "offset": size}
    assert (await cluster.get(read, path=path, offset="-1"))[1] == {"data": "", "offset": size}
    assert (await cluster.get(read, path=path, offset="0", length="5"))[1] == {"data": text[:4], "offset": 0}
    assert (await cluster.get(read, path=path, offset=str(size + 5)))[1] == {"data": "", "offset": size}
    got = b""
    while len(got) < size:
        body = await cluster.bytes_of("/files/read", path=path, offset=str(len(got)), length=str(10**6))
        part = json.loads(body.decode("utf-8", "surrogateescape"))
        assert part["offset"] == len(got)
        data = part["data"].encode("utf-8", "surrogateescape")
        assert len(data) == min(65536, size - len(got))
        got += data
    assert got == text.encode()


async def test_bytes_that_are_no_text_come_as_they_are(cluster: Cluster) -> None:
    content = bytes(range(256))
    (cluster.running.sandbox / "core").write_bytes(content)
    path = f"{cluster.running.sandbox}/core"
    body = await cluster.bytes_of("/files/read", path=path, offset="0")
    assert json.loads(body.decode("utf-8", "surrogateescape"))["data"].encode("utf-8", "surrogateescape") == content
    assert await cluster.bytes_of("/files/download", path=path) == content


async def test_a_download_is_named_after_the_file(cluster: Cluster) -> None:
    path = f"{cluster.failed.sandbox}/stderr"
    status, body, headers = await cluster.get(cluster.agent + "/files/download", path=path)
    assert (status, body, headers["Content-Type"]) == (200, "err-line\n", "application/octet-stream")
    assert headers["Content-Disposition"] == "attachment; filename=stderr"


async def test_the_last_run_has_a_path_of_its_own(cluster: Cluster) -> None:
    virtual = f"/frameworks/{cluster.world.marathon.id}/executors/{RUNNING}/runs/latest"
    for path in (virtual, str(cluster.running.sandbox.with_name("latest"))):
        status, found, _ = await cluster.get(cluster.agent + "/files/read", path=path + "/stderr", offset="0")
        assert (status, found) == (200, {"data": "err-line\n", "offset": 0})
        _, found, _ = await cluster.get(cluster.agent + "/files/browse", path=path)
        assert [entry["path"] for entry in found] == [path + "/stderr", path + "/stdout"]
    _, known, _ = await cluster.get(cluster.agent + "/files/debug")
    assert known[virtual] == str(cluster.running.sandbox)


async def test_nothing_else_can_be_read(cluster: Cluster) -> None:
    sandbox = cluster.running.sandbox
    (sandbox / "way-out").symlink_to("/etc/passwd")
    asked = {
        "": 400,
        str(sandbox): 400,  # a folder
        f"{sandbox}/way-out": 400,
        f"{sandbox}/../../../../../../../../../../../../etc/passwd": 400,
        f"{sandbox}/none": 404,
        f"{sandbox}/stdout/more": 404,
        "/etc/passwd": 404,
        "relative": 404,
    }
    for path, wanted in asked.items():
        for endpoint in ("/files/read", "/files/download"):
            status, body, _ = await cluster.get(cluster.agent + endpoint, path=path)
            assert (status, "root:" in body) == (wanted, False), (endpoint, path)
    status, _, _ = await cluster.get(cluster.agent + "/files/read", path=f"{sandbox}/stdout", offset="ten")
    assert status == 400
