"""Questions as Elasticsearch's DSL. Never `query_string`: deep nesting in it has ended a node."""

from collections.abc import Sequence
from typing import Any, Final

from shipper.record.times import from_ns
from shipper.search.query import Page, Place, Query
from shipper.stores._agreement import within
from shipper.stores._elasticsearch_where import compiled, equals, phrase

_SORT: Final = (("@timestamp", "date_nanos"), ("shipper.series", "keyword"), ("event.sequence", "long"))


def search_body(query: Query, seconds: float) -> dict[str, Any]:
    """Return the body of `_search` for one page and one record more."""
    direction = "desc" if query.newest_first else "asc"
    body: dict[str, Any] = {
        "size": query.limit + 1,
        "track_total_hits": False,
        "timeout": f"{int(seconds * 1000)}ms",
        "query": matching(query),
        "sort": [{name: {"order": direction, "unmapped_type": kind}} for name, kind in _SORT],
    }
    if query.after is not None:
        body["search_after"] = [within(query.after.timestamp), query.after.series, within(query.after.sequence)]
    return body


def matching(query: Query) -> dict[str, Any]:
    """Return the filter of a question: every part that is given must match."""
    filters: list[dict[str, Any]] = []
    bounds = {}
    if query.start is not None:
        bounds["gte"] = from_ns(within(query.start))
    if query.end is not None:
        bounds["lt"] = from_ns(within(query.end))
    if bounds:
        filters.append({"range": {"@timestamp": bounds}})
    terms = {"service.name": query.app, "host.name": query.host, "http.request.id": query.request_id}
    filters += [equals(name, value) for name, value in terms.items() if value is not None]
    if query.levels:
        filters.append({"terms": {"log.level": list(query.levels)}})
    filters += [phrase("message", words) for words in query.phrases]
    if query.where is not None:
        filters.append(compiled(query.where))
    return {"bool": {"filter": filters}}


def page(answer: dict[str, Any] | None, query: Query, *known: str) -> Page:
    """Read the answer of `_search`, with what is known to be missing in it; no index at all is an empty page."""
    if answer is None:
        return Page(incomplete=known)
    hits = answer["hits"]["hits"]
    shown = hits[: query.limit]
    return Page(
        records=[record_of(hit) for hit in shown],
        next=Place(*shown[-1]["sort"]) if len(hits) > query.limit and shown else None,
        incomplete=(*known, *notes(answer)),
    )


def record_of(hit: dict[str, Any]) -> dict[str, Any]:
    """Return the record that a hit holds, with the names of its fields that the index could not take."""
    record: dict[str, Any] = hit["_source"]
    ignored = hit.get("_ignored")
    return record | {"shipper.ignored": sorted(ignored)} if ignored else record


def notes(answer: dict[str, Any]) -> list[str]:
    """Say why an answer may lack something."""
    found = []
    shards = answer["_shards"]
    if shards["failed"]:
        failures = shards.get("failures") or [{}]
        index = failures[0].get("index", "?")
        why = (failures[0].get("reason") or {}).get("reason", "unknown")
        found.append(f"{shards['failed']} of {shards['total']} shards could not be read, first {index}: {why}")
    if answer.get("timed_out"):
        found.append("not searched to the end: it took too long")
    return found


def series_body(series: str, first: int, last: int, size: int) -> dict[str, Any]:
    """Return the body of `_search` for which numbers of a series are stored, lowest first."""
    return {
        "size": size,
        "track_total_hits": False,
        "_source": False,
        "query": {
            "bool": {
                "filter": [
                    {"term": {"shipper.series": series}},
                    {"range": {"event.sequence": {"gte": first, "lte": last}}},
                ]
            }
        },
        "sort": [{"event.sequence": {"order": "asc", "unmapped_type": "long"}}],
    }


def all_body(hosts: Sequence[str], order: Sequence[str], after: list[Any] | None, size: int) -> dict[str, Any]:
    """Return the body of `_search` for one page of everything in an index of ours, in the order of these keywords."""
    body: dict[str, Any] = {
        "size": size,
        "track_total_hits": False,
        "query": {"terms": {"host": list(hosts)}} if hosts else {"match_all": {}},
        "sort": [{name: {"order": "asc", "unmapped_type": "keyword"}} for name in order],
    }
    if after is not None:
        body["search_after"] = after
    return body
