"""Peers that tests write by hand: a RELP session byte by byte, and what a shipper process says of itself."""

import json
import socket
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Self

import orjson

from shipper.record import times
from tests.shipper_process import ShipperProcess

_OFFERS = b"relp_version=0\nrelp_software=test\ncommands=syslog"
OPEN = b"1 open %d %b\n" % (len(_OFFERS), _OFFERS)
SERIES = "65614f3a9c1en"
DAY_SECONDS = 86_400


def frame(number: int, payload: bytes) -> bytes:
    """A record's frame, with the newline at its end that rsyslog's template writes."""
    return b"%d syslog %d %b\n\n" % (number % 999_999_999 + 1, len(payload) + 1, payload)


def stamped(sequence: int, message: str, *, series: str = SERIES, days_ago: int = 0, **more: str) -> bytes:
    """A record as our rsyslog sends it; the same arguments give the same bytes all day."""
    midnight = int(time.time()) // DAY_SECONDS * DAY_SECONDS
    record = {
        "v": "1", "series": series, "sequence": str(sequence), "host_time": at(midnight - days_ago * DAY_SECONDS),
        "host": "h1", "input": "imuxsock", "pri": "14", "container": "", "message": message,
    }  # fmt: skip
    # Not orjson: a lone surrogate is written as an escape.
    return json.dumps(record | more).encode()


def at(second: int) -> str:
    """A second since 1970 as rsyslog writes it."""
    return f"{times.from_ns(second * 10**9)[:19]}.000000+00:00"


def day(days_ago: int = 0) -> str:
    """The day of `stamped` as it stands in an index's name."""
    return times.day(times.from_ns((int(time.time()) - days_ago * DAY_SECONDS) * 10**9))


class RelpSession:
    """One RELP session over a blocking socket, opened in the `with`; every wait has a limit of `seconds`."""

    def __init__(self, port: int, seconds: float = 30) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._number = 1
        self._tail = b""
        #: Records sent, and answered with 200.
        self.sent = self.answered = 0

    def __enter__(self) -> Self:
        self.socket.sendall(OPEN)
        self.answered = -1
        self.wait(0)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.socket.close()

    def send(self, *payloads: bytes) -> None:
        """Send records without waiting for answers."""
        frames = [frame(self._number + place, payload) for place, payload in enumerate(payloads)]
        self._number += len(payloads)
        self.sent += len(payloads)
        self.socket.sendall(b"".join(frames))

    def wait(self, answers: int | None = None) -> None:
        """Wait until so many records (none: all that were sent) are answered; AssertionError when the peer closes."""
        wanted = self.sent if answers is None else answers
        while self.answered < wanted:
            data = self.socket.recv(65536)
            assert data, f"closed after {self.answered} of {wanted} answers"
            text = self._tail + data
            self.answered += text.count(b"200 OK")
            self._tail = text[-5:] if not text.endswith(b"\n") else b""

    def deliver(self, *payloads: bytes) -> None:
        """Send records and wait for all answers."""
        self.send(*payloads)
        self.wait()

    def silent(self) -> bool:
        """Whether no answer lies there unread."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(30)


def ended(peer: socket.socket) -> bool:
    """Wait until the other end closes, whatever it says before."""
    try:
        while peer.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def ready(shipper: ShipperProcess) -> str | None:
    """What /ready says against it; None when it is ready."""
    try:
        shipper.get("/ready")
    except urllib.error.HTTPError as error:
        with error:
            return str(orjson.loads(error.read())["reason"])
    return None


def metric(shipper: ShipperProcess, name: str) -> float:
    """One counter, summed over its labels."""
    with urllib.request.urlopen(shipper.url + "/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def log_lines(shipper: ShipperProcess) -> list[dict[str, object]]:
    """What the process logged, read as JSON: a traceback on stderr would fail here."""
    return [orjson.loads(line) for line in shipper.log.read_bytes().splitlines()]
