"""Where tasks run and what lies in their sandboxes, from the answers of a real Mesos 1.11.0 and of older ones."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from shipper.cluster.mesos import File, Mesos, MesosTask, Place, _part_of, docker_name
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterBusy, ClusterRefused
from tests.unit.cluster_server import Server, data_of, serving

REAL = "real-mesos-1.11.0"
DATE = "logdemo_date.8b5d4e2c-1111-11ea-a0f7-0242ac110002"
EXIT = "logdemo_exit.instance-0b2e4a90-1111-11ea-a0f7-0242ac110002._app.1"
AGENT = "fe5a4252-efa6-4f4f-aa8b-8a6c878d484f-S0"
FRAMEWORK = "fe5a4252-efa6-4f4f-aa8b-8a6c878d484f-0000"
CONTAINER = "8ecfe59a-4e97-4d1c-b6fe-57d1b832c0b3"
SANDBOX = f"/var/lib/mesos/slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/{DATE}/runs/{CONTAINER}"


@asynccontextmanager
async def _cluster() -> AsyncIterator[tuple[Server, Server, Mesos]]:
    """A master and an agent that answer as the real ones did."""
    async with serving() as master, serving("127.0.0.2") as agent:
        state = data_of(REAL, "master_state.json")
        state["slaves"][0]["pid"] = f"slave(1)@{agent.url.removeprefix('http://')}"
        master.replies["GET /state"] = state
        agent.replies["GET /state"] = data_of(REAL, "agent_state.json")
        async with Mesos(ClusterSettings(mesos_urls=[master.url], request_seconds=30)) as mesos:
            yield master, agent, mesos


async def test_a_task_that_runs_and_one_that_ended() -> None:
    async with _cluster() as (_, agent, mesos):
        assert await mesos.find(DATE) == Place(
            DATE, agent.url, "127.0.0.1", AGENT, CONTAINER, SANDBOX, "TASK_RUNNING", f"mesos-{CONTAINER}"
        )
        ended = await mesos.find(EXIT)
        assert ended is not None
        assert ended.state == "TASK_FAILED"
        assert ended.container_id == "6bbe2285-4ce5-44c2-8d67-9fbe41f41e5d"
        assert ended.sandbox.endswith(f"/executors/{EXIT}/runs/{ended.container_id}")
        assert await mesos.find("unknown") is None


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("0.22.1", "mesos-c"), ("0.23.0", "mesos-S1.c"), ("1.3.2", "mesos-S1.c"), ("1.4.0", "mesos-c"),
        ("1.11.0", "mesos-c"), ("", "mesos-c"), ("x", "mesos-c"),
    ],
)  # fmt: skip
def test_names_of_docker_containers(version: str, name: str) -> None:
    assert docker_name("c", "S1", version) == name
    assert docker_name("", "S1", version) == ""


async def test_all_tasks() -> None:
    async with _cluster() as (_, _, mesos):
        running, ended = await mesos.tasks()
    labels = {"HAPROXY_GROUP": "external"}
    assert running == MesosTask(DATE, "date.logdemo", "TASK_RUNNING", AGENT, FRAMEWORK, DATE, CONTAINER, labels)
    assert ended.id == EXIT


async def test_an_agent_that_says_nothing() -> None:
    async with _cluster() as (master, agent, mesos):
        agent.replies["GET /state"] = (503, "")
        place = await mesos.find(DATE)
        assert place is not None
        # The master's word, and the way that every agent knows.
        assert place.container_id == CONTAINER
        assert place.sandbox == f"/frameworks/{FRAMEWORK}/executors/{DATE}/runs/latest"
        master.replies["GET /state"]["slaves"] = []  # type: ignore[call-overload, index]
        place = await mesos.find(DATE)
        assert place is not None
        assert place.agent_url == place.agent_host == ""
        with pytest.raises(ClusterRefused, match="has left"):
            await mesos.size(place, "stdout")


@pytest.mark.parametrize("path", ["/master/state", "/state.json", "/master/state.json"])
async def test_older_paths(path: str) -> None:
    async with _cluster() as (master, agent, mesos):
        master.replies[f"GET {path}"] = master.replies.pop("GET /state")
        agent.replies["GET /slave(1)/state"] = agent.replies.pop("GET /state")
        place = await mesos.find(DATE)
        assert place is not None
        assert place.sandbox == SANDBOX


async def test_no_mesos_there() -> None:
    async with _cluster() as (master, _, mesos):
        master.replies.clear()
        with pytest.raises(ClusterRefused, match="is it a Mesos master"):
            await mesos.tasks()
        master.replies["GET /state"] = (200, "garbage")
        with pytest.raises(ClusterBusy, match="no JSON"):
            await mesos.tasks()


async def test_the_leader_is_asked() -> None:
    async with serving() as follower, serving("127.0.0.2") as leader:
        pid = f"master@{leader.url.removeprefix('http://')}"
        follower.replies["GET /state"] = {"leader": pid, "pid": "master@127.0.0.1:5050", "frameworks": []}
        leader.replies["GET /state"] = {"leader": pid, "pid": pid, "frameworks": [{"tasks": [{"id": "t"}]}]}
        for urls in ([follower.url, leader.url], [follower.url]):
            async with Mesos(ClusterSettings(mesos_urls=urls)) as mesos:
                assert [task.id for task in await mesos.tasks()] == ["t"]
        leader.replies["GET /state"] = {"leader": "", "pid": pid}
        async with Mesos(ClusterSettings(mesos_urls=[leader.url])) as mesos:
            with pytest.raises(ClusterBusy, match="does not lead now"):
                await mesos.tasks()


async def test_an_agent_gets_no_credentials(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    async with _cluster() as (master, agent, _):
        settings = ClusterSettings(mesos_urls=[master.url], user="u", password_file=secret)
        async with Mesos(settings) as mesos:
            await mesos.find(DATE)
        assert "Authorization" in master.asked[0].headers
        assert "Authorization" not in agent.asked[0].headers


class Sandbox:
    """An agent's files, read as Mesos lets them be read: 64 KiB at once, bytes put into JSON as they are."""

    def __init__(self, agent: Server, suffix: str = "", **files: bytes) -> None:
        self.files = {f"{SANDBOX}/{name}": content for name, content in files.items()}
        agent.replies[f"GET /files/read{suffix}"] = self._read

    async def _read(self, request: web.Request) -> web.StreamResponse:
        content = self.files.get(request.query["path"])
        if content is None:
            return web.Response(status=404)
        offset, length = int(request.query["offset"]), min(int(request.query["length"]), 65536)
        if offset < 0:
            return web.json_response({"data": "", "offset": len(content)})
        body = b'{"data":"%s","offset":%d}' % (_escaped(content[offset : offset + length]), offset)
        return web.Response(body=body, content_type="application/json")


def _escaped(data: bytes) -> bytes:
    return b"".join(bytes([one]) if one > 0x7F else json.dumps(chr(one))[1:-1].encode() for one in data)


@pytest.mark.parametrize("suffix", ["", ".json"])
async def test_files_are_read_exactly(suffix: str) -> None:
    text = b"".join(b'line %d \xc3\xa9 "quoted"\\ \x1b[0m\n' % number for number in range(9000))
    binary = bytes(range(256)) * 400
    async with _cluster() as (_, agent, mesos):
        Sandbox(agent, suffix, stdout=text, core=binary, empty=b"")
        place = await mesos.find(DATE)
        assert place is not None
        assert await mesos.size(place, "stdout") == len(text)
        assert await mesos.read(place, "stdout", 0, 10**9) == text
        assert await mesos.read(place, "stdout", 100, 70_000) == text[100:70_100]
        assert await mesos.read(place, "core", 0, 10**9) == binary
        assert await mesos.read(place, "empty", 0, 10) == b""
        assert await mesos.read(place, "stdout", len(text) + 5, 10) == b""
        with pytest.raises(ClusterRefused, match=r"there is no 'stdout.1' in the sandbox of logdemo_date") as caught:
            await mesos.read(place, "stdout.1", 0, 10)
        assert caught.value.status == 404


@given(st.binary(max_size=500))
def test_every_byte_comes_back(data: bytes) -> None:
    assert _part_of(b'{"data":"' + _escaped(data) + b'","offset":3}') == (data, 3)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"data":"\\ud800","offset":0}', b"[" * 100_000])
async def test_garbage_instead_of_a_file(body: bytes) -> None:
    async def garbage(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with _cluster() as (_, agent, mesos):
        place = await mesos.find(DATE)
        assert place is not None
        agent.replies["GET /files/read"] = agent.replies["GET /files/browse"] = garbage
        with pytest.raises(ClusterBusy):
            await mesos.read(place, "stdout", 0, 10)
        if body != b"[]":
            with pytest.raises(ClusterBusy):
                await mesos.files(place)


async def test_names_in_a_sandbox() -> None:
    async with _cluster() as (_, agent, mesos):
        agent.replies["GET /files/browse"] = data_of(REAL, "files_browse.json")
        place = await mesos.find(DATE)
        assert place is not None
        files = await mesos.files(place)
        assert [file.name for file in files] == ["env.txt", "stderr", "stdout"]
        assert files[2] == File("stdout", 385, 1795382420.0, "-rw-r--r--")
        assert not files[2].is_folder
        await mesos.files(place, "logs/old")
        assert agent.asked[-1].query == [("path", f"{SANDBOX}/logs/old")]


@pytest.mark.parametrize("name", ["../../other/stdout", "/etc/passwd", "a/../../b", "a\x00b", "a\nb"])
async def test_nothing_outside_the_sandbox(name: str) -> None:
    async with _cluster() as (_, agent, mesos):
        place = await mesos.find(DATE)
        assert place is not None
        asked: list[Any] = list(agent.asked)
        with pytest.raises(ClusterRefused, match="inside a sandbox"):
            await mesos.read(place, name, 0, 10)
        assert agent.asked == asked
