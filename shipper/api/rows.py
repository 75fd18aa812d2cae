"""Records as lines of a page: cut where they are long, linked where there is more to see."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlencode

from shipper.api.actions import actions_of
from shipper.api.links import request_url
from shipper.api.shown import fields_of, identify, level_rank, service_of
from shipper.record.fields import BY_NAME
from shipper.record.levels import LEVELS
from shipper.record.times import from_ns, moment, to_ns

#: Characters of a message in a line of a list, of a field when the line is opened, and on a record's own page.
MESSAGE_CUT, FIELD_CUT, PAGE_CUT = 600, 4000, 2_000_000
#: A silence is shown when it is at least this long and at least this part of the story.
_SILENCE_NS, _SILENCE_PART = 1_000_000_000, 0.2

_FILTERS = {"host.name": "host", "service.name": "app", "log.level": "level"}
_BLOCKS = frozenset({"message", "error.stack_trace", "event.original", "error.message"})
#: Commands in words.
COMMANDS = {"shell": "Shell in its container", "sandbox": "Files of its task", "where": "All tasks of its app"}
#: The links that a line does not have anyhow.
_LINKS = {
    "task": "Its task",
    "siblings": "Its app on its host",
    "same": "The same message elsewhere",
    "kibana": "In Kibana",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A text that may be cut, and how long it is whole."""

    text: str
    length: int

    @property
    def cut(self) -> bool:
        """Whether there is more of it."""
        return len(self.text) < self.length


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of an opened record."""

    name: str
    meaning: str
    value: Shown
    #: Where all records with this value are; "" when it is no filter.
    url: str
    #: Text of several lines, shown as it is.
    block: bool


@dataclass(slots=True)
class Row:
    """One record of a list."""

    id: str
    url: str
    at: int
    full_time: str
    level: str
    host: str
    service: str
    message: Shown
    request_id: str
    request_url: str
    fields: list[FieldRow]
    #: What a reader can do about it: what it is in words, and the command or the address.
    commands: list[tuple[str, str]]
    links: list[tuple[str, str]]
    #: Set where the day changes: "2026-11-22".
    day: str = ""
    #: In a story: the time that it says itself where another is shown, nanoseconds since the story began, nanoseconds
    #: since the record before (a long silence only), and a colour.
    said: str = ""
    offset: int = 0
    silence: int = 0
    stripe: int = 0

    @property
    def clock(self) -> str:
        """Time of day to the millisecond."""
        return self.full_time[11:23]


def row(record: dict[str, Any], field_cut: int = FIELD_CUT, kibana: str | None = None, lazy: bool = False) -> Row:
    """Return one record as a line; a lazy one has no fields and actions."""
    record = identify(record)
    actions = [] if lazy else actions_of(record, kibana)
    at = moment(record)
    rank = level_rank(record)
    request = str(record.get("http.request.id") or "")
    return Row(
        id=str(record["id"]),
        url=f"/records/{quote(str(record['id']), safe='')}?at={at}",
        at=at,
        full_time=str(record.get("@timestamp") or from_ns(0)) if at == 0 else from_ns(at),
        level=LEVELS[rank] if rank >= 0 else "",
        host=str(record.get("host.name") or ""),
        service=service_of(record),
        message=_cut(str(record.get("message", "")), MESSAGE_CUT),
        request_id=request,
        request_url=request_url(request),
        fields=[] if lazy else [_field(name, value, field_cut) for name, value in fields_of(record)],
        commands=[(COMMANDS[one.name], one.command) for one in actions if one.name in COMMANDS],
        links=[(_LINKS[one.name], one.url) for one in actions if one.name in _LINKS],
    )


def rows(records: Iterable[dict[str, Any]], kibana: str | None = None, lazy: bool = False) -> list[Row]:
    """Return records as lines that say where a day begins."""
    found = [row(record, kibana=kibana, lazy=lazy) for record in records]
    day = ""
    for line in found:
        if line.full_time[:10] != day:
            day = line.day = line.full_time[:10]
    return found


def story_rows(records: list[dict[str, Any]], began: int, stripes: Mapping[str, int], lazy: bool = False) -> list[Row]:
    """Return records of a story, in its order, as lines with their offsets, silences and colours.

    `began` is when the story did, in nanoseconds since 1970.
    """
    found = rows(records, lazy=lazy)
    for line, record in zip(found, records, strict=True):
        shown = record.get("shown_time")
        if isinstance(shown, str):
            line.said, line.full_time, line.at = line.full_time, shown, to_ns(shown)
        line.offset = line.at - began
        line.stripe = stripes.get(line.service, 0)
    length = found[-1].at - found[0].at if found else 0
    for before, line in pairwise(found):
        if line.at - before.at >= max(_SILENCE_NS, int(length * _SILENCE_PART)):
            line.silence = line.at - before.at
    return found


def _field(name: str, value: Any, cut: int) -> FieldRow:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    known = BY_NAME.get(name)
    url = ""
    if name in _FILTERS and isinstance(value, str) and len(value) <= 256:
        url = f"/?{urlencode({_FILTERS[name]: value}, errors='replace')}"
    elif name == "http.request.id" and isinstance(value, str):
        url = request_url(value)
    block = name in _BLOCKS and ("\n" in text or len(text) > 200)
    return FieldRow(name, "" if known is None else known.meaning, _cut(text, cut), url, block)


def _cut(text: str, length: int) -> Shown:
    return Shown(text if len(text) <= length else text[:length], len(text))
