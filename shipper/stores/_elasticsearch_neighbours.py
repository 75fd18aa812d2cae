"""The neighbours of a record: what the same start of the same host wrote just before and just after it."""

from typing import Any, Final

from shipper.record.times import from_ns
from shipper.search.query import Around, Neighbours
from shipper.stores._agreement import within
from shipper.stores._elasticsearch_questions import notes, record_of
from shipper.stores._elasticsearch_where import compiled, equals, one_letter_more

#: Most neighbours on each side.
MOST: Final = 1000
_ORDER: Final = (("event.created", "date_nanos"), ("shipper.series", "keyword"), ("event.sequence", "long"))


def around_body(around: Around, seconds: float, *, after: bool) -> dict[str, Any]:
    """Return the body of `_search` for one side, nearest first."""
    wanted = around.after if after else around.before
    place: list[Any] = [within(around.created), around.series, within(around.sequence)]
    order: tuple[tuple[str, str], ...] = _ORDER
    if around.one_series:
        place, order = place[2:], _ORDER[2:]
        filters = [equals("shipper.series", around.series)]
    else:
        # The bound finds nothing more than the place does, but much sooner.
        bound = {"gte" if after else "lte": from_ns(place[0])}
        filters = [one_letter_more("shipper.series", around.series[:-1]), {"range": {"event.created": bound}}]
    return {
        "size": max(0, min(wanted, MOST)),
        "track_total_hits": False,
        "timeout": f"{int(seconds * 1000)}ms",
        "query": {"bool": {"filter": [*filters, compiled(around.where)]}},
        "sort": [{name: {"order": "asc" if after else "desc", "unmapped_type": kind}} for name, kind in order],
        "search_after": place,
    }


def neighbours(before: dict[str, Any] | None, after: dict[str, Any] | None, *known: str) -> Neighbours:
    """Read the answers for both sides."""
    said = dict.fromkeys([*known, *(notes(before) if before else ()), *(notes(after) if after else ())])
    return Neighbours(_records(before)[::-1], _records(after), tuple(said))


def _records(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [record_of(hit) for hit in answer["hits"]["hits"]] if answer else []
