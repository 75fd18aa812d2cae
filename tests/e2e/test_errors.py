"""What a person can cause gives one clear line, the right exit code and no traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.process import Process, wait_until


def shipper(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shipper", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def config(folder: Path, text: str) -> Path:
    file = folder / "shipper.yaml"
    file.write_text(text)
    return file


def one_error(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    for part in parts:
        assert part in errors[0]


def test_a_source_port_in_use(run_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = config(
            run_dir,
            f"sources: [{{type: relp, port: {port}}}]\nstore: {{type: sqlite, path: {run_dir}/d}}\napi: {{port: 0}}",
        )
        one_error(shipper("run", "--config", file), f"127.0.0.1:{port}", "in use", "stop the other program")


def test_the_api_port_in_use(run_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = config(
            run_dir,
            f"sources: [{{type: relp, port: 0}}]\nstore: {{type: sqlite, path: {run_dir}/d}}\napi: {{port: {port}}}",
        )
        one_error(shipper("run", "--config", file), f"127.0.0.1:{port}", "in use", "api.port")


def test_a_broken_configuration(run_dir: Path) -> None:
    file = config(run_dir, "store: {type: sqlite, pth: x}")
    for command in ("run", "check-config"):
        one_error(shipper(command, "--config", file), str(file), "pth", "path")
    one_error(shipper("check-config", SHIPPER_CLUSER="x"), "cluser", "cluster")


def test_a_store_folder_that_cannot_be_made(run_dir: Path) -> None:
    (run_dir / "file").write_text("")
    file = config(
        run_dir,
        f"sources: [{{type: relp, port: 0}}]\nstore: {{type: sqlite, path: {run_dir}/file/d}}\napi: {{port: 0}}",
    )
    one_error(shipper("run", "--config", file), f"{run_dir}/file/d")


def test_a_second_owner_of_a_sqlite_store(run_dir: Path) -> None:
    file = config(
        run_dir, f"sources: [{{type: relp, port: 0}}]\nstore: {{type: sqlite, path: {run_dir}/d}}\napi: {{port: 0}}"
    )
    log = run_dir / "log"
    with Process([sys.executable, "-m", "shipper", "run", "--config", file], log=log) as first:
        first.wait_until(lambda: b'"message":"started"' in log.read_bytes(), 30)
        one_error(shipper("run", "--config", file), f"{run_dir}/d", str(first.pid))


def test_an_unreachable_elasticsearch_is_waited_for(run_dir: Path) -> None:
    file = config(
        run_dir,
        "sources: [{type: relp, port: 0}]\nstore: {type: elasticsearch, urls: ['http://127.0.0.1:1']}\napi: {port: 0}",
    )
    log = run_dir / "log"
    with Process([sys.executable, "-m", "shipper", "run", "--config", file], log=log) as process:
        wait_until(lambda: b"http://127.0.0.1:1" in log.read_bytes(), 30)
        assert process.running
        assert b"Traceback" not in log.read_bytes()
        assert process.stop(20) == 0


@pytest.mark.parametrize("command", [["search", "x"], ["request", "abc"], ["ledger"]])
def test_asking_when_nothing_listens(command: list[str]) -> None:
    one_error(shipper(*command, "--url", "http://127.0.0.1:1"), "http://127.0.0.1:1", "SHIPPER_URL")


def test_rsyslog_check_without_rsyslogd(run_dir: Path) -> None:
    one_error(
        shipper("generate", "rsyslog", "--check", PATH=str(run_dir)),
        "rsyslogd",
        "install the packages rsyslog and rsyslog-relp",
    )
