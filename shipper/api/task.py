"""One task: what it is, what it wrote, its errors and requests, its siblings, and whether its records are all here."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shipper.api.accounts import books
from shipper.api.question import is_request_id
from shipper.api.shown import identify, level_rank
from shipper.cluster import task_ids
from shipper.errors import QueryError
from shipper.record.levels import LEVELS, at_least
from shipper.record.times import moment
from shipper.search.expression import And, Equals, Expression
from shipper.search.holes import Hole
from shipper.search.names import APP_ID
from shipper.search.query import Query, Top
from shipper.search.story_verdict import Verdict
from shipper.stores import Reader

TASK: Final = "orchestrator.resource.id"
#: Newest records that are read; of them its hosts, versions, containers and requests are told.
MOST_RECORDS: Final = 500
MOST_REQUESTS: Final = 20
MOST_SIBLINGS: Final = 20
#: How much of a task's life is looked at, before its last record; how much of it its siblings are looked for in.
_LIFE_NS: Final = 7 * 86_400 * 10**9
_TOGETHER_NS: Final = 86_400 * 10**9
_HOUR_NS: Final = 3600 * 10**9
_MOST_HOSTS: Final = 4
_LONGEST_ID: Final = 255
_ERROR_RANK: Final = LEVELS.index("error")


@dataclass(slots=True)
class TaskRequest:
    """A request among the newest records of a task. Times are nanoseconds since 1970."""

    id: str
    last: int
    records: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """All that its records and the ledger say of a task. Times are nanoseconds since 1970."""

    id: str
    #: Name of the app as records have it, its id in Marathon (or name of the job in Chronos); "" for unknown.
    app: str
    app_id: str
    is_job: bool
    versions: list[str]
    hosts: list[str]
    containers: list[str]
    first: int
    last: int
    total: int
    #: Level → records, the most important first; "" for those without.
    levels: dict[str, int]
    #: Newest first, at most MOST_RECORDS.
    records: list[dict[str, Any]]
    last_error: dict[str, Any] | None
    requests: list[TaskRequest]
    #: Tasks of its app at the same time, with how many records they wrote.
    siblings: list[tuple[str, int]]
    verdict: Verdict
    holes: list[Hole]
    #: Why what is told may not be all.
    incomplete: list[str] = field(default_factory=list)

    @property
    def newest(self) -> dict[str, Any]:
        """Its last record."""
        return self.records[0]


def is_task_id(text: str) -> bool:
    """Whether a text can be the id of a Mesos task: 1 to 255 characters that can be seen, not `.` or `..`.

    Source: Mesos, `common::validation::validateID`; its newer versions take no `/`, older ones did, in what a Chronos
    job was called with.
    """
    return 0 < len(text) <= _LONGEST_ID and text.isprintable() and text not in (".", "..")


def task_id(text: str) -> str:
    """Return the id of a task that is one; QueryError otherwise."""
    if not is_task_id(text):
        raise QueryError("task: an id has 1 to 255 characters, all of which can be seen")
    return text


async def tell_task(reader: Reader, id: str, at: int | None, now: int) -> tuple[Task | None, list[str]]:
    """Return a task as of `now` (nanoseconds since 1970), or None, and why its records may have been missed.

    A time `at` which it wrote at makes it quicker.
    """
    newest, notes = await _newest(reader, id, at)
    if newest is None:
        return None, notes
    last = moment(newest)
    where = _where(id, _first([newest], APP_ID))
    life = Query(where=where, start=max(0, last - _LIFE_NS), end=last + 1, limit=1)
    return await _told(reader, id, life, now), []


async def _newest(reader: Reader, id: str, at: int | None) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the last record of a task, or None and why it may have been missed."""
    said = task_ids.read(id)
    guess = Query(where=_where(id, "" if said is None else said.app_id or said.job), limit=1)
    for asked in dict.fromkeys((replace(guess, start=at), guess, replace(guess, where=_where(id, "")))):
        page = await reader.search(asked)
        if page.records:
            return page.records[0], []
    return None, list(page.incomplete)


def _where(id: str, app_id: str) -> Expression:
    """Return what a task's records match; among those of their app a store finds them sooner."""
    mine = Equals(TASK, id)
    return And((mine, Equals(APP_ID, app_id))) if app_id else mine


async def _told(reader: Reader, id: str, life: Query, now: int) -> Task | None:
    page, oldest, levels = await asyncio.gather(
        reader.search(replace(life, limit=MOST_RECORDS)),
        reader.search(replace(life, newest_first=False)),
        reader.top(life, "log.level", len(LEVELS) + 10),
    )
    if not (page.records and oldest.records):
        return None  # deleted between two questions
    records = [identify(record) for record in page.records]
    first, last = moment(oldest.records[0]), moment(records[0])
    hosts = _values(records, "host.name")
    siblings, (verdict, holes, unknown), last_error = await asyncio.gather(
        _siblings(reader, id, records, first, last),
        _account(reader, hosts[:_MOST_HOSTS], first, last, now),
        _last_error(reader, life, records),
    )
    notes = dict.fromkeys((*page.incomplete, *oldest.incomplete, *levels.incomplete, *unknown))
    if life.start and first - life.start < _HOUR_NS:
        notes["only the 7 days before its last record were looked at; it may be older"] = None
    is_job = records[0].get("orchestrator.resource.type") == "job"
    return Task(
        id=id,
        app=_first(records, "service.name"),
        app_id=_first(records, APP_ID),
        is_job=is_job,
        versions=_values(records, "service.version") or _values(records, "marathon.app.version"),
        hosts=hosts,
        containers=_values(records, "container.id"),
        first=first,
        last=last,
        total=levels.total,
        levels=_levels(levels),
        records=records,
        last_error=last_error,
        requests=_requests(records),
        siblings=siblings,
        verdict=verdict,
        holes=holes,
        incomplete=list(notes),
    )


def _levels(found: Top) -> dict[str, int]:
    """Return level → records: the most important first, "" for those without one last."""
    rank = {level: place for place, level in enumerate(LEVELS)}
    counts = dict(sorted(found.values, key=lambda item: -rank.get(item[0], -1)))
    return counts | ({"": found.without} if found.without else {})


async def _last_error(reader: Reader, life: Query, records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the newest error: the store is asked only when it is not among the newest records."""
    for record in records:
        if level_rank(record) >= _ERROR_RANK:
            return record
    if len(records) < MOST_RECORDS:
        return None
    found = (await reader.search(replace(life, levels=at_least("error")))).records
    return identify(found[0]) if found else None


def _values(records: Iterable[dict[str, Any]], name: str) -> list[str]:
    """Return the values of a field, the newest first."""
    return list(dict.fromkeys(value for record in records if isinstance(value := record.get(name), str) and value))


def _first(records: Iterable[dict[str, Any]], name: str) -> str:
    return next(iter(_values(records, name)), "")


def _requests(records: Iterable[dict[str, Any]]) -> list[TaskRequest]:
    found: dict[str, TaskRequest] = {}
    for record in records:
        id = record.get("http.request.id")
        if isinstance(id, str) and is_request_id(id):
            one = found.setdefault(id, TaskRequest(id, moment(record)))
            one.records += 1
            one.errors += level_rank(record) >= _ERROR_RANK
    return list(found.values())[:MOST_REQUESTS]


async def _siblings(
    reader: Reader, id: str, records: Sequence[dict[str, Any]], first: int, last: int
) -> list[tuple[str, int]]:
    """Return the tasks that wrote for the same app while it did, or shortly before or after."""
    names = (APP_ID, "service.name")
    app = next((Equals(name, value) for name in names if (value := _first(records, name))), None)
    if app is None:
        return []
    start = max(0, first - _HOUR_NS, last - _TOGETHER_NS)
    found = await reader.top(Query(where=app, start=start, end=last + _HOUR_NS), TASK, MOST_SIBLINGS + 1)
    return [(task, count) for task, count in found.values if task != id][:MOST_SIBLINGS]


async def _account(
    reader: Reader, hosts: Sequence[str], first: int, last: int, now: int
) -> tuple[Verdict, list[Hole], list[str]]:
    """Return what the ledger says of the hosts of a task while it wrote; its own numbers are not told apart there."""
    if not hosts:
        return Verdict("possibly incomplete", ["its records name no host, so the ledger cannot be asked"]), [], []
    read = await books(reader, now, *hosts)
    holes = [hole for account in read.accounts for hole in account.holes if hole.concerns(first, last)]
    unknown = [told for host in read.hosts for told in host.unknown(first, last)]
    if not read.accounts:
        unknown.append(f"the ledger knows no host {' and no host '.join(hosts)}")
    reasons = [hole.told for hole in holes] + unknown
    return Verdict("possibly incomplete" if reasons else "complete", reasons), holes, read.notes
