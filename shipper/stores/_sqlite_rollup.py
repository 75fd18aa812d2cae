"""What is counted while records are written: how many per minute and value, and which times a zone of rows holds.

`counts` answers how often, `zones` where to look: rows come about in the order of time, so a zone of 16,384 rows has a
narrow range of it, and the search for the newest matches can stop after the zones that may hold them.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from shipper.stores._sqlite_tables import MINUTE_NS, ZONE_BITS

#: What stands for no value in the key of `counts`.
_NONE: Final = b""
_ROWS_PER_STATEMENT: Final = 500
_COUNT: Final = "ON CONFLICT (minute, level, app, host, resource) DO UPDATE SET count = count + excluded.count"
_ZONE: Final = "ON CONFLICT (zone) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)"

#: timestamp, level, app, host, resource of a record.
Counted = tuple[Any, ...]


def tally(records: Iterable[Counted]) -> Counter[Counted]:
    """Count records by minute and values: rows of `counts`."""
    return Counter(
        (timestamp // MINUTE_NS, level, app, host, resource) for timestamp, level, app, host, resource in records
    )


def add(connection: sqlite3.Connection, counted: Mapping[Counted, int], sign: int = 1) -> None:
    """Add to `counts`, or take away with sign -1, inside the caller's transaction."""
    rows = [
        (key[0], *(_NONE if value is None else value for value in key[1:]), sign * count)
        for key, count in counted.items()
    ]
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        part = rows[start : start + _ROWS_PER_STATEMENT]
        places = ",".join(["(?,?,?,?,?,?)"] * len(part))
        connection.execute(f"INSERT INTO counts VALUES {places} {_COUNT}", list(chain.from_iterable(part)))


def widen(connection: sqlite3.Connection, first_row: int, timestamps: list[int]) -> None:
    """Make the zones of new rows, which start at `first_row`, hold their times too."""
    size = 1 << ZONE_BITS
    at = 0
    while at < len(timestamps):
        zone = (first_row + at) >> ZONE_BITS
        part = timestamps[at : ((zone + 1) * size) - first_row]
        connection.execute(f"INSERT INTO zones VALUES (?,?,?) {_ZONE}", (zone, min(part), max(part)))
        at += len(part)
