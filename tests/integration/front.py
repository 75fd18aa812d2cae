"""nginx in front as its app starts it, and what stands behind it in tests: servers that tell what they were asked."""

import base64
import http.client
import json
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers.process import Process, accepts, free_port
from tests.unit.marathon_apps import apps

SECRET = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Answer:
    """What nginx answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """What a server behind nginx says it was asked."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class _Telling(BaseHTTPRequestHandler):
    """Answers with what was asked; a path says what else it shall do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = self._size()
        told = {
            "name": self.server.name,  # type: ignore[attr-defined]
            "path": self.path,
            "headers": [[name.lower(), text] for name, text in self.headers.items()],
            "size": size,
        }
        text = json.dumps(told).encode()
        self.send_response(503 if "busy" in self.path else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        self.do_GET()

    def _size(self) -> int:
        left = int(self.headers.get("Content-Length", "0"))
        size = left
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        return size

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def telling(name: str) -> Iterator[int]:
    """A server that answers with its name and what it was asked; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Telling) as server:
        server.name = name  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Front:
    """nginx in front on free ports, started by the command of its app; logs go to a socket in its folder."""

    def __init__(self, nginx: str, folder: Path, **settings: object) -> None:
        folder.chmod(0o755)  # its workers are another user
        self.folder = folder
        self.secrets = folder / "secrets"
        (self.secrets / "front").mkdir(parents=True, exist_ok=True)
        self.app = apps(**{"secrets_directory": str(self.secrets), **settings})["marathon-apps/nginx.json"]
        self.port, self.tls_port = free_port(), free_port()
        self._nginx = nginx
        self.socket = folder / "log.socket"

    @contextmanager
    def running(self) -> Iterator["Front"]:
        """Run it until the end of the block."""
        with self.started() as process:
            process.wait_until(lambda: accepts(self.port), 60)
            yield self

    def started(self) -> Process:
        """Start it, without waiting."""
        conf = self.app["env"]["NGINX_CONF"].replace("unix:/dev/log", f"unix:{self.socket}")
        mesos = {
            "PORT0": str(self.port), "PORT1": str(self.tls_port), "MESOS_SANDBOX": str(self.folder),
            "TMPDIR": str(self.folder), "PATH": f"{Path(self._nginx).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        argv = ["/bin/sh", "-c", self.app["cmd"]]
        return Process(argv, log=self.folder / "nginx.log", env={"NGINX_CONF": conf, **mesos})

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """Ask it for a path, over TLS with a context."""
        connection: http.client.HTTPConnection = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            if tls is None
            else http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=30, context=tls)
        )
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        finally:
            connection.close()


def basic(user: str, password: str) -> dict[str, str]:
    """The header of a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def heard(answer: Answer, name: str) -> list[str]:
    """The values of a header that came through to the server behind."""
    return [text for header, text in answer.told["headers"] if header == name]
