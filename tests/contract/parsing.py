"""How the parser tests make payloads and read them, and what every record must be whatever came in."""

import base64
import ipaddress
from collections.abc import Callable
from typing import Any

import orjson

from shipper.config import Config, component
from shipper.parsers import chain
from shipper.record import Record, times
from shipper.record.fields import BY_NAME
from shipper.record.levels import LEVELS

RECEIVED_AT = times.to_ns("2026-11-22T12:48:35.000000Z")
STAMP = {
    "v": "1",
    "series": "65614f3a9c1en",
    "sequence": "17",
    "host_time": "2026-11-22T23:48:34.123456+11:00",
    "host": "web-3",
    "input": "imuxsock",
    "pri": "14",
    "container": "",
}
#: What the stamp above becomes.
STAMPED = {
    "host.name": "web-3",
    "event.created": "2026-11-22T12:48:34.123456Z",
    "event.sequence": 17,
    "shipper.series": "65614f3a9c1en",
    "shipper.input": "imuxsock",
    "log.syslog.facility.code": 1,
    "log.syslog.severity.code": 6,
}

read: Callable[[Record], None] = chain([component("parsers", name).parse for name in Config.model_validate({}).parsers])


def stamped(message: str, **stamp: str) -> bytes:
    """What rsyslog sends for a message."""
    return orjson.dumps({**STAMP, **stamp, "message": message})


def parsed(payload: bytes) -> Record:
    """A payload, read by the whole chain and checked for what every record promises."""
    record = Record(payload, RECEIVED_AT)
    read(record)
    check(record)
    return record


def fields_of(payload: bytes) -> dict[str, Any]:
    """The fields of a payload."""
    return everything(parsed(payload))


def everything(record: Record) -> dict[str, Any]:
    """All fields of a record as a store gets them."""
    if record.series:  # else the intake stamps it first
        record.seal()
    content: dict[str, Any] = orjson.loads(orjson.dumps(record.content()))
    return content


def original(record: Record) -> str:
    """The text as received."""
    fields = record.content()
    return str(fields.get("event.original", fields["message"]))


def check(record: Record) -> None:
    """Every record can be written, has what every record has, and no value that breaks a field's type."""
    fields = orjson.loads(orjson.dumps(record.content()))
    for name in ("@timestamp", "message", "ecs.version", "shipper.received_at"):
        assert name in fields
    for name, value in fields.items():
        assert _fits(name, value), f"{name}: {value!r}"
    _check_recoverable(record, fields)
    assert (record.series != "") == ("shipper.series" in fields) == (record.sequence > 0) == (record.day != "")


def _check_recoverable(record: Record, fields: dict[str, Any]) -> None:
    """The text as received is still there, to the last character, and the bytes when they are no text."""
    text_as_received = original(record)
    try:
        text = record.payload.decode()
    except UnicodeDecodeError:
        assert base64.b64decode(fields["shipper.original_base64"]) == record.payload
        assert "invalid_utf8" in fields["tags"]
        text = record.payload.decode(errors="replace")
    text = text.removesuffix("\n")
    assert text_as_received == (orjson.loads(text)["message"] if record.series else text) or _is_half_stamped(
        record, text_as_received
    )


def _is_half_stamped(record: Record, text: str) -> bool:
    return "host_stamp_invalid" in record.fields.get("tags", ()) and orjson.loads(record.payload)["message"] == text


def _fits(name: str, value: Any) -> bool:
    kind = BY_NAME[name].kind
    if name in ("tags", "shipper.assumed"):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if name == "log.level":
        return str(value) in LEVELS
    if kind in ("text", "unindexed"):
        return isinstance(value, str)
    if kind == "keyword":
        return isinstance(value, str) and len(value.encode()) <= 8192
    if kind == "long":
        return type(value) is int and -(2**63) <= value < 2**63
    if kind in ("date", "date_nanos"):
        return isinstance(value, str) and times.utc(value) == value
    if kind == "ip":
        return str(ipaddress.ip_address(value)) != ""
    return isinstance(value, dict) and _is_label(value, 0)


def _is_label(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth <= 20 and all(_is_key(key) and _is_label(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return depth <= 20 and all(_is_label(item, depth + 1) for item in value)
    if isinstance(value, str):
        return len(value.encode()) <= 8192
    return isinstance(value, bool | float) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _is_key(key: str) -> bool:
    parts = key.split(".")
    return len(key) <= 260 and "\0" not in key and all(part == part.strip() and part for part in parts)
