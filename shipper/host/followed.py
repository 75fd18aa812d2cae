"""One path: which file is there now, and what became of those that were there before."""

import os
import stat
from contextlib import suppress
from typing import Final

from shipper.host import lines
from shipper.host.checkpoints import START, Checkpoints, Generation, Saved
from shipper.host.figures import Figures
from shipper.host.files import find_beside, open_regular, rotated_since
from shipper.host.lines import Encoder, Origin
from shipper.host.reading import Reading

#: Files that are no longer at their path and not yet read to their end; a task can rotate as fast as it likes.
_MOST_ENDED: Final = 16


class Followed:
    """Follows a path through rotation, truncation and deletion."""

    __slots__ = (
        "_checkpoints", "_done", "_figures", "_host", "_last", "_number",
        "active", "current", "ended", "leaving", "origin",
    )  # fmt: skip

    def __init__(self, origin: Origin, host: str, checkpoints: Checkpoints, figures: Figures) -> None:
        self.origin = origin
        self.current: Reading | None = None
        self.ended: list[Reading] = []
        #: When something was last read or has last changed, in monotonic seconds.
        self.active = 0.0
        #: Its folder is gone: to be dropped when all is read.
        self.leaving = False
        self._host = host
        self._checkpoints = checkpoints
        self._figures = figures
        self._number = 0
        #: Kept in the checkpoint for its number alone.
        self._last = ""
        #: Device and inode of those that were read to their end last.
        self._done: tuple[tuple[int, int], ...] = ()

    def restore(self, name: str, saved: Saved) -> None:
        """Go on with what a checkpoint knows; call it for the oldest generation first."""
        if self.current is not None:
            self._end(self.current)
        self._number = saved.generation.number
        self._last = name
        self.current = self._reading(name, saved)

    def look(self, now: float) -> bool:
        """See what is at the path; True when there may be something to read. Raises OSError."""
        try:
            status = os.lstat(self.origin.path)
        except (FileNotFoundError, NotADirectoryError):
            status = None
        current = self.current
        if current is not None and (status is None or not _is(status, current.generation)):
            self.active = now
            self._end(current)
            self._begin_missed(current, status, now)
        elif current is not None and status is not None and status.st_size < current.reached:
            self.replaced(current, now)
        if self.current is None and status is not None:
            self._begin(open_regular(self.origin.path), now)
        changed = self.current is not None and status is not None and self.current.changed(status)
        return changed or bool(self.ended)

    def open(self, reading: Reading) -> bool:
        """Open a file that is closed, wherever it is now; False when it is nowhere any more. Raises OSError."""
        if reading.descriptor >= 0:
            return True
        if reading is self.current:
            descriptor = open_regular(self.origin.path)
            if _is(os.fstat(descriptor), reading.generation) and reading.attach(descriptor):
                return True
            os.close(descriptor)
            return False
        return self._find(reading)

    def replaced(self, reading: Reading, now: float) -> None:
        """Leave bytes that are gone or replaced, and begin with those that took their place.

        The rest of the old ones may be in the renamed file, or in a copy (copytruncate).
        """
        self.active = now
        was_current, file = reading is self.current, reading.release()
        if was_current:
            self._end(reading)
        if not self._find(reading):
            self._figures.lost += reading.size > reading.offset
            self.finish(reading)
        if was_current:
            # Through the open file, as it may be renamed at this moment.
            with suppress(OSError):
                self._begin(open_regular(self.origin.path) if file < 0 else file, now)
        elif file >= 0:
            os.close(file)

    def finish(self, reading: Reading) -> None:
        """Be done with a file that is no longer at its path."""
        self._done = (*self._done[-_MOST_ENDED:], reading.identity())
        reading.detach()
        self.ended.remove(reading)
        if reading.name != self._last:
            self._checkpoints.move(reading.name, None)

    def forget(self) -> None:
        """Be done with the path."""
        for reading in self.readings():
            reading.detach()
            self._checkpoints.move(reading.name, None)
        self._checkpoints.move(self._last, None)
        self.current, self.ended = None, []

    def readings(self) -> list[Reading]:
        """Return what is being read, the oldest first."""
        return [*self.ended, *([self.current] if self.current else [])]

    def identities(self) -> set[tuple[int, int]]:
        """Return device and inode of every file that is being read."""
        return {reading.identity() for reading in self.readings()}

    def _begin(self, descriptor: int, now: float) -> None:
        """Start with another file."""
        status = os.fstat(descriptor)
        self._number += 1
        generation = Generation(self.origin.path, status.st_dev, status.st_ino, self._number)
        name = lines.series(self._host, *generation)
        self._checkpoints.begin(name, generation)
        if self._last and all(reading.name != self._last for reading in self.ended):
            self._checkpoints.move(self._last, None)
        self._last = name
        self.active = now
        self.current = self._reading(name, Saved(generation, START))
        self.current.attach(descriptor)

    def _begin_missed(self, before: Reading, status: os.stat_result | None, now: float) -> None:
        """Start with files that came after the one before and were rotated away themselves before we looked."""
        before.verify()
        if before not in self.ended or not self.open(before):
            return
        for reading in self.ended:
            with suppress(OSError):
                self.open(reading)  # then its identity is that of the copy, if it was copied
        known = self.identities().union(self._done)
        if status is not None:
            known.add((status.st_dev, status.st_ino))
        paths = rotated_since(self.origin.path, os.fstat(before.descriptor).st_mtime_ns, known)
        room = _MOST_ENDED - len(self.ended)
        self._figures.lost += max(len(paths) - room, 0)
        for path in paths[:room]:
            with suppress(OSError):  # rotated once more at this moment
                self._begin(open_regular(path), now)
            if self.current is not None:
                self._end(self.current)

    def _reading(self, name: str, saved: Saved) -> Reading:
        return Reading(name, saved, lambda: Encoder(name, self._host, self.origin), self._checkpoints)

    def _end(self, reading: Reading) -> None:
        """Take a file from its path: what it still has is read from where it is now."""
        reading.ended = True
        self.current = None
        self.ended.append(reading)
        if len(self.ended) > _MOST_ENDED:
            self._figures.lost += 1
            self.finish(self.ended[0])

    def _find(self, reading: Reading) -> bool:
        """Open a file that was renamed, or else the copy that was made of it, and go on there."""
        path, name = self.origin.path, os.path.basename(self.origin.path)  # noqa: PTH119  bytes
        inode = reading.generation.inode
        found = find_beside(path, lambda _, number: number == inode, reading.attach)
        if found is None and reading.expected.offset:
            found = find_beside(path, lambda other, _: other.startswith(name), reading.attach)
        return found is not None


def _is(status: os.stat_result, generation: Generation) -> bool:
    return (status.st_dev, status.st_ino) == (generation.device, generation.inode) and stat.S_ISREG(status.st_mode)
