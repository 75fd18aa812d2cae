"""The story of one request: its records across apps, who took part when, the first error, what may be missing."""

from dataclasses import dataclass, field
from typing import Any

from shipper.api.accounts import books
from shipper.api.shown import identify, level_rank, moment, service_of
from shipper.record.levels import LEVELS, at_least
from shipper.search.holes import Hole
from shipper.search.query import Query
from shipper.stores import Reader

#: A request with more records than this is cut, and says so.
MOST_RECORDS = 5000
_PAGE = 1000
#: A request that touched more hosts is told without the ledger of the rest, and says so.
_MOST_HOSTS = 50
_ERROR_RANK = LEVELS.index("error")


@dataclass(slots=True)
class Service:
    """One app's part in a request."""

    name: str
    first: str
    last: str
    count: int = 0
    errors: int = 0
    worst_level: str | None = None
    hosts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of one request."""

    request_id: str
    records: list[dict[str, Any]]
    #: In order of first appearance.
    services: list[Service]
    first_error: dict[str, Any] | None
    #: Holes of the hosts involved that can hold records of this request.
    holes: list[Hole]
    #: Whether there are more records than are told.
    cut: bool
    #: Why something may be missing, in words; empty: complete, as far as the ledger knows.
    incomplete: list[str]

    @property
    def began(self) -> int:
        """Nanoseconds since 1970 of the first record."""
        return moment(self.records[0])

    @property
    def duration(self) -> int:
        """Nanoseconds from the first record to the last one told."""
        return moment(self.records[-1]) - self.began


async def tell(reader: Reader, request_id: str, now: int) -> Story | None:
    """Return the story of a request as of `now` (nanoseconds since 1970), or None when no record carries its id."""
    records, notes, cut = await _records(reader, request_id)
    if not records and not notes:
        return None
    if not records:
        return Story(request_id, [], [], None, [], False, notes)
    first_error = next((record for record in records if level_rank(record) >= _ERROR_RANK), None)
    if cut:
        notes.append(f"the request has more than {MOST_RECORDS:,} records; only the first {MOST_RECORDS:,} are told")
        if first_error is None:
            errors = Query(request_id=request_id, levels=at_least("error"), limit=1, newest_first=False)
            found = (await reader.search(errors)).records
            first_error = identify(found[0]) if found else None
    holes = await _holes(reader, records, notes, now)
    return Story(request_id, records, services(records), first_error, holes, cut, notes)


async def _records(reader: Reader, request_id: str) -> tuple[list[dict[str, Any]], list[str], bool]:
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
            return records, list(notes), after is not None


async def _holes(reader: Reader, records: list[dict[str, Any]], notes: list[str], now: int) -> list[Hole]:
    """Return the holes that can concern the records, and note them."""
    hosts = list(dict.fromkeys(str(record["host.name"]) for record in records if record.get("host.name")))
    if len(hosts) > _MOST_HOSTS:
        notes.append(f"the ledger was read for {_MOST_HOSTS} of {len(hosts)} hosts")
    first, last = moment(records[0]), moment(records[-1])
    found: list[Hole] = []
    for name in hosts[:_MOST_HOSTS]:
        read = await books(reader, now, name)
        holes = [hole for account in read.accounts for hole in account.holes if hole.concerns(first, last)]
        if holes:
            notes += [note for note in read.notes if note not in notes]
        notes += [hole.told for hole in holes]
        notes += [told for host in read.hosts for told in host.unknown(first, last)]
        found += holes
    return found


def services(records: list[dict[str, Any]]) -> list[Service]:
    """Return who took part in records that are in order, in order of first appearance."""
    found: dict[str, Service] = {}
    for record in records:
        name = service_of(record)
        time = str(record.get("@timestamp", ""))
        service = found.get(name)
        if service is None:
            service = found[name] = Service(name, time, time)
        service.last = time
        service.count += 1
        rank = level_rank(record)
        service.errors += rank >= _ERROR_RANK
        if rank > (-1 if service.worst_level is None else LEVELS.index(service.worst_level)):
            service.worst_level = LEVELS[rank]
        host = record.get("host.name")
        if host and host not in service.hosts:
            service.hosts.append(host)
    return list(found.values())
