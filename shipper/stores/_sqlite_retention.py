"""Deleting from the SQLite store: whole days as files, the records of single apps out of a day.

Only who holds the folder's lock deletes. Deleting records gives their pages to later ones of the same file; the words
of what was deleted stay in its index, where they find nothing.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import closing
from itertools import starmap
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import orjson

from shipper.errors import StoreBusy, StoreUnusable
from shipper.record.times import to_ns
from shipper.search.retention import Deletion, Removal, StoredDay
from shipper.search.usage import Disk
from shipper.stores import _sqlite_files as files
from shipper.stores import _sqlite_history as history
from shipper.stores._sqlite_day import last_row, transaction
from shipper.stores._sqlite_rollup import add, tally
from shipper.stores._sqlite_tables import COUNTED, FIRST_VERSION, version_of

#: Rows that are looked at in one transaction: a writer waits no longer than for these.
_SLICE: Final = 10_000
#: Fields that hold the id of the app, and the kind of log.
_APP: Final = "orchestrator.resource.name"
_DATASET: Final = "event.dataset"
_COUNTED: Final = ", ".join(("timestamp", *COUNTED))
_CHOSEN: Final = "rowid > ? AND rowid <= ? AND chosen(document)"

_Answer = TypeVar("_Answer")


class SqliteKeeper:
    """Looks at the days of a folder and, as its owner, deletes from them."""

    #: Single records that are deleted in a second, at most: nobody stores meanwhile, so there is no limit.
    records_per_second = 0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock: files.Lock | None = None

    async def __aenter__(self) -> Self:
        """Open nothing yet: the folder is taken when something is to be deleted."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the folder back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def days(self) -> list[StoredDay]:
        """Return the days that there are. StoreBusy when one cannot be read."""
        return await asyncio.to_thread(lambda: sorted(starmap(stored_day, files.day_files(self._directory)), key=_name))

    async def count(self, removal: Removal) -> int:
        """Return how many records would be deleted."""
        path = files.day_file(self._directory, removal.day)
        if not path.exists():
            return 0
        return await asyncio.to_thread(_asked, path, lambda connection: sum(_each_count(connection, removal)))

    async def remove(self, removal: Removal) -> AsyncGenerator[int, None]:
        """Delete, and give the number of records of each step. StoreUnusable while a shipper owns the folder."""
        if self._lock is None:
            self._lock = self._take()
        path = files.day_file(self._directory, removal.day)
        if not path.exists():
            return
        if removal.whole:
            count = await self.count(removal)
            await asyncio.to_thread(files.remove_day, path)
            yield count
            return
        try:
            with closing(steps(path, removal)) as deleting:
                while (count := await asyncio.to_thread(next, deleting, -1)) >= 0:
                    yield count
        except sqlite3.Error as error:
            raise StoreBusy(files.explain(error, path)) from None

    async def forget(self, before: int) -> None:
        """Delete dead letters, reports and whole series of the ledger older than this (nanoseconds since 1970)."""
        if self._lock is None:
            self._lock = self._take()
        path = self._directory / files.LEDGER
        try:
            with closing(files.open_to_write(path, ledger=True)) as connection:
                forget(connection, before)
        except sqlite3.Error as error:
            raise StoreBusy(files.explain(error, path)) from None

    async def written_at(self, name: str) -> int:
        """Return when the newest record of a day was stored; 0 when nobody can say."""
        path = files.day_file(self._directory, name)
        return await asyncio.to_thread(_asked, path, _written_at) if path.exists() else 0

    async def note(self, deletion: Deletion) -> None:
        """Keep what was deleted. StoreUnusable while a shipper owns the folder."""
        if self._lock is None:
            self._lock = self._take()
        path = self._directory / files.LEDGER
        try:
            with closing(files.open_to_write(path, ledger=True)) as connection:
                history.note(connection, deletion)
        except sqlite3.Error as error:
            raise StoreBusy(files.explain(error, path)) from None

    async def history(self, limit: int) -> list[Deletion]:
        """Return what was deleted, the newest first."""
        return await asyncio.to_thread(history.read, self._directory, limit)

    async def disk(self) -> Disk | None:
        """Return the room on the disk of its folder; None when that cannot be looked at."""
        try:
            found = shutil.disk_usage(self._directory)
        except OSError:
            return None
        return Disk(found.total, found.free, 0)

    def _take(self) -> files.Lock:
        try:
            return files.Lock(self._directory)
        except StoreUnusable as error:
            raise StoreUnusable(
                f"{error}, or let it delete: it does so every hour, by store.retention_days and"
                " retention_datasets, and by its apps' labels"
            ) from None


def forget(ledger: sqlite3.Connection, before: int) -> None:
    """Delete what is older; of the ledger whole series only, as a part of one would look like a loss."""
    with transaction(ledger):
        ledger.execute("DELETE FROM dead_letters WHERE received_at < ?", (before,))
        ledger.execute("DELETE FROM reports WHERE updated_at < ?", (before,))
        ledger.execute(
            "DELETE FROM entries WHERE (host, series) IN"
            " (SELECT host, series FROM entries GROUP BY host, series HAVING MAX(updated_at) < ?)",
            (before,),
        )


def steps(path: Path, removal: Removal) -> Generator[int, None, None]:
    """Delete records out of a day's file, a few rows at each step; give how many went. May raise sqlite3.Error."""
    # An old file that is only deleted from is not worth an upgrade, which rewrites all of it.
    with closing(files.open_to_write(path, upgrade=False)) as connection:
        _choose(connection, removal)
        is_counted = version_of(connection) > FIRST_VERSION
        for bounds in _slices(connection):
            with transaction(connection):
                # The index of words still knows a row that was deleted: its number must not be given to another one.
                connection.execute(f"PRAGMA application_id = {last_row(connection)}")
                if is_counted:
                    going = connection.execute(f"SELECT {_COUNTED} FROM records WHERE {_CHOSEN}", bounds)
                    add(connection, tally(going), sign=-1)
                count = connection.execute(f"DELETE FROM records WHERE {_CHOSEN}", bounds).rowcount
            yield count


def _each_count(connection: sqlite3.Connection, removal: Removal) -> Iterator[int]:
    if removal.whole:
        yield connection.execute("SELECT COUNT(*) FROM records").fetchone()[0]
        return
    _choose(connection, removal)
    for bounds in _slices(connection):
        yield connection.execute(f"SELECT COUNT(*) FROM records WHERE {_CHOSEN}", bounds).fetchone()[0]


def _choose(connection: sqlite3.Connection, removal: Removal) -> None:
    """Define `chosen(document)`: whether a record is to be deleted."""
    apps, others, datasets = frozenset(removal.apps), removal.others, frozenset(removal.datasets)

    def chosen(document: bytes) -> bool:
        fields = orjson.loads(document)
        app, dataset = fields.get(_APP), fields.get(_DATASET)
        if isinstance(dataset, str) and dataset in datasets:
            return True
        return (isinstance(app, str) and app in apps) is not others

    connection.create_function("chosen", 1, chosen, deterministic=True)


def _slices(connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    (last,) = connection.execute("SELECT MAX(rowid) FROM records").fetchone()
    for start in range(0, last or 0, _SLICE):
        yield start, start + _SLICE


def _written_at(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT document FROM records ORDER BY rowid DESC LIMIT 1").fetchone()
    return to_ns(orjson.loads(found[0])["event.ingested"]) if found else 0


def stored_day(name: str, path: Path) -> StoredDay:
    """Return what a day's file holds. StoreBusy when it cannot be read."""
    records = _asked(path, lambda connection: connection.execute("SELECT COUNT(*) FROM records").fetchone()[0])
    sizes = [beside.stat().st_size for beside in path.parent.glob(f"{path.name}*")]
    return StoredDay(name, records, sum(sizes))


def _name(stored: StoredDay) -> str:
    return stored.day


def _asked(path: Path, question: Callable[[sqlite3.Connection], Any]) -> Any:
    try:
        with closing(files.open_to_read(path)) as connection:
            return question(connection)
    except sqlite3.Error as error:
        raise StoreBusy(files.explain(error, path)) from None
