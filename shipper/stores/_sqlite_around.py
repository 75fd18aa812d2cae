"""The neighbours of a record in the SQLite store.

Within a series a record's place is its number, which an index finds. Where a sibling series stood at that moment is
found by halving: its records were read by the host one after the other, so their times grow with their numbers.
"""

import heapq
import sqlite3
from pathlib import Path
from typing import Any, Final

import orjson

from shipper.record.times import to_ns
from shipper.search.query import Around, Neighbours
from shipper.stores import _sqlite_files as files
from shipper.stores._agreement import within
from shipper.stores._sqlite_reading import Limit, has_no_tables, reading, unreadable
from shipper.stores._sqlite_where import Compiler

#: Numbers of one series in one file that are looked at on each side, when few of its records match.
_MOST_LOOKED_AT: Final = 100_000
#: Series of one start; there are four classes of importance.
_MOST_SIBLINGS: Final = 32
#: Most neighbours on each side.
_MOST: Final = 1000

#: Time, series and number: the order of neighbours.
_Place = tuple[int, str, int]
_Found = tuple[_Place, dict[str, Any]]


def around(directory: Path, asked: Around, limit: Limit) -> Neighbours:
    """Return what is before and after a record, from all days."""
    notes: list[str] = []
    before: list[_Found] = []
    after: list[_Found] = []
    for name, path in sorted(files.day_files(directory)):
        try:
            with reading(path, limit) as connection:
                day = _Day(connection, asked, f"day {name}")
                for series in day.series():
                    before += day.side(series, forwards=False)
                    after += day.side(series, forwards=True)
                notes += day.notes
        except sqlite3.Error as error:
            if limit.over():
                notes.append(limit.note())
                break
            if not has_no_tables(error):
                notes.append(unreadable(error, path))
    return Neighbours(
        [record for _, record in _nearest(before, min(asked.before, _MOST), forwards=False)][::-1],
        [record for _, record in _nearest(after, min(asked.after, _MOST), forwards=True)],
        tuple(dict.fromkeys(notes)),
    )


def _nearest(found: list[_Found], most: int, *, forwards: bool) -> list[_Found]:
    """Merge series, each in the order of its numbers, by time; nearest first."""
    by_series: dict[str, list[_Found]] = {}
    for one in sorted(found, key=lambda one: one[0][2], reverse=not forwards):
        by_series.setdefault(one[0][1], []).append(one)
    merged = heapq.merge(*by_series.values(), key=lambda one: one[0], reverse=not forwards)
    return [one for _, one in zip(range(max(0, most)), merged, strict=False)]


class _Day:
    """The part of the answer that one file has."""

    def __init__(self, connection: sqlite3.Connection, asked: Around, name: str) -> None:
        self._connection = connection
        self._asked = asked
        self._name = name
        self._wanted = Compiler(connection).condition(asked.where)
        self.notes: list[str] = []

    def series(self) -> list[str]:
        """Return the series of the same start that the file has."""
        own = self._asked.series
        if self._asked.one_series or not own:
            return [own]
        start, found = own[:-1], []
        last = start
        for _ in range(_MOST_SIBLINGS):
            row = self._connection.execute(
                "SELECT series FROM records WHERE series > ? ORDER BY series LIMIT 1", (last,)
            ).fetchone()
            if row is None or not row[0].startswith(start):
                break
            last = row[0]
            if len(last) == len(own):
                found.append(last)
        return found

    def side(self, series: str, *, forwards: bool) -> list[_Found]:
        """Return the nearest records of a series on one side of the place that was asked for."""
        wanted = min(self._asked.after if forwards else self._asked.before, _MOST)
        first = self._first_behind(series)
        if series == self._asked.series and forwards:
            first += 1
        low, high = (first, first + _MOST_LOOKED_AT) if forwards else (first - _MOST_LOOKED_AT, first)
        rows = self._connection.execute(
            "SELECT series, sequence, document FROM records INDEXED BY sqlite_autoindex_records_1"
            f" WHERE series = ? AND sequence >= ? AND sequence < ? AND {self._wanted.sql}"
            f" ORDER BY sequence {'ASC' if forwards else 'DESC'} LIMIT ?",
            (series, within(low), within(high), *self._wanted.values, max(0, wanted)),
        ).fetchall()
        if len(rows) < wanted and self._has_more(series, ">=" if forwards else "<", within(high if forwards else low)):
            self.notes.append(f"{self._name}: only the nearest {_MOST_LOOKED_AT:,} records were looked at")
        return [_found(*row) for row in rows]

    def _has_more(self, series: str, beyond: str, number: int) -> bool:
        statement = f"SELECT 1 FROM records WHERE series = ? AND sequence {beyond} ? LIMIT 1"
        return self._connection.execute(statement, (series, number)).fetchone() is not None

    def _first_behind(self, series: str) -> int:
        """Return the number from which on records of a series are behind the place; that of the place itself if own."""
        if series == self._asked.series:
            return self._asked.sequence
        place = (self._asked.created, self._asked.series)
        low, last = self._connection.execute(
            "SELECT MIN(sequence), MAX(sequence) FROM records WHERE series = ?", (series,)
        ).fetchone()
        high = (last or 0) + 1
        while low is not None and low < high:
            middle = (low + high) // 2
            row = self._connection.execute(
                "SELECT series, sequence, document FROM records WHERE series = ? AND sequence >= ?"
                " ORDER BY sequence LIMIT 1",
                (series, middle),
            ).fetchone()
            if _found(*row)[0][:2] < place:
                low = row[1] + 1
            else:
                high = middle
        return low or 0


def _found(series: str, sequence: int, document: bytes) -> _Found:
    record = orjson.loads(document)
    created = record.get("event.created", record["@timestamp"])
    return (to_ns(created), series, sequence), record
