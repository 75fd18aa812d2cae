"""From text to fields. One file per format, each with `parse(record) -> bool`; the chain tries them in order.

A parser that must not believe everybody names in `SOURCES` the sources whose payloads it reads; the others read all.

A parser looks at `record.body`. When it recognises its format it fills in fields, leaves in `body` what is still to
be parsed, and returns True; else it touches nothing (it may add a tag that says why not) and returns False. Once
`message` is set nothing is left to parse. A parser reads no clock and does no I/O. Nothing is ever lost because it was
ugly: the worst case is a plain message, and `event.original` has the text as received wherever `message` differs.
"""

import base64
from collections.abc import Callable, Sequence
from functools import lru_cache

from shipper.record import Record, fields, levels, times

Parse = Callable[[Record], bool]

#: The records of one read share their time.
_text_of_time = lru_cache(maxsize=256)(times.from_ns)


def chain(parsers: Sequence[Parse]) -> Callable[[Record], None]:
    """Return one function that reads a record's payload with `parsers`, in order, and leaves complete fields.

    Complete: @timestamp, message, ecs.version, shipper.received_at; event.original when message is not all of the
    text; log.level when the severity is known; service.name when the syslog header names the app.
    """
    parsers = tuple(parsers)

    def read(record: Record) -> None:
        text = _decode(record)
        for parse in parsers:
            parse(record)
        _complete(record, text)

    return read


def _decode(record: Record) -> str:
    """Set `body` to the payload's text without the newline that rsyslog's templates end with, and return it."""
    payload = record.payload
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = payload.decode(errors="replace")
        record.tag("invalid_utf8")
        record.fields["shipper.original_base64"] = base64.b64encode(payload).decode()
    if text.endswith("\n"):
        text = text[:-1]
    record.body = text
    return text


def _complete(record: Record, text: str) -> None:
    """Add what every record has, from what the parsers found or else from what the host or the shipper know."""
    found = record.fields
    message = found.get("message")
    if message is None:
        message = found["message"] = record.body
    # A parser that unwraps the text (host_json) says what its original is.
    original = found.get("event.original")
    if original is None:
        if message != text:
            found["event.original"] = text
    elif message == original:
        del found["event.original"]
    received_at = _text_of_time(record.received_at)
    found["shipper.received_at"] = received_at
    shared = record.shared.fields
    if not shared and "ecs.version" not in found:
        found["ecs.version"] = fields.ECS_VERSION
    if "@timestamp" not in found:
        found["@timestamp"] = found.get("event.created", received_at)
        record.assume("time")
    if "log.level" not in found:
        severity = shared.get("log.syslog.severity.code")
        if severity is None:
            severity = found.get("log.syslog.severity.code")
        if severity is not None:
            found["log.level"] = levels.OF_SEVERITY[severity]
    appname = found.get("log.syslog.appname")
    if appname is not None and "service.name" not in found and "service.name" not in shared:
        found["service.name"] = appname
