"""A real HAProxy as it stands on a host: master and workers, on the file that `shipper haproxy` keeps."""

import contextlib
import http.client
import shlex
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shipper.cluster.model import App, Task
from shipper.deploy.haproxy import Discovery
from shipper.deploy.haproxy_program import Program
from shipper.generate.localhost import Settings
from tests.servers.process import Process, wait_until

#: Between two requests of a client, so that a small machine has time for HAProxy, too.
_PAUSE_SECONDS = 0.003


class _Named(BaseHTTPRequestHandler):
    """Answers every GET with the port that was asked, on connections that stay open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = str(self.connection.getsockname()[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Backends:
    """Small HTTP servers that stand for tasks; each answers with its own port."""

    def __init__(self, count: int) -> None:
        self._servers = [_Server(("127.0.0.1", 0), _Named) for _ in range(count)]
        self.ports = [int(server.server_address[1]) for server in self._servers]

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in self._servers]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()


class Host:
    """HAProxy and its file in a folder; HAProxy runs from `start` on."""

    def __init__(self, haproxy: str, directory: Path, http_port: int, relp_port: int) -> None:
        self.haproxy, self.directory = haproxy, directory
        self.out = directory / "apps.cfg"
        self.pid_file = directory / "haproxy.pid"
        self.check = f"{shlex.quote(haproxy)} -c -f {{}}"
        self.settings = Settings(
            host_name="web-3", http_port=http_port, relp_port=relp_port, log_socket=str(directory / "log")
        )

    def program(self, check: str | None = None) -> Program:
        """What keeps the file, with HAProxy's own check or another."""
        return Program(self.out, check_command=check or self.check, reload_command="false", pid_file=self.pid_file)

    def discovery(self, check: str | None = None) -> Discovery:
        """What takes Marathon's answers."""
        return Discovery(self.program(check), self.settings)

    def start(self) -> Process:
        """Start HAProxy on the file, as systemd's unit does."""
        command: list[str | Path] = [self.haproxy, "-W", "-p", self.pid_file, "-f", self.out]
        self.process = Process(command, log=self.directory / "haproxy.log")
        self.process.wait_until(self.pid_file.exists, what="pid file")
        return self.process

    def workers(self) -> set[int]:
        """Process ids of all workers, old ones too."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}


def app(app_id: str, port: int, ports: Sequence[int], **labels: str) -> App:
    """An app on a service port, with a task on each of these ports of this machine."""
    tasks = tuple(Task(f"{app_id.strip('/')}.{each}", app_id, "127.0.0.1", (each,), "TASK_RUNNING") for each in ports)
    return App(app_id, "2026-11-23T00:00:00.000Z", labels, len(tasks), (port,), tasks, (), {"id": app_id})


def get(port: int, host: str = "localhost") -> str:
    """The body that one request gets."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        return ask(connection, host)


def ask(connection: http.client.HTTPConnection, host: str = "localhost") -> str:
    """The body that one more request on a connection gets; "status 503" when there is none."""
    connection.request("GET", "/", headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read().decode()
    return body if answer.status == 200 else f"status {answer.status}"


def serves(port: int) -> bool:
    """Whether one request gets an answer of a backend's."""
    try:
        return get(port).isdigit()
    except (OSError, http.client.HTTPException):
        return False


class Load:
    """Clients that ask again and again until the end: half on one connection each as long as it is kept, half anew."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self._port, self._clients = port, clients
        self._stopping = threading.Event()
        self.answers: list[str] = []
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._clients)
        self._done = [self._pool.submit(self._ask, kept=bool(number % 2)) for number in range(self._clients)]
        wait_until(lambda: len(self.answers) > self._clients, what="load")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._pool.shutdown()
        for each in self._done:
            each.result()

    def _ask(self, kept: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._stopping.wait(_PAUSE_SECONDS):
            try:
                said = ask(connection)
                (self.answers if said.isdigit() else self.failures).append(said)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            if not kept:
                connection.close()
        connection.close()


def inode(path: Path) -> int:
    """Which file it is: another one after each replacement."""
    return path.stat().st_ino
