"""The holder: owns the sockets of a host, starts reader, tailer and rsyslogd, and starts again what ends.

It touches no record, so nothing that a record does can end it. SIGTERM ends all in order, SIGHUP restarts rsyslogd when
it accepts its configuration, SIGUSR2 replaces this program by the one on disk while the sockets stay open.
"""

import contextlib
import gc
import os
import selectors
import signal
import sys
import time
from collections import deque
from functools import partial
from typing import Any, Final

import orjson

from shipper import __version__
from shipper.host import machine, reader, report, shared, sockets, status
from shipper.host.children import Child, fork
from shipper.host.notify import notify
from shipper.host.program import Check, Rsyslogd, say
from shipper.host.sent import Sent
from shipper.host.settings import Settings
from shipper.host.shared import Cell, Snapshot

_TICK_SECONDS: Final = 0.25
#: A reader that does nothing for so long while there is something to read is killed.
_HANG_SECONDS: Final = 2.0
_READER_STOP_SECONDS: Final = reader.READ_SECONDS + reader.FLUSH_SECONDS + 2
_TAILER_STOP_SECONDS: Final = 5.0
#: Each of its queues takes up to about 4 s when nobody answers; what is not saved by then is lost.
_RSYSLOGD_STOP_SECONDS: Final = 28.0
#: A child that lived shorter is started again with a pause.
_SHORT_LIFE_SECONDS: Final = 1.0
_MOST_EVENTS: Final = 20
_MOST_UNREPORTED: Final = 100
_DROPS_SECONDS: Final = 10.0
#: What this program tells the one that takes its place.
_HANDOVER: Final = "SHIPPER_HOST_HANDOVER"
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)


class Holder:
    """One holder; `run` returns the exit code after an ordered stop."""

    def __init__(self, settings: Settings) -> None:
        handover: dict[str, Any] = orjson.loads(os.environ.pop(_HANDOVER, "{}"))
        self._settings = settings
        self._rsyslogd = Rsyslogd(settings)  # first: says when there is none
        self._lock = sockets.lock(settings)
        sockets.make_folder(settings.work_directory, 0o700)
        self._sockets = sockets.take(settings)
        self.held_by = handover.get("held_by", self._sockets.held_by)
        self._started_at = report.now(time.time_ns())
        self._state_path = sockets.state_path(settings)
        left = shared.left(self._state_path)
        self._unreported: list[Snapshot] = [left] if left else []
        self._shared = shared.create(self._state_path)
        self._reader = Child("reader")
        self._tailer = Child("tailer") if settings.has_files else None
        self._sent = Sent()
        self._events: deque[report.Event] = deque(handover.get("events", ()), _MOST_EVENTS)
        self._to_reader = -1
        self._check: Check | None = None
        self._heartbeat = (0, 0.0)
        self._drops = (0, 0.0)
        self._received: set[int] = set()
        if "rsyslogd" in handover:
            self._rsyslogd.adopt(handover["rsyslogd"])
            self._received.add(signal.SIGHUP)  # the new program's configuration, when it is accepted

    def run(self) -> int:
        """Hold the sockets until SIGTERM."""
        wakeup = self._catch_signals()
        gc.freeze()  # children share what is here now
        with selectors.DefaultSelector() as selector:
            selector.register(wakeup, selectors.EVENT_READ)
            selector.register(self._sockets.status, selectors.EVENT_READ)
            self._start_missing()
            notify("READY=1")
            while not self._received & {signal.SIGTERM, signal.SIGINT}:
                ready = {key.fd for key, _ in selector.select(_TICK_SECONDS)}
                if wakeup in ready:
                    os.read(wakeup, 4096)
                if self._sockets.status.fileno() in ready:
                    status.answer(self._sockets.status, orjson.dumps(self.state()))
                self._turn()
        self._stop()
        return 0

    def _catch_signals(self) -> int:
        wakeup, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda received, _: self._received.add(received))
        return wakeup

    def _turn(self) -> None:
        """Look after the children; what a signal asked for is done here."""
        self._bury()
        self._start_missing()
        self._watch_reader()
        self._watch_drops()
        for event, detail in self._rsyslogd.watch():
            self._tell(event, detail)
            if event == "rsyslogd ended" and detail.startswith("signal"):
                self._read_files_again()
        self._sent.set(self._rsyslogd.queues.sent_until())
        if self._check is None and signal.SIGHUP in self._received:
            self._received.discard(signal.SIGHUP)
            self._check = self._rsyslogd.check()
        elif self._check is None and signal.SIGUSR2 in self._received:
            self._received.discard(signal.SIGUSR2)
            environment = {**os.environ, sockets.HELD: self._settings.socket}
            self._check = Check("the new program", [sys.executable, *sys.orig_argv[1:], "--check"], environment)
        self._watch_check()
        notify("WATCHDOG=1")

    def _watch_check(self) -> None:
        """Do what a check has allowed: a new rsyslogd, or a new program in our place."""
        check = self._check
        if check is None or (refusal := check.result()) is None:
            return
        self._check = None
        if refusal:
            self._tell("refused", f"{check.name}: {refusal}")
        elif check.name == self._rsyslogd.check_name:
            self._tell("rsyslogd restarts", "asked to")
            self._rsyslogd.restart()
        else:
            self._replace()

    def _read_files_again(self) -> None:
        """What an rsyslogd that was killed had of files in its memory is in the files still, and its ids are the same.

        A tailer that is killed begins again where it was some seconds ago.
        """
        if self._tailer is not None:
            self._tailer.signal(signal.SIGKILL)

    def _bury(self) -> None:
        if self._reader.ended():
            self._keep_numbers()
            self._tell("reader ended", self._reader.last_exit)
            _pause(self._reader)
        if self._tailer is not None and self._tailer.ended():
            self._tell("tailer ended", self._tailer.last_exit)
            _pause(self._tailer)

    def _start_missing(self) -> None:
        now = time.monotonic()
        if not self._reader.running and now >= self._reader.not_before:
            self._start_reader()
        if self._tailer is not None and not self._tailer.running and now >= self._tailer.not_before:
            self._tailer.pid = fork(partial(_tail, self._settings, self._sent), (), signal.SIGTERM)
            _began(self._tailer)
        self._rsyslogd.start_if_due(self._sockets.relay)

    def _start_reader(self) -> None:
        self._shared = shared.create(self._state_path)
        if self._to_reader >= 0:
            os.close(self._to_reader)
        events, self._to_reader = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        inherited = reader.Inherited(
            self._settings, self._sockets.container, self._shared, events, tuple(self._events), tuple(self._unreported)
        )
        keep = (self._sockets.container.fileno(), events)
        self._reader.pid = fork(partial(reader.run, inherited), keep, signal.SIGTERM)
        os.close(events)
        self._heartbeat = (0, time.monotonic())
        self._drops = (0, 0.0)
        _began(self._reader)

    def _keep_numbers(self) -> None:
        """Keep the last numbers of a reader that has ended, for the next one to report."""
        snapshot = self._shared.snapshot()
        del self._unreported[: snapshot[Cell.REPORTED]]
        if snapshot.start and not snapshot[Cell.ENDED]:
            self._unreported = [*self._unreported, snapshot][-_MOST_UNREPORTED:]

    def _watch_reader(self) -> None:
        """Kill a reader that hangs: it does nothing although there is something to read."""
        beat, now = self._shared.cells[Cell.HEARTBEAT], time.monotonic()
        if beat != self._heartbeat[0] or not self._reader.running or not sockets.readable(self._sockets.container):
            self._heartbeat = (beat, now)
        elif now - self._heartbeat[1] > _HANG_SECONDS:
            self._tell("reader hangs", f"nothing done for {_HANG_SECONDS:g} s: killed")
            self._reader.signal(signal.SIGKILL)
            self._heartbeat = (beat, now)

    def _watch_drops(self) -> None:
        """Say that records were dropped, at most every 10 s."""
        dropped, now = self._shared.snapshot().dropped, time.monotonic()
        known, said = self._drops
        if dropped > known and now - said >= _DROPS_SECONDS:
            self._tell("records dropped", f"{dropped - known} while rsyslogd was away or busy")
            self._drops = (dropped, now)

    def _tell(self, event: str, detail: str) -> None:
        """Log an event, and keep it for the status and for the reader's reports."""
        say(f"{event}: {detail}")
        told = {"at": report.now(time.time_ns()), "event": event, "detail": detail}
        self._events.append(told)
        with contextlib.suppress(OSError):  # full or closed: the next reader gets the last events anyway
            os.write(self._to_reader, orjson.dumps(told) + b"\n")

    def state(self) -> dict[str, Any]:
        """Return what `shipper host status` shows."""
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "boot": machine.boot(),
            "host": self._settings.host_name,
            "socket": self._settings.socket,
            "held_by": self.held_by,
            **status.figures(self._shared.snapshot()),
            "reader": status.of_child(self._reader),
            "rsyslogd": status.of_child(self._rsyslogd.child),
            "tailer": None if self._tailer is None else status.of_child(self._tailer),
            "queue_bytes": machine.queue_bytes(self._settings.work_directory),
            "queue_limit_bytes": self._settings.queue_limit_bytes,
            "queue_records": self._rsyslogd.queues.waiting(),
            "events": list(self._events),
        }

    def _stop(self) -> None:
        """End all in order: who numbers first, then who sends."""
        notify("STOPPING=1")
        self._stop_numbering()
        self._rsyslogd.child.stop(_RSYSLOGD_STOP_SECONDS)
        for _ in self._rsyslogd.watch():
            pass  # its last words are shown
        for path in (self._settings.status_socket, self._settings.relay_socket):
            os.unlink(path)  # noqa: PTH108
        if self.held_by == "holder":
            os.unlink(self._settings.socket)  # noqa: PTH108
        say(f"stopped; reader {self._reader.last_exit}, rsyslogd {self._rsyslogd.child.last_exit or 'did not run'}")

    def _stop_numbering(self) -> None:
        if self._tailer is not None:
            self._tailer.signal(signal.SIGTERM)
        self._reader.stop(_READER_STOP_SECONDS)
        if self._tailer is not None:
            self._tailer.stop(_TAILER_STOP_SECONDS)

    def _replace(self) -> None:
        """Become the program on disk; sockets and rsyslogd stay, so writers wait for a moment at most."""
        say("replaced by the program on disk")
        self._stop_numbering()
        handover = {
            "held_by": self.held_by,
            "rsyslogd": self._rsyslogd.handover(),
            "events": list(self._events),
        }
        os.environ[_HANDOVER] = orjson.dumps(handover).decode()
        sockets.hand_over(self._sockets)
        notify("RELOADING=1")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  our own command line


def _began(child: Child) -> None:
    child.began = time.monotonic()
    child.restarts += child.started_at != ""
    child.started_at = report.now(time.time_ns())


def _pause(child: Child) -> None:
    """Start it again at once, or after a pause when it has just been started."""
    now = time.monotonic()
    child.not_before = now if now - child.began > _SHORT_LIFE_SECONDS else now + _TICK_SECONDS


def _tail(settings: Settings, sent: Sent) -> int:
    from shipper.host import tailing

    return tailing.run(settings, sent)
