"""Reads log files of this host line by line and waits instead of dropping: a file can wait.

Every file has a turn of at most `_TURN_BYTES`, so none starves the others. Reading pauses while rsyslogd's queue files
are more than half of what they may be.
"""

import resource
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EMSGSIZE
from typing import Final, Protocol

from shipper.host import lines
from shipper.host.catalogue import Catalogue
from shipper.host.checkpoints import Checkpoints
from shipper.host.figures import Complaints, Figures, shown
from shipper.host.followed import Followed
from shipper.host.lines import Origin
from shipper.host.queue_files import QueueFiles
from shipper.host.reading import ChangedError, Reading
from shipper.host.sent import SentUntil

#: Seconds between two looks at files that were active lately; a line waits that long at most.
_LOOK_SECONDS: Final = 0.25
#: Looks until each other file had its own, so that one has it each second; and seconds between two searches for files.
_LOOKS: Final = 4
_SEARCH_SECONDS: Final = 1.0
#: A search waits this many times as long as it took, so that it never takes more than a twentieth of a core.
_SEARCH_SHARE: Final = 20
#: Seconds for which a file counts as active.
_ACTIVE_SECONDS: Final = 10.0
_TURN_BYTES: Final = 256 * 1024
#: Files open at once, if the system allows twice as many. What is closed and removed right after a last write is lost.
_MOST_OPEN: Final = 4096
#: Seconds until a datagram that was not taken is sent again.
_AGAIN_SECONDS: Final = 0.2

#: A datagram of this size is never cut because the socket takes none of it.
_SMALLEST: Final = 4096

Send = Callable[[bytes], None]


class Settings(Protocol):
    """What the tailer must be told."""

    @property
    def sandboxes(self) -> str:
        """The work_dir of the Mesos agent; "": none."""

    @property
    def files(self) -> Sequence[str]:
        """Patterns of other files."""

    @property
    def work_directory(self) -> str:
        """Where rsyslogd keeps its queue and we our checkpoint."""

    @property
    def host_name(self) -> str:
        """What records say as host; "": the machine's own name."""

    @property
    def queue_limit_bytes(self) -> int:
        """What rsyslogd's queue may have on disk; reading pauses at half of it."""


class Stopping(Protocol):
    """How the tailer learns that it is to end: a threading.Event fits, one set by a signal handler too."""

    def is_set(self) -> bool:
        """Say whether to end."""

    def wait(self, timeout: float) -> bool:
        """Wait at most so many seconds until it is set; return whether it is."""


class StoppedError(Exception):
    """The end came while a record could not be sent; it will be read again."""


def run(settings: Settings, send: Send, stopping: Stopping, sent_until: SentUntil) -> None:
    """Read and send until told to stop.

    `send` takes one datagram, waits as long as it likes, and is called again when it raises OSError. What was sent
    before `sent_until()` is no longer only in rsyslogd's memory.
    Raises OSError when the work directory cannot be used.
    """
    Tailer(settings, send, stopping, sent_until).run()


class Tailer:
    """All files of a host. Raises OSError when the work directory cannot be used."""

    def __init__(
        self, settings: Settings, send: Send, stopping: Stopping, sent_until: SentUntil = time.monotonic
    ) -> None:
        self._take = send
        self._stopping = stopping
        self._figures = Figures()
        self._complaints = Complaints(self._figures)
        self._queue = QueueFiles(settings.work_directory, settings.queue_limit_bytes)
        self._checkpoints = Checkpoints(settings.work_directory, sent_until)
        if self._checkpoints.error:
            self._complaints.say(self._checkpoints.error, time.monotonic())
        self._host = settings.host_name or socket.gethostname()
        self._catalogue = Catalogue(settings.sandboxes, settings.files, self._checkpoints, self._follow)
        self._resting: deque[Followed] = deque()
        self._open: OrderedDict[Reading, None] = OrderedDict()
        self._most_open = min(_MOST_OPEN, _open_limit() // 2)
        self._next_search = self._next_look = 0.0
        self._catalogue.restore()
        #: Those with something to read or active lately; all others only have their look each second.
        self._lively: dict[Followed, None] = dict.fromkeys(self._catalogue.followed.values())

    def figures(self) -> Figures:
        """Return what was counted."""
        self._figures.files = len(self._catalogue.followed)
        self._figures.open = sum(reading.descriptor >= 0 for reading in self._open)
        return self._figures

    def run(self) -> None:
        """Read until told to stop, then write how far all of it was read."""
        with suppress(StoppedError):
            while not self._stopping.is_set():
                if not self.turn(time.monotonic()):
                    self._stopping.wait(_LOOK_SECONDS)
        self._checkpoints.close()

    def turn(self, now: float) -> bool:
        """Look for files and read a little of each; True when one of them has more."""
        if now >= self._next_search:
            self._search(now)
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            self._look_at_resting(now)
        more = False
        for followed in list(self._lively):
            more |= self._visit(followed, now)
        self._checkpoints.tick(now)
        if self._checkpoints.error:
            self._complaints.say(self._checkpoints.error, now)
        return more

    def _follow(self, origin: Origin) -> Followed:
        return Followed(origin, self._host, self._checkpoints, self._figures)

    def _search(self, now: float) -> None:
        """Search for files; those that are new are looked at at once."""
        began = time.thread_time()  # on a busy machine a search that waits is not a search that costs
        for followed in self._catalogue.search():
            followed.active = now
            self._lively[followed] = None
        self._next_search = now + max(_SEARCH_SECONDS, (time.thread_time() - began) * _SEARCH_SHARE)

    def _look_at_resting(self, now: float) -> None:
        """Look at a quarter of them: at each once a second."""
        for _ in range(min(len(self._resting), len(self._resting) // _LOOKS + 1)):
            followed = self._resting.popleft()
            if followed in self._lively or not self._catalogue.holds(followed):
                continue
            if self._look(followed, now) or followed.active == now:
                self._lively[followed] = None
            else:
                self._resting.append(followed)

    def _visit(self, followed: Followed, now: float) -> bool:
        """Give a lively file its turn; True when it has more."""
        waiting = self._look(followed, now)
        more = False
        self._figures.waiting = int(self._queue.are_half_full(now))
        if waiting and not self._figures.waiting:
            for reading in followed.readings():
                more |= self._read(followed, reading, now)
        if followed.leaving and not followed.readings():
            self._catalogue.drop(followed)
            del self._lively[followed]
        elif not waiting and now - followed.active > _ACTIVE_SECONDS:
            del self._lively[followed]
            self._resting.append(followed)
            if followed.current is not None:
                followed.current.rest()
        return more

    def _look(self, followed: Followed, now: float) -> bool:
        try:
            waiting = followed.look(now)
        except OSError as error:
            self._complain(followed, error, now)
            return bool(followed.ended)
        if followed.current is not None and followed.current.descriptor >= 0:
            self._keep_open(followed.current)
        return waiting

    def _read(self, followed: Followed, reading: Reading, now: float) -> bool:
        """Read one file for one turn; True when it has more."""
        left = _TURN_BYTES
        try:
            if not followed.open(reading):
                followed.replaced(reading, now)
                return False
            self._keep_open(reading)
            reading.check()
            while left > 0:
                size = reading.step(now, self._send, self._figures)
                if not size:
                    break
                left -= size
                followed.active = now
                self._queue.count(size)
                if self._stopping.is_set():
                    raise StoppedError
        except ChangedError:
            followed.replaced(reading, now)
            return False
        except OSError as error:
            self._complain(followed, error, now)
            reading.detach()
            return False
        if reading.ended and reading.rested(now):
            followed.finish(reading)
        return left <= 0

    def _send(self, datagram: bytes) -> None:
        """Send until it is taken. Raises StoppedError when told to stop meanwhile."""
        while True:
            try:
                self._take(datagram)
            except OSError as error:
                if error.errno == EMSGSIZE and len(datagram) > _SMALLEST:
                    datagram = lines.halve(datagram)
                    self._figures.cut += 1
                elif self._stopping.wait(_AGAIN_SECONDS):
                    raise StoppedError from None
            else:
                return

    def _keep_open(self, reading: Reading) -> None:
        """Note that a file was used; the one that was not used for longest is closed when there are too many."""
        self._open[reading] = None
        self._open.move_to_end(reading)
        if len(self._open) <= self._most_open:
            return
        self._open = OrderedDict((one, None) for one in self._open if one.descriptor >= 0)
        for one in list(self._open)[: max(len(self._open) - self._most_open * 3 // 4, 0)]:
            if not one.ended:  # one that has ended may have no name any more by which it could be opened again
                one.detach()
                del self._open[one]

    def _complain(self, followed: Followed, error: OSError, now: float) -> None:
        if not isinstance(error, FileNotFoundError):
            self._complaints.say(f"cannot read {shown(followed.origin.path)}: {error.strerror}", now)


def _open_limit() -> int:
    """Return how many files this process may open, after raising that to what we want."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST_OPEN if hard == resource.RLIM_INFINITY else min(2 * _MOST_OPEN, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return 2 * _MOST_OPEN if soft == resource.RLIM_INFINITY else soft
