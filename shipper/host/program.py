"""rsyslogd as a child of the holder: started by its launcher, checked by `rsyslogd -N1`, started again with a pause."""

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from shipper.errors import ConfigError
from shipper.host import report
from shipper.host.children import Child, command, execute, fork
from shipper.host.queues import Queues
from shipper.host.settings import Settings
from shipper.host.sockets import try_lock

_CHECK_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 28.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
#: A process that lived longer than this has its next pause from the beginning.
_LONG_LIFE_SECONDS: Final = 10.0
_LONGEST_LINE: Final = 1000
_READ: Final = 65_536
#: A line of rsyslogd's is not shown again for so long; so many are remembered.
_SILENT_SECONDS: Final = 600.0
_MOST_SAID: Final = 64
#: What the launcher says in front of a refusal.
_REFUSED: Final = "start: "


#: What systemd tells the holder, and nobody else.
_OURS: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})


def say(text: str) -> None:
    """Write one line of our own log."""
    print(f"shipper host: {text}", file=sys.stderr, flush=True)  # noqa: T201


def find(settings: Settings) -> str:
    """Return the path of rsyslogd; ConfigError when there is none."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    found = shutil.which(settings.rsyslogd or "rsyslogd", path=path)
    if found is None:
        name = f"rsyslogd: {settings.rsyslogd}" if settings.rsyslogd else "rsyslogd"
        raise ConfigError(f"{name} is missing or cannot be run: install the packages rsyslog and rsyslog-relp")
    return found


class Check:
    """A program that says whether something can be used, run beside us: exit code 0, or a refusal on stderr."""

    def __init__(self, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._said = os.memfd_create("check")
        self._child = Child(name)
        self._child.pid = fork(execute(argv, environment, self._said), (self._said,), signal.SIGKILL)
        self._deadline = time.monotonic() + _CHECK_SECONDS

    def result(self) -> str | None:
        """Return "" when it was accepted, the refusal in one line, or None as long as nothing is known."""
        if not self._child.ended():
            if time.monotonic() < self._deadline:
                return None
            self._child.stop(0)
            return f"no answer in {_CHECK_SECONDS:g} s"
        said = os.pread(self._said, _READ, 0).decode(errors="replace")
        os.close(self._said)
        if self._child.last_exit == "exit 0":
            return ""
        lines = [line for line in said.splitlines() if line and "config validation run" not in line]
        return lines[0][:_LONGEST_LINE] if lines else self._child.last_exit


def _apart(body: Callable[[], int], lock: int) -> int:
    """Be in a group of its own, as Ctrl-C in a terminal is for the holder, who stops rsyslogd last; keep the lock."""
    os.setpgid(0, 0)
    os.set_inheritable(lock, True)
    return body()


class Rsyslogd:
    """The child that runs rsyslogd, and what it says."""

    check_name = "rsyslogd's configuration"

    def __init__(self, settings: Settings) -> None:
        self.child = Child("rsyslogd")
        self._program = find(settings)
        self._config = str(Path(settings.folder, "shipper.conf"))
        self._lock_path = Path(settings.relay_socket).with_name("rsyslogd.lock")
        self._launcher = str(Path(settings.folder, "start"))
        for path in (self._config, self._launcher):
            if not os.access(path, os.R_OK):
                raise ConfigError(f"{path} is missing: `shipper generate rsyslog` writes it beside host.json")
        self._pause = _FIRST_PAUSE
        self._output = -1
        self._unfinished = b""
        self._last_line = ""
        self._said: dict[str, float] = {}
        self._refusal = ""
        self._announced = True
        self._kill_at = 0.0
        self.queues = Queues()

    def start_if_due(self, relay: socket.socket) -> None:
        """Start it when it does not run and its pause is over."""
        now = time.monotonic()
        if self.child.running or now < self.child.not_before:
            return
        lock = try_lock(self._lock_path)
        if lock is None:  # that of a holder that was killed still saves its queues: two would spoil them
            self.child.not_before = now + _FIRST_PAUSE
            return
        if self._output >= 0:
            os.close(self._output)
        self._output, its_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(its_end, True)
        argv = [self._launcher, "-r", self._program, "-f", self._config]
        environment = {name: value for name, value in os.environ.items() if name not in _OURS}
        body = execute(argv, environment, its_end, relay.fileno())
        keep = (its_end, relay.fileno(), lock)
        self.child.pid = fork(partial(_apart, body, lock), keep, signal.SIGTERM)
        os.close(its_end)
        os.close(lock)
        self.child.began = now
        self.child.restarts += self.child.started_at != ""
        self.child.started_at = report.now(time.time_ns())
        self._announced = False

    def watch(self) -> Iterator[tuple[str, str]]:
        """Pass on what it says, and tell what has happened to it since the last question."""
        self._read_output()
        if not self._announced and command(self.child.pid) not in {"", "start", command(os.getpid())}:
            self._announced, self._refusal = True, ""
            yield "rsyslogd started", f"pid {self.child.pid}"
        if self._kill_at and time.monotonic() > self._kill_at:
            self._kill_at = 0.0
            self.child.signal(signal.SIGKILL)
        if self.child.ended():
            self._read_output()
            self.queues.forget()
            yield from self._ended()
        elif asleep := self.queues.asleep():
            yield "rsyslogd's queue sleeps", f"{asleep} on disk: rsyslogd is started again"
            self.restart()

    def _ended(self) -> Iterator[tuple[str, str]]:
        now = time.monotonic()
        asked, self._kill_at = self._kill_at > 0, 0.0
        if asked or now - self.child.began > _LONG_LIFE_SECONDS:
            self._pause = _FIRST_PAUSE
        self.child.not_before = now if asked else now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        refused = not self._announced and self._last_line.startswith(_REFUSED)
        if not refused:
            yield "rsyslogd ended", self.child.last_exit
        elif self._last_line != self._refusal:  # the same one is said once
            self._refusal = self._last_line
            yield "rsyslogd refused", self._refusal.removeprefix(_REFUSED)
        self._announced = True

    def restart(self) -> None:
        """Ask it to end; it is started again at once."""
        self._pause = _FIRST_PAUSE
        if self.child.running:
            self._kill_at = time.monotonic() + _STOP_SECONDS
            self.child.signal(signal.SIGTERM)
        self.child.not_before = 0.0

    def check(self) -> Check:
        """Ask rsyslogd whether it accepts the configuration on disk."""
        argv = [self._program, "-N1", "-f", self._config]
        return Check(self.check_name, argv, {**os.environ, "SHIPPER_SERIES": "check0"})

    def handover(self) -> dict[str, Any]:
        """Return what `adopt` needs; its output stays open over an exec."""
        if self._output >= 0:
            os.set_inheritable(self._output, True)
        child = self.child
        return {
            "pid": child.pid,
            "output": self._output,
            "started_at": child.started_at,
            "restarts": child.restarts,
            "last_exit": child.last_exit,
        }

    def adopt(self, handover: Mapping[str, Any]) -> None:
        """Take over the process that this program had before an exec."""
        self.child.pid, self._output = int(handover["pid"]), int(handover["output"])
        self.child.started_at, self.child.restarts = handover["started_at"], handover["restarts"]
        self.child.last_exit = handover["last_exit"]
        self.child.began = time.monotonic()
        if self._output >= 0:
            os.set_inheritable(self._output, False)

    def _read_output(self) -> None:
        """Show its lines in our log; one that is said again and again, now and then."""
        if self._output < 0:
            return
        try:
            data = os.read(self._output, _READ)
        except BlockingIOError:
            return
        *lines, rest = (self._unfinished + data).split(b"\n")
        self._unfinished = rest[:_LONGEST_LINE]
        for line in lines:
            text = line[:_LONGEST_LINE].decode(errors="replace")
            if not text or self.queues.hear(text):
                continue
            self._last_line = text
            if not text.startswith(_REFUSED) and self._is_new(text):
                say(text)

    def _is_new(self, text: str) -> bool:
        """Whether this was not said lately."""
        now = time.monotonic()
        known = now - self._said.get(text, -_SILENT_SECONDS) < _SILENT_SECONDS
        if not known:
            if len(self._said) >= _MOST_SAID:
                self._said.clear()
            self._said[text] = now
        return not known
