"""The reader's numbers in memory that outlives it: the holder shows them, and the next reader reports the last ones.

The memory is a file beside the relay socket (on a tmpfs), so it outlives a killed holder, too. Each number is one
aligned 64-bit cell, written at once by the reader alone; `last` of a series is written before the record is sent, so
that what a killed reader had in hand is a hole between known numbers.
"""

import contextlib
import mmap
import os
from dataclasses import dataclass
from enum import IntEnum, auto
from pathlib import Path
from typing import Final

from shipper.host import machine

#: Changes with the meaning of a cell, so that a new program never misreads what an older one left.
_MAGIC: Final = b"shipper2"
_START: Final = slice(8, 24)
_BOOT: Final = slice(24, 64)
_HEADER: Final = 64


class Cell(IntEnum):
    """Where each number is."""

    HEARTBEAT = 0
    W_LAST = auto()
    W_DROPPED = auto()
    N_LAST = auto()
    N_DROPPED = auto()
    H_LAST = auto()
    H_DROPPED = auto()
    RECEIVED = auto()
    FORWARDED = auto()
    #: Empty datagrams, which are no records.
    EMPTY = auto()
    TRUNCATED = auto()
    #: Records whose writer is known, and those whose is not.
    RESOLVED = auto()
    UNRESOLVED = auto()
    #: Datagrams that a bug of ours has cost.
    BUGS = auto()
    BACKLOG_RECORDS = auto()
    BACKLOG_BYTES = auto()
    #: How many predecessors this reader has reported.
    REPORTED = auto()
    #: 1 once the last report of this start has gone out.
    ENDED = auto()


#: Cells of the last number and of the dropped ones, by the letter of the series.
SERIES: Final = {
    "w": (Cell.W_LAST, Cell.W_DROPPED),
    "n": (Cell.N_LAST, Cell.N_DROPPED),
    "h": (Cell.H_LAST, Cell.H_DROPPED),
}
_SIZE: Final = _HEADER + 8 * len(Cell)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of one reader at one moment."""

    start: str
    boot: str
    cells: tuple[int, ...]

    def __getitem__(self, cell: Cell) -> int:
        """Return one number."""
        return self.cells[cell]

    @property
    def dropped(self) -> int:
        """Records dropped so far, all series together."""
        return sum(self.cells[dropped] for _, dropped in SERIES.values())


class Shared:
    """The memory itself; `cells` can be read and written by `Cell`."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self.cells = memoryview(memory)[_HEADER:].cast("Q")

    def begin(self, start: str) -> None:
        """Set all to 0 and name the start whose numbers follow."""
        self._memory[_START] = bytes(16)
        for cell in Cell:
            self.cells[cell] = 0
        self._memory[_BOOT] = machine.boot().encode()[:40].ljust(40, b"\0")
        self._memory[_START] = start.encode()[:16].ljust(16, b"\0")

    def snapshot(self) -> Snapshot:
        """Return a copy of the numbers."""
        return _read(self._memory[:])


def create(path: Path) -> Shared:
    """Return fresh memory in a new file; what an older reader still writes to is not touched."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, _SIZE)
        memory = mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)
    memory[: len(_MAGIC)] = _MAGIC
    return Shared(memory)


def left(path: Path) -> Snapshot | None:
    """Return what a reader left behind that had not sent its last report; None when there is nothing to report."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) != _SIZE or data[: len(_MAGIC)] != _MAGIC:
        return None
    snapshot = _read(data)
    return snapshot if snapshot.start and not snapshot[Cell.ENDED] else None


def _read(data: bytes) -> Snapshot:
    start, boot = (data[part].rstrip(b"\0").decode(errors="replace") for part in (_START, _BOOT))
    return Snapshot(start, boot, tuple(memoryview(data)[_HEADER:].cast("Q")))
