"""Questions to what was counted while records were written (see _sqlite_rollup); files of version 1 have none of it."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from shipper.search.expression import And, Equals, Expression, Like, Not, Or, Present
from shipper.stores._sqlite_tables import COUNTED, COUNTS, MINUTE_NS, ZONE_BITS
from shipper.stores._sqlite_where import ALWAYS, Compiler, Condition

#: Fields that are counted, and their columns.
COUNTED_FIELDS: Final = dict(
    zip(("log.level", "service.name", "host.name", "orchestrator.resource.name"), COUNTED, strict=True)
)
_EVERY_ROW: Final = 2**62


def columns_of(part: Expression) -> frozenset[str] | None:
    """Return the columns that it is about, when all of them are counted; `None` for any other part."""
    if isinstance(part, And | Or):
        found = [columns_of(one) for one in part.parts]
        known = [columns for columns in found if columns is not None]
        return frozenset().union(*known) if len(known) == len(found) else None
    if isinstance(part, Not):
        return columns_of(part.part)
    if isinstance(part, Equals | Like | Present) and part.field in COUNTED_FIELDS:
        return frozenset({COUNTED_FIELDS[part.field]})
    return None


def is_kept(compiler: Compiler) -> bool:
    """Whether the file has counts at all."""
    return "orchestrator.resource.name" in compiler.columns


@dataclass(frozen=True, slots=True)
class Known:
    """A table of counts, and the parts of a question that it answers."""

    table: str
    parts: tuple[Expression, ...]

    @property
    def source(self) -> str:
        """The table with NULL for no value, as conditions expect it; `key_of_…` is what stands there."""
        values = ", ".join(f"nullif({name}, x'') AS {name}, {name} AS key_of_{name}" for name in COUNTS[self.table])
        return f"(SELECT minute, {values}, count FROM {self.table})"

    def condition(self, connection: sqlite3.Connection) -> Condition:
        """Return the condition of all parts, on columns of the source."""
        return Compiler(connection, "key_of_").condition(And(self.parts)) if self.parts else ALWAYS


def known(parts: Iterable[Expression], grouped_by: str | None = None) -> Known:
    """Return the table that answers most of the parts, among those that have the column for groups if any has it."""
    by_columns = [(part, columns_of(part)) for part in parts]
    answered = [
        Known(table, tuple(part for part, asked in by_columns if asked is not None and asked <= {*columns}))
        for table, columns in COUNTS.items()
        if grouped_by is None or grouped_by in columns
    ]
    return max(answered, key=lambda one: len(one.parts))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Minutes next to each other in which something matches: nanoseconds, `end` excluded, and how many records."""

    start: int
    end: int
    count: int


def stretches(
    connection: sqlite3.Connection, hint: Known, bounds: tuple[int, int], newest_first: bool
) -> Iterator[Stretch]:
    """Yield the minutes in which records match, in order; the first and last may hold others, out of the bounds."""
    direction = "DESC" if newest_first else "ASC"
    wanted = hint.condition(connection)
    rows = connection.execute(
        f"SELECT minute, SUM(count) FROM {hint.source} WHERE minute BETWEEN ? AND ? AND {wanted.sql}"
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
