"""A store that may be away, and the recent copies behind it: whoever asks is answered, and told from where.

Whether the store is in trouble is known from questions that failed and from a look at it every few seconds, so that
nobody waits for a store that is known not to answer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, Self, TypeVar

from shipper import telemetry
from shipper.api.recent_copies import Copies, place_of, together
from shipper.errors import ShipperError, StoreBusy
from shipper.record.times import from_ns
from shipper.search.expression import Equals, Or, both
from shipper.search.ledger import Entry, Range, Report
from shipper.search.query import Around, Buckets, Counts, Neighbours, Page, Query, Top
from shipper.stores import Reader

#: How long the store may take for the records of a request, and for other records; when it is in trouble, much less.
_STORY_SECONDS: Final = 2.0
_IN_TROUBLE_STORY_SECONDS: Final = 0.05
_IN_TROUBLE_SECONDS: Final = 1.0
#: How often the store is looked at, and how long it may take for that.
_LOOK_SECONDS: Final = 2.0
_LOOK_LIMIT_SECONDS: Final = 2.0
#: How often other shippers are asked whether records wait for the store.
_LISTEN_SECONDS: Final = 5.0
#: Neighbours of a record are looked for so far around it, in the series of all classes of importance.
_AROUND_NS: Final = 600 * 1_000_000_000
_CLASSES: Final = "wnfhjs"
_SPARE: Final = 200

T = TypeVar("T")


class WithRecent(Reader):
    """A reader that says when the store is behind, and asks the recent copies when it does not answer.

    Without any copy StoreBusy stays StoreBusy.
    """

    def __init__(
        self, reader: Reader, copies: Copies, trouble: Callable[[], str | None], clock: Callable[[], int] = time.time_ns
    ) -> None:
        """`trouble` says why the store takes no records now, or not all, if the process knows."""
        self._reader, self._copies, self._trouble, self._clock = reader, copies, trouble, clock
        #: Since when, and why, the store is in trouble; 0: it is not.
        self._since, self._why = 0, ""
        #: Why the store takes no records now, as other shippers say.
        self._heard: str | None = None

    async def __aenter__(self) -> Self:
        """Open the store."""
        await self._reader.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close it."""
        await self._reader.__aexit__(*error)

    async def watch(self) -> None:
        """Look at the store, and hear of other shippers what they know of it, again and again, until cancelled."""
        await asyncio.gather(self._look(), self._listen())

    async def _listen(self) -> None:
        while (peers := self._copies.peers) is not None:
            self._heard = await peers.why_behind()
            await asyncio.sleep(_LISTEN_SECONDS)

    async def _look(self) -> None:
        while True:
            if self._copies.any:
                try:
                    async with asyncio.timeout(_LOOK_LIMIT_SECONDS):
                        self._note(await self._reader.healthy())
                except (ShipperError, TimeoutError) as error:
                    self._note(str(error) or "no answer in time")
            await asyncio.sleep(_LOOK_SECONDS)

    async def search(self, query: Query) -> Page:
        """Ask the store; from the recent copies when it does not answer, and what it lacks, too."""
        try:
            page = await self._in_time(self._reader.search(query), self._limit(query))
        except StoreBusy as busy:
            if not self._copies.any:
                raise
            self._note(str(busy))
            found = await self._copies.search(query)
            if found is None:
                raise
            telemetry.ANSWERED_FROM_RECENT.inc()
            return replace(found, incomplete=(self._told(), *found.incomplete))
        if self._why_behind or (query.request_id is not None and page.incomplete):
            return await self._completed(page, query)
        return page

    async def around(self, around: Around) -> Neighbours:
        """Ask the store; from the recent copies when it does not answer."""
        try:
            found = await self._in_time(self._reader.around(around), self._patience)
        except StoreBusy as busy:
            if not self._copies.any:
                raise
            self._note(str(busy))
            others = await self._around(around)
            if others is None:
                raise
            return others
        return replace(found, incomplete=(*found.incomplete, *self._behind()))

    async def counts(self, query: Query, buckets: Buckets, by: str | None) -> Counts:
        """Ask the store: copies are not counted."""
        found = await self._reader.counts(query, buckets, by)
        return replace(found, incomplete=(*found.incomplete, *self._behind()))

    async def top(self, query: Query, field: str, limit: int) -> Top:
        """Ask the store: copies are not counted."""
        found = await self._reader.top(query, field, limit)
        return replace(found, incomplete=(*found.incomplete, *self._behind()))

    async def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        """Ask the store."""
        return await self._reader.dead_letters(limit)

    async def ledger(self, *hosts: str) -> list[Entry]:
        """Ask the store."""
        return await self._reader.ledger(*hosts)

    async def reports(self, *hosts: str) -> list[Report]:
        """Ask the store."""
        return await self._reader.reports(*hosts)

    async def present(self, series: str, numbers: Range, limit: int = 10_000) -> list[Range]:
        """Ask the store."""
        return await self._reader.present(series, numbers, limit)

    async def healthy(self) -> str | None:
        """Ask the store."""
        return await self._reader.healthy()

    @property
    def _why_behind(self) -> str | None:
        """Why records wait for the store now, as far as it is known."""
        return self._trouble() or self._heard

    def _behind(self, what: str = "what is newer may be missing") -> tuple[str, ...]:
        """Return a note while records wait for the store; what came before is there."""
        why = self._why_behind
        return () if why is None else (f"the store is behind ({why}): {what}",)

    @property
    def _patience(self) -> float | None:
        """How long the store may take when it is known to be in trouble."""
        return _IN_TROUBLE_SECONDS if self._since else None

    def _limit(self, query: Query) -> float | None:
        if query.request_id is None:
            return self._patience
        if not self._copies.any:
            return None
        # One that takes no records, as its disk is full, answers as ever.
        return _IN_TROUBLE_STORY_SECONDS if self._since else _STORY_SECONDS

    async def _in_time(self, answer: Awaitable[T], seconds: float | None) -> T:
        """Wait for the store; StoreBusy when it takes too long."""
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise StoreBusy(self._why or f"no answer in {seconds:g} s") from None

    def _note(self, why: str | None) -> None:
        if why is None:
            self._since, self._why = 0, ""
        else:
            self._since, self._why = self._since or self._clock(), why

    def _told(self) -> str:
        return f"the store does not answer since {from_ns(self._since)[:19]}Z ({self._why})"

    async def _completed(self, page: Page, query: Query) -> Page:
        """Add to a page of the store what the copies have beside it: records wait for the store."""
        found = await self._copies.search(query) if self._copies.any else None
        if found is None:
            return replace(page, incomplete=(*page.incomplete, *self._behind()))
        parts = [(found.records, found.next is not None), (page.records, page.next is not None)]
        whole = together(query, parts, page.incomplete, page.source)
        stored = {place_of(record) for record in page.records}
        if all(place_of(record) in stored for record in whole.records):
            return replace(whole, incomplete=(*page.incomplete, *self._behind()))
        behind = self._behind("newer records are from recent copies, as far as shippers have them")
        behind = behind or ("a part of the store does not answer: some of these records are from recent copies",)
        return replace(whole, incomplete=(*page.incomplete, *behind))

    async def _around(self, around: Around) -> Neighbours | None:
        """Return the neighbours of a record out of the copies, within ten minutes of it; None when none answers."""
        start = around.series[:-1]
        names = (around.series,) if around.one_series else tuple(start + letter for letter in _CLASSES)
        where = both((around.where, Or(tuple(Equals("shipper.series", name) for name in names))))
        first, last = max(0, around.created - _AROUND_NS), around.created + _AROUND_NS
        earlier, later = await asyncio.gather(
            self._copies.search(Query(first, around.created + 1, where=where, limit=around.before + _SPARE)),
            self._copies.search(
                Query(around.created, last, where=where, limit=around.after + _SPARE, newest_first=False)
            ),
        )
        if earlier is None or later is None:
            return None
        own = (around.created, around.series, around.sequence)
        places = {place_of(record): record for record in (*earlier.records, *later.records)}
        places = {place: record for place, record in places.items() if place[1:] != own[1:]}
        before = sorted(place for place in places if _earlier(place, own))
        after = sorted(place for place in places if not _earlier(place, own))
        return Neighbours(
            [places[place] for place in before[-around.before :]] if around.before else [],
            [places[place] for place in after[: around.after]],
            (self._told(), *earlier.incomplete),
        )


def _earlier(place: tuple[int, str, int], own: tuple[int, str, int]) -> bool:
    return place[2] < own[2] if place[1] == own[1] else place < own
