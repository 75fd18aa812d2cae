"""A datagram becomes a record: its PRI and message, and the JSON object that rsyslogd passes on untouched.

The object is described in DESIGN.md, "The record that a host sends"; all its values are strings.
"""

import base64
import time
from typing import Final

import orjson

#: Longest message of a record, in bytes; more is cut and marked.
LONGEST_MESSAGE: Final = 128 * 1024
#: Longest datagram to rsyslogd: below its maxMessageSize of 1m, however it counts.
LONGEST_DATAGRAM: Final = 1_000_000
#: PRI of what has none, or a wrong one: user.notice (RFC 3164 section 4.3.3).
DEFAULT_PRI: Final = 13
#: What rsyslogd sorts datagrams by: severity 4 to the queue of warnings, 6 to the other, local7 to that of reports.
RELAY_PRI: Final = {"w": b"<12>", "n": b"<14>", "h": b"<190>"}

_PRIS: Final = {b"<%d>" % pri: pri for pri in range(192)}
_LONGEST_PRI: Final = 5


def split(data: bytes) -> tuple[int, bytes]:
    """Return PRI and message of a datagram, without one newline at its end.

    Without a right PRI (`<0>` to `<191>`) all of it is the message.
    """
    if data[-1:] == b"\n":
        data = data[:-1]
    end = data.find(b">", 1, _LONGEST_PRI) + 1
    pri = _PRIS.get(data[:end])
    return (DEFAULT_PRI, data) if pri is None else (pri, data[end:])


def cut(message: bytes, longest: int) -> bytes:
    """Return at most so many bytes of a message, cut between two characters where it is UTF-8."""
    if len(message) <= longest:
        return message
    end = longest
    while end > longest - 3 and message[end] & 0xC0 == 0x80:
        end -= 1
    return message[:end] if message[end] & 0xC0 != 0x80 else message[:longest]


class Clock:
    """Spells times as RFC 3339 does: microseconds, this machine's offset with a colon."""

    def __init__(self) -> None:
        self._second = -1
        self._front = self._offset = b""

    def spell(self, nanoseconds: int) -> bytes:
        """Return the spelling of a time in nanoseconds since 1970 (UTC)."""
        second, rest = divmod(nanoseconds, 1_000_000_000)
        if second != self._second:
            local = time.localtime(second)
            offset = time.strftime("%z", local)
            self._front = time.strftime("%Y-%m-%dT%H:%M:%S.", local).encode()
            self._offset = f"{offset[:3]}:{offset[3:5]}".encode()
            self._second = second
        return b"%s%06d%s" % (self._front, rest // 1000, self._offset)


class Stamp:
    """Writes the datagrams of one start: what its records have alike is composed once."""

    def __init__(self, host: str, start: str, longest: int = LONGEST_DATAGRAM) -> None:
        self._host = orjson.dumps(host)
        self._longest = longest
        self._clock = Clock()
        self._fronts = {
            letter: pri + b'{"v":"1","series":"%s%s","sequence":"' % (start.encode(), letter.encode())
            for letter, pri in RELAY_PRI.items()
        }
        self._middles: dict[tuple[str, int], bytes] = {}

    def compose(
        self,
        letter: str,
        sequence: int,
        nanoseconds: int,
        source: str,
        pri: int,
        members: bytes,
        message: bytes,
        truncated: bool = False,
    ) -> tuple[bytes, bool]:
        """Return the datagram of one record, and whether its message had to be cut.

        `source` is its `input`; `members` are ready JSON members that begin with a comma (the origin's, the pid).
        """
        front = b"%s%d%s%s%s" % (
            self._fronts[letter],
            sequence,
            b'","host_time":"' + self._clock.spell(nanoseconds),
            self._middles.get((source, pri)) or self._middle(source, pri),
            members,
        )
        if len(message) > LONGEST_MESSAGE:
            message, truncated = cut(message, LONGEST_MESSAGE), True
        datagram = front + _tail(message, truncated)
        while len(datagram) > self._longest and message:  # control characters and wrong bytes grow in JSON
            truncated = True
            room = max(0, self._longest - len(front))
            message = cut(message, min(len(message) - 1, len(message) * room // (len(datagram) - len(front))))
            datagram = front + _tail(message, truncated)
        return datagram, truncated

    def _middle(self, source: str, pri: int) -> bytes:
        middle = b'","host":%s,"input":"%s","pri":"%d"' % (self._host, source.encode(), pri)
        self._middles[source, pri] = middle
        return middle


def _tail(message: bytes, truncated: bool) -> bytes:
    mark = b',"truncated":"1"' if truncated else b""
    try:
        return b'%s,"message":%s}' % (mark, orjson.dumps(message.decode()))
    except UnicodeDecodeError:
        exact = base64.b64encode(message)
        text = orjson.dumps(message.decode(errors="replace"))
        return b'%s,"message_base64":"%s","message":%s}' % (mark, exact, text)
