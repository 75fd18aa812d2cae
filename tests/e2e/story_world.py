"""Small real HTTP services that call each other and log, on hosts whose clocks, logs and lines can be made to fail.

What a host's services log goes as its frames over RELP to a real shipper: numbered, with the host's own time. Or, for a
host that really is one, into its socket.
"""

import contextlib
import json
import random
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from shipper.record.ids import new_start
from tests.servers.process import wait_until
from tests.shipper_process import ShipperProcess

_OFFERS = b"relp_version=0\nrelp_software=story\ncommands=syslog"


class Wire:
    """One RELP session that all hosts share; `settle` returns when all that was sent is stored."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._lock = threading.Lock()
        self._sent, self._answered = 0, 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._send(b"open", _OFFERS)
        self._reader.start()

    def send(self, payload: bytes) -> None:
        """Send one record."""
        self._send(b"syslog", payload)

    def settle(self) -> None:
        """Wait until all that was sent is answered."""
        wait_until(lambda: self._answered == self._sent, 60, "all records are stored")

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(60)
        self._socket.close()

    def _send(self, command: bytes, data: bytes) -> None:
        with self._lock:
            self._sent += 1
            self._socket.sendall(b"%d %s %d %s\n" % (self._sent, command, len(data), data))

    def _read(self) -> None:
        tail = b""
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                text = tail + data
                self._answered += text.count(b"200 OK")
                tail = text[-5:] if not text.endswith(b"\n") else b""


class Machine:
    """One host: numbers what is written on it, by a clock that may be wrong; what `lose` holds for never leaves it."""

    def __init__(self, wire: Wire, name: str, clock_off: float = 0.0) -> None:
        self.name = name
        self.series = new_start() + "n"
        self.lose: Callable[[str], bool] = lambda _: False
        self._wire = wire
        self._off = clock_off
        self._number = 0
        self._lock = threading.Lock()

    def time(self) -> str:
        """What its clock says."""
        return datetime.fromtimestamp(time.time() + self._off, UTC).isoformat(timespec="microseconds")

    def write(self, service: str, text: str) -> None:
        """Write one record of a service."""
        with self._lock:
            self._number += 1
            if self.lose(text):
                return
            said = {
                "v": "1", "series": self.series, "sequence": str(self._number), "host_time": self.time(),
                "host": self.name, "input": "socket", "pri": "14", "app": f"/{service}",
                "task": f"story_{service}.{self.name}", "message": text,
            }  # fmt: skip
            self._wire.send(json.dumps(said).encode())


class Syslog:
    """A host that really is one: its services write to its log socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(path)

    def time(self) -> str:
        """What its clock says."""
        return datetime.now(UTC).isoformat(timespec="microseconds")

    def write(self, service: str, text: str) -> None:
        """Write one record of a service."""
        stamp = time.strftime("%b %e %H:%M:%S")
        self._socket.send(f"<14>{stamp} {service}[1]: {text}".encode())

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@dataclass
class Part:
    """What a service does: calls others, stage by stage, those of one stage at the same time."""

    stages: Sequence[Sequence[str]] = ()
    #: "http" (logs its requests and its calls), "server" (its requests only), "span" (trace spans) or "plain" (words).
    logs: str = "http"
    seconds: float = 0.004
    #: Lines that it writes beside those about its requests.
    lines: int = 0


@dataclass
class Asked:
    """One request that was made, and what shall go wrong in it."""

    id: str
    #: How many times each service answers 503 before it does its work.
    fails: Mapping[str, int] = field(default_factory=dict)
    #: Services that work and write nothing.
    mute: Sequence[str] = ()
    #: What was written, in the order in which it was: service and text.
    written: list[tuple[str, str]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    status: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Shop:
    """Services by name, each a real HTTP server on a port of its own; use it in a `with`. `edge` is the first one."""

    def __init__(self, parts: Mapping[str, Part], machines: Mapping[str, Machine | Syslog], path: str) -> None:
        self.parts, self.machines, self.path = parts, machines, path
        self._asked: dict[str, Asked] = {}
        self._servers: dict[str, ThreadingHTTPServer] = {}
        self._chance = random.Random(path)
        self._pool = ThreadPoolExecutor(32)

    def __enter__(self) -> Self:
        for name in self.parts:
            handler = type("Handler", (_Handler,), {"shop": self, "service": name})
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            self._servers[name] = server
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def ask(self, asked: Asked, number: int = 1) -> Asked:
        """Make one request and return when it is answered."""
        self._asked[asked.id] = asked
        asked.status = self._call(
            "edge", f"{self.path}/{number}", asked.id, f"00-{self._chance.getrandbits(128) | 1:032x}"
        )
        return asked

    def earlier(self, count: int = 6, **wrong: Any) -> None:
        """Make requests to learn from, several at once."""
        asked = [Asked(f"{self.path.strip('/')}-earlier-{number}", **wrong) for number in range(count)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.ask, asked, range(100, 100 + count)))

    def handle(self, service: str, request: BaseHTTPRequestHandler) -> int:
        """Do what a service does and return the status."""
        id, parent = request.headers["X-Request-Id"], request.headers["traceparent"]
        part, asked = self.parts[service], self._asked[id]
        with asked.lock:
            asked.calls[service] = asked.calls.get(service, 0) + 1
            fails = asked.calls[service] <= asked.fails.get(service, 0)
        log = _Log(self, asked, service, request.path, parent)
        log.began()
        time.sleep(part.seconds)
        status = 503 if fails else 200
        for stage in () if fails else part.stages:
            answers = list(self._pool.map(lambda called: self._with_retries(called, log), stage))
            status = 502 if any(answer >= 500 for answer in answers) else status
        for line in range(part.lines):
            log.line(line)
        time.sleep(part.seconds / 2)
        log.ended(status)
        return status

    def _with_retries(self, called: str, log: "_Log") -> int:
        status = 0
        for _ in range(3):
            began = time.monotonic()
            status = self._call(called, f"/{called}/7", log.asked.id, log.onward())
            log.called(called, status, time.monotonic() - began)
            if status < 500:
                break
        return status

    def _call(self, service: str, path: str, id: str, trace: str) -> int:
        if trace.count("-") == 1:
            trace += f"-{self._chance.getrandbits(64) | 1:016x}-01"
        port = self._servers[service].server_address[1]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"X-Request-Id": id, "traceparent": trace}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


class _Handler(BaseHTTPRequestHandler):
    shop: Shop
    service: str

    def do_GET(self) -> None:
        """Answer."""
        status = self.shop.handle(self.service, self)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing of its own."""


class _Log:
    """What one service writes of one request."""

    def __init__(self, shop: Shop, asked: Asked, service: str, path: str, traceparent: str) -> None:
        self.shop, self.asked, self.service, self._path = shop, asked, service, path
        self._machine, self._logs = shop.machines[service], shop.parts[service].logs
        _, self._trace, self._parent, _ = traceparent.split("-")
        self._span = f"{random.Random(f'{service} {self._parent}').getrandbits(64) | 1:016x}"
        self._began = time.monotonic()

    def onward(self) -> str:
        """The header for what it calls: its own span if it has one, else the one that it was given."""
        return f"00-{self._trace}-{self._span if self._logs == 'span' else self._parent}-01"

    def began(self) -> None:
        """It was asked."""
        self._write("asked for it")

    def line(self, number: int) -> None:
        """It says something on the way."""
        self._write(f"step {number}")

    def called(self, service: str, status: int, seconds: float) -> None:
        """It called another and was answered."""
        if self._logs == "http":
            about = {"peer_service": service, "method": "GET", "path": f"/{service}/7"}
            self._write(f"called {service}", **about, status=status, duration_ms=seconds * 1000)

    def ended(self, status: int) -> None:
        """It answers."""
        if self._logs in ("http", "server"):
            took = (time.monotonic() - self._began) * 1000
            self._write("answered", method="GET", path=self._path, status=status, duration_ms=took)
        else:
            self._write(f"done with {status}")

    def _write(self, text: str, **about: object) -> None:
        if self.service in self.asked.mute:
            return
        spans = (
            {"trace_id": self._trace, "span_id": self._span, "parent_id": self._parent} if self._logs == "span" else {}
        )
        with self.asked.lock:
            self.asked.written.append((self.service, text))
            if self._logs == "plain":
                self._machine.write(self.service, f"INFO {text} [request_id={self.asked.id}]")
                return
            said = {"time": self._machine.time(), "level": "info", "msg": text, "request_id": self.asked.id}
            self._machine.write(self.service, json.dumps({**said, **spans, **about}))


@dataclass
class World:
    """A shipper with its SQLite store, and the wire to it."""

    shipper: ShipperProcess
    wire: Wire

    @contextlib.contextmanager
    def shop(self, name: str, parts: Mapping[str, Part], clocks: Mapping[str, float] | None = None) -> Iterator[Shop]:
        """Services, each on a host of its own (`name-service`), whose clocks may be off by some seconds."""
        off = clocks or {}
        machines = {part: Machine(self.wire, f"{name}-{part}", off.get(part, 0.0)) for part in parts}
        with Shop(parts, machines, f"/{name}") as shop:
            yield shop

    def story(self, request_id: str) -> Any:
        """The story of a request, when all that was written is stored."""
        self.wire.settle()
        return self.shipper.get(f"/api/v1/requests/{request_id}")

    def story_with_holes(self, request_id: str) -> Any:
        """The same, when the ledger has been written, too: that is a moment later."""
        wait_until(lambda: self.story(request_id)["holes"], 60, "the ledger knows of a hole")
        return self.story(request_id)
