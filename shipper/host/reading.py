"""One generation of one file: read in ranges, each announced, then sent, then behind us."""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from shipper.host import lines
from shipper.host.checkpoints import Checkpoints, Generation, Place, Range, Saved
from shipper.host.figures import Figures
from shipper.host.files import HEAD_BYTES, TAIL_BYTES, Mark, edges, fits, mark

#: Seconds that an unfinished line stands before it is taken for a line: the last words of a program that died.
UNFINISHED_SECONDS: Final = 5.0
_READ_BYTES: Final = 64 * 1024

Send = Callable[[bytes], None]


class ChangedError(Exception):
    """The file is not the one that was read: truncated, or written anew."""


class Reading:
    """Reads one generation from where the last checkpoint, or its own last step, has left it."""

    __slots__ = (
        "_checked_at", "_checkpoints", "_encoder", "_head", "_line", "_make_encoder", "_seen_at", "_since", "_skipping",
        "_stood", "_tail", "descriptor", "ended", "expected", "generation", "name", "offset", "size",
    )  # fmt: skip

    def __init__(
        self, name: str, saved: Saved, make_encoder: Callable[[], lines.Encoder], checkpoints: Checkpoints
    ) -> None:
        self.name = name
        self.generation: Generation = saved.generation
        #: What the file must look like when it is opened.
        self.expected: Mark = saved.furthest()
        #: No longer at its path: read to its end and be done.
        self.ended = False
        self.descriptor = -1
        #: Size and time of change when it was last looked at.
        self.size = self.expected.offset
        self._seen_at = self._checked_at = -1
        self._make_encoder = make_encoder
        #: Only while there is something to read: thousands of files rest.
        self._encoder: lines.Encoder | None = None
        self._checkpoints = checkpoints
        self.offset, self._line, self._skipping = saved.place.mark.offset, saved.place.line, saved.place.skipping
        self._head = self._tail = b""
        #: Where there was nothing complete to read, how much stood there, and since when.
        self._stood: tuple[int, int] = (-1, 0)
        self._since = 0.0

    @property
    def reached(self) -> int:
        """How many bytes of the file were seen, in this process or by the one before."""
        return max(self.offset, self.expected.offset)

    def identity(self) -> tuple[int, int]:
        """Return device and inode of the open file, which may be a copy of the one that was at the path."""
        if self.descriptor < 0:
            return self.generation.device, self.generation.inode
        status = os.fstat(self.descriptor)
        return status.st_dev, status.st_ino

    def attach(self, descriptor: int) -> bool:
        """Take over an open file if it is ours; else leave it. Raises OSError."""
        if not fits(descriptor, self.expected):
            return False
        self._head, self._tail = edges(descriptor, self.offset)
        self.descriptor = descriptor
        return True

    def detach(self) -> None:
        """Close the file; it may be attached again."""
        descriptor = self.release()
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def release(self) -> int:
        """Give the open file to the caller; -1 when it was closed."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            self.expected = max(self.expected, mark(self.offset, self._head, self._tail))
        return descriptor

    def verify(self) -> None:
        """Close the file when it is no longer what was read of it: it was truncated, perhaps after a copy was made."""
        if self.descriptor >= 0 and edges(self.descriptor, self.offset) != (self._head, self._tail):
            self.detach()

    def changed(self, status: os.stat_result) -> bool:
        """Say whether there may be something to read.

        A file of the same size that has changed was perhaps truncated and has grown to just that size.
        """
        self.size, self._seen_at = status.st_size, status.st_mtime_ns
        return self.size > self.offset or self._seen_at != self._checked_at

    def check(self) -> None:
        """Look whether the file still begins as it did. Raises ChangedError, OSError."""
        if os.pread(self.descriptor, len(self._head), 0) != self._head:
            raise ChangedError
        self._checked_at = self._seen_at

    def step(self, now: float, send: Send, figures: Figures) -> int:
        """Read one range and send its lines; return its bytes, 0 when there is nothing complete.

        Raises ChangedError and OSError, and whatever `send` raises; then the same range is read again.
        """
        known = self._checkpoints.range_from(self.name, self.offset)
        if known is None:
            data = self._fresh(now)
        else:
            data = self._read(known.mark.offset - self.offset)
            if self.offset + len(data) != known.mark.offset:
                raise ChangedError
        if self._skipping or not data:
            return self._skip(data)
        head, tail = (self._head + data)[:HEAD_BYTES], (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        if known is None:
            host_time = datetime.now().astimezone().isoformat(timespec="microseconds")
            known = Range(mark(self.offset + len(data), head, tail), host_time)
            self._checkpoints.announce(self.name, self.offset, known)
        encoder = self._encoder = self._encoder or self._make_encoder()
        count = 0
        for datagram in encoder.datagrams(data, self._line, self.offset, known.host_time):
            send(datagram)
            count += 1
        self._line += count
        self._skipping = lines.is_cut(data)
        figures.lines += count
        figures.cut += encoder.cut
        encoder.cut = 0
        self._advance(len(data), head, tail)
        figures.bytes += len(data)
        return len(data)

    def rest(self) -> None:
        """Keep no more memory than it takes to go on."""
        self._encoder = None

    def rested(self, now: float) -> bool:
        """Say whether nothing has come for so long that an ended file is done with."""
        return self._stood == (self.offset, 0) and now - self._since >= UNFINISHED_SECONDS

    def _fresh(self, now: float) -> bytes:
        """Read what nobody has read before: complete lines only, or an unfinished one that has stood long enough."""
        data = self._read(_READ_BYTES)
        if self._skipping:
            return data[: data.find(b"\n") + 1] or data
        end = lines.complete(data)
        if not end and len(data) == _READ_BYTES:
            data = self._read(lines.LONGEST_LINE + 1)
            end = lines.complete(data)
        return data[:end] if end or not self._stands(len(data), now) else data

    def _stands(self, size: int, now: float) -> bool:
        if self._stood != (self.offset, size):
            self._stood, self._since = (self.offset, size), now
        return now - self._since >= UNFINISHED_SECONDS

    def _skip(self, data: bytes) -> int:
        """Leave the rest of a line that was cut; its end is a range's end, however it is read."""
        if data:
            self._skipping = not data.endswith(b"\n")
            self._advance(len(data), self._head, (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:])
        return len(data)

    def _read(self, size: int) -> bytes:
        """Read on, and what is before that once more: a file that was truncated and has grown again differs there."""
        before = len(self._tail)
        data = os.pread(self.descriptor, before + size, self.offset - before)
        if data[:before] != self._tail:
            raise ChangedError
        return data[before:]

    def _advance(self, size: int, head: bytes, tail: bytes) -> None:
        self.offset += size
        self._head, self._tail = head, tail
        place = Place(mark(self.offset, head, tail), self._line, self._skipping)
        self._checkpoints.move(self.name, place)
