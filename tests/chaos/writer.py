"""A program that logs as syslog(3) does, in a process of its own so that its times are its own; and its handle.

`python -m tests.chaos.writer SOCKET FIRST COUNT RATE` writes records FIRST..FIRST+COUNT-1, RATE a second (0: as fast as
they are taken), and prints how far it is, then what it saw as JSON.
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

#: How often a writer says how far it is, in records.
STEP = 50
#: Nobody should have to wait for longer, in seconds.
LONG = 0.1
#: Every so-many-th record is a warning.
WARNING = 33


@dataclass(frozen=True, slots=True)
class Written:
    """What one writer saw."""

    sent: int
    #: Records that the socket refused, as it does while nobody holds it.
    refused: int
    seconds: float
    longest_seconds: float
    #: How many calls took longer than `LONG`.
    long_calls: int


class Writer:
    """A writer that runs; use it in a `with`, so that it has ended afterwards."""

    def __init__(self, path: Path, first: int, count: int, rate: float) -> None:
        argv = [sys.executable, "-m", "tests.chaos.writer", str(path), str(first), str(count), str(rate)]
        self._program = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self._said = ""

    def reach(self, count: int) -> None:
        """Return when it has written so many records."""
        while self._next() < count:
            pass

    def done(self) -> Written:
        """Return what it saw, when it has ended."""
        while not self._said.startswith("{"):
            self._next()
        assert self._program.wait(60) == 0
        return Written(**json.loads(self._said))

    def _next(self) -> int:
        assert self._program.stdout is not None
        self._said = self._program.stdout.readline()
        assert self._said, "the writer has ended"
        return int(self._said) if not self._said.startswith("{") else 2**31

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._program.kill()
        with self._program:
            pass


class _Log:
    """A connected socket that is connected again once for each record it refuses, as syslog(3) does."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(path)

    def send(self, record: bytes) -> bool:
        try:
            self._socket.send(record)
        except OSError:
            with contextlib.suppress(OSError):
                self._socket.connect(self._path)
                self._socket.send(record)
                return True
            return False
        return True


def write(path: str, first: int, count: int, rate: float) -> Written:
    """Write the records and time each call."""
    log = _Log(path)
    stamp = time.strftime("%b %e %H:%M:%S").encode()
    sent = long_calls = 0
    longest = 0.0
    began = time.perf_counter()
    for index in range(count):
        if rate:  # the load is what has a pace here; whole milliseconds, as a sleep has a price
            ahead = began + index / rate - time.perf_counter()
            if ahead > 0.001:
                time.sleep(ahead)
        number = first + index
        priority = 12 if number % WARNING == 0 else 14
        record = b"<%d>%s chaos[1]: record %d of chaos" % (priority, stamp, number)
        before = time.perf_counter()
        sent += log.send(record)
        seconds = time.perf_counter() - before
        longest = max(longest, seconds)
        long_calls += seconds > LONG
        if (index + 1) % STEP == 0:
            print(index + 1, flush=True)
    return Written(sent, count - sent, time.perf_counter() - began, longest, long_calls)


if __name__ == "__main__":
    told = write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    print(json.dumps({name: getattr(told, name) for name in Written.__slots__}), flush=True)
