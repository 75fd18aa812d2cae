"""Segment files of recent records: written one after the other, each from its beginning to its end, deleted whole."""

import contextlib
import fcntl
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shipper.errors import ConfigError
from shipper.pipeline._recent_blocks import Block, blocks_of, head_of

#: Segments of a full ring: so much of it goes at a time.
_SEGMENTS: Final = 16
_HOUR_NS: Final = 3600 * 1_000_000_000


@dataclass(slots=True)
class Segment:
    """One file and the blocks in it, oldest first."""

    path: Path
    blocks: list[Block] = field(default_factory=list)
    size: int = 0


class Ring:
    """The files in one directory: one thread writes, any thread reads."""

    def __init__(self, directory: Path, most_bytes: int, hours: float) -> None:
        self._directory = directory
        self._most_bytes = most_bytes
        self._age = int(hours * _HOUR_NS)
        self._segments: list[Segment] = []
        self._lock = threading.Lock()
        self._file: int | None = None
        self._held: int | None = None

    def open(self) -> None:
        """Take the directory and find what an earlier process left in it; ConfigError when it cannot be used."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in sorted(self._directory.glob("recent-*.blocks")):
                with path.open("rb") as file:
                    size = path.stat().st_size
                    self._segments.append(Segment(path, blocks_of(file, size), size))
        except BlockingIOError:
            raise ConfigError(f"pipeline.recent.directory: {self._directory}: another process uses it") from None
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ConfigError(f"pipeline.recent.directory: {self._directory}: {why}") from None
        self.prune(time.time_ns())

    def close(self) -> None:
        """Let go of the directory; the files stay."""
        self._end_file()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def add(self, block: Block) -> None:
        """Show a block to readers, while its data is in memory only."""
        with self._lock:
            if not self._segments or self._segments[-1].size >= self._most_bytes // _SEGMENTS:
                self._end_file()
                self._segments.append(Segment(self._directory / f"recent-{time.time_ns():020d}.blocks"))
            self._segments[-1].blocks.append(block)

    def write(self, block: Block) -> None:
        """Write the block that was added last; OSError when the disk does not take it: it is forgotten then."""
        segment = self._segments[-1]
        head, data = head_of(block), block.data or b""
        try:
            file = self._open_file(segment)
            _write_all(file, head + data)
        except OSError:
            with self._lock:
                segment.blocks.pop()
            self._cut(segment)
            raise
        block.offset, block.data = segment.size + len(head), None
        segment.size += len(head) + len(data)

    def prune(self, now: int) -> None:
        """Delete the oldest segments while there is too much, or what is in them is too old."""
        with self._lock:
            while self._segments and (self._too_much() or self._too_old(self._segments[0], now)):
                segment = self._segments.pop(0)
                if not self._segments:
                    self._end_file()
                with contextlib.suppress(OSError):
                    segment.path.unlink()

    def blocks(self) -> list[tuple[Path, Block]]:
        """Return all blocks with the files they are in, oldest first."""
        with self._lock:
            return [(segment.path, block) for segment in self._segments for block in segment.blocks]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    def _too_much(self) -> bool:
        return len(self._segments) > 1 and self.size > self._most_bytes

    def _too_old(self, segment: Segment, now: int) -> bool:
        return not segment.blocks or segment.blocks[-1].ended < now - self._age

    def _open_file(self, segment: Segment) -> int:
        if self._file is None:
            self._file = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            segment.size = os.fstat(self._file).st_size
        return self._file

    def _cut(self, segment: Segment) -> None:
        """Take back what was written of a block in part; when not even that works, a new file is begun."""
        try:
            if self._file is not None:
                os.ftruncate(self._file, segment.size)
        except OSError:
            segment.size = self._most_bytes

    def _end_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def read(path: Path, block: Block) -> bytes:
    """Return the compressed data of a block; OSError when its file has been deleted meanwhile."""
    data = block.data
    if data is not None:
        return data
    with path.open("rb") as file:
        return os.pread(file.fileno(), block.size, block.offset)
