"""Questions to the SQLite store about the ledger, reports, dead letters and the numbers of a series."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from shipper.errors import StoreBusy
from shipper.record.times import from_ns
from shipper.search.ledger import Entry, Range, Report, merge
from shipper.stores import _sqlite_files as files
from shipper.stores._agreement import original, within
from shipper.stores._sqlite_reading import Limit, has_no_tables, reading


def present(directory: Path, series: str, numbers: Range, most: int, limit: Limit) -> list[Range]:
    """Which numbers of a series are stored; StoreBusy when a file cannot be read or time is over."""
    found: list[Range] = []
    for _, path in files.day_files(directory):
        try:
            with reading(path, limit) as connection:
                rows = connection.execute(
                    "SELECT sequence, sequence FROM records WHERE series = ? AND sequence BETWEEN ? AND ?"
                    " ORDER BY sequence LIMIT ?",
                    (series, within(numbers[0]), within(numbers[1]), most - len(found)),
                )
                found.extend(rows)
        except sqlite3.Error as error:
            if not has_no_tables(error):
                raise StoreBusy(files.explain(error, path)) from None
    return merge(found)


def ledger(directory: Path, hosts: Sequence[str], limit: Limit) -> list[Entry]:
    """All entries, of some hosts or of all; none while there is no ledger."""
    statement = f"SELECT * FROM entries{_of(hosts)} ORDER BY host, series, first"
    rows = _ledger_rows(directory, statement, list(hosts), limit)
    return [Entry(*row) for row in rows]


def reports(directory: Path, hosts: Sequence[str], limit: Limit) -> list[Report]:
    """All reports, of some hosts or of all; none while there is no ledger."""
    rows = _ledger_rows(directory, f"SELECT * FROM reports{_of(hosts)} ORDER BY host, id", list(hosts), limit)
    return [
        Report(id, host, start, name, updated_at, orjson.loads(figures))
        for id, host, start, name, updated_at, figures in rows
    ]


def _of(hosts: Sequence[str]) -> str:
    return f" WHERE host IN ({','.join('?' * len(hosts))})" if hosts else ""


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
        with reading(path, limit) as connection:
            return connection.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        if has_no_tables(error):
            return []
        raise StoreBusy(files.explain(error, path)) from None
