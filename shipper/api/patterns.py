"""Error patterns: messages grouped by template, how often, since when; and two questions compared by their patterns.

Up to 10,000 records are looked at, spread over the whole time; of more, numbers are estimates and the answer says so.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from shipper.api.ask import Asking
from shipper.api.counting import buckets, span
from shipper.api.shown import identify, service_of
from shipper.record.times import from_ns, moment
from shipper.search import kql
from shipper.search import patterns as templates
from shipper.search.expression import both
from shipper.search.query import Page, Query

MOST_LOOKED_AT = 10_000
_PAGE = 1000
_PARTS = 10
#: Patterns whose first record is looked for, and how many candidates each.
_MOST_SEARCHED, _CANDIDATES = 20, 20
#: A pattern is more or less frequent when its share of all records changed by this factor.
_FACTOR = 2.0


@dataclass(slots=True)
class Pattern:
    """Messages that are alike."""

    template: str
    #: Records, estimated when not all were looked at.
    count: float = 0.0
    first: int = 0
    last: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    apps: Counter[str] = field(default_factory=Counter)
    #: The newest record of it that was looked at.
    example: dict[str, Any] = field(default_factory=dict)

    def add(self, record: dict[str, Any], weight: float) -> None:
        """Count one record, which stands for `weight` of them."""
        at = moment(record)
        self.count += weight
        self.first = min(self.first or at, at)
        if at >= self.last:
            self.last, self.example = at, record
        self.levels[str(record.get("log.level") or "")] += 1
        self.apps[service_of(record)] += 1


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of what matches a query, most frequent first."""

    patterns: list[Pattern]
    looked_at: int
    total: int
    incomplete: list[str]


@dataclass(frozen=True, slots=True)
class _Looked:
    """The records that were looked at, by template, each with how many it stands for."""

    by_template: dict[str, list[tuple[dict[str, Any], float]]]
    looked_at: int
    total: int
    notes: list[str]


async def patterns(asking: Asking, query: Query) -> Patterns:
    """Group the messages that match a query by template."""
    looked = await _look(asking, query)
    (found,) = await asyncio.to_thread(_grouped, looked)
    return Patterns(found, looked.looked_at, looked.total, looked.notes)


async def _look(asking: Asking, query: Query) -> _Looked:
    samples, total, notes = await _samples(asking, query)
    looked_at = sum(len(records) for records, _ in samples)
    if looked_at < total:
        notes.append(f"numbers are estimates: {looked_at:,} of {total:,} records were looked at")
    return _Looked(await asyncio.to_thread(_by_template, samples), looked_at, total, notes)


async def _samples(asking: Asking, query: Query) -> tuple[list[tuple[list[dict[str, Any]], float]], int, list[str]]:
    """Return records of each part of the time with how many each stands for; how many there are; what is missing."""
    start, end = await span(asking, query)
    bounded = replace(query, start=start, end=end, after=None, newest_first=True)
    parts = buckets(start, end, _PARTS)
    counted = await asking.reader.counts(bounded, parts, None)
    notes = dict.fromkeys(counted.incomplete)
    total = sum(counted.counts.values())
    samples = []
    for (at, _), count in sorted(counted.counts.items()):
        part = replace(bounded, start=max(start, at), end=min(end, at + parts.step))
        wanted = count if total <= MOST_LOOKED_AT else max(1, round(MOST_LOOKED_AT / len(counted.counts)))
        records, more = await _some(asking, part, wanted)
        notes.update(dict.fromkeys(more))
        if records:
            samples.append((records, max(1.0, count / len(records))))
    return samples, total, list(notes)


async def _some(asking: Asking, query: Query, wanted: int) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the newest records of a query, `wanted` at most."""
    records: list[dict[str, Any]] = []
    page = Page()
    while len(records) < wanted:
        page = await asking.reader.search(replace(query, after=page.next, limit=min(_PAGE, wanted - len(records))))
        records += page.records
        if page.next is None:
            break
    return records, page.incomplete


def _by_template(samples: list[tuple[list[dict[str, Any]], float]]) -> dict[str, list[tuple[dict[str, Any], float]]]:
    found: dict[str, list[tuple[dict[str, Any], float]]] = {}
    for records, weight in samples:
        for record in records:
            name = templates.template(str(record.get("message", "")))
            found.setdefault(name, []).append((record, weight))
    return found


def _grouped(*looked: _Looked) -> list[list[Pattern]]:
    """Return the patterns of each; which templates are one pattern is the same for all: they can be compared."""
    pattern_of = templates.merged({name for one in looked for name in one.by_template})
    grouped = []
    for one in looked:
        found: dict[str, Pattern] = {}
        for name, members in one.by_template.items():
            pattern = found.setdefault(pattern_of[name], Pattern(pattern_of[name]))
            for record, weight in members:
                pattern.add(record, weight)
        grouped.append(sorted(found.values(), key=lambda one: (-one.count, one.template)))
    return grouped


async def patterns_answer(asking: Asking, query: Query, limit: int) -> dict[str, Any]:
    """Return a `PatternsAnswer`."""
    found = await patterns(asking, query)
    shown = found.patterns[:limit]
    since = await asyncio.gather(*(_since(asking, query, one) for one in shown[:_MOST_SEARCHED]))
    since += [None] * (len(shown) - len(since))
    return {
        "patterns": [
            {
                "template": one.template,
                "count": round(one.count),
                "share": round(one.count / found.total, 6) if found.total else 0.0,
                "first": from_ns(one.first),
                "last": from_ns(one.last),
                "since": None if at is None else from_ns(at),
                "levels": dict(one.levels.most_common()),
                "apps": dict(one.apps.most_common(10)),
                "example": identify(one.example),
                "query": _query_of(one),
            }
            for one, at in zip(shown, since, strict=True)
        ],
        "looked_at": found.looked_at,
        "total": found.total,
        "incomplete": found.incomplete,
    }


async def _since(asking: Asking, query: Query, pattern: Pattern) -> int | None:
    """Return when the first record of a pattern was written that the store still has; None when it was not found."""
    first = await _first(asking, replace(query, start=None), pattern.template)
    return None if first is None else min(moment(first), pattern.first)


async def _first(asking: Asking, query: Query, template: str) -> dict[str, Any] | None:
    """Return the first record of a pattern that matches a query; None when it was not found."""
    where = templates.expression(template)
    if where is None:
        return None
    asked = replace(query, after=None, newest_first=False, limit=_CANDIDATES, where=both((query.where, where)))
    page = await asking.reader.search(asked)
    found = (one for one in page.records if templates.belongs(str(one.get("message", "")), template))
    return next(found, None)


def _query_of(pattern: Pattern) -> str:
    where = templates.expression(pattern.template)
    return "" if where is None else kql.write(where)


async def compare_answer(asking: Asking, a: Query, b: Query, limit: int) -> dict[str, Any]:
    """Return a `CompareAnswer`: which patterns `b` has and `a` has not, and the other way round."""
    before, after = await _look(asking, a), await _look(asking, b)
    old, new = ({one.template: one for one in found} for found in await asyncio.to_thread(_grouped, before, after))
    await _overlooked(asking, a, before, old, new)
    await _overlooked(asking, b, after, new, old)
    rows = [_compared(old.get(name), new.get(name), before.total, after.total) for name in {**new, **old}]
    order = {"new": 0, "gone": 1, "more": 2, "less": 3, "same": 4}
    rows.sort(key=lambda row: (order[row["change"]], -(row["a"] + row["b"]), row["template"]))
    return {
        "a": {"total": before.total, "looked_at": before.looked_at},
        "b": {"total": after.total, "looked_at": after.looked_at},
        "patterns": rows[:limit],
        "incomplete": list(dict.fromkeys((*_empty(before, after), *before.notes, *after.notes))),
    }


def _empty(before: _Looked, after: _Looked) -> list[str]:
    """Say which side has no records, since all of the other one is then new or gone."""
    sides = (("before (a)", before), ("now (b)", after))
    return [f"nothing to compare with: no record matches {side}" for side, looked in sides if not looked.total]


async def _overlooked(
    asking: Asking, query: Query, looked: _Looked, known: dict[str, Pattern], others: dict[str, Pattern]
) -> None:
    """Add patterns that only the other side seems to have, but this side too, in records that were not looked at."""
    if looked.looked_at == looked.total:
        return
    missed = [name for name in others if name not in known][:_MOST_SEARCHED]
    for name, first in zip(missed, await asyncio.gather(*(_first(asking, query, one) for one in missed)), strict=True):
        if first is not None:
            known[name] = Pattern(name)
            known[name].add(first, 1.0)


def _compared(old: Pattern | None, new: Pattern | None, old_total: int, new_total: int) -> dict[str, Any]:
    known = new or old or Pattern("")
    a, b = (0.0 if one is None else one.count for one in (old, new))
    return {
        "template": known.template,
        "a": round(a),
        "b": round(b),
        "change": _change(a, b, old_total, new_total),
        "example": identify(known.example),
        "query": _query_of(known),
    }


def _change(a: float, b: float, old_total: int, new_total: int) -> str:
    if not a:
        return "new"
    if not b:
        return "gone"
    ratio = (b / new_total) / (a / old_total)
    return "more" if ratio >= _FACTOR else "less" if ratio <= 1 / _FACTOR else "same"
