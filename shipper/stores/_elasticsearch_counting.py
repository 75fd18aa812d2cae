"""How many records match, over time and by value: aggregations, and how their answers are read.

Bounded twice: never more parts of time than `MOST_BUCKETS`, never more values than fit the server's own limit
(`search.max_buckets`, 65,536). What was left out is said.
"""

from dataclasses import replace
from typing import Any, Final

from shipper.errors import QueryError
from shipper.search.names import kind_of
from shipper.search.query import Buckets, Counts, Query, Top
from shipper.stores._elasticsearch_questions import matching, notes

MOST_BUCKETS: Final = 2000
MOST_VALUES: Final = 1000
_MOST_IN_A_BUCKET: Final = 200
_CELLS: Final = 60_000
_MS: Final = 1_000_000
_COUNTED: Final = frozenset({"keyword", "long", "ip", "key"})


def counts_body(query: Query, buckets: Buckets, by: str | None, seconds: float) -> dict[str, Any] | None:
    """Return the body of `_search` that counts over time; None when no time is asked for."""
    end = min(buckets.end, buckets.start + MOST_BUCKETS * buckets.step)
    start = buckets.start if query.start is None else max(query.start, buckets.start)
    end = end if query.end is None else min(query.end, end)
    if start >= end:
        return None
    over_time = _over_time(buckets)
    if by is not None:
        over_time["aggs"] = {"values": {"terms": _terms(by, _most_values(buckets))}}
    return _body(replace(query, start=start, end=end), {"times": over_time}, seconds, total=False)


def _over_time(buckets: Buckets) -> dict[str, Any]:
    """Return the parts of time; the server's own histogram knows whole milliseconds only."""
    if buckets.start % _MS == 0 and buckets.step % _MS == 0:
        offset = buckets.start % buckets.step // _MS
        step = {"fixed_interval": f"{buckets.step // _MS}ms", "offset": f"{offset}ms"}
        return {"date_histogram": {"field": "@timestamp", "min_doc_count": 1, **step}}
    filters = {
        str(start): matching(Query(start=start, end=min(start + buckets.step, buckets.end)))
        for start in range(buckets.start, buckets.end, buckets.step)[:MOST_BUCKETS]
    }
    return {"filters": {"filters": filters}}


def _parts(buckets: Buckets) -> int:
    return -(-(buckets.end - buckets.start) // buckets.step)


def _most_values(buckets: Buckets) -> int:
    return min(_MOST_IN_A_BUCKET, _CELLS // min(_parts(buckets), MOST_BUCKETS))


def counts(answer: dict[str, Any] | None, buckets: Buckets, by: str | None, *known: str) -> Counts:
    """Read the answer to `counts_body`."""
    said = list(known)
    if _parts(buckets) > MOST_BUCKETS:
        said.append(f"only the first {MOST_BUCKETS:,} parts of time were counted")
    if answer is None:
        return Counts(incomplete=tuple(said))
    found: dict[tuple[int, str], int] = {}
    cut = False
    for start, bucket in _buckets(answer["aggregations"]["times"]["buckets"]):
        if by is None:
            found[start, ""] = bucket["doc_count"]
            continue
        for value in bucket["values"]["buckets"]:
            found[start, _text(value)] = value["doc_count"]
        cut = cut or bucket["values"]["sum_other_doc_count"] > 0
    if cut:
        said.append(f"more than {_most_values(buckets)} values of {by} at once; the rarest were not counted")
    return Counts(found, (*said, *notes(answer)))


def _buckets(buckets: Any) -> list[tuple[int, dict[str, Any]]]:
    """Return start (nanoseconds since 1970) and content of what is not empty, of a histogram or of filters."""
    if isinstance(buckets, dict):
        return [(int(start), bucket) for start, bucket in buckets.items() if bucket["doc_count"]]
    return [(bucket["key"] * _MS, bucket) for bucket in buckets]


def top_body(query: Query, field: str, limit: int, seconds: float) -> dict[str, Any]:
    """Return the body of `_search` for the most frequent values of a field."""
    terms = _terms(field, min(limit, MOST_VALUES))
    # Without this, records that lack the field would be a value of their own, of the field's type.
    del terms["missing"]
    found = {"values": {"terms": terms}, "without": {"missing": {"field": field}}}
    return _body(query, found, seconds, total=True)


def top(answer: dict[str, Any] | None, *known: str) -> Top:
    """Read the answer to `top_body`."""
    if answer is None:
        return Top(incomplete=known)
    found = answer["aggregations"]["values"]
    values = [(_text(value), value["doc_count"]) for value in found["buckets"]]
    said = [*known, *notes(answer)]
    if found["doc_count_error_upper_bound"] > 0:
        said.append("too many values for exact counts: some may be too low")
    total = answer["hits"]["total"]["value"]
    return Top(values, total, answer["aggregations"]["without"]["doc_count"], tuple(said))


def _terms(field: str, size: int) -> dict[str, Any]:
    """Return how values are counted; a day's index offers so many that the sum over days is nearly always exact."""
    if kind_of(field) not in _COUNTED:
        raise QueryError(f"{field}: its values cannot be counted")
    return {"field": field, "size": size, "shard_size": max(MOST_VALUES, 2 * size), "missing": ""}


def _text(bucket: dict[str, Any]) -> str:
    return str(bucket.get("key_as_string", bucket["key"]))


def _body(query: Query, aggregations: dict[str, Any], seconds: float, *, total: bool) -> dict[str, Any]:
    return {
        "size": 0,
        "track_total_hits": total,
        "timeout": f"{int(seconds * 1000)}ms",
        "query": matching(query),
        "aggs": aggregations,
    }
