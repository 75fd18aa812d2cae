"""Counts over time, most frequent values, who is there: what a store counts, made ready to be shown."""

from dataclasses import dataclass, replace
from typing import Any

from shipper.api.ask import Asking
from shipper.errors import QueryError
from shipper.record.levels import at_least
from shipper.record.times import from_ns, moment
from shipper.search import names
from shipper.search.query import Buckets, Query

_SECOND = 1_000_000_000
#: Lengths of a bucket that people can read, in nanoseconds.
STEPS = tuple(
    int(seconds * _SECOND)
    for seconds in (0.001, 0.01, 0.1, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
)
_DAY = 86_400 * _SECOND
_LAST_HOUR = 3600 * _SECOND
_MOST_APPS = 200
#: Newest records of an app whose hosts and versions are told: to count all of them would take seconds.
_NEWEST = 100


@dataclass(frozen=True, slots=True)
class Histogram:
    """Records in equal parts of time."""

    buckets: Buckets
    by: str | None
    #: Start of a bucket → value → records; also buckets without any.
    counts: dict[int, dict[str, int]]
    incomplete: tuple[str, ...]

    @property
    def total(self) -> int:
        """Records in all buckets."""
        return sum(sum(values.values()) for values in self.counts.values())


def countable(parameter: str, name: str, kinds: tuple[str, ...]) -> str:
    """Return the full name of a field whose values a store can count; QueryError when it cannot."""
    field = names.full(name)
    kind = names.kind_of(field)
    if kind is None:
        raise QueryError(f"{parameter}: no such field: {name!r:.80}; {names.suggestion(name)}")
    if kind not in kinds:
        raise QueryError(
            f"{parameter}: {field} is a {kind} field: only values of {' and '.join(kinds)} fields are counted"
        )
    return field


async def span(asking: Asking, query: Query) -> tuple[int, int]:
    """Return the time range of a query: its own bounds, else those of the records that match, else the last hour."""
    now = asking.clock()
    start, end = query.start, query.end
    if start is not None and end is None:
        return start, max(now, start + 1)
    first = last = None
    if start is None:
        first = await _edge(asking, query, newest=False)
        start = first
    if end is None:
        last = await _edge(asking, query, newest=True)
        end = None if last is None else last + 1
    if end is None:
        end = now
    if start is None or start >= end:
        start = end - _LAST_HOUR
    return start, end


async def _edge(asking: Asking, query: Query, newest: bool) -> int | None:
    asked = replace(query, after=None, limit=1, newest_first=newest)
    found = (await asking.reader.search(asked)).records
    return moment(found[0]) if found else None


def buckets(start: int, end: int, most: int) -> Buckets:
    """Return at most `most` (and one more) readable buckets over a time range, nanoseconds since 1970."""
    wanted = (end - start) / most
    step = next((step for step in STEPS if step >= wanted), None) or _DAY * max(1, -(-(end - start) // (_DAY * most)))
    first = start - start % step
    return Buckets(first, max(end, first + step), step)


async def histogram(asking: Asking, query: Query, by: str | None, most: int) -> Histogram:
    """Count what matches over time; `by` is a field."""
    start, end = await span(asking, query)
    parts = buckets(start, end, most)
    found = await asking.reader.counts(replace(query, start=start, end=end), parts, by)
    counts: dict[int, dict[str, int]] = {at: {} for at in range(parts.start, parts.end, parts.step)}
    for (at, value), count in sorted(found.counts.items()):
        counts.setdefault(at, {})[value] = count
    return Histogram(parts, by, counts, found.incomplete)


def histogram_answer(found: Histogram) -> dict[str, Any]:
    """Return a `CountsAnswer`."""
    return {
        "start": from_ns(found.buckets.start),
        "end": from_ns(found.buckets.end),
        "step_seconds": found.buckets.step / _SECOND,
        "by": found.by,
        "buckets": [
            {"start": from_ns(at), "count": sum(values.values()), "values": values if found.by else {}}
            for at, values in found.counts.items()
        ],
        "total": found.total,
        "incomplete": list(found.incomplete),
    }


async def top_answer(asking: Asking, query: Query, field: str, limit: int) -> dict[str, Any]:
    """Return a `TopAnswer`: the most frequent values of a field."""
    found = await asking.reader.top(query, field, limit)
    shown = sum(count for _, count in found.values)
    return {
        "field": field,
        "values": [
            {"value": value, "count": count, "share": round(count / found.total, 6) if found.total else 0.0}
            for value, count in found.values
        ],
        "total": found.total,
        "without": found.without,
        "others": max(0, found.total - found.without - shown),
        "incomplete": list(found.incomplete),
    }


async def apps_answer(asking: Asking, query: Query) -> dict[str, Any]:
    """Return an `AppsAnswer`: every app that wrote in the time asked for, most records first."""
    reader = asking.reader
    found = await reader.top(query, "service.name", _MOST_APPS)
    errors = dict((await reader.top(replace(query, levels=at_least("error")), "service.name", _MOST_APPS)).values)
    apps = []
    for name, count in found.values:
        one = replace(query, app=name)
        newest = (await reader.search(replace(one, after=None, limit=_NEWEST, newest_first=True))).records
        apps.append(
            {
                "app": name,
                "count": count,
                "errors": errors.get(name, 0),
                "hosts": list(dict.fromkeys(host for record in newest if (host := str(record.get("host.name") or "")))),
                "versions": list(dict.fromkeys(version for record in newest if (version := _version(record)))),
                "last": str(newest[0].get("@timestamp", "")) if newest else None,
            }
        )
    incomplete = list(found.incomplete)
    if len(found.values) == _MOST_APPS:
        incomplete.append(f"only the {_MOST_APPS} apps that wrote most are shown")
    return {"apps": apps, "incomplete": incomplete}


def _version(record: dict[str, Any]) -> str:
    """Version of the app that wrote a record, as the record says it, else as Marathon names it."""
    return str(record.get("service.version") or record.get("marathon.app.version") or "")
