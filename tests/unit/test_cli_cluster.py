"""`shipper apps`, `where`, `shell`, `sandbox` against a Marathon and a Mesos that answer what a test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shipper.cli import main
from tests.unit.cluster_server import Server, free_url, serving

UUID = "b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6"
TASK = f"shop_api.{UUID}"
CONTAINER = "8ecfe59a-4e97-4d1c-b6fe-57d1b832c0b3"
SANDBOX = "/var/lib/mesos/sandbox"


def _task(**more: Any) -> dict[str, Any]:
    return {
        "id": TASK, "host": "10.0.0.7", "ports": [31000], "state": "TASK_RUNNING", "slaveId": "S1",
        "startedAt": "2026-01-02T03:04:05.678Z", "version": "2026-01-01T00:00:00Z",
        "healthCheckResults": [{"alive": True}], **more,
    }  # fmt: skip


def _app(**more: Any) -> dict[str, Any]:
    return {
        "id": "/shop/api", "version": "2026-01-01T00:00:00Z", "instances": 2, "labels": {"SHIPPER_TOOLS": "strace"},
        "container": {"type": "DOCKER"}, "tasks": [_task()], "deployments": [], **more,
    }  # fmt: skip


@asynccontextmanager
async def _cluster(*apps: dict[str, Any]) -> AsyncIterator[tuple[Server, Server]]:
    async with serving() as marathon, serving() as mesos:
        marathon.replies["GET /v2/apps"] = {"apps": list(apps)}
        marathon.replies["GET /v2/queue"] = {"queue": []}
        address = mesos.url.removeprefix("http://")
        task = {"id": TASK, "slave_id": "S1", "framework_id": "F", "executor_id": "", "state": "TASK_RUNNING"}
        executor = {"id": TASK, "container": CONTAINER, "directory": SANDBOX}
        mesos.replies["GET /state"] = {
            "version": "1.11.0", "leader": "m", "pid": "m",
            "frameworks": [{"id": "F", "tasks": [task], "executors": [executor]}],
            "slaves": [{"id": "S1", "hostname": "10.0.0.7", "pid": f"slave(1)@{address}"}],
        }  # fmt: skip
        yield marathon, mesos


async def _run(marathon: Server, mesos: Server, *arguments: str) -> int:
    urls = ["--marathon", marathon.url, *(["--mesos", mesos.url] if arguments[0] in ("shell", "sandbox") else [])]
    return await asyncio.to_thread(main, [*arguments, *urls])


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SHIPPER_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


async def test_apps(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {"id": "/a\x1b[31m", "instances": 0, "labels": {"SHIPPER_BUDGET": "\x1b[2Jmany"}}
    async with _cluster(
        _app(), hostile, _app(id="/z", deployments=[{"id": "d"}], tasks=[_task(healthCheckResults=[])])
    ) as both:
        assert await _run(*both, "apps") == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split() for line in lines[:4]] == [
            ["APP", "TASKS", "HEALTHY", "VERSION", "SINCE"],
            ["/a\\x1b[31m", "0/0", "-"],
            ["/shop/api", "1/2", "1/1", "2026-01-01", "00:00:00", "2026-01-02", "03:04:05"],
            ["/z", "1/2", "-", "2026-01-01", "00:00:00", "2026-01-02", "03:04:05", "deploying"],
        ]
        assert lines[4].startswith("label without effect  /a\\x1b[31m: SHIPPER_BUDGET: ")
        assert all(line.isprintable() for line in lines)
        assert await _run(*both, "apps", "shop", "--json") == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert (found["app"], found["running"], found["healthy"]) == ("/shop/api", 1, 1)
        assert await _run(*both, "apps", "none") == 1


async def test_where(capsys: pytest.CaptureFixture[str]) -> None:
    old = _task(
        id="old",
        host="10.0.0.1",
        version="2025-12-31T00:00:00Z",
        healthCheckResults=[{"alive": False, "lastFailure": "x"}],
    )
    async with _cluster(_app(tasks=[_task(), old])) as (marathon, mesos):
        waiting = [{"app": {"id": "/shop/api"}, "count": 1, "delay": {"timeLeftSeconds": 9, "overdue": False}}]
        marathon.replies["GET /v2/queue"] = {"queue": waiting}
        assert await _run(marathon, mesos, "where", "api") == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["HOST", "PORTS", "TASK", "STATE", "SINCE", "VERSION", "HEALTH"]
        assert lines[1].startswith("10.0.0.1  31000  old ")
        assert lines[1].endswith("(old)  unhealthy")
        assert lines[2].startswith(f"10.0.0.7  31000  {TASK}  running  2026-01-02 03:04:05  2026-01-01 00:00:00")
        assert lines[3] == "1 of /shop/api wait to be started: next try in 9 s"
        assert await _run(marathon, mesos, "where", "shop/api", "--json") == 0
        assert [one["task"] for one in json.loads(capsys.readouterr().out)["tasks"]] == [TASK, "old"]


async def test_nothing_of_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    async with _cluster(_app()) as both:
        for command in ("where", "shell", "sandbox"):
            assert await _run(*both, command, "shop/apy\x1b") == 1
            said = capsys.readouterr().err
            assert "is called shop/apy\\x1b; did you mean /shop/api?" in said
        assert await _run(*both, "where", "") == 1


async def test_shell(capsys: pytest.CaptureFixture[str]) -> None:
    async with _cluster(_app()) as both:
        for name in ("api", TASK, UUID):
            assert await _run(*both, "shell", name, "--user", "ops") == 0
            lines = capsys.readouterr().out.splitlines()
            assert lines[0] == f"# {TASK}  running on 10.0.0.7"
            assert f"ssh -t -l ops 10.0.0.7 'docker exec -it mesos-{CONTAINER} sh'" in lines
            assert any(line.startswith("ssh -t -l ops 10.0.0.7 'strace") for line in lines)
        assert await _run(*both, "shell", "api", "--json") == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert [way["name"] for way in found["ways"]] == ["exec", "nsenter", "debug", "strace"]


async def test_shell_of_a_task_without_docker(capsys: pytest.CaptureFixture[str]) -> None:
    async with _cluster(_app(container=None)) as both:
        assert await _run(*both, "shell", "api") == 0
        assert f"ssh -t 10.0.0.7 'cd {SANDBOX} && exec sh'" in capsys.readouterr().out
        assert await _run(*both, "shell", "api", "--run", "--by", "debug") == 2
        assert "runs without Docker" in capsys.readouterr().err


async def test_a_task_that_marathon_has_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    async with _cluster() as both:
        assert await _run(*both, "shell", TASK) == 0
        assert SANDBOX in capsys.readouterr().out


async def test_run_needs_one_task(capsys: pytest.CaptureFixture[str]) -> None:
    async with _cluster(_app(tasks=[_task(), _task(id="other.1")])) as both:
        assert await _run(*both, "shell", "api", "--run") == 2
        assert f"/shop/api may be {TASK}, other.1; name one of them" in capsys.readouterr().err


async def test_a_host_that_is_an_option_of_ssh(capsys: pytest.CaptureFixture[str]) -> None:
    async with _cluster(_app()) as (marathon, mesos):
        mesos.replies["GET /state"]["slaves"][0]["hostname"] = "-oProxyCommand=reboot"  # type: ignore[call-overload, index]
        assert await _run(marathon, mesos, "shell", "api", "--run") == 2
        assert "is not the name of a host" in capsys.readouterr().err


def _serve_file(mesos: Server, name: str, parts: list[bytes]) -> None:
    """A file that grows by a part whenever its size is asked for."""
    content = parts.pop(0)

    async def read(request: web.Request) -> web.StreamResponse:
        nonlocal content
        if request.query["path"] != f"{SANDBOX}/{name}":
            return web.Response(status=404)
        offset, length = int(request.query["offset"]), int(request.query["length"])
        if offset >= 0:
            data = content[offset : offset + length].decode("latin-1")
            return web.json_response({"data": data, "offset": offset})
        content += parts.pop(0) if parts else b""
        return web.json_response({"data": "", "offset": len(content)})

    mesos.replies["GET /files/read"] = read


async def test_sandbox(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = [b"line %d \x1b[31m\r\n" % number for number in range(300)]
    async with _cluster(_app()) as (marathon, mesos):
        _serve_file(mesos, "stdout", [b"".join(lines) + b"unfinished"])
        assert await _run(marathon, mesos, "sandbox", "api", "--lines", "3") == 0
        # Into a pipe go exact bytes.
        assert capsysbinary.readouterr().out == b"".join(lines[-2:]) + b"unfinished"
        assert await _run(marathon, mesos, "sandbox", TASK, "--lines", "0") == 0
        assert capsysbinary.readouterr().out == b""
        mesos.replies["GET /files/browse"] = [{"path": f"{SANDBOX}/stdout"}, {"path": f"{SANDBOX}/core\x1b"}]
        assert await _run(marathon, mesos, "sandbox", TASK, "--file", "stderr") == 2
        assert rb"there is no 'stderr' in the sandbox" in (said := capsysbinary.readouterr().err)
        assert said.endswith(b"there: core\\x1b, stdout\n")
        assert await _run(marathon, mesos, "sandbox", TASK, "--file", "../../passwd") == 2
        assert b"is not the name of a file inside a sandbox" in capsysbinary.readouterr().err


async def test_sandbox_follows_until_the_task_ends(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    async with _cluster(_app()) as (marathon, mesos):
        mesos.replies["GET /state"]["frameworks"][0]["tasks"][0]["state"] = "TASK_FINISHED"  # type: ignore[call-overload, index]
        _serve_file(mesos, "stdout", [b"one\n", b"", b"two\n"])
        assert await _run(marathon, mesos, "sandbox", "api", "--follow") == 0
        said = capsysbinary.readouterr()
        assert said.out == b"one\ntwo\n"
        assert b"the task has ended" in said.err


async def test_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in [
        (["apps"], "no address of Marathon is known; set marathon_urls"),
        (["shell", "api", "--marathon", free_url()], "cannot be reached"),
        (["apps", "--marathon", "ftp://x"], "--marathon, --mesos: ftp://x: must be http://host:port"),
        (["sandbox", "api"], "no address of Mesos is known; set mesos_urls"),
    ]:
        assert await asyncio.to_thread(main, arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
