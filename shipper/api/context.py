"""One record by its id, and the lines before and after it: of its task, its stream, its series or its host."""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from shipper.api.ask import Asking
from shipper.api.discover import of_lines
from shipper.api.kibana import Discover
from shipper.api.shown import identify
from shipper.errors import QueryError
from shipper.record.times import to_ns, utc
from shipper.search.expression import Between, Equals, Everything, Expression, both
from shipper.search.query import Around, Neighbours, Query

Kind = Literal["task", "stream", "series", "host"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST = 500

_ID = re.compile(r"([A-Za-z0-9._~-]{1,128})-([0-9]{1,18})", re.ASCII)
_LATEST = 2**63 - 2
_TASK = "orchestrator.resource.id"


@dataclass(frozen=True, slots=True)
class Context:
    """A record between its neighbours."""

    record: dict[str, Any]
    kind: Kind
    neighbours: Neighbours


def id_of(text: str) -> tuple[str, int]:
    """Return series and sequence of a record's id; QueryError when it is none."""
    found = _ID.fullmatch(text)
    if found is None:
        raise QueryError("record: an id is a series, a dash and a number, as 1ab2cd3ef4gh5n-0000000017")
    return found[1], int(found[2])


async def find(asking: Asking, id: str, at: int | None) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return a record, or None, with why it may have been missed; its time `at` (nanoseconds) makes it quicker."""
    series, sequence = id_of(id)
    bounds = (None, None) if at is None else (min(at, _LATEST), min(at, _LATEST) + 1)
    where = both((Equals("shipper.series", series), Between("event.sequence", sequence, sequence + 1)))
    page = await asking.reader.search(Query(start=bounds[0], end=bounds[1], where=where, limit=1))
    return (identify(page.records[0]) if page.records else None), page.incomplete


async def context(asking: Asking, record: dict[str, Any], kind: Kind | None, before: int, after: int) -> Context:
    """Return what stands around a record; QueryError when it has nothing of the kind asked for."""
    chosen: Kind = kind or best_kind(record)
    created = utc(str(record.get("event.created") or record.get("@timestamp") or "")) or "1970-01-01T00:00:00Z"
    around = Around(
        series=str(record.get("shipper.series", "")),
        sequence=int(record.get("event.sequence", 0)),
        created=to_ns(created),
        where=where(record, chosen),
        before=min(before, MOST),
        after=min(after, MOST),
        one_series=chosen == "series",
    )
    return Context(record, chosen, await asking.reader.around(around))


def lines_of(told: Context) -> Discover:
    """Return the same lines as Kibana's Discover asks for them."""
    series = str(told.record.get("shipper.series", "")) if told.kind == "series" else None
    lines = (*told.neighbours.before, told.record, *told.neighbours.after)
    return of_lines(where(told.record, told.kind), series, lines)


def best_kind(record: dict[str, Any]) -> Kind:
    """Return the closest kind of neighbours that a record has: its task's, else its stream's, else its series'."""
    return next(kind for kind in KINDS if kind == "series" or _conditions(record, kind))


def where(record: dict[str, Any], kind: Kind) -> Expression:
    """Return what all neighbours of a kind match; QueryError when the record does not say it."""
    if kind == "series":
        return Everything()
    found = _conditions(record, kind)
    if found is None:
        raise QueryError(f"kind: this record names no {kind}; it has {', '.join(kinds_of(record))}")
    return found


def kinds_of(record: dict[str, Any]) -> list[Kind]:
    """Return which kinds of neighbours a record has."""
    return [kind for kind in KINDS if kind == "series" or _conditions(record, kind)]


def _conditions(record: dict[str, Any], kind: Kind) -> Expression | None:
    task = _same(record, _TASK) or _same(record, "container.id")
    if kind == "task":
        return task
    if kind == "host":
        return _same(record, "host.name")
    if kind == "series":
        return None
    file = _same(record, "log.file.path")
    if file is not None:
        return both((task, file))
    stream = _same(record, "shipper.stream")
    if task is not None and stream is not None:
        return both((task, stream))
    program, process = _same(record, "log.syslog.appname"), _same(record, "log.syslog.procid")
    return both((program, process)) if program is not None and process is not None else None


def _same(record: dict[str, Any], name: str) -> Expression | None:
    value = record.get(name)
    return Equals(name, value) if isinstance(value, str) and value else None
