"""A tailer as a process of its own: `python -m tests.integration.tailer_process SETTINGS`, a JSON object.

Its records go to the datagram socket `socket` or, with "", nowhere. SIGTERM stops it; then it says what it used.
"""

import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from shipper.host.tailer import Tailer


class Stopping:
    """Set by SIGTERM; the pipe wakes whoever waits."""

    def __init__(self) -> None:
        self._set = False
        self._reader, self._writer = os.pipe()
        signal.signal(signal.SIGTERM, self._stop)

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float) -> bool:
        select.select([self._reader], [], [], timeout)
        return self._set

    def _stop(self, *_: object) -> None:
        self._set = True
        os.write(self._writer, b"x")


def sending(path: str) -> Callable[[bytes], None]:
    if not path:
        return lambda _: None
    to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    to.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    to.connect(path)

    def send(datagram: bytes) -> None:
        to.send(datagram)

    return send


def peak_kib() -> int:
    """Return the largest resident size since this program began; ru_maxrss knows its parent's, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    settings = SimpleNamespace(
        **{"files": (), "host_name": "web-3", "queue_limit_bytes": 2**30} | json.loads(sys.argv[1])
    )
    began = time.monotonic()
    tailer = Tailer(settings, sending(settings.socket), Stopping())
    tailer.run()
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = tailer.figures()
    print(json.dumps({
        "lines": figures.lines, "cut": figures.cut, "errors": figures.errors, "lost": figures.lost,
        "seconds": time.monotonic() - began, "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_kib": peak_kib(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
