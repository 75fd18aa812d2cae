"""What the store has taken since a moment: for a tail that resumes, and for a hub without a feed."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from shipper.search.expression import Between, both
from shipper.search.query import Buckets, Query
from shipper.stores import Reader

SECOND: Final = 1_000_000_000
#: Records older than this when the store took them are not looked for.
LATEST: Final = 600 * SECOND
#: How much later than `event.ingested` says a record can be found: a second in Elasticsearch, and clocks that differ.
MARGIN: Final = 3 * SECOND
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class History:
    """Records, oldest first, and how many older ones were left out because there were too many."""

    records: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    incomplete: tuple[str, ...] = ()


async def ingested_since(reader: Reader, query: Query, since: int, now: int, most: int) -> History:
    """Return the newest `most` records that match and were ingested since a moment (nanoseconds since 1970)."""
    begin = max(0, since - LATEST)
    since_then = both((query.where, Between("event.ingested", since, None)))
    asked = replace(query, start=begin, where=since_then, newest_first=True, after=None, limit=min(most, _PAGE))
    found: list[dict[str, Any]] = []
    incomplete: dict[str, None] = {}
    while True:
        page = await reader.search(asked)
        found += page.records
        incomplete.update(dict.fromkeys(page.incomplete))
        if page.next is None or len(found) >= most:
            break
        asked = replace(asked, after=page.next, limit=min(most - len(found), _PAGE))
    left_out = 0 if page.next is None else await _older(reader, replace(asked, after=None), now, len(found))
    return History(found[::-1], left_out, tuple(incomplete))


async def _older(reader: Reader, query: Query, now: int, found: int) -> int:
    """Return how many records match beyond those that were found; at least one."""
    start = query.start or 0
    buckets = Buckets(start, now + SECOND, now + SECOND - start)
    counted = await reader.counts(query, buckets, None)
    return max(1, sum(counted.counts.values()) - found)


async def last(reader: Reader, query: Query, count: int) -> History:
    """Return the last records that match, oldest first."""
    found = await reader.search(replace(query, newest_first=True, after=None, limit=count))
    return History(found.records[::-1], 0, found.incomplete)
