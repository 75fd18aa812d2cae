"""Data views: which indices, which time, and how values of fields are shown, from the one table of fields."""

from typing import Any, Final

from shipper.generate._kibana_objects import SavedObject, saved, text
from shipper.generate._kibana_settings import Settings
from shipper.record.fields import FIELDS

DATA_VIEW_ID: Final = "logs-mesos"
LETTERS: Final = "shipper-dead-letters"
LEDGER: Final = "shipper-ledger"
REPORTS: Final = "shipper-reports"
DELAY: Final = "shipper-delay"

#: Milliseconds from the host's reading a record to its being handed to the store. Computed for each record that is
#: looked at, so it is in a view of its own: people who search do not pay for it.
DELAY_FIELD: Final = "shipper.delay_ms"
_DELAY_SCRIPT: Final = (
    "if (doc['event.ingested'].size() > 0 && doc['event.created'].size() > 0) {"
    " emit(doc['event.ingested'].value.toInstant().toEpochMilli()"
    " - doc['event.created'].value.toInstant().toEpochMilli()); }"
)
#: The root of the host, wherever Kibana is below it. Kibana takes a path that begins with `/` for one of its own only
#: where it has neither a base path nor a space; before any other it writes `<base path>/app/`, and a browser stops
#: going up at the root. Source: Kibana's `field_formats/common/converters/url`.
_ROOT: Final = "/".join([".."] * 8)
#: Longest description of a field that Kibana takes.
_LONGEST: Final = 300


def data_views(settings: Settings) -> list[dict[str, Any]]:
    """Return the bodies with which Kibana's API makes our data views (`POST /api/data_views/data_view`).

    `fieldAttrs` holds descriptions, which Kibana takes from 8.14 on (elastic/kibana#168577): leave it out before.
    """
    return [{"data_view": view} for view in _views(settings)]


def data_view_objects(settings: Settings) -> list[SavedObject]:
    """Return the same data views as saved objects, for people who import a file."""
    return [_as_object(view) for view in _views(settings)]


def _views(settings: Settings) -> list[dict[str, Any]]:
    cluster = settings.cluster or "*"
    records = f"logs-mesos.{cluster}-*"
    return [
        _view(DATA_VIEW_ID, records, "@timestamp", _formats(settings), _descriptions()),
        _view(LETTERS, f"shipper-dead-letters.{cluster}-*", "received_at", {}, {}),
        _view(LEDGER, f"shipper-ledger.{cluster}", "@timestamp", {}, {}),
        _view(REPORTS, f"shipper-reports.{cluster}", "@timestamp", {"queue_bytes": {"id": "bytes"}}, {}),
        {
            **_view(DELAY, records, "@timestamp", {DELAY_FIELD: _duration("milliseconds")}, {}),
            "runtimeFieldMap": {DELAY_FIELD: {"type": "long", "script": {"source": _DELAY_SCRIPT}}},
        },
    ]


def _view(
    name: str, title: str, time_field: str, formats: dict[str, Any], attributes: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": name,
        # Kibana refuses a second view of the same name, whatever its id: ours are named as no person would.
        "name": name,
        "title": title,
        "timeFieldName": time_field,
        # So that it can be made before the first record comes.
        "allowNoIndex": True,
        "fieldFormats": formats,
        "fieldAttrs": attributes,
        "runtimeFieldMap": {},
    }


def _formats(settings: Settings) -> dict[str, Any]:
    plain = {"id": "number", "params": {"pattern": "0"}}
    return {
        "event.duration": _duration("nanoseconds"),
        "event.sequence": plain,
        "http.request.id": _link(settings, "/requests/"),
        "http.response.body.bytes": {"id": "bytes"},
        "http.response.status_code": plain,
        "log.offset": plain,
        "marathon.task.ports": plain,
        "orchestrator.resource.id": _link(settings, "/tasks/"),
        "process.pid": plain,
    }


def _link(settings: Settings, path: str) -> dict[str, Any]:
    """Return a link for a value: below the address of the settings, else at the root of Kibana's own host."""
    template = f"{settings.links or _ROOT}{path}{{{{value}}}}"
    parameters = {"type": "a", "urlTemplate": template, "labelTemplate": "{{value}}", "openLinkInCurrentTab": False}
    return {"id": "url", "params": parameters}


def _duration(unit: str) -> dict[str, Any]:
    parameters = {
        "inputFormat": unit,
        "outputFormat": "humanizePrecise",
        "outputPrecision": 1,
        "includeSpaceWithSuffix": True,
        "useShortSuffix": True,
    }
    return {"id": "duration", "params": parameters}


def _descriptions() -> dict[str, Any]:
    """Return what each field means. No labels: a column would not be called as the field that people ask for."""
    return {field.name: {"customDescription": field.meaning[:_LONGEST]} for field in FIELDS}


def _as_object(view: dict[str, Any]) -> SavedObject:
    attributes = {
        "allowHidden": False,
        "fieldAttrs": text(view["fieldAttrs"]),
        "fieldFormatMap": text(view["fieldFormats"]),
        "fields": "[]",
        "name": view["name"],
        "runtimeFieldMap": text(view["runtimeFieldMap"]),
        "sourceFilters": "[]",
        "timeFieldName": view["timeFieldName"],
        "title": view["title"],
    }
    return saved("index-pattern", view["id"], attributes, [])
