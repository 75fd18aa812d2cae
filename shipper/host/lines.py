"""Bytes of a file → numbered records, no I/O: where a line ends, what of it is kept, and the JSON it becomes.

A record is one line without its newline. An empty line is no record and has no number, so numbers are dense. A carriage
return and NUL are kept. What is longer than `LONGEST_LINE` is cut and marked.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import orjson

#: Bytes of a line that are kept; the rest is skipped up to its newline.
LONGEST_LINE: Final = 128 * 1024
#: Bytes of a datagram: a sender's socket buffer takes about 212,000 where nobody has raised it (net.core.wmem_default).
LARGEST_DATAGRAM: Final = 200_000
_PRI: Final = b"<14>"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where lines come from: a path, and the task and stream it belongs to when it is in a Mesos sandbox."""

    path: bytes
    task: str = ""
    stream: str = ""


def series(host: str, path: bytes, device: int, inode: int, generation: int) -> str:
    """Return the name of one generation of one file; the same file gives the same name for ever."""
    what = orjson.dumps([host, path.hex(), device, inode, generation])
    return blake2b(what, digest_size=8).hexdigest() + "f"


def complete(data: bytes) -> int:
    """Return how many bytes from the start of `data` are lines that nothing can change any more."""
    end = data.rfind(b"\n") + 1
    if end == 0 and len(data) > LONGEST_LINE:
        return LONGEST_LINE + 1
    return end


def is_cut(data: bytes) -> bool:
    """Say whether the last line of `data` was cut, so that what follows in the file is to be skipped."""
    return len(data) - (data.rfind(b"\n") + 1) > LONGEST_LINE


class Encoder:
    """Makes datagrams of the lines of one generation; what they have alike is serialised once."""

    def __init__(self, name: str, host: str, origin: Origin) -> None:
        self._start = _PRI + b'{"v":"1","series":"%b","sequence":"' % name.encode()
        described = b'","host":%b,"input":"file","pri":"14"' % _json(host)
        if origin.task:
            described += b',"task":%b,"stream":%b' % (_json(origin.task), _json(origin.stream))
        self._described = described + b',"file":%b,"offset":"' % _json(origin.path.decode(errors="replace"))
        self.cut = 0

    def datagrams(self, data: bytes, number: int, offset: int, host_time: str) -> Iterator[bytes]:
        """Yield a datagram for every line in `data`, whose first byte is at `offset` and follows line `number`.

        The end of `data` ends a line, with or without a newline. Lines that were cut are counted in `cut`.
        """
        middle = b'","host_time":"%b' % host_time.encode() + self._described
        start = self._start
        dumps = orjson.dumps
        for line in data.split(b"\n"):
            if line:
                number += 1
                try:
                    text = dumps(line.decode())
                except UnicodeDecodeError:
                    text = b""
                if not text or len(text) > LONGEST_LINE:
                    yield self._odd(b'%b%d%b%d"' % (start, number, middle, offset), line)
                else:
                    yield b'%b%d%b%d","message":%b}' % (start, number, middle, offset, text)
            offset += len(line) + 1

    def _odd(self, stamp: bytes, line: bytes) -> bytes:
        """Return the datagram of a line that is long or no UTF-8: cut until it fits."""
        kept = _shorten(line, LONGEST_LINE)
        while True:
            datagram = stamp + _message(kept, len(kept) < len(line))
            if len(datagram) <= LARGEST_DATAGRAM:
                self.cut += len(kept) < len(line)
                return datagram
            kept = _shorten(kept, len(kept) * LARGEST_DATAGRAM // len(datagram) - 64)


def halve(datagram: bytes) -> bytes:
    """Return the datagram with half of its message, for a socket that takes no larger one."""
    record = orjson.loads(datagram[len(_PRI) :])
    message = record.pop("message")
    record.pop("message_base64", None)
    record |= {"truncated": "1", "message": message[: len(message) // 2]}
    return _PRI + orjson.dumps(record)


def _message(line: bytes, truncated: bool) -> bytes:
    cut = b',"truncated":"1"' if truncated else b""
    try:
        return cut + b',"message":%b}' % _json(line.decode())
    except UnicodeDecodeError:
        shown = _json(line.decode(errors="replace"))
        return cut + b',"message_base64":"%b","message":%b}' % (base64.b64encode(line), shown)


def _shorten(line: bytes, size: int) -> bytes:
    """Return the first `size` bytes or up to 3 fewer, so that no character of UTF-8 is cut in two."""
    if len(line) <= size:
        return line
    for end in range(size, max(size - 4, 0), -1):
        if line[end] & 0xC0 != 0x80:  # the byte behind the cut starts a character
            return line[:end]
    return line[:size]


def _json(text: str) -> bytes:
    return orjson.dumps(text)
