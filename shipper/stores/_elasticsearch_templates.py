"""Index templates: what Elasticsearch is told about our fields before the first record of a day comes.

Made from the one table of fields. `dynamic: false` and `labels` as `flattened`: no application can break a mapping or
fill the cluster state with its keys. What a field cannot take is kept, and the document says so in `_ignored`.
`make bench-index` measures what all this costs beside Logstash's usual template.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from shipper.record.fields import FIELDS, Field, Kind
from shipper.stores._agreement import LONGEST_KEYWORD

#: Of all templates together: one more with each change of them, else running clusters keep the old ones.
VERSION: Final = 2
#: In `_meta` of what is ours; what bears another name, or none, is not touched.
MANAGED_BY: Final = "shipper"

#: Above Elasticsearch's own `logs` template (100) and those of integrations (200).
_PRIORITY: Final = 500
#: Fields and the objects that they are in; `dynamic: false` adds none, so reaching it takes a change of ours.
_MOST_FIELDS: Final = 250
#: Bytes of a day in one shard: large enough to be few, small enough to be moved and merged in minutes.
_SHARD_BYTES: Final = 40 * 10**9
MOST_SHARDS: Final = 32

IndexMode = Literal["standard", "logsdb"]

_TYPES: Final[dict[Kind, dict[str, Any]]] = {
    "keyword": {"type": "keyword", "ignore_above": LONGEST_KEYWORD},
    "text": {"type": "text", "norms": False},
    "date": {"type": "date"},
    "date_nanos": {"type": "date_nanos"},
    "long": {"type": "long", "ignore_malformed": True},
    "ip": {"type": "ip", "ignore_malformed": True},
    "flattened": {"type": "flattened", "ignore_above": LONGEST_KEYWORD},
    "unindexed": {"type": "keyword", "index": False, "doc_values": False},
}

#: Asked for seldom, and beside a time, an app or a series: found by their doc values, as an index of their own costs
#: up to 5 bytes a record each.
_WITHOUT_INDEX: Final = frozenset(
    {
        "event.created",
        "event.duration",
        "event.ingested",
        "log.offset",
        "log.origin.file.line",
        "log.syslog.facility.code",
        "log.syslog.severity.code",
        "log.syslog.procid",
        "process.pid",
        "marathon.task.host",
        "marathon.task.ports",
        "http.response.body.bytes",
        "shipper.assumed",
        "shipper.received_at",
        "shipper.sample_rate",
    }
)


@dataclass(frozen=True, slots=True)
class TemplateSettings:
    """What an operator decides about new indices; `shards` is of a day's records, all others have one."""

    replicas: int = 1
    index_mode: IndexMode = "standard"
    shards: int = 1
    #: Whether Elasticsearch indexes its own `_seq_no` too: from 9.2 on it can do without, for 3 bytes a record less.
    seq_no_index: bool = True


def shards_for(size: int) -> int:
    """Return how many shards a day of so many bytes gets, without replicas: one per 40 GB, at most 32."""
    return max(1, min(MOST_SHARDS, math.ceil(size / _SHARD_BYTES)))


def templates(cluster: str, settings: TemplateSettings) -> dict[str, dict[str, Any]]:
    """Return the templates of a cluster's indices by name: records, dead letters, ledger, reports."""
    keyword, long = _TYPES["keyword"], _TYPES["long"]
    letters = {
        **dict.fromkeys(("id", "day", "series", "host", "reason"), keyword),
        "sequence": long,
        "received_at": _TYPES["date_nanos"],
        "detail": _TYPES["text"],
        "original": _TYPES["text"],
        "original_base64": _TYPES["unindexed"],
    }
    entries = {
        **dict.fromkeys(("id", "host", "series", "fate"), keyword),
        **dict.fromkeys(("first", "last", "count", "started_at", "updated_at"), long),
        "@timestamp": _TYPES["date"],
    }
    reports = {
        **dict.fromkeys(("id", "host", "start", "name"), keyword),
        **dict.fromkeys(("updated_at", "dropped", "waiting", "queue_bytes"), long),
        "@timestamp": _TYPES["date"],
        "figures": _TYPES["unindexed"],
    }
    own = {"mode": "standard", "number_of_shards": 1, "number_of_replicas": settings.replicas}
    return {
        f"logs-mesos.{cluster}": _template(f"logs-mesos.{cluster}-*", _records_settings(settings), _properties()),
        f"shipper-dead-letters.{cluster}": _template(f"shipper-dead-letters.{cluster}-*", own, letters),
        f"shipper-ledger.{cluster}": _template(f"shipper-ledger.{cluster}", own, entries),
        f"shipper-reports.{cluster}": _template(f"shipper-reports.{cluster}", own, reports),
    }


def version_of(template: dict[str, Any]) -> int | None:
    """Return the version of a template or mapping as Elasticsearch tells it; None when it is not ours.

    The first version bore our name and no number.
    """
    meta = template.get("_meta")
    if not isinstance(meta, dict) or meta.get("managed_by") != MANAGED_BY:
        return None
    version = meta.get("version", 1)
    return version if isinstance(version, int) else 1


def _records_settings(settings: TemplateSettings) -> dict[str, Any]:
    found: dict[str, Any] = {
        # Said because Elasticsearch 9 gives `logs-*-*` the mode logsdb by itself.
        "mode": settings.index_mode,
        "number_of_shards": settings.shards,
        "number_of_replicas": settings.replicas,
        "codec": "best_compression",
        "sort.field": ["service.name", "host.name", "@timestamp"],
        "sort.order": ["asc", "asc", "desc"],
        "mapping.ignore_malformed": True,
        "mapping.total_fields.limit": _MOST_FIELDS,
        "query.default_field": [
            "message",
            "error.message",
            "error.type",
            "http.request.id",
            "trace.id",
            "service.name",
        ],
    }
    if not settings.seq_no_index:
        found["seq_no.index_options"] = "doc_values_only"
    if settings.index_mode == "logsdb":
        # A synthetic source would give documents back with other names, order and values than were stored.
        found["mapping.source.mode"] = "stored"
    return found


def _properties() -> dict[str, Any]:
    """Fields as a mapping; Elasticsearch takes dotted names for objects in objects."""
    return {field.name: _property(field) for field in FIELDS}


def _property(field: Field) -> dict[str, Any]:
    kind = _TYPES[field.kind]
    return {**kind, "index": False} if field.name in _WITHOUT_INDEX else kind


def _template(pattern: str, settings: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    meta = {"managed_by": MANAGED_BY, "version": VERSION}
    return {
        "index_patterns": [pattern],
        "priority": _PRIORITY,
        "version": VERSION,
        "_meta": meta,
        "template": {
            "settings": {"index": {**settings, "refresh_interval": "1s"}},
            "mappings": {
                "_meta": meta,
                "dynamic": False,
                "date_detection": False,
                "numeric_detection": False,
                "properties": properties,
            },
        },
    }
