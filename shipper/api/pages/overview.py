"""What stands above a list of records: how many there are over time, of which apps and hosts, and what is missing.

Each part is asked for by itself and may fail by itself: the records are shown all the same.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar

from shipper.api.accounts import books
from shipper.api.ask import Asking
from shipper.api.counting import histogram
from shipper.api.pages.asked import Typed
from shipper.api.pages.histogram import MOST_BARS, Chart, chart
from shipper.api.question import Question
from shipper.errors import ShipperError
from shipper.search.holes import Hole
from shipper.search.query import Query, Top

#: A part that takes longer is left out.
PART_SECONDS = 5.0
_MOST_VALUES = 8
_FACETS = {"app": "service.name", "host": "host.name"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent values of one field: each with its count and the link that asks for it."""

    name: str
    values: list[tuple[str, int, str]]
    #: Records with other values.
    others: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it; None for a part that could not be had."""

    chart: Chart | None
    facets: list[Facet]
    #: Records that are missing in the time asked for and on the hosts asked for; of those, how many may still come.
    missing: int | None
    late: int
    hosts: list[str]
    incomplete: tuple[str, ...]


async def overview(asking: Asking, typed: Typed, asked: Question, query: Query) -> Overview:
    """Return what can be said about all records of a question."""
    quick = replace(asking, seconds=min(asking.seconds, PART_SECONDS))
    fields = {name: field for name, field in _FACETS.items() if name not in asked.model_fields_set}
    (counted, holes), tops = await asyncio.gather(
        asyncio.gather(
            _softly(quick, histogram(quick, query, "log.level", MOST_BARS)), _softly(quick, _holes(quick, query))
        ),
        asyncio.gather(*(_softly(quick, quick.reader.top(query, field, _MOST_VALUES)) for field in fields.values())),
    )
    drawn = None if counted is None else chart(counted, typed, asked)
    facets = [] if drawn is None else [_levels(drawn, typed, asked)]
    facets += [_facet(name, top, typed, asked) for name, top in zip(fields, tops, strict=True) if top is not None]
    notes = [*(() if counted is None else counted.incomplete)]
    notes += [note for top in tops if top is not None for note in top.incomplete]
    return Overview(
        chart=drawn,
        facets=[facet for facet in facets if facet.values],
        missing=None if holes is None else sum(hole.missing for hole in holes),
        late=sum(hole.missing for hole in holes or () if hole.late),
        hosts=sorted({hole.host for hole in holes or ()}),
        incomplete=tuple(dict.fromkeys(notes)),
    )


async def _softly(asking: Asking, answer: Awaitable[T]) -> T | None:
    try:
        return await asking.within(answer)
    except ShipperError:
        return None


async def _holes(asking: Asking, query: Query) -> list[Hole]:
    """Return the holes of the ledger that can hold records of a question."""
    now = asking.clock()
    first, last = query.start or 0, now if query.end is None else query.end
    read = await books(asking.reader, now, *filter(None, [query.host]))
    return [hole for account in read.accounts for hole in account.holes if hole.concerns(first, last)]


def _levels(drawn: Chart, typed: Typed, asked: Question) -> Facet:
    return Facet("level", [(level, n, typed.url(asked, level=[level])) for level, n in drawn.levels.items() if level])


def _facet(name: str, top: Top, typed: Typed, asked: Question) -> Facet:
    shown = sum(count for _, count in top.values)
    values = [(value, count, typed.url(asked, **{name: value})) for value, count in top.values if len(value) <= 256]
    return Facet(name, values, max(0, top.total - top.without - shown))
