"""`shipper where`, `shell` and `sandbox` as processes, on a cluster whose tasks are real processes."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.process import Emulator
from tests.servers.process import wait_until

#: Writes lines and bytes that are no text, with a pid of its own to be found.
COMMAND = r"""n=0; while true; do n=$((n+1)); printf 'line %s \377\033[31m\n' $n; sleep 0.05; done"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("cluster"), time_scale=0.05) as running:
        yield running


def _shipper(emulator: Emulator, *arguments: str) -> list[str]:
    urls = ["--marathon", emulator.marathon, *(["--mesos", emulator.mesos] if arguments[0] != "where" else [])]
    return [sys.executable, "-m", "shipper", *arguments, *urls]


def _said(emulator: Emulator, *arguments: str, **more: Any) -> str:
    command = _shipper(emulator, *arguments)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True, **more)
    return str(done.stdout)


def _ask(emulator: Emulator, method: str, path: str, body: Any = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{emulator.marathon}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60):
        pass


@pytest.fixture(scope="module")
def task(emulator: Emulator) -> dict[str, Any]:
    """The only task of the app /shop/api, which has written something."""
    _ask(emulator, "POST", "/v2/apps", {"id": "/shop/api", "cmd": COMMAND, "cpus": 0.1, "mem": 32, "instances": 1})

    def running() -> list[dict[str, Any]]:
        return [one for one in emulator.tasks() if one["state"] == "TASK_RUNNING" and _stdout(one)]

    wait_until(lambda: bool(running()), 60, "a task that runs and writes")
    return running()[0]


def _stdout(task: dict[str, Any]) -> bytes:
    file = Path(task["sandbox"], "stdout")
    return file.read_bytes() if file.exists() else b""


def test_where(emulator: Emulator, task: dict[str, Any]) -> None:
    (found,) = json.loads(_said(emulator, "where", "api", "--json"))["tasks"]
    assert (found["task"], found["host"]) == (task["id"], task["agent"])
    assert task["id"] in _said(emulator, "where", "shop/api")


def test_a_shell_in_the_sandbox(emulator: Emulator, task: dict[str, Any], tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\n[ "$1 $2" = "-t $AGENT" ] || exit 9\nexec sh -c "$3"\n')
    ssh.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "AGENT": task["agent"]}
    said = _said(emulator, "shell", "api", "--run", input="pwd -P\nls\n", env=environment).split()
    assert said[0] == str(Path(task["sandbox"]).resolve())
    assert {"stdout", "stderr"} <= set(said[1:])


def test_the_process_is_the_task_s(emulator: Emulator, task: dict[str, Any]) -> None:
    (entry,) = json.loads(_said(emulator, "shell", task["id"], "--json"))
    (line,) = [way["command"] for way in entry["ways"] if way["name"] == "nsenter"]
    found = line.partition("--target ")[2].partition(" --mount")[0]
    done = subprocess.run(["sh", "-c", f"echo {found}"], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) == task["pid"]


def test_a_reader_that_goes_away(emulator: Emulator, task: dict[str, Any]) -> None:
    command = _shipper(emulator, "sandbox", task["id"], "--follow")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        assert following.stdout.readline().startswith(b"line ")
        following.stdout.close()
        assert following.wait(timeout=120) == 0
        assert following.stderr.read() == b""


def test_sandbox_follows_to_the_last_byte(emulator: Emulator, task: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = _shipper(emulator, "sandbox", "api", "--lines", "999999", "--follow")
    with out.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE, text=True) as following:
        try:
            wait_until(lambda: out.stat().st_size > 0, 60, "the first lines")
            seen = out.stat().st_size
            wait_until(lambda: out.stat().st_size > seen, 60, "lines that were written meanwhile")
            _ask(emulator, "DELETE", "/v2/apps/shop/api?force=true")
            assert following.wait(timeout=120) == 0
            assert following.stderr is not None
            assert "the task has ended" in following.stderr.read()
        finally:
            following.kill()
    assert out.read_bytes() == _stdout(task)
