"""Questions to what was counted while records were written (see _sqlite_rollup); files of version 1 have none of it."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shipper.search.expression import And, Equals, Expression, Like, Not, Or, Present
from shipper.stores._sqlite_tables import COUNTED, MINUTE_NS, ZONE_BITS
from shipper.stores._sqlite_where import ALWAYS, Compiler, Condition

#: Fields that are counted, and their columns.
COUNTED_FIELDS: Final = dict(
    zip(("log.level", "service.name", "host.name", "orchestrator.resource.name"), COUNTED, strict=True)
)
#: `counts` with NULL for no value, as conditions expect it; `key_of_…` is what stands there, in the order of its key.
_VALUES: Final = ", ".join(f"nullif({column}, x'') AS {column}, {column} AS key_of_{column}" for column in COUNTED)
SOURCE: Final = f"(SELECT minute, {_VALUES}, count FROM counts)"
_EVERY_ROW: Final = 2**62


def is_counted(part: Expression) -> bool:
    """Whether it is about fields that are counted, and no others."""
    if isinstance(part, And | Or):
        return all(map(is_counted, part.parts))
    if isinstance(part, Not):
        return is_counted(part.part)
    return isinstance(part, Equals | Like | Present) and part.field in COUNTED_FIELDS


def is_kept(compiler: Compiler) -> bool:
    """Whether the file has counts at all."""
    return "orchestrator.resource.name" in compiler.columns


def condition(parts: Sequence[Expression], connection: sqlite3.Connection) -> Condition:
    """Return the condition of parts that are counted, on columns of `SOURCE`."""
    return Compiler(connection, "key_of_").condition(And(tuple(parts))) if parts else ALWAYS


@dataclass(frozen=True, slots=True)
class Stretch:
    """Minutes next to each other in which something matches: nanoseconds, `end` excluded, and how many records."""

    start: int
    end: int
    count: int


def stretches(
    connection: sqlite3.Connection, wanted: Condition, bounds: tuple[int, int], newest_first: bool
) -> Iterator[Stretch]:
    """Yield the minutes in which records match, in order; the first and last may hold others, out of the bounds."""
    direction = "DESC" if newest_first else "ASC"
    rows = connection.execute(
        f"SELECT minute, SUM(count) FROM {SOURCE} WHERE minute BETWEEN ? AND ? AND {wanted.sql}"
        f" GROUP BY minute HAVING SUM(count) > 0 ORDER BY minute {direction}",
        (bounds[0] // MINUTE_NS, bounds[1] // MINUTE_NS, *wanted.values),
    )
    for minute, count in rows:
        yield Stretch(minute * MINUTE_NS, (minute + 1) * MINUTE_NS, count)


def in_portions(found: Iterator[Stretch], first: int) -> Iterator[list[Stretch]]:
    """Yield stretches that hold `first` records together, then four times as many, and so on; neighbours are joined."""
    portion: list[Stretch] = []
    count = 0
    for one in found:
        last = portion[-1] if portion else None
        if last is not None and one.end == last.start:
            portion[-1] = Stretch(one.start, last.end, last.count + one.count)
        elif last is not None and one.start == last.end:
            portion[-1] = Stretch(last.start, one.end, last.count + one.count)
        else:
            portion.append(one)
        count += one.count
        if count >= first:
            yield portion
            portion, count, first = [], 0, first * 4
    if portion:
        yield portion


@dataclass(frozen=True, slots=True)
class Zone:
    """Rows next to each other, and the first and last timestamp among them."""

    row: int
    last_row: int
    first: int
    last: int


def zones(connection: sqlite3.Connection, compiler: Compiler) -> list[Zone]:
    """Return the zones of a file; all rows are one in a file that keeps none."""
    if not is_kept(compiler):
        first, last = connection.execute("SELECT MIN(timestamp), MAX(timestamp) FROM records").fetchone()
        return [] if first is None else [Zone(0, _EVERY_ROW, first, last)]
    size = 1 << ZONE_BITS
    rows: list[tuple[Any, ...]] = connection.execute("SELECT zone, first, last FROM zones").fetchall()
    return [Zone(zone * size, (zone + 1) * size - 1, first, last) for zone, first, last in rows]


def joined(parts: Iterable[Zone]) -> list[tuple[int, int]]:
    """Return first and last row of zones, of several at once when their rows are next to each other."""
    found: list[tuple[int, int]] = []
    for zone in sorted(parts, key=lambda zone: zone.row):
        if found and found[-1][1] + 1 == zone.row:
            found[-1] = (found[-1][0], zone.last_row)
        else:
            found.append((zone.row, zone.last_row))
    return found
