"""One day's file as its writer sees it: puts records in, and finds out about those that are there already.

Rows go in by statements of many rows: each statement gives the interpreter's lock away once, so a busy event loop
cannot make this thread wait for it row by row (measured beside a busy one: 1,300 records/s by executemany, 31,000 so).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import orjson

from shipper.record import STORED, Outcome, Record, Repair
from shipper.record.times import to_ns
from shipper.search.words import words
from shipper.stores._agreement import bug, outcome_of_twin
from shipper.stores._sqlite_files import open_to_write
from shipper.stores._sqlite_rollup import add, tally, widen

_ROWS_PER_STATEMENT: Final = 500
_INSERT_RECORDS: Final = "INSERT INTO records VALUES"
#: With no row id, so that the row that is there keeps its own; of the columns a repair may change only these.
_REPAIRED: Final = (
    "ON CONFLICT (series, sequence) DO UPDATE SET"
    " app = excluded.app, resource = excluded.resource, document = excluded.document"
)
_INSERT_WORDS: Final = "INSERT INTO words (rowid, text) VALUES"
#: Types that a column takes.
_SIMPLE: Final = frozenset({str, int, float, bool, bytes, type(None)})

#: Where the columns that are counted stand in a row of `records` without its rowid, see `_sqlite_rollup.Counted`.
_COUNTED: Final = itemgetter(2, 3, 4, 5, 9)
#: Columns of `records` after rowid, and the words of the message.
_Row = tuple[tuple[Any, ...], str]


class Day:
    """An open file. Every method may raise sqlite3.Error; then nothing of that call is stored."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_to_write(path)
        self._file = path.stat().st_ino
        self._next_row = 1 + last_row(self._connection)

    def is_current(self) -> bool:
        """False when somebody moved or deleted the file: what is written into it then would be lost."""
        try:
            return self._path.stat().st_ino == self._file
        except OSError:
            return False

    def close(self) -> None:
        """Close it; its log is worked in if nobody reads."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def put(self, records: Sequence[Record], ingested: str) -> list[Outcome]:
        """Store records that are new; the common case is that all are, so nothing is looked up before."""
        try:
            rows = [_row(record, ingested) for record in records]
            self._insert(rows)
        except sqlite3.OperationalError:
            raise
        except Exception:  # noqa: BLE001  a twin or a record that cannot be written: find out which
            return self._put_one_by_one(records, ingested)
        return [STORED] * len(records)

    def _put_one_by_one(self, records: Sequence[Record], ingested: str) -> list[Outcome]:
        """Look up which records are there, compare them, fence off those that cannot be written, store the rest."""
        known = self._stored((record.series, record.sequence) for record in records)
        outcomes = []
        rows = []
        for record in records:
            twin = known.get((record.series, record.sequence))
            try:
                if twin is not None:
                    outcomes.append(outcome_of_twin(record.content(), twin))
                    continue
                row = _row(record, ingested)
                _check(row)
            except Exception as error:  # noqa: BLE001  one bad record must not stop the others
                outcomes.append(bug(error))
                continue
            known[record.series, record.sequence] = record.content()
            rows.append(row)
            outcomes.append(STORED)
        self._insert(rows)
        return outcomes

    def repair(self, repairs: Sequence[Repair]) -> None:
        """Add fields to those records that are there; the words of their messages stay as they are."""
        stored = self._stored((repair.series, repair.sequence) for repair in repairs)
        before = tally(_COUNTED(_columns(id, fields, b"")) for id, fields in stored.items())
        for repair in repairs:
            if (repair.series, repair.sequence) in stored:
                stored[repair.series, repair.sequence].update(repair.fields)
        rows = [_columns(id, fields, orjson.dumps(fields)) for id, fields in stored.items()]
        with transaction(self._connection):
            insert(self._connection, _INSERT_RECORDS, [(None, *row) for row in rows], _REPAIRED)
            add(self._connection, before, sign=-1)
            add(self._connection, tally(map(_COUNTED, rows)))

    def _stored(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Any]:
        """Fields of those records whose ids are taken."""
        ids = [(series, sequence) for series, sequence in wanted if sequence < 2**63]
        found: dict[tuple[str, int], Any] = {}
        for start in range(0, len(ids), _ROWS_PER_STATEMENT):
            part = ids[start : start + _ROWS_PER_STATEMENT]
            values = ",".join(["(?,?)"] * len(part))
            rows = self._connection.execute(
                f"WITH ids (series, sequence) AS (VALUES {values})"
                " SELECT series, sequence, document FROM ids CROSS JOIN records USING (series, sequence)",
                list(chain.from_iterable(part)),
            )
            found |= {(series, sequence): orjson.loads(document) for series, sequence, document in rows}
        return found

    def _insert(self, rows: list[_Row]) -> None:
        first = self._next_row
        with transaction(self._connection):
            insert(self._connection, _INSERT_RECORDS, [(first + n, *row[0]) for n, row in enumerate(rows)])
            insert(self._connection, _INSERT_WORDS, [(first + n, row[1]) for n, row in enumerate(rows)])
            add(self._connection, tally(_COUNTED(row[0]) for row in rows))
            widen(self._connection, first, [row[0][2] for row in rows])
        self._next_row = first + len(rows)


def _row(record: Record, ingested: str) -> _Row:
    """Columns of a record; whatever it raises is the record's own fault."""
    if not record.document:
        record.seal()
    fields = orjson.loads(record.document)
    document = b'%b,"event.ingested":"%b"}' % (record.document[:-1], ingested.encode())
    return _columns((record.series, record.sequence), fields, document), " ".join(words(fields.get("message", "")))


def _columns(id: tuple[str, int], fields: Mapping[str, Any], document: bytes) -> tuple[Any, ...]:
    """Return the columns after rowid."""
    return (
        *id,
        to_ns(fields["@timestamp"]),
        fields.get("log.level"),
        fields.get("service.name"),
        fields.get("host.name"),
        fields.get("http.request.id"),
        document,
        _text(fields.get("trace.id")),
        _text(fields.get("orchestrator.resource.name")),
    )


def _text(value: Any) -> str | None:
    """Only a text: a record with anything else there is kept all the same."""
    return value if isinstance(value, str) else None


def _check(row: _Row) -> None:
    """TypeError or OverflowError for what SQLite would refuse to take as a value."""
    for value in row[0]:
        if type(value) not in _SIMPLE:
            raise TypeError(f"{type(value).__name__} where a single value belongs")
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise OverflowError(f"number too large: {value}")


def last_row(connection: sqlite3.Connection) -> int:
    """Return the highest row that ever was: the index of words knows deleted ones (see _sqlite_retention) too."""
    (deleted,) = connection.execute("PRAGMA application_id").fetchone()
    (last,) = connection.execute("SELECT MAX(rowid) FROM records").fetchone()
    return int(max(deleted, last or 0))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; when it returns it is on the disk."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")


def insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]], conflict: str = "") -> None:
    """Run "INSERT … VALUES" with many rows at a time; `conflict` is the clause that says what if one is there."""
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        part = rows[start : start + _ROWS_PER_STATEMENT]
        places = _with_places(statement, len(part), len(part[0]))
        connection.execute(f"{places} {conflict}", list(chain.from_iterable(part)))


@lru_cache(maxsize=2000)
def _with_places(statement: str, rows: int, columns: int) -> str:
    row = f"({','.join('?' * columns)})"
    return f"{statement} {','.join([row] * rows)}"
