"""Records as lines of a page: cut where they are long, linked where there is more to see."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from shipper.api.actions import Action, actions_of
from shipper.api.links import request_url
from shipper.api.question import Question
from shipper.api.shown import fields_of, identify, level_rank, moment, service_of
from shipper.record.fields import BY_NAME
from shipper.record.levels import LEVELS
from shipper.record.times import from_ns

#: Characters of a message in a line of a list, of a field when the line is opened, and on a record's own page.
MESSAGE_CUT, FIELD_CUT, PAGE_CUT = 600, 4000, 2_000_000
#: Colours that apps of a story are told apart by; then they repeat.
STRIPES = 10
#: A silence is shown when it is at least this long and at least this part of the story.
_SILENCE_NS, _SILENCE_PART = 1_000_000_000, 0.2

_FILTERS = {"host.name": "host", "service.name": "app", "log.level": "level"}
_BLOCKS = frozenset({"message", "error.stack_trace", "event.original", "error.message"})
_ACTIONS = {
    "shell": "Shell in its container",
    "sandbox": "Files of its task",
    "where": "All tasks of its app",
    "siblings": "Its app on its host",
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
    #: What a reader can do about it, in words, but for the links that every line has.
    actions: list[tuple[str, Action]]
    #: Set where the day changes: "2026-11-22".
    day: str = ""
    #: In a story: nanoseconds since its first record, since the record before (a long silence only), and a colour.
    offset: int = 0
    silence: int = 0
    stripe: int = 0

    @property
    def clock(self) -> str:
        """Time of day to the millisecond."""
        return self.full_time[11:23]


def row(record: dict[str, Any], field_cut: int = FIELD_CUT) -> Row:
    """Return one record as a line."""
    record = identify(record)
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
        fields=[_field(name, value, field_cut) for name, value in fields_of(record)],
        actions=[(_ACTIONS[action.name], action) for action in actions_of(record) if action.name in _ACTIONS],
    )


def rows(records: Iterable[dict[str, Any]]) -> list[Row]:
    """Return records as lines that say where a day begins."""
    found = [row(record) for record in records]
    day = ""
    for line in found:
        if line.full_time[:10] != day:
            day = line.day = line.full_time[:10]
    return found


def story_rows(records: list[dict[str, Any]], stripes: dict[str, int]) -> list[Row]:
    """Return the records of a story as lines with their offsets, silences and colours."""
    found = rows(records)
    if not found:
        return found
    began, length = found[0].at, found[-1].at - found[0].at
    before = began
    for line in found:
        line.offset = line.at - began
        line.stripe = stripes[line.service]
        if line.at - before >= max(_SILENCE_NS, int(length * _SILENCE_PART)):
            line.silence = line.at - before
        before = line.at
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


@dataclass(frozen=True, slots=True)
class Lane:
    """One app's line in the picture of a story; places are 0 to 1000."""

    stripe: int
    x: int
    width: int
    #: Places of its records, and their levels.
    ticks: list[tuple[int, str]]


def lanes(found: list[Row], stripes: dict[str, int]) -> dict[str, Lane]:
    """Return when each app of a story wrote, to be drawn; at most one tick per place and level."""
    length = max(1, found[-1].at - found[0].at)
    places: dict[str, dict[tuple[int, str], None]] = {name: {} for name in stripes}
    for line in found:
        kind = "error" if line.level in LEVELS[LEVELS.index("error") :] else "warn" if line.level == "warn" else ""
        places[line.service][min(996, 996 * line.offset // length), kind] = None
    drawn = {}
    for name, ticks in places.items():
        first, last = min(tick[0] for tick in ticks), max(tick[0] for tick in ticks)
        drawn[name] = Lane(stripes[name], first, last - first + 4, sorted(ticks, key=lambda tick: (tick[1], tick[0])))
    return drawn


def without(asked: Question, name: str) -> str:
    """Return the link to a question with one parameter left out."""
    return asked.url(**{name: None, "cursor": None})
