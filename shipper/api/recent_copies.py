"""Recent copies of all shippers as one: asked at once, each record told once, and how far the answer is whole."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from shipper.api import recent_wire as wire
from shipper.api.recent_peers import RecentPeers
from shipper.record.times import from_ns, moment
from shipper.search.expression_of import whole
from shipper.search.matching import matcher
from shipper.search.query import Page, Place, Query

#: What a page from here says of its source.
RECENT: Final = "recent"


@dataclass(frozen=True, slots=True)
class Copies:
    """This process's own copy, if it has one, and those of other shippers."""

    own: wire.Own | None = None
    peers: RecentPeers | None = None

    @property
    def any(self) -> bool:
        """Whether there may be a copy."""
        return self.own is not None or (self.peers is not None and bool(self.peers.urls))

    async def search(self, query: Query) -> Page | None:
        """Return the records that match, in order; None when no copy answers."""
        own, others = await asyncio.gather(self._own(query), self._others(query))
        told = [*own, *(answer for _, answer in others if isinstance(answer, wire.Told))]
        if not told:
            return None
        notes = dict.fromkeys(note for answer in told for note in (*_coverage(answer), *answer.notes))
        silent = {url: answer for url, answer in others if isinstance(answer, str)}
        lost = [f"the shipper at {url} could not be asked: {why}" for url, why in silent.items()]
        return _merged(told, query, (_begin(told), *notes, *lost))

    async def _own(self, query: Query) -> list[wire.Told]:
        return [] if self.own is None else [await self.own.ask(query)]

    async def _others(self, query: Query) -> list[tuple[str, wire.Told | str]]:
        return [] if self.peers is None else await self.peers.ask(query)


def _begin(told: list[wire.Told]) -> str:
    """Say since when all copies have what their shippers received."""
    begins = max(answer.coverage.begins for answer in told)
    copies = "the shipper's recent copy, which begins" if len(told) == 1 else "the shippers' recent copies, which begin"
    return f"this is from {copies} at {from_ns(begins)[:19]}Z"


def _coverage(told: wire.Told) -> list[str]:
    found, coverage = [], told.coverage
    if told.waits:
        found.append(f"what hosts sent after {from_ns(coverage.ends)[:19]}Z waits in their queues")
    if coverage.dropped_at >= coverage.begins and coverage.dropped:
        at = from_ns(coverage.dropped_at)[:19]
        found.append(f"a recent copy lacks {coverage.dropped:,} records, as its disk was slow or full until {at}Z")
    return found


def _merged(told: list[wire.Told], query: Query, notes: tuple[str, ...]) -> Page:
    """Return answers as one page; whatever a peer says, only what was asked for is in it."""
    matches = matcher(whole(query))
    return together(query, [(list(filter(matches, answer.records)), answer.more) for answer in told], notes, RECENT)


def together(query: Query, parts: list[tuple[list[dict[str, Any]], bool]], notes: tuple[str, ...], source: str) -> Page:
    """Return parts of an answer, and whether more of each match, as one page: each record once, as the last has it."""
    found = {place_of(record): record for records, _ in parts for record in records}
    order = sorted(found, reverse=query.newest_first)
    # What comes after the end of a part that was cut may belong before what another told.
    ends = [place_of(records[-1]) for records, more in parts if more and records]
    if ends:
        nearest = max(ends) if query.newest_first else min(ends)
        order = [place for place in order if (place >= nearest if query.newest_first else place <= nearest)]
    shown = order[: query.limit]
    more = len(order) > len(shown) or any(more for _, more in parts)
    return Page([found[place] for place in shown], Place(*shown[-1]) if more and shown else None, notes, source)


def place_of(record: dict[str, Any]) -> tuple[int, str, int]:
    """Return the place of a record in the order of answers."""
    sequence = record.get("event.sequence", 0)
    return moment(record), str(record.get("shipper.series", "")), sequence if isinstance(sequence, int) else 0
