"""Other requests that share a trace, a session or a user with one: one step, a few each."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from shipper.api.story_memory import remembered
from shipper.errors import StoreBusy
from shipper.search import kql
from shipper.search.expression import Equals, Present, both
from shipper.search.query import Query
from shipper.search.story_lines import Line
from shipper.stores import Reader

#: Ids of one kind that are followed, other requests told of each, and records read to find those.
_MOST_IDS: Final = 3
_MOST_REQUESTS: Final = 5
_RECORDS: Final = 200
_LONGEST_ID: Final = 256
_HALF_AN_HOUR_NS: Final = 1800 * 10**9
_SECONDS: Final = 1.0
_SESSIONS: Final = ("session.id", "session_id", "sessionId", "session", "sid")


@dataclass(frozen=True, slots=True)
class Related:
    """An id that the request shares with others, a few of those, and a question (KQL) that finds all of it."""

    kind: str
    id: str
    requests: list[str]
    query: str


async def related(reader: Reader, request_id: str, lines: list[Line], now: int) -> list[Related]:
    """Return what a request shares with others within half an hour before it and after it."""
    shared = _shared(lines)
    span = max(0, lines[0].shown - _HALF_AN_HOUR_NS), lines[-1].shown + _HALF_AN_HOUR_NS
    answers = await asyncio.gather(
        *(_others(reader, field, value, app, span, now) for (_, field, value), app in shared.items())
    )
    return [
        Related(
            kind, value, [id for id in others if id != request_id][:_MOST_REQUESTS], kql.write(Equals(field, value))
        )
        for (kind, field, value), others in zip(shared, answers, strict=True)
    ]


def _shared(lines: Iterable[Line]) -> dict[tuple[str, str, str], str]:
    """Return the ids that records carry (kind, field, value), and a service that wrote each."""
    found: dict[tuple[str, str, str], str] = {}
    counts: dict[str, int] = {}
    for line in lines:
        for kind, field, value in _ids(line.record):
            if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and (kind, field, value) not in found:
                counts[kind] = counts.get(kind, 0) + 1
                if counts[kind] <= _MOST_IDS:
                    found[kind, field, value] = line.service
    return dict(sorted(found.items(), key=lambda item: ("trace", "session", "user").index(item[0][0])))


def _ids(record: dict[str, Any]) -> Iterable[tuple[str, str, Any]]:
    yield "trace", "trace.id", record.get("trace.id")
    labels = record.get("labels")
    if isinstance(labels, dict):
        for name in _SESSIONS:
            yield "session", f"labels.{name}", labels.get(name)
        if isinstance(labels.get("session"), dict):
            yield "session", "labels.session.id", labels["session"].get("id")
    yield "user", "user.id", record.get("user.id")


async def _others(reader: Reader, field: str, value: str, app: str, span: tuple[int, int], now: int) -> list[str]:
    """Return ids of requests with this value, the newest first; none when the store takes too long."""

    async def ask() -> list[str]:
        start, end = span
        where = both((Equals(field, value), Present("http.request.id")))
        # A trace is found by its own index in all apps; what has no index is looked for in one app.
        within = None if field == "trace.id" else app
        page = await reader.search(Query(start=start, end=end, app=within, where=where, limit=_RECORDS))
        ids = (record.get("http.request.id") for record in page.records)
        return list(dict.fromkeys(id for id in ids if isinstance(id, str)))[: _MOST_REQUESTS + 1]

    try:
        async with asyncio.timeout(_SECONDS):
            return await remembered(reader, ("related", field, value, app, span[0] // _HALF_AN_HOUR_NS), now, ask)
    except (TimeoutError, StoreBusy):
        return []
