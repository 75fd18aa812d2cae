"""The record as our rsyslog sends it: one JSON object that holds the host's stamp and the message, unparsed.

Only the outer object is believed, and only from `SOURCES`: whatever an application puts into its message is a JSON
string in there. DESIGN.md, "The record that a host sends" and "The host".
"""

import base64
import binascii
import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from shipper.parsers import _figures
from shipper.record import Record, Shared, times
from shipper.record.fields import ECS_VERSION

#: Hosts send by these sources; the same bytes from any other are text, as anybody could have written them there.
SOURCES: Final = frozenset({"relp"})

#: rsyslog writes `"v": "1"`, with a space, as it does for constants.
_OPENING: Final = '{"v":'
_VERSION: Final = "1"
_SERIES: Final = re.compile(r"[a-z0-9]{6,32}", re.ASCII)
#: What mmsequence counts to.
_LAST_SEQUENCE: Final = 2**31 - 1
#: Longest member that is taken, in characters; the path of a file may be longer.
_LONGEST: Final = 255
_LONGEST_PATH: Final = 1024
_LONGEST_BASE64: Final = 2**20
_MOST_KNOWN: Final = 4096
#: Members whose text is a field's value as it is.
_TEXTS: Final = {
    "host": "host.name",
    "input": "shipper.input",
    "container": "container.id",
    "task": "orchestrator.resource.id",
    "app_version": "marathon.app.version",
    "file": "log.file.path",
}

_LENGTH_OF_SECOND: Final = len("2026-11-22T12:48:34Z")

#: What a host says the same of record after record.
_MEMBERS: Final = (
    "series", "host", "input", "pri", "container", "task", "app", "app_version", "job", "pid", "file", "stream",
)  # fmt: skip
#: Members of every object beside those.
_ALWAYS: Final = ("v", "sequence", "host_time", "message")
#: The values of `_MEMBERS`, as a host sent them.
_Said = tuple[Any, ...]


class _Known(NamedTuple):
    """What follows from what a host said."""

    shared: Shared
    host: str
    #: Whether host and series are right, so that a number in it is an identity.
    numbered: bool
    #: How many members such an object has when it has none of the rare ones.
    members: int
    #: The input, when what it brings is figures.
    figures: str


_known: Final[dict[_Said, _Known]] = {}


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
        get = outer.get
        said = (
            outer["series"], outer["host"], get("input"), get("pri"), get("container"), get("task"), get("app"),
            get("app_version"), get("job"), get("pid"), get("file"), get("stream"),
        )  # fmt: skip
        if outer["v"] != _VERSION:
            return False
        known = _known.get(said)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False  # TypeError: a value that is no text but a list or an object
    if not (type(message) is type(host_time) is type(sequence) is str):
        return False
    if known is None:  # else all that was said is text: nothing else is remembered
        if not (type(said[0]) is type(said[1]) is str):
            return False
        known = _learn(said)
    record.body = record.fields["event.original"] = message
    record.shared, record.host, numbered, members, figures = known
    if len(outer) != members:
        _add_rare(record, outer)
    if not (_stamp(record, host_time, sequence) and numbered):
        _undo(record)
        return True
    record.series = said[0]
    if figures:
        _figures.read(record, figures)
    return True


def _stamp(record: Record, host_time: str, sequence: str) -> bool:
    """Set time, day and number; False when one of them is not right. Nearly all records share their second."""
    digits, second = host_time[20:26], ""
    if len(host_time) == 32 and host_time[19] == "." and digits.isdecimal() and digits.isascii():
        second, record.day = _second(host_time[:19], host_time[26:])
    created = f"{second}.{digits}Z" if second else times.utc(host_time)
    if created is None:
        return False
    if not second:
        record.day = times.day(created)
    record.host_time = host_time
    record.fields["event.created"] = created
    record.sequence = _number(sequence)
    return record.sequence > 0


def _undo(record: Record) -> None:
    """Leave a record without an identity, as its stamp is not valid: the intake gives it one of the shipper's."""
    record.day, record.sequence = "", 0
    record.unshare()
    record.fields.pop("shipper.series", None)
    record.tag("host_stamp_invalid")


def _learn(said: _Said) -> _Known:
    """Return what is valid of it as fields, and what follows from it; remember it."""
    stated = {name: text for name, text in zip(_MEMBERS, said, strict=True) if _is_member(name, text)}
    fields: dict[str, Any] = {"ecs.version": ECS_VERSION}
    if _SERIES.fullmatch(stated.get("series", "")):
        fields["shipper.series"] = stated["series"]
    fields |= {field: stated[name] for name, field in _TEXTS.items() if name in stated}
    if (codes := _codes(stated.get("pri", ""))) is not None:
        fields["log.syslog.facility.code"], fields["log.syslog.severity.code"] = codes
    if pid := _number(stated.get("pid", "")):
        fields["process.pid"] = pid
    if stated.get("stream") in ("stdout", "stderr"):
        fields["shipper.stream"] = stated["stream"]
    fields |= _resource(stated)
    final = frozenset(fields)
    work = stated.get("app") or stated.get("job")
    if work and (service := work.removeprefix("/").replace("/", "-")):
        fields["service.name"] = service  # the one of them that a record may know better
    host, source = stated.get("host", ""), stated.get("input", "")
    known = _Known(
        Shared(fields, final),
        host,
        numbered=host != "" and "shipper.series" in fields,
        members=len(_ALWAYS) + sum(value is not None for value in said),
        figures=source if source in _figures.INPUTS else "",
    )
    if all(not value or name in stated for name, value in zip(_MEMBERS, said, strict=True)):
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[said] = known
    return known


def _is_member(name: str, text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= (_LONGEST_PATH if name == "file" else _LONGEST)


def _resource(stated: dict[str, str]) -> dict[str, str]:
    """Say what the orchestrator runs there: a task of a Marathon app, or of a Chronos job."""
    work = stated.get("app") or stated.get("job")
    named = {"orchestrator.resource.name": work} if work else {}
    if not named and "task" not in stated:
        return {}
    return named | {"orchestrator.resource.type": "job" if "job" in stated else "task"}


def _add_rare(record: Record, outer: dict[str, Any]) -> None:
    """Add what only some records have, and each its own."""
    offset, exact = outer.get("offset"), outer.get("message_base64")
    if type(offset) is str and 0 < len(offset) <= 18 and offset.isdecimal() and offset.isascii():
        record.fields["log.offset"] = int(offset)
    if outer.get("truncated") == "1":
        record.tag("truncated")
    if not exact:
        return
    if _is_base64(exact):
        record.fields.setdefault("shipper.original_base64", exact)
        record.tag("invalid_utf8")
    else:
        record.tag("host_base64_invalid")


def _is_base64(text: object) -> bool:
    if not isinstance(text, str) or len(text) > _LONGEST_BASE64:
        return False
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return False
    return True


@lru_cache(maxsize=1024)
def _second(second: str, offset: str) -> tuple[str, str]:
    """Move a whole second to UTC, without its `Z`, and return its day too; "" when it is none."""
    moved = times.utc(second + offset)
    if moved is None or len(moved) != _LENGTH_OF_SECOND:  # the offset held digits of the second
        return "", ""
    return moved[:-1], times.day(moved)


def _number(digits: str) -> int:
    """Return a number of decimal digits within mmsequence's range; 0 for anything else ("+5", "1_0")."""
    if len(digits) > 10 or not digits.isdecimal() or not digits.isascii():
        return 0
    number = int(digits)
    return number if number <= _LAST_SEQUENCE else 0


def _codes(pri: str) -> tuple[int, int] | None:
    """Facility and severity of a PRI; None for what rsyslog prints of a bad one ("invld"). RFC 5424 section 6.2.1."""
    if len(pri) > 3 or not pri.isdecimal() or not pri.isascii() or int(pri) > 191:
        return None
    return divmod(int(pri), 8)
