"""Charts of Kibana's Lens: columns, which are aggregations, and the shapes in which they are drawn.

The shape is what Lens wrote in Kibana 8.9. A column of one layer is one aggregation of one request: the buckets nest in
the order of `columnOrder`, the figures are counted in the innermost.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from shipper.generate._kibana_objects import query
from shipper.generate._kibana_views import DATA_VIEW_ID

Column = dict[str, Any]

LAYER: Final = "main"
#: The reference that a layer's data view is found by.
LAYER_INDEX: Final = f"indexpattern-datasource-layer-{LAYER}"
#: What Lens counts when it counts records.
RECORDS: Final = "___records___"


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel by value: columns by id in their order, drawn as `kind` says; `kql` holds for all of it."""

    title: str
    kind: str
    columns: dict[str, Column]
    visualization: dict[str, Any]
    kql: str = ""
    view: str = DATA_VIEW_ID
    description: str = ""
    references: list[dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        reference = {"id": self.view, "name": LAYER_INDEX, "type": "index-pattern"}
        object.__setattr__(self, "references", [reference])

    def attributes(self) -> dict[str, Any]:
        """Return the chart as a panel holds it."""
        layer = {"columns": self.columns, "columnOrder": list(self.columns), "incompleteColumns": {}, "sampling": 1}
        state = {
            "adHocDataViews": {},
            "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
            "filters": [],
            "internalReferences": [],
            "query": query(self.kql),
            "visualization": self.visualization,
        }
        return {
            "description": self.description,
            "references": self.references,
            "state": state,
            "title": self.title,
            "type": "lens",
            "visualizationType": self.kind,
        }


def count(label: str, kql: str = "") -> Column:
    """Count records, those that `kql` matches when it is given."""
    return _figure("count", RECORDS, label, kql, {"emptyAsNull": False})


def unique(label: str, of: str) -> Column:
    """Count the different values of a field; approximate from some thousands on."""
    return _figure("unique_count", of, label, "", {"emptyAsNull": False})


def total(label: str, of: str) -> Column:
    """Add up a number."""
    return _figure("sum", of, label, "", {"emptyAsNull": False})


def percentile(label: str, of: str, rank: int) -> Column:
    """Return the value that `rank` percent of all stay below."""
    return _figure("percentile", of, label, "", {"percentile": rank})


def maximum(label: str, of: str, *, date: bool = False) -> Column:
    """Return the largest value of a number, or the latest time."""
    return _figure("max", of, label, "", {"emptyAsNull": True}) | {"dataType": "date" if date else "number"}


def earliest(label: str, of: str) -> Column:
    """Return the first time of a date field."""
    return _figure("min", of, label, "", {"emptyAsNull": True}) | {"dataType": "date"}


def _figure(operation: str, of: str, label: str, kql: str, parameters: dict[str, Any]) -> Column:
    made: Column = {
        "customLabel": True,
        "dataType": "number",
        "isBucketed": False,
        "label": label,
        "operationType": operation,
        "params": parameters,
        "scale": "ratio",
        "sourceField": of,
    }
    return {**made, "filter": query(kql)} if kql else made


def over_time(of: str = "@timestamp") -> Column:
    """Make a bucket of each span of time; Kibana chooses the span."""
    return {
        "dataType": "date",
        "isBucketed": True,
        "label": of,
        "operationType": "date_histogram",
        "params": {"dropPartials": False, "includeEmptyRows": True, "interval": "auto"},
        "scale": "interval",
        "sourceField": of,
    }


def each(label: str, of: str, by: str, size: int = 10, *, others: bool = False) -> Column:
    """Make a bucket of each of the values of a keyword that are largest by the column `by`."""
    return {
        "customLabel": True,
        "dataType": "string",
        "isBucketed": True,
        "label": label,
        "operationType": "terms",
        "params": {
            "exclude": [],
            "excludeIsRegex": False,
            "include": [],
            "includeIsRegex": False,
            "missingBucket": False,
            "orderBy": {"columnId": by, "type": "column"},
            "orderDirection": "desc",
            "otherBucket": others,
            "parentFormat": {"id": "terms"},
            "size": size,
        },
        "scale": "ordinal",
        "sourceField": of,
    }


def questions(label: str, asked: dict[str, str]) -> Column:
    """Make a bucket of each question, by its name."""
    return {
        "customLabel": True,
        "dataType": "string",
        "isBucketed": True,
        "label": label,
        "operationType": "filters",
        "params": {"filters": [{"input": query(kql), "label": name} for name, kql in asked.items()]},
        "scale": "ordinal",
    }


def figure(title: str, column: Column, kql: str = "", view: str = DATA_VIEW_ID, description: str = "") -> Chart:
    """Show one number."""
    shown = {"layerId": LAYER, "layerType": "data", "metricAccessor": "value"}
    return Chart(title, "lnsMetric", {"value": column}, shown, kql, view, description)


def table(
    title: str, columns: dict[str, Column], kql: str = "", view: str = DATA_VIEW_ID, description: str = ""
) -> Chart:
    """Show one row for each combination of the buckets."""
    shown = {
        "columns": [{"columnId": name, "isTransposed": False} for name in columns],
        "layerId": LAYER,
        "layerType": "data",
    }
    return Chart(title, "lnsDatatable", columns, shown, kql, view, description)


def chart(
    title: str,
    columns: dict[str, Column],
    series: str = "bar_stacked",
    kql: str = "",
    view: str = DATA_VIEW_ID,
    description: str = "",
) -> Chart:
    """Draw figures over the first of one or two buckets; the second divides them. The figures come last."""
    buckets = [name for name, column in columns.items() if column["isBucketed"]]
    figures = [name for name, column in columns.items() if not column["isBucketed"]]
    drawn: dict[str, Any] = {
        "accessors": figures,
        "layerId": LAYER,
        "layerType": "data",
        "seriesType": series,
        "xAccessor": buckets[0],
    }
    if len(buckets) > 1:
        drawn["splitAccessor"] = buckets[1]
    shown = {
        "axisTitlesVisibilitySettings": {"x": False, "yLeft": False, "yRight": False},
        "fittingFunction": "None",
        "layers": [drawn],
        "legend": {"isVisible": True, "position": "right"},
        "preferredSeriesType": series,
        "valueLabels": "hide",
    }
    return Chart(title, "lnsXY", columns, shown, kql, view, description)
