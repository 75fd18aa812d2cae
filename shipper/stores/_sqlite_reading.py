"""Reading a file of the SQLite store: opened for one question, which ends when its time is over or nobody waits."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shipper.stores import _sqlite_files as files

#: SQLite looks at the clock once in so many of its steps.
_STEPS: Final = 20_000


class Limit:
    """When a question ends: after some seconds, or when nobody waits for the answer any more."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def over(self) -> bool:
        """True when it has ended."""
        return time.monotonic() > self._end

    def cancel(self) -> None:
        """End it now."""
        self._end = float("-inf")

    def note(self) -> str:
        """What people are told when it has ended."""
        return f"not searched to the end: it took longer than {self.seconds:g} s"


@contextmanager
def reading(path: Path, limit: Limit) -> Iterator[sqlite3.Connection]:
    """Open a file, which may raise sqlite3.Error, as everything that is asked of it."""
    connection = files.open_to_read(path)
    try:
        connection.set_progress_handler(limit.over, _STEPS)
        yield connection
    finally:
        connection.close()


def has_no_tables(error: sqlite3.Error) -> bool:
    """Whether a file is just being made: it has nothing to say yet."""
    return "no such table" in str(error)


def unreadable(error: sqlite3.Error, path: Path) -> str:
    """What people are told of a day that could not be asked."""
    return f"day could not be read: {files.explain(error, path)}"


def spans(directory: Path, limit: Limit, notes: list[str]) -> list[tuple[Path, int, int]]:
    """Return the files that hold records, with their first and last timestamp; what cannot be read goes to `notes`."""
    found = []
    for _, path in files.day_files(directory):
        try:
            with reading(path, limit) as connection:
                first, last = connection.execute(
                    "SELECT (SELECT MIN(timestamp) FROM records), (SELECT MAX(timestamp) FROM records)"
                ).fetchone()
        except sqlite3.Error as error:
            if not has_no_tables(error):
                notes.append(unreadable(error, path))
            continue
        if first is not None:
            found.append((path, first, last))
    return found
