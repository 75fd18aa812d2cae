"""The way to rsyslogd: a socket that never makes us wait, and a bounded backlog for when rsyslogd is away or busy."""

import errno
import fcntl
import socket
import termios
from collections import deque
from typing import Final

from shipper.host.shared import SERIES, Cell, Shared

#: What a waiting datagram costs beside its bytes, rounded up.
_OVERHEAD: Final = 96
#: The kernel's own part of a send buffer that no datagram can have.
_KERNEL: Final = 1024
_WANTED_BUFFER: Final = 4 * 2**20
_SO_SNDBUFFORCE: Final = 32
#: While rsyslogd takes so many datagrams a second, writers may wait for it; below, nobody does.
_WORTH_WAITING: Final = 5000
#: How often that is measured, in seconds: the longest that a writer waits for an rsyslogd that has just gone.
WATCH_SECONDS: Final = 0.05
#: The socket is full: tried again when it is writable.
_FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})


def connect(path: str) -> socket.socket:
    """Return a socket that is connected with the relay, with the largest buffer that this process may have."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _WANTED_BUFFER)
    except OSError:  # not root: as large as the system lets everybody have
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WANTED_BUFFER)
    found.connect(path)
    return found


def longest(relay: socket.socket) -> int:
    """Return the longest datagram, in bytes, that this socket can send."""
    return relay.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - _KERNEL


class Relay:
    """Sends datagrams in order of importance: of what waits, warnings and reports go first and are kept longest."""

    def __init__(self, relay: socket.socket, limit: int, shared: Shared) -> None:
        relay.setblocking(False)
        self._socket = relay
        self._limit = limit
        self._cells = shared.cells
        #: Warnings and reports; the rest. Each with the letter of its series.
        self._first: deque[tuple[str, bytes]] = deque()
        self._rest: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self.forwarded = 0
        self._watched_since = 0.0
        self._watched_from = 0
        self._quick = False

    @property
    def waiting(self) -> int:
        """How many datagrams wait."""
        return len(self._first) + len(self._rest)

    @property
    def waiting_bytes(self) -> int:
        """Memory of the datagrams that wait."""
        return self._bytes

    def send(self, letter: str, datagram: bytes) -> None:
        """Send a datagram at once or keep it; dropped and counted when the backlog has nothing less important."""
        if not self._first and not self._rest and self._sent(letter, datagram):
            return
        size = len(datagram) + _OVERHEAD
        if self._bytes + size > self._limit and not self._made_room(letter, size):
            self._drop(letter)
            return
        (self._rest if letter == "n" else self._first).append((letter, datagram))
        self._bytes += size

    def worth_waiting(self, now: float) -> bool:
        """Whether to read no more for a moment: much waits, and rsyslogd takes it so quickly that nobody is held up.

        `now` is a monotonic time in seconds.
        """
        seconds = now - self._watched_since
        if seconds >= WATCH_SECONDS:
            self._quick = self.forwarded - self._watched_from >= _WORTH_WAITING * seconds
            self._watched_since, self._watched_from = now, self.forwarded
        return self._quick and self._bytes > self._limit // 2

    def flush(self) -> bool:
        """Send what waits, as far as rsyslogd takes it; True when nothing waits any more."""
        for waiting in (self._first, self._rest):
            while waiting:
                letter, datagram = waiting[0]
                if not self._sent(letter, datagram):
                    return False
                waiting.popleft()
                self._bytes -= len(datagram) + _OVERHEAD
        return True

    @property
    def unread(self) -> bool:
        """Whether rsyslogd has not yet read all that was sent: the memory of it still counts as ours."""
        return fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)) != bytes(4)

    def give_up(self) -> None:
        """Drop all that waits."""
        for waiting in (self._first, self._rest):
            while waiting:
                self._drop(waiting.popleft()[0])
        self._bytes = 0

    def _sent(self, letter: str, datagram: bytes) -> bool:
        """Whether the datagram needs no more care: rsyslogd has it, or it can never be sent."""
        try:
            self._socket.send(datagram)
        except OSError as error:
            if error.errno in _FULL:
                return False
            if error.errno != errno.EMSGSIZE:
                raise
            self._drop(letter)
            return True
        self.forwarded += 1
        return True

    def _made_room(self, letter: str, size: int) -> bool:
        """Whether there is room for a more important record, now that the newest less important ones are gone."""
        if letter == "n":
            return False
        while self._rest and self._bytes + size > self._limit:
            lesser, datagram = self._rest.pop()
            self._bytes -= len(datagram) + _OVERHEAD
            self._drop(lesser)
        return self._bytes + size <= self._limit

    def _drop(self, letter: str) -> None:
        self._cells[SERIES[letter][1]] += 1

    def publish(self) -> None:
        """Show the figures of this moment."""
        cells = self._cells
        cells[Cell.FORWARDED] = self.forwarded
        cells[Cell.BACKLOG_RECORDS] = len(self._first) + len(self._rest)
        cells[Cell.BACKLOG_BYTES] = self._bytes
