"""How far each file was read, so that a tailer that was killed goes on without a hole and with the same ids.

Two files in the work directory. `tailer.json` holds positions: of every file up to where rsyslogd has no line in its
memory only. `tailer.journal` holds what was begun since: each generation of a file, and each range of it *before* its
lines are sent, with the time they were read at. A range that is read again has the same ends and the same host time as
the first time: the store keeps a second record of an id only if it is the same in every respect, time included.

The journal is not synced: it is for a killed process. After a power failure the lines of the last seconds may come a
second time with another host time.
"""

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from shipper.host.files import Mark, mark
from shipper.host.sent import SentUntil

#: A checkpoint says how far we were this long before all was sent that rsyslogd had in its memory: a killed rsyslogd
#: loses that, and what a tailer started after it reads again is lost no more. So long a record may wait in sockets.
LAG_SECONDS: Final = 2.0
#: Moves that wait to be written; of more, those of neighbours are told as one.
_MOST_WAITING: Final = 600
#: Seconds between two checkpoints, and what each byte of one adds to that: 1 MiB is written every 5 s, not each second.
_INTERVAL_SECONDS: Final = 1.0
_SECONDS_PER_BYTE: Final = 4 / 2**20
_VERSION: Final = 1


class Generation(NamedTuple):
    """Which file: a path, and the how-manieth file that was found there, with its device and inode."""

    path: bytes
    device: int
    inode: int
    number: int


class Place(NamedTuple):
    """A place in a file: its mark, the lines numbered up to there, and whether the rest of one is being skipped."""

    mark: Mark
    line: int
    skipping: bool


class Range(NamedTuple):
    """Bytes of a file that were read at one time and whose lines were sent; the mark is that of its end."""

    mark: Mark
    host_time: str


@dataclass(slots=True)
class Saved:
    """What is known of one generation."""

    generation: Generation
    place: Place
    #: By the offset at which they begin.
    ranges: dict[int, Range] = field(default_factory=dict)

    def furthest(self) -> Mark:
        """Return the mark of the last byte that was read: there may be lines sent that are behind the place."""
        return max([self.place.mark, *(known.mark for known in self.ranges.values())])


_DAMAGED: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)
START: Final = Place(mark(0, b"", b""), 0, False)


class Checkpoints:
    """Positions on disk. Raises OSError from the constructor only; afterwards errors are kept in `error`."""

    def __init__(self, folder: str, sent_until: SentUntil = time.monotonic) -> None:
        self._folder = folder
        self._sent_until = sent_until
        self._path = f"{folder}/tailer.json"
        self._known: dict[str, Saved] = {}
        self._moved: dict[str, Place | None] = {}
        self._waiting: deque[tuple[float, dict[str, Place | None]]] = deque()
        self._changed = True
        self._ticked = self._due = 0.0
        #: Other names of files that are or were followed, by device and inode: a rotated file is not read again.
        self.renamed: dict[bytes, tuple[int, int]] = {}
        #: What went wrong when something was last written; "" when nothing did.
        self.error = ""
        self._load_all()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._journal = os.open(f"{folder}/tailer.journal", flags, 0o600)

    def saved(self) -> Iterator[tuple[str, Saved]]:
        """Yield series and what is known of every generation, by path, the oldest first."""
        yield from sorted(self._known.items(), key=lambda item: (item[1].generation.path, item[1].generation.number))

    def begin(self, series: str, generation: Generation) -> None:
        """Keep a generation of which nothing has been read yet."""
        if series not in self._known:
            self._known[series] = Saved(generation, START)
            self._changed = True
            self._append({"series": series, "generation": _portable(generation)})

    def announce(self, series: str, start: int, known: Range) -> None:
        """Keep a range whose lines are about to be sent."""
        self._known[series].ranges[start] = known
        self._append({"series": series, "start": start, "range": known})

    def range_from(self, series: str, start: int) -> Range | None:
        """Return the range that begins there, when it was announced by a tailer that was killed."""
        return self._known[series].ranges.get(start)

    def move(self, series: str, place: Place | None) -> None:
        """Say how far a generation was read and sent; None: to its end, it need not be known any more."""
        self._moved[series] = place

    def rename(self, path: bytes, identity: tuple[int, int] | None) -> None:
        """Keep that a path is another name of a file; None: it is no longer."""
        if self.renamed.get(path) != identity:
            self._changed = True
            self.renamed.pop(path, None)
            if identity is not None:
                self.renamed[path] = identity

    def tick(self, now: float) -> None:
        """Write how far all is sent, once a second or less often; `now` is monotonic seconds."""
        if now < self._ticked:
            return
        self._ticked = now + _INTERVAL_SECONDS
        if self._moved:
            self._waiting.append((now, self._moved))
            self._moved = {}
            if len(self._waiting) > _MOST_WAITING:
                _, oldest = self._waiting.popleft()
                then, next_oldest = self._waiting.popleft()
                self._waiting.appendleft((then, oldest | next_oldest))
        settled_before = min(now, self._sent_until()) - LAG_SECONDS
        while self._waiting and self._waiting[0][0] <= settled_before:
            self._settle(self._waiting.popleft()[1])
        if self._changed and now >= self._due:
            self._due = now + _INTERVAL_SECONDS + self._write() * _SECONDS_PER_BYTE

    def close(self) -> None:
        """Write where we are now: the last act of a clean stop."""
        for _, moved in self._waiting:
            self._settle(moved)
        self._settle(self._moved)
        self._write()
        os.close(self._journal)

    def _settle(self, moved: dict[str, Place | None]) -> None:
        for series, place in moved.items():
            if place is None:
                self._known.pop(series, None)
            elif series in self._known:
                saved = self._known[series]
                saved.place = place
                saved.ranges = {start: known for start, known in saved.ranges.items() if start >= place.mark.offset}
            self._changed = True

    def _write(self) -> int:
        """Replace the file as a whole and return its bytes; a failure is kept and tried again at the next tick."""
        positions = [
            {"series": series, "generation": _portable(saved.generation), "place": saved.place, "ranges": saved.ranges}
            for series, saved in self._known.items()
        ]
        renamed = [(path.decode("latin-1"), *identity) for path, identity in self.renamed.items()]
        whole = {"version": _VERSION, "positions": positions, "renamed": renamed}
        data = orjson.dumps(whole, tuple, orjson.OPT_NON_STR_KEYS)
        temporary = f"{self._path}.new"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, self._path)  # noqa: PTH105  as everything here: text, no Path
            self._sync_folder()
            # Only now: until here the journal says what the old file does not know.
            os.ftruncate(self._journal, 0)
        except OSError as error:
            self.error = f"{self._path}: {error.strerror}"
            return 0
        self.error = ""
        self._changed = False
        return len(data)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            os.write(self._journal, orjson.dumps(entry, tuple) + b"\n")
        except OSError as error:
            self.error = f"{self._folder}/tailer.journal: {error.strerror}"

    def _load_all(self) -> None:
        """Read both files; only a disk that failed or a power failure damages them."""
        data = _read(self._path)
        try:
            if data:
                self._load(data)
        except _DAMAGED:
            self.error = f"{self._path}: damaged; files are read again from where the rest of it or the journal says"
        for line in _read(f"{self._folder}/tailer.journal").splitlines():
            with suppress(*_DAMAGED):  # the last line may be torn
                self._replay(line)

    def _load(self, data: bytes) -> None:
        """Take in a checkpoint. Raises ValueError and the like when it is damaged."""
        read = orjson.loads(data)
        for entry in read["positions"]:
            saved = self._known[entry["series"]] = Saved(_generation(entry["generation"]), _place(entry["place"]))
            saved.ranges = {int(start): _range(known) for start, known in entry["ranges"].items()}
        self.renamed = {path.encode("latin-1"): (device, inode) for path, device, inode in read["renamed"]}

    def _replay(self, line: bytes) -> None:
        """Take in a line of the journal; what the checkpoint already holds changes nothing."""
        entry = orjson.loads(line)
        series = entry["series"]
        if "generation" in entry:
            self._known.setdefault(series, Saved(_generation(entry["generation"]), START))
        elif series in self._known and entry["start"] >= self._known[series].place.mark.offset:
            self._known[series].ranges[entry["start"]] = _range(entry["range"])


def _portable(generation: Generation) -> list[Any]:
    """Spell a path, which is bytes of any kind, in JSON."""
    return [generation.path.decode("latin-1"), *generation[1:]]


def _generation(read: list[Any]) -> Generation:
    return Generation(read[0].encode("latin-1"), *read[1:])


def _place(read: list[Any]) -> Place:
    return Place(Mark(*read[0]), read[1], read[2])


def _range(read: list[Any]) -> Range:
    return Range(Mark(*read[0]), read[1])


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  text, no Path
            return file.read()
    except FileNotFoundError:
        return b""
