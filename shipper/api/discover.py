"""What each kind of answer asks of Kibana's Discover: the same records, the same times, and columns that fit."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from shipper.api.kibana import Discover
from shipper.api.story import Story
from shipper.record.times import moment
from shipper.search import kql, names
from shipper.search.expression import And, Equals, Everything, Expression, both
from shipper.search.expression_of import whole
from shipper.search.query import Query

_MINUTE_NS: Final = 60 * 1_000_000_000
_TASK: Final = "orchestrator.resource.id"
#: Columns where the app is known, and where it is not.
_OF_ONE: Final = ("log.level", "message")
_OF_MANY: Final = ("log.level", "host.name", "service.name", "message")


def as_kql(query: Query) -> str:
    """Return all that a question asks but its times, as KQL; "" when it asks for everything."""
    return _written(whole(replace(query, start=None, end=None)))


def of_query(query: Query, breakdown: str | None = None) -> Discover:
    """Return a question; `breakdown` is the field whose values are counted, if that is one that Discover can divide."""
    asked = Discover(as_kql(query), query.start, query.end, not query.newest_first)
    if breakdown is None or names.kind_of(breakdown) != "keyword":
        return asked
    columns = asked.columns if breakdown in asked.columns else (breakdown, *asked.columns)
    return replace(asked, breakdown=breakdown, columns=columns)


def of_story(story: Story) -> Discover:
    """Return the records of a request, oldest first; one that goes on is asked for until now."""
    where = Equals("http.request.id", story.request_id)
    start, end = _around(story.records)
    return Discover(kql.write(where), start, None if story.cut else end, True, _OF_MANY)


def of_record(record: Mapping[str, Any]) -> Discover | None:
    """Return one record with a minute around it; None when it has no number or time."""
    series, sequence, at = record.get("shipper.series"), record.get("event.sequence"), moment(record)
    if not isinstance(series, str) or not isinstance(sequence, int) or at <= _MINUTE_NS:
        return None
    where = And((Equals("shipper.series", series), Equals("event.sequence", sequence)))
    return Discover(kql.write(where), at - _MINUTE_NS, at + _MINUTE_NS)


def of_lines(where: Expression, series: str | None, records: Iterable[Mapping[str, Any]]) -> Discover:
    """Return the lines around a record, oldest first: those that match `where`, of one series if it is given."""
    asked = both((where, None if series is None else Equals("shipper.series", series))) or Everything()
    start, end = _around(records)
    return Discover(_written(asked), start, end, True, _OF_ONE)


def of_task(task_id: str, first: int, last: int) -> Discover:
    """Return all that a task wrote between two times (nanoseconds since 1970), newest first."""
    asked = kql.write(Equals(_TASK, task_id))
    return Discover(asked, max(0, first - _MINUTE_NS), last + _MINUTE_NS, columns=_OF_ONE, breakdown="log.level")


def _written(where: Expression) -> str:
    return "" if isinstance(where, Everything) else kql.write(where)


def _around(records: Iterable[Mapping[str, Any]]) -> tuple[int | None, int | None]:
    """A minute before and after records, by their own times; None for no record that has one."""
    times = [at for record in records if (at := moment(record)) > 0]
    return (max(0, min(times) - _MINUTE_NS), max(times) + _MINUTE_NS) if times else (None, None)
