"""The story of one request: its records across apps in order, who took part and called whom, what may be missing."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shipper.api.accounts import Books, books
from shipper.api.shown import identify, level_rank, service_of
from shipper.api.story_related import Related, related
from shipper.api.story_services import ERROR_RANK, Clock, Service, clocks, failed, services
from shipper.api.story_usual import Known, homes, learn
from shipper.errors import StoreBusy
from shipper.record.levels import at_least
from shipper.record.times import from_ns, moment
from shipper.search.holes import Hole
from shipper.search.query import Query
from shipper.search.story_calls import Hop
from shipper.search.story_clocks import delays_of, doubtful
from shipper.search.story_lines import Line, line_of
from shipper.search.story_told import Told, put_together
from shipper.search.story_usual import Entry, Silent, outcome, silent_services, unheard_services
from shipper.search.story_verdict import Findings, Verdict, judge
from shipper.stores import Reader

#: A request with more records than this is cut, and says so.
MOST_RECORDS = 5000
_PAGE = 1000
#: A request that touched more hosts is told without the ledger of the rest, and says so.
_MOST_HOSTS = 50
#: Hosts whose clocks are looked into, records that are read for it, and how long before and after the request.
_MOST_CLOCKS: Final = 24
_CLOCK_RECORDS: Final = 100
_CLOCK_NS: Final = 120 * 10**9
#: A request that has not said how it ended may be on its way for so long.
_ON_ITS_WAY_NS: Final = 60 * 10**9
_MOST_SILENT: Final = 10


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of one request. Times are nanoseconds since 1970, by the common clock of its hosts."""

    request_id: str
    #: In order; one whose time was corrected carries it as `shown_time`.
    records: list[dict[str, Any]]
    began: int
    duration: int
    entry: Entry | None
    #: In order of first appearance.
    services: list[Service]
    hops: list[Hop]
    first_error: dict[str, Any] | None
    related: list[Related]
    silent: list[Silent]
    clocks: list[Clock]
    #: Holes of the hosts involved, and of those where silent services run, that can hold records of this request.
    holes: list[Hole]
    #: Whether there are more records than are told.
    cut: bool
    verdict: Verdict
    #: "store", or "recent": from the shippers' recent copies.
    source: str = "store"

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, as far as the ledger and earlier requests tell."""
        return self.verdict.state == "complete"

    @property
    def incomplete(self) -> list[str]:
        """Why something may be missing, in words; empty: complete."""
        return self.verdict.reasons


@dataclass(slots=True)
class _Beside:
    """What the store says beside the records of a request."""

    related: list[Related] = field(default_factory=list)
    silent: list[Silent] = field(default_factory=list)
    #: Hosts on which silent services run.
    homes: dict[str, list[str]] = field(default_factory=dict)
    accounts: list[Books] = field(default_factory=list)
    #: Why some of it is not known.
    notes: list[str] = field(default_factory=list)


async def tell(reader: Reader, request_id: str, now: int) -> Story | None:
    """Return the story of a request as of `now` (nanoseconds since 1970), or None when no record carries its id."""
    records, notes, cut, source = await _records(reader, request_id)
    if not records and not notes:
        return None
    if not records:
        verdict = Verdict("incomplete", notes)
        return Story(request_id, [], 0, 0, None, [], [], None, [], [], [], [], False, verdict, source)
    away = source != "store"
    told = await _told(None if away else reader, records)
    hosts = list(dict.fromkeys(line.host for line in told.lines if line.host))
    lanes = services(told)
    beside = _Beside() if away else await _beside(reader, request_id, told, lanes, hosts, now)
    holes, unknown = _missing(told.lines, beside.accounts)
    if cut:
        notes.append(f"the request has more than {MOST_RECORDS:,} records; only the first {MOST_RECORDS:,} are told")
    if len(hosts) > _MOST_HOSTS:
        notes.append(f"the ledger was read for {_MOST_HOSTS} of {len(hosts)} hosts")
    began = told.lines[0].shown
    return Story(
        request_id=request_id,
        records=[_shown(line) for line in told.lines],
        began=began,
        duration=told.lines[-1].shown - began,
        entry=told.entry,
        services=lanes,
        hops=told.hops,
        first_error=await _first_error(reader, request_id, told.lines, cut=cut),
        related=beside.related,
        silent=beside.silent,
        clocks=clocks(told.shifts),
        holes=holes,
        cut=cut,
        verdict=judge(told.lines, Findings(notes, [*unknown, *beside.notes], holes, beside.silent, beside.homes)),
        source=source,
    )


async def _beside(
    reader: Reader, request_id: str, told: Told, lanes: Sequence[Service], hosts: Sequence[str], now: int
) -> _Beside:
    """Ask what the store says beside the records; what it cannot say now is left out, since the records are here."""
    found = _Beside()
    try:
        found.related, (known, found.notes), found.accounts = await asyncio.gather(
            related(reader, request_id, told.lines, now),
            learn(reader, told, now),
            _accounts(reader, hosts[:_MOST_HOSTS], now),
        )
        found.silent = _silent(told, lanes, {id: one for id, one in known.items() if id != request_id}, now)
        found.homes = await _homes(reader, found.silent, told.lines[-1].shown)
        more = dict.fromkeys(host for homes in found.homes.values() for host in homes if host not in hosts)
        found.accounts += await _accounts(reader, list(more)[:_MOST_HOSTS], now)
    except StoreBusy as busy:
        found.notes = [*found.notes, f"the ledger could not be read: {busy}"]
    return found


async def _records(reader: Reader, request_id: str) -> tuple[list[dict[str, Any]], list[str], bool, str]:
    records: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    after = None
    while True:
        limit = min(_PAGE, MOST_RECORDS - len(records))
        page = await reader.search(Query(request_id=request_id, after=after, limit=limit, newest_first=False))
        records += (identify(record) for record in page.records)
        notes.update(dict.fromkeys(page.incomplete))
        after = page.next
        if after is None or len(records) >= MOST_RECORDS:
            return records, list(notes), after is not None, page.source


async def _told(reader: Reader | None, records: Sequence[dict[str, Any]]) -> Told:
    """Put records in order; without a reader no other records are looked into for the clocks of their hosts."""
    lines = await asyncio.to_thread(_lines, records)
    delays = delays_of(lines)
    first, last = moment(records[0]), moment(records[-1])
    doubted = doubtful(delays)[:_MOST_CLOCKS] if reader is not None else []
    queries = [
        Query(start=max(0, first - _CLOCK_NS), end=last + _CLOCK_NS, host=host, limit=_CLOCK_RECORDS)
        for host in doubted
    ]
    pages = await asyncio.gather(*map(reader.search, queries)) if reader is not None else []
    for host, page in zip(doubted, pages, strict=True):
        delays[host] = sorted({*delays[host], *delays_of(_lines(page.records)).get(host, ())})
    return await asyncio.to_thread(put_together, lines, delays)


def _lines(records: Iterable[dict[str, Any]]) -> list[Line]:
    return [line_of(record, service_of(record)) for record in records]


def _shown(line: Line) -> dict[str, Any]:
    if moment(line.record) == line.shown:
        return line.record
    return {**line.record, "shown_time": from_ns(line.shown)}


async def _first_error(reader: Reader, request_id: str, lines: Iterable[Line], *, cut: bool) -> dict[str, Any] | None:
    """Return the first error, although it may come after the records that are told."""
    for line in lines:
        if level_rank(line.record) >= ERROR_RANK:
            return _shown(line)
    if not cut:
        return None
    errors = Query(request_id=request_id, levels=at_least("error"), limit=1, newest_first=False)
    found = (await reader.search(errors)).records
    return identify(found[0]) if found else None


def _silent(told: Told, lanes: Sequence[Service], known: Known, now: int) -> list[Silent]:
    """Return who is missed; nobody in a request that may still be on its way."""
    ended = outcome(told.entry.status if told.entry is not None else None)
    if not ended and now - told.lines[-1].shown < _ON_ITS_WAY_NS and any(one.outcome for one in known.values()):
        return []
    present = {lane.name for lane in lanes}
    found = unheard_services(known, told.unheard)
    named = {one.service for one in found}
    found += silent_services(known, ended, present | named, failed(lanes))
    return found[:_MOST_SILENT]


async def _homes(reader: Reader, silent: Sequence[Silent], around: int) -> dict[str, list[str]]:
    found = await asyncio.gather(*(homes(reader, one.service, around) for one in silent))
    return {one.service: hosts for one, hosts in zip(silent, found, strict=True)}


async def _accounts(reader: Reader, hosts: Sequence[str], now: int) -> list[Books]:
    """Return the account of these hosts, all in one; without any, nothing is asked."""
    return [await books(reader, now, *hosts)] if hosts else []


def _missing(lines: Sequence[Line], accounts: Iterable[Books]) -> tuple[list[Hole], list[str]]:
    """Return the holes that can concern the records, and what the ledger does not know of their time."""
    first, last = lines[0].shown, lines[-1].shown
    found: list[Hole] = []
    notes: dict[str, None] = {}
    for read in accounts:
        holes = [hole for account in read.accounts for hole in account.holes if hole.concerns(first, last)]
        if holes:
            notes.update(dict.fromkeys(read.notes))
        notes.update((told, None) for host in read.hosts for told in host.unknown(first, last))
        found += holes
    return found, list(notes)
