"""A time in a question covers what was typed of it: `2026-11-22` is the day, `14:30` the minute."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from shipper.record.times import from_ns, to_ns
from shipper.search import times

_SECOND: Final = 10**9
_UNITS: Final = {"ms": 10**6, "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND, "H": 3600 * _SECOND}
_UNITS["d"] = 24 * _UNITS["h"]
_UNITS["w"] = 7 * _UNITS["d"]
_MATH: Final = re.compile(r"now((?:[+-]\d{1,9}(?:ms|[smhHdw]))*)(?:/([smhHdwMy]))?", re.ASCII)
_STEP: Final = re.compile(r"([+-]\d+)(ms|[smhHdw])", re.ASCII)
_MONTH: Final = re.compile(r"\d{4}-\d\d", re.ASCII)
_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<digits>\d{1,9}))?)?)?"
    r" ?(?:[zZ]|UTC|utc|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_DAYS: Final = ("today", "yesterday")
_RELATIVE: Final = re.compile(
    r"now|-? ?(?:\d{1,9} ?(?:ms|s(?:ec\w{0,5})?|m(?:in\w{0,5})?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:eeks?)?) ?)+(?:ago)?",
    re.IGNORECASE | re.ASCII,
)
#: The last moment that a store can hold as text.
_LAST: Final = to_ns("2261-12-31T23:59:59.999999999Z")
#: The first moment of a week, a Monday.
_MONDAY: Final = to_ns("1970-01-05T00:00:00Z")


def span(text: str, now: int) -> tuple[int, int]:
    """Return the first moment that a text covers and the first behind it, ns since 1970; QueryError if it is no time.

    A relative time (`15m`, `now-1h`) is one moment.
    """
    typed = text.strip()
    if math := _MATH.fullmatch(typed):
        moment = now + sum(int(count) * _UNITS[unit] for count, unit in _STEP.findall(math[1]))
        return _of_unit(_within(moment), math[2])
    if _MONTH.fullmatch(typed):
        return _of_unit(times.parse(f"{typed}-01", now), "M")
    first = times.parse(typed, now)
    return first, _within(first + _width(typed))


def is_moment(text: str) -> bool:
    """Whether a text is a relative time, which covers nothing but one moment."""
    typed = text.strip()
    math = _MATH.fullmatch(typed)
    return not math[2] if math else _RELATIVE.fullmatch(typed) is not None


def _width(typed: str) -> int:
    iso = _ISO.fullmatch(typed)
    if iso is None:
        return _UNITS["d"] if typed.lower() in _DAYS else 1 if _RELATIVE.fullmatch(typed) else _SECOND
    if iso["minute"] is None:
        return _UNITS["d"]
    if iso["second"] is None:
        return _UNITS["m"]
    return int(10 ** (9 - len(iso["digits"] or "")))


def _of_unit(moment: int, unit: str | None) -> tuple[int, int]:
    if unit is None:
        return moment, moment + 1
    if unit in "My":
        first = datetime.fromtimestamp(moment // _SECOND, UTC).replace(day=1, hour=0, minute=0, second=0)
        first = first if unit == "M" else first.replace(month=1)
        after = (first + timedelta(days=31 if unit == "M" else 366)).replace(day=1)
        return _ns(first), _within(_ns(after))
    width = _UNITS[unit]
    base = _MONDAY if unit == "w" else 0
    start = (moment - base) // width * width + base
    return max(0, start), _within(start + width)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * _SECOND


def _within(moment: int) -> int:
    return max(0, min(moment, _LAST))


def shown(moment: int) -> str:
    """Return a moment as text that `span` reads as exactly it."""
    return from_ns(_within(moment))
