"""What is counted while records are written: how many per minute and value, and which times a zone of rows holds.

The tables of counts answer how often, `zones` where to look: rows come about in the order of time, so a zone of 16,384
rows has a narrow range of it, and the search for the newest matches can stop after the zones that may hold them.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from shipper.stores._sqlite_tables import COUNTED, COUNTS, MINUTE_NS, ZONE_BITS

#: What stands for no value in the key of a table of counts.
_NONE: Final = b""
_ROWS_PER_STATEMENT: Final = 500
_ZONE: Final = "ON CONFLICT (zone) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)"

#: timestamp, level, app, host, resource of a record.
Counted = tuple[Any, ...]
#: Rows of the tables of counts: minute and values, and how many records.
Tally = Mapping[str, Mapping[tuple[Any, ...], int]]


def tally(records: Iterable[Counted]) -> Tally:
    """Count records by minute and values."""
    columns = list(zip(*records, strict=True))
    if not columns:
        return {}
    minutes = [timestamp // MINUTE_NS for timestamp in columns[0]]
    values = dict(zip(COUNTED, columns[1:], strict=True))
    return {table: Counter(zip(minutes, *(values[name] for name in key), strict=True)) for table, key in COUNTS.items()}


def add(connection: sqlite3.Connection, counted: Tally, sign: int = 1) -> None:
    """Add to the tables of counts, or take away with sign -1, inside the caller's transaction."""
    for table, counts in counted.items():
        rows = [
            (key[0], *(_NONE if value is None else value for value in key[1:]), sign * count)
            for key, count in counts.items()
        ]
        key = ", ".join(("minute", *COUNTS[table]))
        place = f"({','.join('?' * (len(COUNTS[table]) + 2))})"
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            part = rows[start : start + _ROWS_PER_STATEMENT]
            connection.execute(
                f"INSERT INTO {table} VALUES {','.join([place] * len(part))}"
                f" ON CONFLICT ({key}) DO UPDATE SET count = count + excluded.count",
                list(chain.from_iterable(part)),
            )


def widen(connection: sqlite3.Connection, first_row: int, timestamps: list[int]) -> None:
    """Make the zones of new rows, which start at `first_row`, hold their times too."""
    size = 1 << ZONE_BITS
    at = 0
    while at < len(timestamps):
        zone = (first_row + at) >> ZONE_BITS
        part = timestamps[at : ((zone + 1) * size) - first_row]
        connection.execute(f"INSERT INTO zones VALUES (?,?,?) {_ZONE}", (zone, min(part), max(part)))
        at += len(part)
