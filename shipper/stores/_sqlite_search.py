"""Finding records in the SQLite store.

A record's day is its host time, its timestamp is what the application said: so a day's file may hold any timestamp,
and every file whose first and last timestamp allow a match is asked.
"""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from shipper.search.query import Page, Place, Query
from shipper.stores import _sqlite_history as history
from shipper.stores._agreement import within
from shipper.stores._sqlite_plan import Plan, plan, rare_rows
from shipper.stores._sqlite_reading import Limit, reading, spans, unreadable
from shipper.stores._sqlite_rollup_read import Known, Zone, in_portions, is_kept, joined, stretches, zones
from shipper.stores._sqlite_where import ALWAYS, Compiler, Condition, all_of

_LAST: Final = 2**63 - 1
_MATCHING: Final = "records.rowid IN (SELECT rowid FROM words WHERE words MATCH ?)"
_MATCHING_IN: Final = "records.rowid IN (SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?)"

_Found = tuple[int, str, int, bytes]


def search(directory: Path, query: Query, limit: Limit) -> Page:
    """Answer a query from all days; one that cannot be read, or a lack of time, is said in `incomplete`."""
    notes: list[str] = []
    found: list[_Found] = []
    for path, near in _nearest_first(directory, query, limit, notes):
        if len(found) > query.limit and not _may_come_before(near, found[query.limit], query):
            break
        try:
            with reading(path, limit) as connection:
                for rows in _Search(connection, query).answers():
                    found.extend(rows)
        except sqlite3.Error as error:
            if limit.over():
                notes.append(limit.note())
                break
            notes.append(unreadable(error, path))
        finally:
            found.sort(key=lambda row: row[:3], reverse=query.newest_first)
            del found[query.limit + 1 :]
    shown = found[: query.limit]
    notes += filter(None, [history.note_of(directory, query, time.time_ns())])
    return Page(
        records=[orjson.loads(row[3]) for row in shown],
        next=Place(*shown[-1][:3]) if len(found) > query.limit and shown else None,
        incomplete=tuple(notes),
    )


def _nearest_first(directory: Path, query: Query, limit: Limit, notes: list[str]) -> list[tuple[Path, int]]:
    """Files that may hold an answer, with the timestamp nearest to where the answer starts."""
    found = [
        (path, last if query.newest_first else first)
        for path, first, last in spans(directory, limit, notes)
        if _overlaps(first, last, query)
    ]
    return sorted(found, key=lambda span: span[1], reverse=query.newest_first)


def _overlaps(first: int, last: int, query: Query) -> bool:
    after = query.after.timestamp if query.after else None
    if query.start is not None and last < query.start:
        return False
    if query.end is not None and first >= query.end:
        return False
    return after is None or (first <= after if query.newest_first else last >= after)


def _may_come_before(near: int, row: _Found, query: Query) -> bool:
    """Say whether records near this timestamp can belong before `row`."""
    return near >= row[0] if query.newest_first else near <= row[0]


class _Search:
    """A query to one file."""

    def __init__(self, connection: sqlite3.Connection, query: Query) -> None:
        self._connection = connection
        self._query = query
        self._compiler = Compiler(connection)
        self._plan: Plan = plan(query, self._compiler)
        self._wanted = all_of([self._compiler.condition(part) for part in self._plan.parts])
        start, end = self._plan.start, self._plan.end
        self._start = 0 if start is None else within(start)
        self._end = _LAST if end is None else within(end)
        if query.after is not None and query.newest_first:
            self._end = min(self._end, within(query.after.timestamp) + 1)
        elif query.after is not None:
            self._start = max(self._start, within(query.after.timestamp))

    def answers(self) -> Iterator[list[_Found]]:
        """Yield rows in which the answer is, until no others can belong to it."""
        if self._plan.match is not None and self._plan.few:
            yield self._rows("NOT INDEXED", Condition(_MATCHING, (self._plan.match,)))
        elif self._plan.few:
            yield self._rows("NOT INDEXED", rare_rows(self._plan.parts, self._compiler))
        elif self._plan.match is not None:
            yield from self._by_zones(self._plan.match)
        elif (hint := self._plan.hint) is not None and is_kept(self._compiler):
            yield from self._by_minutes(hint)
        else:
            yield self._along_time(self._start, self._end, self._query.limit + 1)

    def _by_zones(self, match: str) -> Iterator[list[_Found]]:
        """Look into zones, nearest first: one, and more at a time when those before had little."""
        newest_first, limit = self._query.newest_first, self._query.limit
        left = [zone for zone in zones(self._connection, self._compiler) if self._may_hold(zone)]
        left.sort(key=self._near, reverse=newest_first)
        found: list[_Found] = []
        size = 1
        while left and not (
            len(found) > limit and not _may_come_before(self._near(left[0]), found[limit], self._query)
        ):
            rows = [row for part in joined(left[:size]) for row in self._matching(match, part)]
            yield rows
            found = sorted([*found, *rows], key=lambda row: row[:3], reverse=newest_first)[: limit + 1]
            del left[:size]
            size *= 2 if len(rows) <= limit else 1

    def _matching(self, match: str, rows: tuple[int, int]) -> list[_Found]:
        return self._rows("NOT INDEXED", Condition(_MATCHING_IN, (match, *rows)))

    def _may_hold(self, zone: Zone) -> bool:
        return zone.last >= self._start and zone.first < self._end

    def _near(self, zone: Zone) -> int:
        return zone.last if self._query.newest_first else zone.first

    def _by_minutes(self, hint: Known) -> Iterator[list[_Found]]:
        left = self._query.limit + 1
        minutes = stretches(self._connection, hint, (self._start, self._end), self._query.newest_first)
        for portion in in_portions(minutes, left):
            for stretch in portion:
                rows = self._along_time(max(self._start, stretch.start), min(self._end, stretch.end), left)
                yield rows
                left -= len(rows)
                if left <= 0:
                    return

    def _along_time(self, start: int, end: int, limit: int) -> list[_Found]:
        app = self._plan.app
        index = "INDEXED BY by_time" if app is None else "INDEXED BY by_app"
        way = Condition("timestamp >= ? AND timestamp < ?", (start, end))
        return self._rows(index, way if app is None else all_of([Condition("app = ?", (app,)), way]), limit)

    def _rows(self, index: str, way: Condition, limit: int | None = None) -> list[_Found]:
        """Fetch rows in order: those that a way leads to and that match."""
        direction = "DESC" if self._query.newest_first else "ASC"
        order = ", ".join(f"{column} {direction}" for column in ("timestamp", "series", "sequence"))
        time = Condition("timestamp >= ? AND timestamp < ?", (self._start, self._end))
        wanted = all_of([way, time, self._wanted, self._behind()])
        return self._connection.execute(
            f"SELECT timestamp, series, sequence, document FROM records {index} WHERE {wanted.sql}"
            f" ORDER BY {order} LIMIT ?",
            (*wanted.values, self._query.limit + 1 if limit is None else limit),
        ).fetchall()

    def _behind(self) -> Condition:
        """Return the condition that a row comes behind the place where the page starts."""
        after = self._query.after
        if after is None:
            return ALWAYS
        beyond = "<" if self._query.newest_first else ">"
        place = (within(after.timestamp), after.series, within(after.sequence))
        return Condition(f"(timestamp, series, sequence) {beyond} (?, ?, ?)", place)
