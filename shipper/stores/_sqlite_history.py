"""What retention deleted, kept in the ledger's file: one row a removal."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import orjson

from shipper.errors import StoreBusy
from shipper.search.query import Query
from shipper.search.retention import YOUNG_NS, Deletion, Removal, deleted_note
from shipper.stores import _sqlite_files as files
from shipper.stores._sqlite_day import transaction

_MOST: Final = 10_000


def note(ledger: sqlite3.Connection, deletion: Deletion) -> None:
    """Keep one; the same one twice is kept once. May raise sqlite3.Error."""
    removal = deletion.removal
    names = (orjson.dumps(removal.apps).decode(), removal.others, orjson.dumps(removal.datasets).decode())
    row = (deletion.at, deletion.by, removal.day, *names, deletion.records, deletion.bytes, deletion.reason)
    with transaction(ledger):
        ledger.execute("REPLACE INTO deletions VALUES (?,?,?,?,?,?,?,?,?)", row)


def read(directory: Path, limit: int) -> list[Deletion]:
    """Return the newest; none when nothing was ever deleted. StoreBusy when the file cannot be read."""
    path = directory / files.LEDGER
    if not path.exists():
        return []
    try:
        with closing(files.open_to_read(path)) as ledger:
            rows = ledger.execute("SELECT * FROM deletions ORDER BY at DESC, day DESC LIMIT ?", (limit,)).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # of an older version, in which nothing was deleted since
            return []
        raise StoreBusy(files.explain(error, path)) from None
    except sqlite3.Error as error:
        raise StoreBusy(files.explain(error, path)) from None
    return list(map(_deletion, rows))


def note_of(directory: Path, query: Query, now: int) -> str | None:
    """Say what of a question's time was deleted; None when nothing was, or that cannot be read now."""
    if query.start is None or query.start > now - YOUNG_NS:
        return None
    try:
        return deleted_note(read(directory, _MOST), query.start, query.end)
    except StoreBusy:  # an answer is worth more than this note
        return None


def _deletion(row: tuple[int, str, str, str, int, str, int, int, str]) -> Deletion:
    at, by, day, apps, others, datasets, records, size, reason = row
    removal = Removal(day, tuple(orjson.loads(apps)), bool(others), tuple(orjson.loads(datasets)))
    return Deletion(at, by, removal, records, size, reason)
