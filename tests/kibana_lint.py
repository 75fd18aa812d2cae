"""What must hold of every saved object of ours before a Kibana sees it; each finding is one line.

No Kibana is needed: references, versions, attributes, the grid, and that every field is in the template of its indices
with a type that fits what is done with it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shipper.record.fields import BY_NAME
from shipper.search import kql
from shipper.stores._elasticsearch_templates import TemplateSettings, templates

CLUSTER = "lint"
COLUMNS = 48
VERSIONS = {"index-pattern": "8.0.0", "search": "8.0.0", "dashboard": "8.9.0"}
TOP_LEVEL = {"attributes", "coreMigrationVersion", "id", "managed", "references", "type", "typeMigrationVersion"}
ATTRIBUTES = {
    "index-pattern": {
        "allowHidden", "fieldAttrs", "fieldFormatMap", "fields", "name", "runtimeFieldMap", "sourceFilters",
        "timeFieldName", "title",
    },
    "search": {
        "columns", "description", "grid", "hideChart", "isTextBasedQuery", "kibanaSavedObjectMeta", "sort",
        "timeRestore", "title", "usesAdHocDataView",
    },
    "dashboard": {
        "description", "kibanaSavedObjectMeta", "optionsJSON", "panelsJSON", "refreshInterval", "timeFrom",
        "timeRestore", "timeTo", "title", "version",
    },
}  # fmt: skip
STRINGS = {
    "index-pattern": ("fieldAttrs", "fieldFormatMap", "fields", "runtimeFieldMap", "sourceFilters"),
    "search": (),
    "dashboard": ("optionsJSON", "panelsJSON"),
}
SEARCH_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"
RECORDS = "___records___"
#: Types of a mapping that an operation of Lens takes.
FITTING = {
    "terms": {"keyword", "ip"},
    "unique_count": {"keyword", "ip", "long", "date", "date_nanos"},
    "percentile": {"long"},
    "sum": {"long"},
    "max": {"long", "date", "date_nanos"},
    "min": {"long", "date", "date_nanos"},
    "date_histogram": {"date", "date_nanos"},
}
DATA_TYPES = {"long": "number", "keyword": "string", "ip": "ip", "date": "date", "date_nanos": "date"}
FORMATS = {"bytes": {"long"}, "number": {"long"}, "duration": {"long"}, "url": {"keyword"}}

Object = Mapping[str, Any]


def fields_of(view: Object) -> dict[str, str]:
    """Return the type of each field that a data view (a saved object) shows."""
    title = view["attributes"]["title"]
    for template in templates(CLUSTER, TemplateSettings()).values():
        (ours,) = template["index_patterns"]
        # Of one cluster or of all: what is before the name, and whether there is an index for each day.
        if (title.partition(".")[0], title.endswith("-*")) == (ours.partition(".")[0], ours.endswith("-*")):
            mapping = template["template"]["mappings"]["properties"]
            found = {name: field["type"] for name, field in mapping.items() if field.get("doc_values", True)}
            runtime = json.loads(view["attributes"]["runtimeFieldMap"])
            return found | {name: field["type"] for name, field in runtime.items()}
    return {}


def lint(objects: Iterable[Object]) -> list[str]:
    """Return what is wrong with objects that are imported together; [] when nothing is."""
    everything = list(objects)
    views = {one["id"]: fields_of(one) for one in everything if one.get("type") == "index-pattern"}
    there = {(one.get("type"), one.get("id")) for one in everything}
    found = [] if len(there) == len(everything) else ["two objects have the same type and id"]
    for one in everything:
        name = f"{one.get('type')} {one.get('attributes', {}).get('title')}"
        found += [f"{name}: {said}" for said in _object(one, views, there)]
    return found


def _object(one: Object, views: Mapping[str, dict[str, str]], there: set[tuple[Any, Any]]) -> Iterator[str]:
    if one.keys() != TOP_LEVEL:
        yield f"keys {sorted(one.keys() ^ TOP_LEVEL)}"
        return
    kind = one["type"]
    if one["typeMigrationVersion"] != VERSIONS.get(kind) or one["coreMigrationVersion"] != "8.8.0":
        yield "version"
    if one["managed"] != (kind != "index-pattern"):
        yield "managed"
    if one["attributes"].keys() != ATTRIBUTES[kind]:
        yield f"attributes {sorted(one['attributes'].keys() ^ ATTRIBUTES[kind])}"
        return
    yield from (f"{key} is no string" for key in STRINGS[kind] if not isinstance(one["attributes"][key], str))
    names = [reference["name"] for reference in one["references"]]
    if len(names) != len(set(names)):
        yield "two references of one name"
    for reference in one["references"]:
        if (reference["type"], reference["id"]) not in there:
            yield f"refers to {reference['type']} {reference['id']}, which is not there"
    yield from {"index-pattern": _view, "search": _search, "dashboard": _dashboard}[kind](one, views)


def _view(one: Object, views: Mapping[str, dict[str, str]]) -> Iterator[str]:
    fields = views[one["id"]]
    if not fields:
        yield "no template makes its indices"
        return
    if fields.get(one["attributes"]["timeFieldName"]) not in ("date", "date_nanos"):
        yield "its time field is no date"
    for name, field_format in json.loads(one["attributes"]["fieldFormatMap"]).items():
        if fields.get(name) not in FORMATS[field_format["id"]]:
            yield f"format {field_format['id']} for {name}, which is {fields.get(name)}"
    for name, said in json.loads(one["attributes"]["fieldAttrs"]).items():
        if name not in BY_NAME or not 0 < len(said["customDescription"]) <= 300:
            yield f"description of {name}"


def _search(one: Object, views: Mapping[str, dict[str, str]]) -> Iterator[str]:
    attributes = one["attributes"]
    source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    if "index" in source or source.get("indexRefName") != SEARCH_INDEX:
        yield "its data view is no reference"
    fields = _view_of(one["references"], SEARCH_INDEX, views)
    if fields is None:
        yield "no reference to a data view"
        return
    for column in attributes["columns"]:
        # Text that is only kept is shown from the document itself.
        if column not in fields and column not in BY_NAME:
            yield f"no field {column}"
    for name, order in attributes["sort"]:
        if fields.get(name) not in ("date", "date_nanos") or order not in ("asc", "desc"):
            yield f"sort by {name}"
    yield from _kql(source["query"], fields)


def _dashboard(one: Object, views: Mapping[str, dict[str, str]]) -> Iterator[str]:
    attributes = one["attributes"]
    if attributes["timeRestore"] is not True or not attributes["timeFrom"] or not attributes["timeTo"]:
        yield "its times are not restored"
    panels = json.loads(attributes["panelsJSON"])
    yield from _grid(panels)
    asked: set[str] = set()
    hoisted = {reference["name"]: reference for reference in one["references"]}
    for panel in panels:
        index = panel["panelIndex"]
        if "panelRefName" in panel:
            name = f"{index}:{panel['panelRefName']}"
            asked.add(name)
            if hoisted.get(name, {}).get("type") != panel["type"]:
                yield f"panel {index}: no reference {name}"
            continue
        chart = panel["embeddableConfig"]["attributes"]
        for reference in chart["references"]:
            name = f"{index}:{reference['name']}"
            asked.add(name)
            if hoisted.get(name) != {**reference, "name": name}:
                yield f"panel {index}: reference {name} is not at the dashboard"
        yield from (f"panel {index} ({panel['title']}): {said}" for said in _lens(chart, views))
    if extra := hoisted.keys() - asked:
        yield f"references that nothing needs: {sorted(extra)}"


def _grid(panels: list[dict[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridData"]
        if place["i"] != panel["panelIndex"]:
            yield f"panel {panel['panelIndex']}: its place is of {place['i']}"
        if place["x"] < 0 or place["w"] < 1 or place["h"] < 1 or place["x"] + place["w"] > COLUMNS:
            yield f"panel {place['i']}: outside of the grid"
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        if over := {taken[cell] for cell in cells if cell in taken}:
            yield f"panel {place['i']} lies over {sorted(over)}"
        taken |= dict.fromkeys(cells, place["i"])
    if len({panel["panelIndex"] for panel in panels}) != len(panels):
        yield "two panels of one index"


def _lens(chart: Object, views: Mapping[str, dict[str, str]]) -> Iterator[str]:
    state = chart["state"]
    layers = state["datasourceStates"]["formBased"]["layers"]
    for name, layer in layers.items():
        fields = _view_of(chart["references"], f"indexpattern-datasource-layer-{name}", views)
        if fields is None:
            yield f"layer {name}: no reference to a data view"
            continue
        if sorted(layer["columnOrder"]) != sorted(layer["columns"]):
            yield "the order of its columns"
        for column_id, column in layer["columns"].items():
            yield from (f"{column_id}: {said}" for said in _column(column, layer["columns"], fields))
        if lost := _drawn(state["visualization"]) - layer["columns"].keys():
            yield f"draws {sorted(lost)}, which are no columns"
        if unseen := layer["columns"].keys() - _drawn(state["visualization"]):
            yield f"does not draw {sorted(unseen)}"
        yield from _kql(state["query"], fields)
    if {"adHocDataViews", "internalReferences"} - state.keys():
        yield "its state is not complete"


def _column(column: Object, columns: Mapping[str, Any], fields: Mapping[str, str]) -> Iterator[str]:
    operation, of = column["operationType"], column.get("sourceField", "")
    if not {"scale", "dataType", "isBucketed", "label"} <= column.keys():
        yield "is not complete"
        return
    if operation == "count":
        if of != RECORDS:
            yield "counts no records"
    elif operation == "filters":
        for one in column["params"]["filters"]:
            yield from _kql(one["input"], fields)
    elif of not in fields:
        yield f"no field {of}"
    elif fields[of] not in FITTING[operation]:
        yield f"{operation} of {of}, which is {fields[of]}"
    elif operation in ("max", "min") and column["dataType"] != DATA_TYPES[fields[of]]:
        yield f"{of} is {fields[of]}, not {column['dataType']}"
    if operation == "terms":
        order = columns.get(column["params"]["orderBy"]["columnId"])
        if order is None or order["isBucketed"]:
            yield "is ordered by no figure"
    if "filter" in column:
        yield from _kql(column["filter"], fields)


def _drawn(visualization: Object) -> set[str]:
    found = {visualization.get("metricAccessor")} | {one["columnId"] for one in visualization.get("columns", [])}
    for layer in visualization.get("layers", []):
        found |= {layer["xAccessor"], layer.get("splitAccessor"), *layer["accessors"]}
    return {name for name in found if name is not None}


def _view_of(references: Iterable[Object], name: str, views: Mapping[str, dict[str, str]]) -> dict[str, str] | None:
    ids = [one["id"] for one in references if one["name"] == name and one["type"] == "index-pattern"]
    return views.get(ids[0]) if ids else None


def _kql(query: Object, fields: Mapping[str, str]) -> Iterator[str]:
    """Fields of the records' view are what our own language knows; of others, `name : value` is all that is asked."""
    text = query["query"]
    if query["language"] != "kuery":
        yield "its question is not in KQL"
    elif "@timestamp" in fields and "message" in fields:
        try:
            kql.parse(text, 0)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
            yield f"question {text!r}: {error}"
    elif text and text.partition(" : ")[0] not in fields:
        yield f"question {text!r}: no such field"
