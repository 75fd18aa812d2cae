"""The reader: the only process that reads the container socket. It numbers each record and passes it to rsyslogd.

It runs as a child of the holder, never waits for anything but the sockets, and ends in order on SIGTERM: what is in the
socket is read, what waits is sent, and the last report closes its series.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from shipper.host import relay as relays
from shipper.host import report
from shipper.host.docker_lines import WAIT_SECONDS as DOCKER_SECONDS
from shipper.host.docker_lines import DockerLine, DockerLines
from shipper.host.intake import Intake
from shipper.host.origins import Origin, Origins
from shipper.host.settings import Settings
from shipper.host.shared import SERIES, Cell, Shared, Snapshot
from shipper.host.stamp import LONGEST_DATAGRAM, LONGEST_MESSAGE, Stamp, split
from shipper.record.ids import new_start

#: Datagrams read before anything else is looked at.
_BATCH: Final = 256
#: A new start is named, once a second, when a number is larger; far below 2^31-1, the largest that shippers take.
_LAST_SEQUENCE: Final = 2**31 - 2**24
#: Severity of a PRI's last three bits: this and below is "warning and above".
_WARNING: Final = 4
_MOST_EVENTS: Final = 20
#: PRI of reports: local7.info.
_REPORT_PRI: Final = 190
#: How long an ordered end may take: reading what is there, then sending what waits.
READ_SECONDS: Final = 2.0
FLUSH_SECONDS: Final = 5.0
#: How often it is looked whether rsyslogd has read all, at the end.
_LOOK_SECONDS: Final = 0.005
_NICE: Final = -10
_EVENTS_READ: Final = 65_536


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a reader gets from the holder that forks it."""

    settings: Settings
    container: socket.socket
    shared: Shared
    #: Reads one JSON object per line: what happened, for the reports.
    events: int
    past_events: Sequence[report.Event]
    #: Readers that were killed and are still to be reported.
    predecessors: Sequence[Snapshot]


class Reader:
    """One start of the reader. `run` returns after SIGTERM."""

    def __init__(self, inherited: Inherited) -> None:
        self._settings = inherited.settings
        self._shared = inherited.shared
        self._cells = inherited.shared.cells
        self._predecessors = inherited.predecessors
        self._past_events: deque[report.Event] = deque(inherited.past_events, _MOST_EVENTS)
        self._events = inherited.events
        self._unfinished_event = b""
        self._container = inherited.container
        self._intake = Intake(inherited.container)
        self._relay_socket = relays.connect(self._settings.relay_socket)
        self._relay = relays.Relay(self._relay_socket, self._settings.backlog_bytes, inherited.shared)
        self._longest = min(LONGEST_DATAGRAM, relays.longest(self._relay_socket))
        self._origins = Origins(sandboxes=self._settings.sandboxes)
        self._docker = DockerLines(self._origins.container, LONGEST_MESSAGE)
        self._resolved = self._unresolved = self._received = 0
        self._next_report = self._next_tick = 0.0
        self._stopping = False
        self._begin()

    def _begin(self) -> None:
        """Start a new series of each class."""
        start = new_start()
        self._shared.begin(start)
        self._stamp = Stamp(self._settings.host_name, start, self._longest)
        self._resolved = self._unresolved = self._received = self._relay.forwarded = 0

    def run(self) -> None:
        """Read, number and pass on until SIGTERM, then end in order."""
        wakeup, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the holder, who stops us in order
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        with select.epoll() as poll:
            poll.register(self._container, select.EPOLLIN)
            poll.register(self._events, select.EPOLLIN)
            poll.register(wakeup, select.EPOLLIN)
            poll.register(self._relay_socket, 0)
            self._report_predecessors()
            while not self._stopping:
                self._turn(poll)
        self._end()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _turn(self, poll: select.epoll) -> None:
        """Wait for the sockets at most until the next second, and do what is due."""
        waiting = self._relay.waiting > 0
        poll.modify(self._relay_socket, select.EPOLLOUT if waiting else 0)
        self._cells[Cell.HEARTBEAT] += 1
        now = time.monotonic()
        patience = min(self._next_tick - now, DOCKER_SECONDS)
        holding = self._relay.worth_waiting(now)
        if holding:
            patience = min(patience, relays.WATCH_SECONDS)
        poll.modify(self._container, 0 if holding else select.EPOLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, patience))}
        if self._container.fileno() in ready:
            self._read_batch()
        if self._events in ready:
            self._read_events()
        if waiting:
            self._relay.flush()
        now = time.monotonic()
        self._pass_on_docker(self._docker.due(now))
        if now >= self._next_tick:
            self._tick(now)
        self._publish()

    def _tick(self, now: float) -> None:
        """Do what is done once a second."""
        self._next_tick = now + 1
        self._origins.tick(now)
        if now >= self._next_report:
            self._next_report = now + self._settings.heartbeat_seconds
            self._report()
        if max(self._cells[last] for last, _ in SERIES.values()) >= _LAST_SEQUENCE:
            self._publish()
            self._report(ended=True)
            self._begin()
            self._report()

    def _read_batch(self) -> bool:
        """Read what is there, up to a batch; True when the socket is empty."""
        read, origin_of = self._intake.read, self._origins.origin
        for _ in range(_BATCH):
            datagram = read()
            if datagram is None:
                return True
            data, pid, pidfd, truncated = datagram
            try:
                origin = origin_of(pid, pidfd)  # at once: a short-lived writer is gone in a moment
            finally:
                if pidfd is not None:
                    os.close(pidfd)
            try:
                self._take(data, pid, origin, truncated)
            except ConnectionRefusedError:
                raise  # the relay is gone: not the record's fault
            except Exception as error:  # noqa: BLE001  a fence: no record may end the reader, or it would each time it comes
                self._count_bug(error)
        return False

    def _take(self, data: bytes, pid: int, origin: Origin, truncated: bool) -> None:
        """Make records of one datagram."""
        if not data:
            self._cells[Cell.EMPTY] += 1
        elif origin.dockerd:
            self._pass_on_docker(self._docker.feed(data, time.monotonic()))
        else:
            pri, message = split(data)
            members = origin.json + b',"pid":"%d"' % pid if pid else origin.json
            self._pass_on("socket", pri, origin, members, message, truncated)

    def _count_bug(self, error: Exception) -> None:
        """Say the first one; its number, if it has got one, is a hole."""
        if not self._cells[Cell.BUGS]:
            traceback.print_exception(error)
        self._cells[Cell.BUGS] += 1

    def _pass_on_docker(self, lines: Sequence[DockerLine]) -> None:
        for line in lines:
            if line.stream:
                members = line.origin.json + b',"stream":%s' % orjson.dumps(line.stream)
                self._pass_on("docker", line.pri, line.origin, members, line.message, line.truncated)
            else:  # the daemon's own words
                self._pass_on("socket", line.pri, line.origin, line.origin.json, line.message, line.truncated)

    def _pass_on(self, source: str, pri: int, origin: Origin, members: bytes, message: bytes, truncated: bool) -> None:
        """Number one record and send it."""
        self._received += 1
        if origin.known:
            self._resolved += 1
        else:
            self._unresolved += 1
        self._number("w" if pri & 7 <= _WARNING else "n", source, pri, members, message, truncated)

    def _number(self, letter: str, source: str, pri: int, members: bytes, message: bytes, truncated: bool) -> None:
        last = SERIES[letter][0]
        sequence = self._cells[last] + 1
        self._cells[last] = sequence  # before it is sent: what we have in hand when we are killed is a known hole
        datagram, truncated = self._stamp.compose(
            letter, sequence, time.time_ns(), source, pri, members, message, truncated
        )
        if truncated:
            self._cells[Cell.TRUNCATED] += 1
        self._relay.send(letter, datagram)

    def _publish(self) -> None:
        cells = self._cells
        cells[Cell.RECEIVED] = self._received
        cells[Cell.RESOLVED] = self._resolved
        cells[Cell.UNRESOLVED] = self._unresolved
        self._relay.publish()

    def _read_events(self) -> None:
        """Take what the holder has to tell."""
        try:
            data = os.read(self._events, _EVENTS_READ)
        except BlockingIOError:
            return
        if not data:  # the holder is gone; our own SIGTERM is on its way
            self._stopping = True
        *lines, self._unfinished_event = (self._unfinished_event + data).split(b"\n")
        self._past_events.extend(orjson.loads(line) for line in lines)

    def _report(self, *, ended: bool = False) -> None:
        self._send_report(self._shared.snapshot(), ended=ended)

    def _report_predecessors(self) -> None:
        """Say what the last numbers of killed readers were: they could not."""
        for snapshot in self._predecessors:
            self._send_report(snapshot, ended=True, clean=False)
        self._cells[Cell.REPORTED] = len(self._predecessors)

    def _send_report(self, snapshot: Snapshot, *, ended: bool, clean: bool = True) -> None:
        at = report.now(time.time_ns())
        message = report.compose(snapshot, self._settings, at, self._past_events, ended=ended, clean=clean)
        self._number("h", "report", _REPORT_PRI, b"", message, truncated=False)

    def _end(self) -> None:
        """Read the socket empty, send what waits, and close the series with a last report."""
        deadline = time.monotonic() + READ_SECONDS
        while not self._read_batch() and time.monotonic() < deadline:
            self._beat()
            self._relay.flush()
        self._pass_on_docker(self._docker.due(float("inf")))
        deadline = time.monotonic() + FLUSH_SECONDS
        if self._flushed(deadline):
            self._publish()
            self._report(ended=True)
            if self._flushed(deadline) and self._taken(deadline):
                self._cells[Cell.ENDED] = 1
        self._relay.give_up()
        self._publish()

    def _flushed(self, deadline: float) -> bool:
        """Whether all that waits could be sent in time."""
        poll = select.poll()
        poll.register(self._relay_socket, select.POLLOUT)
        while not self._relay.flush():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._beat()
            poll.poll(min(left, 0.5) * 1000)
        return True

    def _taken(self, deadline: float) -> bool:
        """Whether rsyslogd has read all in time: what is unread when it is stopped after us would be lost."""
        while self._relay.unread:
            if time.monotonic() > deadline:
                return False
            self._beat()
            time.sleep(_LOOK_SECONDS)
        return True

    def _beat(self) -> None:
        self._cells[Cell.HEARTBEAT] += 1


def run(inherited: Inherited) -> int:
    """Be the reader until SIGTERM; return the exit code of this process."""
    with contextlib.suppress(PermissionError):  # writers wait for us on a busy machine; it takes CAP_SYS_NICE
        os.nice(_NICE)
    try:
        Reader(inherited).run()
    except ConnectionRefusedError:
        print("reader: the relay socket is gone: the holder has ended", file=sys.stderr)  # noqa: T201
        return 1
    return 0
