"""The record as our rsyslog sends it: one JSON object that holds the host's stamp and the message, unparsed.

Only the outer object is believed, and only rsyslog writes that: whatever an application puts into its message is a
JSON string in there. DESIGN.md, "The record that rsyslog sends".
"""

import re
from functools import lru_cache
from typing import Any, Final

import orjson

from shipper.record import Record, Shared, times
from shipper.record.fields import ECS_VERSION

#: rsyslog writes `"v": "1"`, with a space, as it does for constants.
_OPENING: Final = '{"v":'
_VERSION: Final = "1"
_SERIES: Final = re.compile(r"[a-z0-9]{6,32}", re.ASCII)
#: What mmsequence counts to.
_LAST_SEQUENCE: Final = 2**31 - 1
#: Longest host name, input or container id that is taken.
_LONGEST: Final = 255
_MOST_KNOWN: Final = 4096

#: What a host says the same of record after record (series, host, input, PRI, container), as it sent it.
_Said = tuple[Any, ...]
_known: Final[dict[_Said, Shared]] = {}


def parse(record: Record) -> bool:
    """Read the host's stamp and leave the message in `body`.

    A stamp that is not valid is no reason to lose the record: it keeps its message and gets no series.
    """
    body = record.body
    if body[:5] != _OPENING:
        return False
    try:
        outer = orjson.loads(body)
        message, host_time, sequence = outer["message"], outer["host_time"], outer["sequence"]
        said = (outer["series"], outer["host"], outer.get("input"), outer.get("pri"), outer.get("container"))
        if outer["v"] != _VERSION:
            return False
        shared = _known.get(said)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False  # TypeError: a value that is no text but a list or an object
    if not (type(message) is type(host_time) is type(sequence) is str):
        return False
    if shared is None:  # else all that was said is text: nothing else is remembered
        if not (type(said[0]) is type(said[1]) is str):
            return False
        shared = _learn(said)
    fields = record.fields
    record.shared = shared
    record.body = fields["event.original"] = message
    record.host = shared.fields.get("host.name", "")
    created = times.utc(host_time)
    if created is not None:
        record.host_time = host_time
        fields["event.created"] = created
        number = _number(sequence)
        if number and record.host and "shipper.series" in shared.fields:
            record.day = _day(created[:10])
            record.series, record.sequence = said[0], number
            return True
    record.unshare()
    record.fields.pop("shipper.series", None)
    record.tag("host_stamp_invalid")
    return True


def _learn(said: _Said) -> Shared:
    """Return what is valid of it as fields, and remember it."""
    series, host, name, pri, container = said
    fields: dict[str, Any] = {"ecs.version": ECS_VERSION}
    if type(series) is str and _SERIES.fullmatch(series):
        fields["shipper.series"] = series
    named = {"host.name": host, "shipper.input": name, "container.id": container}
    fields.update({field: text for field, text in named.items() if type(text) is str and 0 < len(text) <= _LONGEST})
    if type(pri) is str and (codes := _codes(pri)) is not None:
        fields["log.syslog.facility.code"], fields["log.syslog.severity.code"] = codes
    shared = Shared(fields)
    if all(type(value) is str and len(value) <= _LONGEST for value in said):
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[said] = shared
    return shared


_day = lru_cache(maxsize=1024)(times.day)


def _number(sequence: str) -> int:
    """Return a sequence of decimal digits within mmsequence's range; 0 for anything else ("+5", "1_0")."""
    if len(sequence) > 10 or not sequence.isdecimal() or not sequence.isascii():
        return 0
    number = int(sequence)
    return number if number <= _LAST_SEQUENCE else 0


def _codes(pri: str) -> tuple[int, int] | None:
    """Facility and severity of a PRI; None for what rsyslog prints of a bad one ("invld"). RFC 5424 section 6.2.1."""
    if len(pri) > 3 or not pri.isdecimal() or not pri.isascii() or int(pri) > 191:
        return None
    return divmod(int(pri), 8)
