"""How many records of the SQLite store match, over time and by value.

What one table of counts knows all about (level and host, or level, app and app id) is read from it, but for the minutes
that a bound goes through; anything else is counted record by record, newest first, as long as there is time.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from shipper.search.query import Buckets, Counts, Query, Top
from shipper.stores._agreement import within
from shipper.stores._sqlite_plan import plan, rare_rows
from shipper.stores._sqlite_reading import Limit, reading, spans, unreadable
from shipper.stores._sqlite_rollup_read import COUNTED_FIELDS, is_kept, known, zones
from shipper.stores._sqlite_tables import MINUTE_NS
from shipper.stores._sqlite_values import Value, checked, grouped
from shipper.stores._sqlite_where import Compiler, Condition, all_of

_LAST: Final = 2**63 - 1
_MATCHING: Final = "records.rowid IN (SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?)"
#: One statement counts no more than one of so many parts of a day, so that what was counted in time is kept.
_SLICES: Final = 24
#: Different values that are kept apart; the rarest go when there are more.
_MOST_VALUES: Final = 100_000

#: Number of a bucket, JSON type, value, records.
_Group = tuple[int, str | None, Any, int]
_Add = Callable[[int, frozenset[Value], int], None]


def counts(directory: Path, query: Query, buckets: Buckets, by: str | None, limit: Limit) -> Counts:
    """Count what matches over time."""
    found: Counter[tuple[int, str]] = Counter()

    def add(bucket: int, values: frozenset[Value], count: int) -> None:
        for value in values or ("",):
            found[buckets.start + bucket * buckets.step, str(value)] += count

    notes = _count(directory, query, buckets, by, limit, add)
    if _pruned(found):
        notes.append(f"more than {_MOST_VALUES:,} values of {by} at once; the rarest were not counted")
    return Counts(dict(found), tuple(notes))


def top(directory: Path, query: Query, field: str, most: int, limit: Limit) -> Top:
    """Return the most frequent values of a field."""
    found: Counter[Value] = Counter()
    total = without = 0
    was_pruned = False

    def add(_: int, values: frozenset[Value], count: int) -> None:
        nonlocal total, without, was_pruned
        total += count
        without += 0 if values else count
        for value in values:
            found[value] += count
        was_pruned = _pruned(found) or was_pruned

    notes = _count(directory, query, Buckets(0, _LAST, _LAST), field, limit, add)
    if was_pruned:
        notes.append("too many values for exact counts: some may be too low")
    ordered = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return Top([(str(value), count) for value, count in ordered[:most]], total, without, tuple(notes))


def _pruned(found: Counter[Any]) -> bool:
    """Forget rare values when there are too many, and say so."""
    if len(found) <= 2 * _MOST_VALUES:
        return False
    kept = found.most_common(_MOST_VALUES)
    found.clear()
    found.update(dict(kept))
    return True


def _count(directory: Path, query: Query, buckets: Buckets, by: str | None, limit: Limit, add: _Add) -> list[str]:
    """Give all groups of records to `add`; return what is missing."""
    checked(by)
    notes: list[str] = []
    for path, first, last in sorted(spans(directory, limit, notes), key=lambda span: span[1], reverse=True):
        try:
            with reading(path, limit) as connection:
                counting = _Counting(connection, query, buckets, by, (first, last + 1))
                for bucket, type, value, count in counting.groups():
                    add(bucket, counting.by.values(type, value), count)
        except sqlite3.Error as error:
            if limit.over():
                return [*notes, limit.note()]
            notes.append(unreadable(error, path))
    return notes


class _Counting:
    """A question to one file, whose records are of the times `span`."""

    def __init__(
        self, connection: sqlite3.Connection, query: Query, buckets: Buckets, by: str | None, span: tuple[int, int]
    ) -> None:
        self._connection = connection
        self._compiler = Compiler(connection)
        self._compiler.words.walking = False
        self._plan = plan(query, self._compiler)
        self._buckets = buckets
        self.by = grouped(by, self._compiler)
        self._column = None if by is None else COUNTED_FIELDS.get(by)
        self._known = known(self._plan.parts, self._column)
        self._is_counted = (
            is_kept(self._compiler)
            and (by is None or self._column is not None)
            and len(self._known.parts) == len(self._plan.parts)
            and self._plan.match is None
            and buckets.step >= MINUTE_NS
        )
        start = buckets.start if self._plan.start is None else max(self._plan.start, buckets.start)
        end = buckets.end if self._plan.end is None else min(self._plan.end, buckets.end)
        self._start, self._end = within(start), within(end)
        self._span = max(self._start, span[0]), min(self._end, span[1])

    def groups(self) -> Iterator[_Group]:
        """Yield how many records there are of each bucket and value, some in several portions."""
        if self._span[0] >= self._span[1]:
            return
        wanted = all_of([self._compiler.condition(part) for part in self._plan.parts])
        if self._is_counted:
            yield from self._by_minutes(wanted)
        elif self._plan.match is not None:
            yield from self._by_words(self._plan.match, wanted)
        elif self._plan.few:
            yield from self._records("NOT INDEXED", rare_rows(self._plan.parts, self._compiler), wanted)
        else:
            first, last = self._span
            step = max(1, -(-(last - first) // _SLICES))
            for start in reversed(range(first, last, step)):
                yield from self._along_time(start, min(last, start + step), wanted)

    def _by_minutes(self, wanted: Condition) -> Iterator[_Group]:
        """Count whole minutes by what is known of them, and the records of minutes that a bound goes through."""
        first, behind = -(-self._span[0] // MINUTE_NS), self._span[1] // MINUTE_NS
        cut = {bound // MINUTE_NS for bound in self._bounds() if bound % MINUTE_NS}
        inside = sorted(minute for minute in cut if first <= minute < behind)
        yield from self._known_of(first, behind, inside)
        edges = {bound // MINUTE_NS for bound in self._span if not first <= bound // MINUTE_NS < behind}
        for minute in sorted({*inside, *edges}):
            start, end = max(minute * MINUTE_NS, self._span[0]), min((minute + 1) * MINUTE_NS, self._span[1])
            yield from self._along_time(start, end, wanted)

    def _known_of(self, first: int, behind: int, but: list[int]) -> Iterator[_Group]:
        """Add up minutes; first those of each value, in the order of the key, so that only their sums are sorted."""
        wanted = self._known.condition(self._connection)
        key, value = (f"key_of_{self._column}", self._column) if self._column else ("minute", "NULL")
        return self._connection.execute(
            "SELECT bucket, CASE WHEN value IS NOT NULL THEN 'text' END, value, SUM(count) FROM ("
            f"SELECT (minute * {MINUTE_NS} - ?) / ? AS bucket, {value} AS value, SUM(count) AS count"
            f" FROM {self._known.source} WHERE minute >= ? AND minute < ? AND minute NOT IN ({','.join(map(str, but))})"
            f" AND {wanted.sql} GROUP BY minute, {key}) GROUP BY bucket, value HAVING SUM(count) > 0",
            (self._buckets.start, self._buckets.step, first, behind, *wanted.values),
        )

    def _bounds(self) -> range:
        """Return where one bucket ends and the next begins, as far as it is in the file."""
        first = -(-(self._span[0] - self._buckets.start) // self._buckets.step)
        return range(self._buckets.start + first * self._buckets.step, self._span[1], self._buckets.step)

    def _by_words(self, match: str, wanted: Condition) -> Iterator[_Group]:
        """Look at what the index of words finds, some zones at a time."""
        found = sorted(zones(self._connection, self._compiler), key=lambda zone: zone.row, reverse=True)
        found = [zone for zone in found if zone.last >= self._span[0] and zone.first < self._span[1]]
        if self._plan.few:
            yield from self._records("NOT INDEXED", Condition(_MATCHING, (match, 0, _LAST)), wanted)
            return
        size = -(-len(found) // _SLICES)
        for at in range(0, len(found), size):
            part = found[at : at + size]
            yield from self._records(
                "NOT INDEXED", Condition(_MATCHING, (match, part[-1].row, part[0].last_row)), wanted
            )

    def _along_time(self, start: int, end: int, wanted: Condition) -> Iterator[_Group]:
        app = self._plan.app
        way = Condition("timestamp >= ? AND timestamp < ?", (start, end))
        if app is None:
            return self._records("INDEXED BY by_time", way, wanted)
        return self._records("INDEXED BY by_app", all_of([Condition("app = ?", (app,)), way]), wanted)

    def _records(self, index: str, way: Condition, wanted: Condition) -> Iterator[_Group]:
        time = Condition("timestamp >= ? AND timestamp < ?", self._span)
        where = all_of([way, time, wanted])
        type, value = self.by.type, self.by.value
        return self._connection.execute(
            f"SELECT (timestamp - ?) / ?, {type.sql}, {value.sql}, COUNT(*) FROM records {index}"
            f" WHERE {where.sql} GROUP BY 1, 2, 3",
            (self._buckets.start, self._buckets.step, *type.values, *value.values, *where.values),
        )
