"""The other side of `make bench-index`: the same records as Logstash would store them with its default template.

The template says what Logstash 7 installs for strings: `message` is text without norms, every other string is text
without norms and has a sub-field `keyword` of up to 256 characters; the codec is Elasticsearch's default, ids are
Elasticsearch's own. The event is the same record with the same values, its names as objects in objects, as filters
make them, and `@version`, which Logstash adds to every event. It adds no `host` here: ours is in the record already.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from shipper.record import Record

INDEX: Final = "logstash-bench"
_TEXT: Final = {"type": "text", "norms": False}

TEMPLATE: Final[dict[str, Any]] = {
    "index_patterns": ["logstash-*"],
    "priority": 500,
    "template": {
        "settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "5s"}},
        "mappings": {
            "dynamic_templates": [
                {"message_field": {"path_match": "message", "match_mapping_type": "string", "mapping": _TEXT}},
                {
                    "string_fields": {
                        "match": "*",
                        "match_mapping_type": "string",
                        "mapping": {**_TEXT, "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
                    }
                },
            ],
            "properties": {
                "@timestamp": {"type": "date"},
                "@version": {"type": "keyword"},
                "geoip": {
                    "dynamic": True,
                    "properties": {
                        "ip": {"type": "ip"},
                        "location": {"type": "geo_point"},
                        "latitude": {"type": "half_float"},
                        "longitude": {"type": "half_float"},
                    },
                },
            },
        },
    },
}


def body(index: str, records: Sequence[Record], ingested: str) -> bytes:
    """Return a bulk body that stores the records as events."""
    action = orjson.dumps({"index": {"_index": index}})
    lines: list[bytes] = []
    for record in records:
        event = nested({**record.content(), "event.ingested": ingested, "@version": "1"})
        lines += (action, orjson.dumps(event))
    return b"\n".join([*lines, b""])


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat dotted fields as objects in objects."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        *above, last = name.split(".")
        place = found
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return found
