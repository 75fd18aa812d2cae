"""Questions to the SQLite store. Runs in threads of its own, with connections that cannot write and a time limit.

A record's day is its host time, its timestamp is what the application said: so a day's file may hold any timestamp,
and every file whose first and last timestamp allow a match is asked.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from shipper.errors import StoreBusy
from shipper.record.times import from_ns
from shipper.search.ledger import Entry, Range, Report, merge
from shipper.search.query import Page, Place, Query
from shipper.stores import _sqlite_files as files
from shipper.stores._agreement import LONGEST_KEYWORD, original, within

#: More matches than this, and walking along time is faster than fetching and sorting them.
_MANY_MATCHES: Final = 20_000
#: SQLite looks at the clock once in so many of its steps.
_STEPS: Final = 20_000

_Found = tuple[int, str, int, bytes]


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


def search(directory: Path, query: Query, limit: Limit) -> Page:
    """Answer a query from all days; one that cannot be read, or a lack of time, is said in `incomplete`."""
    notes: list[str] = []
    found: list[_Found] = []
    for path, near in _spans(directory, query, limit, notes):
        if len(found) > query.limit and not _may_come_before(near, found[query.limit], query):
            break
        try:
            with _reading(path, limit) as connection:
                found.extend(connection.execute(*_select(connection, query)))
        except sqlite3.Error as error:
            if limit.over():
                notes.append(f"not searched to the end: it took longer than {limit.seconds:g} s")
                break
            notes.append(f"day could not be read: {files.explain(error, path)}")
        found.sort(key=lambda row: row[:3], reverse=query.newest_first)
        del found[query.limit + 1 :]
    shown = found[: query.limit]
    return Page(
        records=[orjson.loads(row[3]) for row in shown],
        next=Place(*shown[-1][:3]) if len(found) > query.limit and shown else None,
        incomplete=tuple(notes),
    )


def _spans(directory: Path, query: Query, limit: Limit, notes: list[str]) -> list[tuple[Path, int]]:
    """Files that may hold an answer, with the timestamp nearest to where the answer starts; nearest first."""
    spans = []
    for _, path in files.day_files(directory):
        try:
            with _reading(path, limit) as connection:
                first, last = connection.execute(
                    "SELECT (SELECT MIN(timestamp) FROM records), (SELECT MAX(timestamp) FROM records)"
                ).fetchone()
        except sqlite3.Error as error:
            if "no such table" not in str(error):  # a file that is just being made has nothing to say
                notes.append(f"day could not be read: {files.explain(error, path)}")
            continue
        if first is not None and _overlaps(first, last, query):
            spans.append((path, last if query.newest_first else first))
    return sorted(spans, key=lambda span: span[1], reverse=query.newest_first)


def _overlaps(first: int, last: int, query: Query) -> bool:
    after = query.after.timestamp if query.after else None
    if query.start is not None and last < query.start:
        return False
    if query.end is not None and first >= query.end:
        return False
    return after is None or (first <= after if query.newest_first else last >= after)


def _may_come_before(near: int, row: _Found, query: Query) -> bool:
    """Say whether a file can hold a record that belongs before `row`."""
    return near >= row[0] if query.newest_first else near <= row[0]


def _select(connection: sqlite3.Connection, query: Query) -> tuple[str, list[Any]]:
    """SQL and its values. Which index to take is decided here: SQLite has no figures to decide by."""
    match = _match(query)
    few = query.request_id is not None or (match is not None and _matches_few(connection, match))
    plain = "+" if few else ""  # "+column" keeps SQLite from using that column's index
    conditions, values = _conditions(query, plain)
    if match is not None:
        # Many: walk along time and look into the index of words for each row, which ends when the page is full.
        conditions.append(
            "rowid IN (SELECT rowid FROM words WHERE words MATCH ?)"
            if few
            else "EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND words.rowid = records.rowid)"
        )
        values.append(match)
    direction = "DESC" if query.newest_first else "ASC"
    order = ", ".join(f"{column} {direction}" for column in (f"{plain}timestamp", "series", "sequence"))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return (
        f"SELECT timestamp, series, sequence, document FROM records{where} ORDER BY {order} LIMIT ?",
        [*values, query.limit + 1],
    )


def _conditions(query: Query, plain: str) -> tuple[list[str], list[Any]]:
    """Conditions on columns, and their values."""
    conditions: list[str] = []
    values: list[Any] = []
    for column, value in (("request_id", query.request_id), (f"{plain}app", query.app), ("host", query.host)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value if len(value) <= LONGEST_KEYWORD else None)
    if query.levels:
        conditions.append(f"level IN ({','.join('?' * len(query.levels))})")
        values += query.levels
    for operator, bound in ((">=", query.start), ("<", query.end)):
        if bound is not None:
            conditions.append(f"{plain}timestamp {operator} ?")
            values.append(within(bound))
    if query.after is not None:
        beyond = "<" if query.newest_first else ">"
        conditions.append(f"{plain}timestamp {beyond}= ? AND (timestamp, series, sequence) {beyond} (?, ?, ?)")
        at, sequence = within(query.after.timestamp), within(query.after.sequence)
        values += [at, at, query.after.series, sequence]
    return conditions, values


def _matches_few(connection: sqlite3.Connection, match: str) -> bool:
    count = "SELECT COUNT(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
    found: int = connection.execute(count, (match, _MANY_MATCHES)).fetchone()[0]
    return found < _MANY_MATCHES


def _match(query: Query) -> str | None:
    """Phrases as FTS5 writes them; what stands in quotes is only cut at its spaces."""
    if not query.phrases:
        return None
    return " AND ".join('"' + " ".join(phrase).replace('"', '""') + '"' for phrase in query.phrases)


def present(directory: Path, series: str, numbers: Range, most: int, limit: Limit) -> list[Range]:
    """Which numbers of a series are stored; StoreBusy when a file cannot be read or time is over."""
    found: list[Range] = []
    for _, path in files.day_files(directory):
        try:
            with _reading(path, limit) as connection:
                rows = connection.execute(
                    "SELECT sequence, sequence FROM records WHERE series = ? AND sequence BETWEEN ? AND ?"
                    " ORDER BY sequence LIMIT ?",
                    (series, within(numbers[0]), within(numbers[1]), most - len(found)),
                )
                found.extend(rows)
        except sqlite3.Error as error:
            if "no such table" not in str(error):
                raise StoreBusy(files.explain(error, path)) from None
    return merge(found)


def ledger(directory: Path, host: str | None, limit: Limit) -> list[Entry]:
    """All entries, of one host or of all; none while there is no ledger."""
    where, values = (" WHERE host = ?", [host]) if host is not None else ("", [])
    rows = _ledger_rows(directory, f"SELECT * FROM entries{where} ORDER BY host, series, first", values, limit)
    return [Entry(*row) for row in rows]


def reports(directory: Path, host: str | None, limit: Limit) -> list[Report]:
    """All reports, of one host or of all; none while there is no ledger."""
    where, values = (" WHERE host = ?", [host]) if host is not None else ("", [])
    rows = _ledger_rows(directory, f"SELECT * FROM reports{where} ORDER BY host, id", values, limit)
    return [
        Report(id, host, start, name, updated_at, orjson.loads(figures))
        for id, host, start, name, updated_at, figures in rows
    ]


def dead_letters(directory: Path, count: int, limit: Limit) -> list[dict[str, Any]]:
    """The newest dead letters."""
    rows = _ledger_rows(
        directory,
        "SELECT id, day, series, sequence, host, reason, detail, payload, received_at FROM dead_letters"
        " ORDER BY received_at DESC, id LIMIT ?",
        [count],
        limit,
    )
    names = ("id", "day", "series", "sequence", "host", "reason", "detail")
    return [{**dict(zip(names, row, strict=False)), **original(row[7]), "received_at": from_ns(row[8])} for row in rows]


def _ledger_rows(directory: Path, statement: str, values: list[Any], limit: Limit) -> list[Any]:
    path = directory / files.LEDGER
    if not path.exists():
        return []
    try:
        with _reading(path, limit) as connection:
            return connection.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            return []
        raise StoreBusy(files.explain(error, path)) from None


@contextmanager
def _reading(path: Path, limit: Limit) -> Iterator[sqlite3.Connection]:
    connection = files.open_to_read(path)
    try:
        connection.set_progress_handler(limit.over, _STEPS)
        yield connection
    finally:
        connection.close()
