"""A real HAProxy with the generated file: what its access log becomes when our parsers read it."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from shipper.generate.localhost import Settings, generate
from tests.contract.parsing import fields_of, stamped
from tests.servers.process import Process, accepts, free_port
from tests.unit.localhost_world import app, task


class _Answers404(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _service() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Answers404) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def log(run_dir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(run_dir / "log"))
        (run_dir / "log").chmod(0o777)
        found.settimeout(30)
        yield found


def _access(log: socket.socket) -> dict[str, Any]:
    """Fields of the next line of the access log, as they come out of the parsers."""
    while True:
        line = log.recv(65_536).decode()
        priority, _, message = line.partition(">")
        if "duration_ms" in message:
            return fields_of(stamped(message, pri=priority[1:]))


def test_an_answer_of_an_app_has_status_duration_and_request_id(
    haproxy: str, run_dir: Path, log: socket.socket
) -> None:
    port = free_port()
    settings = Settings(host_name="web-3", http_port=0, log_socket=str(run_dir / "log"))
    with _service() as behind:
        shop = app(
            "/shop/api", (port,), {"HAPROXY_0_MODE": "http"}, [task("/shop/api", 1, host="127.0.0.1", ports=(behind,))]
        )
        (run_dir / "haproxy.cfg").write_text(generate([shop], settings).text)
        argv = [haproxy, "-W", "-db", "-f", str(run_dir / "haproxy.cfg")]
        with Process(argv, log=run_dir / "output") as process:
            process.wait_until(lambda: accepts(port), 30, "HAProxy accepts")
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            client.request("GET", '/a%22b"c\\]?secret=1', headers={"X-Request-ID": "4970aa75a647"})
            assert client.getresponse().status == 404
            client.close()
            found = _access(log)
    assert found["log.syslog.appname"] == "haproxy"
    assert found["http.response.status_code"] == 404
    assert found["http.request.id"] == "4970aa75a647"
    assert (found["http.request.method"], found["url.path"]) == ("GET", '/a%22b"c\\]')
    assert found["client.ip"] == "127.0.0.1"
    assert 0 <= found["event.duration"] < 30 * 10**9
    assert found["labels"]["server"]
    assert "secret" not in found["message"]
