"""A chart of Lens as the request that Kibana makes of it: columns as aggregations in each other."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Kql = Callable[[str], dict[str, Any]]
Columns = Mapping[str, Any]


def body(chart: Mapping[str, Any], since: str, time_field: str, filter_of: Kql) -> dict[str, Any]:
    """Return the search for a chart over the time of its dashboard."""
    (layer,) = chart["state"]["datasourceStates"]["formBased"]["layers"].values()
    columns = {name: layer["columns"][name] for name in layer["columnOrder"]}
    during = {"range": {time_field: {"gte": since, "lte": "now"}}}
    asked = filter_of(chart["state"]["query"]["query"])
    return {
        "size": 0,
        "track_total_hits": True,
        "query": {"bool": {"filter": [during, asked]}},
        "aggs": _nested(list(columns), columns, filter_of),
    }


def _nested(names: list[str], columns: Columns, filter_of: Kql) -> dict[str, Any]:
    """Buckets in each other, with every figure in each of them: an outer one may be ordered by it."""
    buckets = [name for name in names if columns[name]["isBucketed"]]
    figures = {name: _figure(columns[name], filter_of) for name in names if not columns[name]["isBucketed"]}
    aggregations = {name: made for name, made in figures.items() if made}
    if not buckets:
        return aggregations
    first, rest = buckets[0], [name for name in names if name != buckets[0]]
    inner = _nested(rest, columns, filter_of)
    return {first: {**_bucket(columns[first], columns, filter_of), "aggs": inner}, **aggregations}


def _bucket(column: Columns, columns: Columns, filter_of: Kql) -> dict[str, Any]:
    of, parameters = column.get("sourceField"), column["params"]
    match column["operationType"]:
        case "date_histogram":
            return {"date_histogram": {"field": of, "fixed_interval": "30m", "min_doc_count": 1}}
        case "filters":
            asked = {one["label"]: filter_of(one["input"]["query"]) for one in parameters["filters"]}
            return {"filters": {"filters": asked}}
        case "terms":
            by = parameters["orderBy"]["columnId"]
            order = {_path(by, columns[by]): parameters["orderDirection"]}
            return {"terms": {"field": of, "size": parameters["size"], "order": order}}
        case other:
            raise ValueError(other)


def _path(name: str, column: Columns) -> str:
    if column["operationType"] == "count":
        return f"{name}._count" if "filter" in column else "_count"
    return f"{name}.{column['params']['percentile']}" if column["operationType"] == "percentile" else name


def _figure(column: Columns, filter_of: Kql) -> dict[str, Any] | None:
    of = column["sourceField"]
    match column["operationType"]:
        case "count":
            return {"filter": filter_of(column["filter"]["query"])} if "filter" in column else None
        case "unique_count":
            return {"cardinality": {"field": of}}
        case "percentile":
            return {"percentiles": {"field": of, "percents": [column["params"]["percentile"]]}}
        case "sum" | "max" | "min" as kind:
            return {kind: {"field": of}}
        case other:
            raise ValueError(other)


def empty(answer: Mapping[str, Any], aggregations: Mapping[str, Any]) -> Iterator[str]:
    """Name the buckets of which there is none, and the figures that have no value anywhere."""
    for name, asked in aggregations.items():
        found = answer.get(name, {})
        if "aggs" not in asked:
            if not _says_something(found):
                yield name
            continue
        buckets = found["buckets"].values() if isinstance(found["buckets"], dict) else found["buckets"]
        full = [bucket for bucket in buckets if bucket["doc_count"]]
        if not full:
            yield name
        for inner, below in asked["aggs"].items():
            if all(list(empty(bucket, {inner: below})) for bucket in full):
                yield f"{name}.{inner}"


def _says_something(found: Mapping[str, Any]) -> bool:
    values = found["values"].values() if "values" in found else [found.get("value", found.get("doc_count"))]
    return any(value not in (None, 0) for value in values)
