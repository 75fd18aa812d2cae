"""What Docker's syslog driver sends, as the lines a container wrote: long ones are in pieces, which are joined again.

The driver is set up with `syslog-format=rfc5424micro`, `env=MESOS_TASK_ID` and the tag `TAG`. It writes
`<30>1 TIME HOST ID/TASK PID ID/TASK - line`, cuts a line after every 16,384 bytes without a mark, and leaves out empty
lines. So a line of exactly 16,384 bytes (or two, three … times as many) is joined with the next one of its stream, if
that comes within half a second; nothing in what the driver writes tells the two cases apart.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import orjson

from shipper.host.origins import DOCKERD, Origin
from shipper.host.stamp import split

#: The driver's `tag` option. Without `with`, a container without a task would be named "<no value>".
TAG: Final = "{{.FullID}}/{{with (.ExtraAttributes nil).MESOS_TASK_ID}}{{.}}{{else}}-{{end}}"
#: The tag is there twice. A task with a space in it is found by that; a container's id cannot be chosen by anybody.
_RECORD: Final = re.compile(rb"<\d{1,3}>1 \S+ \S+ (([0-9a-f]{64})/(.{1,1024}?)) \d+ \1 - ", re.DOTALL)
#: By severity: what the driver takes for each stream.
_STREAMS: Final = {6: "stdout", 3: "stderr"}
_NO_TASK: Final = b"-"
_LONGEST_TASK: Final = 255

#: The length of every piece but the last.
PIECE: Final = 16384
#: How long a piece waits for the next one.
WAIT_SECONDS: Final = 0.5
#: Lines that wait at once, and bytes of them.
_MOST_WAITING: Final = 1024
_MOST_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class DockerLine:
    """One line of a container's output; with the stream "" it is a datagram of the daemon's own, as it came."""

    origin: Origin
    pri: int
    stream: str
    message: bytes
    truncated: bool


@dataclass(slots=True)
class _Waiting:
    origin: Origin
    pri: int
    stream: str
    until: float
    message: bytearray = field(default_factory=bytearray)
    given: bool = False


_Key = tuple[bytes, str]


class DockerLines:
    """Joins pieces, one line per container and stream at a time. What it holds is bounded.

    A line above `limit` bytes is given out cut as soon as it is; what follows of it is left out (`cut_bytes`). When too
    much waits, the line that has waited longest is given out as it is (`hurried`), and its rest is a line of its own.
    """

    def __init__(self, container: Callable[[str], Origin], limit: int = 131072) -> None:
        """`container` says who the container with an id is."""
        self.joined = 0
        self.cut_bytes = 0
        self.hurried = 0
        self._container = container
        self._limit = limit
        self._waiting: dict[_Key, _Waiting] = {}  # in the order of `until`
        self._bytes = 0

    def feed(self, data: bytes, now: float) -> list[DockerLine]:
        """Take one datagram of the daemon's and return what is complete now (`now` in seconds)."""
        pri, message = split(data)
        header = _RECORD.match(data)
        stream = _STREAMS.get(pri & 7, "")
        if header is None or not stream:
            return [DockerLine(DOCKERD, pri, "", message, truncated=False)]
        piece = data[header.end() :].removesuffix(b"\n")  # the driver's own
        key = (header[2], stream)
        waiting = self._waiting.pop(key, None)
        if len(piece) != PIECE and waiting is None:
            return [DockerLine(self._origin(header), pri, stream, piece, truncated=False)]
        if waiting is None:
            waiting = _Waiting(self._origin(header), pri, stream, now)
        else:
            self._bytes -= len(waiting.message)
            self.joined += 1
        return self._add(key, waiting, piece, now)

    def due(self, now: float) -> list[DockerLine]:
        """Return the lines whose next piece has not come in time: they were complete."""
        lines = []
        for key in list(self._waiting):
            if self._waiting[key].until > now:
                break
            lines += self._give(self._take(key))
        return lines

    def _add(self, key: _Key, waiting: _Waiting, piece: bytes, now: float) -> list[DockerLine]:
        """Put a piece at the end of a line, which is not in the table now."""
        lines = []
        room = 0 if waiting.given else self._limit - len(waiting.message)
        waiting.message += piece[:room]
        if len(piece) > room:
            self.cut_bytes += len(piece) - room
            if not waiting.given:
                lines = self._give(waiting, truncated=True)
                waiting.given, waiting.message = True, bytearray()
        if len(piece) != PIECE:
            return lines or self._give(waiting)
        waiting.until = now + WAIT_SECONDS
        self._waiting[key] = waiting
        self._bytes += len(waiting.message)
        while len(self._waiting) > _MOST_WAITING or self._bytes > _MOST_BYTES:
            self.hurried += 1
            lines += self._give(self._take(next(iter(self._waiting))))
        return lines

    def _take(self, key: _Key) -> _Waiting:
        waiting = self._waiting.pop(key)
        self._bytes -= len(waiting.message)
        return waiting

    def _give(self, waiting: _Waiting, truncated: bool = False) -> list[DockerLine]:
        if waiting.given:
            return []
        return [DockerLine(waiting.origin, waiting.pri, waiting.stream, bytes(waiting.message), truncated)]

    def _origin(self, header: re.Match[bytes]) -> Origin:
        origin = self._container(header[2].decode())
        if header[3] == _NO_TASK or b',"task":"' in origin.json:  # quotes in values are escaped
            return origin
        # Gone before it was looked at: the daemon says what it was started with.
        task = header[3].decode(errors="replace")
        if len(task) > _LONGEST_TASK or not task.isprintable():
            return origin
        members = origin.json or b',"container":"%s"' % header[2]
        return Origin(members + b',"task":' + orjson.dumps(task), known=True, dockerd=False)
