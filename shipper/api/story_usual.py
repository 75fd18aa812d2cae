"""Asks the store for earlier requests of the same entry point, and who took part in them."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from shipper.api.shown import service_of
from shipper.api.story_memory import remembered
from shipper.errors import StoreBusy
from shipper.search.expression import Equals, Expression, Like, Or, Present, both
from shipper.search.query import Query
from shipper.search.story_told import Told
from shipper.search.story_usual import Earlier, masked, outcome
from shipper.stores import Reader

_HOUR_NS: Final = 3600 * 10**9
#: How far back: at first, and when that gives fewer requests than `_ENOUGH`.
_LOOK_BACK_NS: Final = (_HOUR_NS, 72 * _HOUR_NS)
_ENOUGH: Final = 10
MOST_EARLIER: Final = 25
#: Records of entry points that are read to find so many requests.
_ENTRY_RECORDS: Final = 40
_PAGE: Final = 1000
_PAGES: Final = 2
#: Requests with so many records that they do not fit those pages are asked for one by one.
_ONE_BY_ONE: Final = 12
_MOST_SERVICES: Final = 100
#: Newest records of a service that are read to find the hosts where it runs.
_HOME_RECORDS: Final = 50
#: An answer about earlier requests is not waited for any longer.
_SECONDS: Final = 1.5
#: What a request wrote may lie so long before and after the record of its entry.
_AROUND_NS: Final = 300 * 10**9

Known = dict[str, Earlier]


async def learn(reader: Reader, told: Told, now: int) -> tuple[Known, list[str]]:
    """Return earlier requests that came in as this one did, by id, and why they are not known, if so."""
    entry = told.entry
    if entry is None or entry.path is None or not told.lines:
        return {}, []
    began = told.lines[0].shown
    key = ("usual", told.asked, entry.method, masked(entry.path), entry.status is None, began // _HOUR_NS)
    try:
        async with asyncio.timeout(_SECONDS):
            return await remembered(reader, key, now, lambda: _learn(reader, told, began)), []
    except (TimeoutError, StoreBusy):
        return {}, ["who usually takes part could not be learned: the store took too long"]


async def _learn(reader: Reader, told: Told, began: int) -> Known:
    entries: dict[str, tuple[int | None, str]] = {}
    for back in _LOOK_BACK_NS:
        entries = await _entries(reader, told, max(0, began - back), began)
        if len(entries) >= _ENOUGH:
            break
    services = await _services(reader, list(entries), began) if entries else {}
    return {id: Earlier(outcome(entries[id][0]), tuple(found)) for id, found in services.items()}


async def _entries(reader: Reader, told: Told, start: int, end: int) -> dict[str, tuple[int | None, str]]:
    """Return status and time of earlier requests, by id, the newest first."""
    page = await reader.search(
        Query(start=start, end=end, app=told.asked, where=_same_entry(told), limit=_ENTRY_RECORDS)
    )
    entry, found = told.entry, OrderedDict[str, tuple[int | None, str]]()
    for record in page.records:
        id, path, status = (record.get(name) for name in ("http.request.id", "url.path", "http.response.status_code"))
        if not isinstance(id, str) or not isinstance(path, str) or entry is None or entry.path is None:
            continue
        if masked(path) == masked(entry.path) and (id in found or len(found) < MOST_EARLIER):
            status = status if type(status) is int else None
            found[id] = found.get(id, (None, ""))[0] or status, str(record.get("@timestamp", ""))
    return found


def _same_entry(told: Told) -> Expression | None:
    entry = told.entry
    if entry is None or entry.path is None:
        return None
    path = masked(entry.path)
    escaped = path if path == entry.path else _pattern(path)
    asked: Expression = Equals("url.path", entry.path) if path == entry.path else Like(escaped, "url.path")
    method = Equals("http.request.method", entry.method) if entry.method is not None else None
    answered = Present("http.response.status_code") if entry.status is not None else None
    return both((asked, method, answered, Present("http.request.id")))


def _pattern(path: str) -> str:
    parts = path.split("/")
    return "/".join(part if part == "*" else "".join(f"\\{c}" if c in "*?\\" else c for c in part) for part in parts)


async def _services(reader: Reader, ids: Sequence[str], began: int) -> dict[str, Iterable[str]]:
    """Return who took part in each request, in order of first appearance."""
    found: dict[str, dict[str, None]] = {id: {} for id in ids}
    where = Or(tuple(Equals("http.request.id", id) for id in ids))
    end, after = began + _AROUND_NS, None
    for _ in range(_PAGES):
        page = await reader.search(Query(end=end, where=where, after=after, limit=_PAGE, newest_first=False))
        for record in page.records:
            _note(found, record)
        after = page.next
        if after is None:
            return {id: services for id, services in found.items() if services}
    return await _one_by_one(reader, ids[:_ONE_BY_ONE])


def _note(found: dict[str, dict[str, None]], record: dict[str, Any]) -> None:
    services = found.get(str(record.get("http.request.id")))
    if services is not None and len(services) < _MOST_SERVICES:
        services[service_of(record)] = None


async def _one_by_one(reader: Reader, ids: Sequence[str]) -> dict[str, Iterable[str]]:
    answers = await asyncio.gather(*(reader.top(Query(request_id=id), "service.name", _MOST_SERVICES) for id in ids))
    return {id: [value for value, _ in top.values] for id, top in zip(ids, answers, strict=True)}


async def homes(reader: Reader, service: str, around: int) -> list[str]:
    """Return the hosts on which a service wrote last, up to an hour after a time (nanoseconds since 1970)."""
    page = await reader.search(
        Query(start=max(0, around - 24 * _HOUR_NS), end=around + _HOUR_NS, app=service, limit=_HOME_RECORDS)
    )
    return list(dict.fromkeys(str(record["host.name"]) for record in page.records if record.get("host.name")))
