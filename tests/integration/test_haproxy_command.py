"""The command `shipper haproxy`: with a cluster that starts and stops tasks, and with a Marathon that is ill."""

import http.server
import json
import shlex
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shipper.cli import main
from shipper.deploy.haproxy_program import is_taken
from tests.emulator.process import Emulator
from tests.integration.localhost_world import Host, get, inode
from tests.servers.process import Process, free_port, wait_until


@pytest.fixture
def host(haproxy: str, run_dir: Path) -> Iterator[Host]:
    world = Host(haproxy, run_dir, free_port(), free_port())
    yield world
    if hasattr(world, "process"):
        world.process.stop()


def arguments(host: Host, marathon: str, *more: str) -> list[str]:
    settings = host.settings
    return [
        "haproxy", "--marathon", marathon, "--out", str(host.out), "--pid-file", str(host.pid_file),
        "--check-command", host.check, "--host-name", settings.host_name, "--http-port", str(settings.http_port),
        "--relp-port", str(settings.relp_port), "--log-socket", settings.log_socket, *more,
    ]  # fmt: skip


def post(url: str, document: Any, method: str = "POST") -> None:
    body = None if document is None else json.dumps(document).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=30):
        pass


def test_apps_are_served_as_they_start_scale_and_stop(host: Host) -> None:
    port, name = free_port(), "web.example"
    page = "mkdir -p www && echo 42 > www/index.html && cd www"
    wanted = {
        "id": "/shop/web",
        "cmd": f"{page} && exec {shlex.quote(sys.executable)} -m http.server $PORT0 --bind $HOST",
        "instances": 1,
        "cpus": 0.1,
        "mem": 32,
        "portDefinitions": [{"port": port}],
        "labels": {"HAPROXY_0_VHOST": name, "HAPROXY_1_VHOST": "nobody.example"},
    }

    def tasks() -> int:
        return host.out.read_text().count("\n  server ") if host.out.exists() else 0

    with Emulator(host.directory / "emulator", time_scale=0.1) as emulator:
        log = host.directory / "command.log"
        with Process([sys.executable, "-m", "shipper", *arguments(host, emulator.marathon)], log=log) as command:
            command.wait_until(host.out.exists, 60, "a file without apps")
            host.start()
            post(f"{emulator.marathon}/v2/apps", wanted)
            command.wait_until(lambda: tasks() == 1, 60, "the app is in the file")
            command.wait_until(lambda: _says(port) and _says(host.settings.http_port, name), 60, "HAProxy serves it")
            post(f"{emulator.marathon}/v2/apps//shop/web", {"instances": 3}, "PUT")
            command.wait_until(lambda: tasks() == 3, 60, "three tasks are in the file")
            post(f"{emulator.marathon}/v2/apps//shop/web", None, "DELETE")
            command.wait_until(lambda: "no apps at all" in log.read_text(), 60, "it says that nothing is left")
            assert tasks() > 0, "the last good file stays"
            assert command.stop() == 0
        assert "HAPROXY_1_VHOST: the app has no port 1" in log.read_text()


def _says(port: int, name: str = "localhost") -> bool:
    try:
        return get(port, name).strip() == "42"
    except OSError:
        return False


@contextmanager
def fake_marathon(status: int, body: bytes) -> Iterator[str]:
    """A server that gives one answer to everything; none at all for status 0."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if status:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def answer(*apps: dict[str, Any]) -> bytes:
    return json.dumps({"apps": apps}).encode()


def one_app(port: int, **labels: str) -> dict[str, Any]:
    task = {"id": "a.1", "appId": "/a", "host": "127.0.0.1", "ports": [1], "state": "TASK_RUNNING"}
    return {"id": "/a", "instances": 1, "ports": [port], "labels": labels, "tasks": [task]}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (409, b'{"message":"App is locked","deployments":[{"id":"d1"}]}', "d1"),
        (401, b"<html>no\x1b[31m</html>", "401"),
        (403, b"{}", "403"),
        (500, b"oops", "500"),
        (200, b"\xff\xfe garbage \x1b]0;x\x07", "Marathon"),
        (200, b'{"apps": 7}', "Marathon"),
        (200, b'{"apps": [7]}', "Marathon"),
        (200, b'{"apps": []}', "no apps at all"),
        (200, b"", "Marathon"),
        (0, b"", "Marathon"),
    ],
)
def test_a_marathon_that_is_ill_leaves_the_file_and_says_so(
    host: Host, capsys: pytest.CaptureFixture[str], status: int, body: bytes, said: str
) -> None:
    with fake_marathon(200, answer(one_app(free_port()))) as marathon:
        main(arguments(host, marathon, "--once"))
    before = inode(host.out)
    capsys.readouterr()
    with fake_marathon(status, body) as marathon:
        assert main(arguments(host, marathon, "--once")) == 2
    message = capsys.readouterr().err
    assert inode(host.out) == before
    assert said in message
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert message.strip().isprintable()


def test_once_brings_it_up_to_date_and_tells_programs(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    host.out.write_text("")
    with fake_marathon(200, answer(one_app(port, HAPROXY_0_MODE="\x1b[31mudp\n"))) as marathon:
        # HAProxy does not run yet: the file is there, and that is said.
        assert main(arguments(host, marathon, "--once", "--json")) == 2
        told = capsys.readouterr()
        state = json.loads(told.out)
        assert (state["changed"], state["apps"], state["ports"], state["servers"]) == (True, 1, 1, 1)
        assert state["problems"][0]["app"] == "/a"
        assert "the file is in place, but HAProxy could not be told" in told.err
        host.start()
        wait_until(lambda: is_taken("127.0.0.1", port) and host.workers(), what="HAProxy runs")
        assert main(arguments(host, marathon, "--once")) == 0
        told = capsys.readouterr()
        assert told.out == f"{host.out}: as it was; 1 app on 1 port, 1 task\n"
        assert told.err.startswith("problem: /a HAPROXY_0_MODE: ")
        assert "\x1b" not in told.err


def test_print_changes_nothing(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with fake_marathon(200, answer(one_app(port))) as marathon:
        assert main(arguments(host, marathon, "--print")) == 0
    assert f"  bind 127.0.0.1:{port}\n" in capsys.readouterr().out
    assert not host.out.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--check-command", "haproxy -c"], "--check-command: needs {}"),
        (["--check-command", "'"], "--check-command: "),
        (["--reload-command", ""], "--reload-command: is empty"),
        (["--out", "/no/such/folder/x.cfg"], "--out /no/such/folder/x.cfg: /no/such/folder is not a folder"),
        (["--http-port", "70000"], "haproxy --http-port: "),
        (["--host-name", "a b"], "haproxy --host-name: "),
        (["--log-socket", "/run/x y"], "haproxy --log-socket: "),
        (["--address", "0.0.0.0"], "haproxy --address: "),
        (["--address", "127.0.0.256"], "haproxy --address: "),
        (["--relp-port", "80", "--http-port", "80"], "http_port and relp_port are the same"),
        (["--marathon", "marathon:8080"], "--marathon: marathon:8080: must be http://host:port"),
    ],
)
def test_a_wrong_option_is_named(host: Host, capsys: pytest.CaptureFixture[str], more: list[str], said: str) -> None:
    assert main(arguments(host, "http://127.0.0.1:1", "--once", *more)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert said in message


def test_a_file_of_somebody_else_is_not_replaced(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.out.write_text("global\n  maxconn 10\n")
    with fake_marathon(200, answer(one_app(free_port()))) as marathon:
        assert main(arguments(host, marathon, "--once")) == 2
    assert "somebody else wrote this file" in capsys.readouterr().err
    assert host.out.read_text() == "global\n  maxconn 10\n"
