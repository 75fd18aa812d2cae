"""What a person types as a time, as nanoseconds since 1970. `now` is passed in; a time without a zone is UTC.

Relative and ISO times are read here, digit by digit, so that nine digits of a second survive; what is left (a month's
name, "2pm") goes to python-dateutil.
"""

import re
import warnings
from datetime import UTC, datetime, timedelta

from dateutil import parser as dateutil_parser

from shipper.errors import QueryError
from shipper.record.times import from_ns, to_ns, utc

ACCEPTED = 'now, 15m, 2h, 7d, 2026-11-22, "2026-11-22 14:00", 2026-11-22T14:00:05.123Z, "yesterday 14:00" (UTC)'
#: Longer than anything that means a time.
MAX_LENGTH = 64

_SECOND = 1_000_000_000
_UNITS = {
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86_400 * _SECOND,
    "w": 604_800 * _SECOND,
}
_PARTS = re.compile(r"(\d{1,9}) ?(ms|s|m|h|d|w)", re.ASCII)
_RELATIVE = re.compile(r"-? ?((?:\d{1,9} ?(?:ms|s|m|h|d|w) ?)+)(?:ago)?", re.ASCII)
_LONG_UNIT = re.compile(r"(?<=\d) ?(s|m|h|d|w)(?:ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?|ays?|eeks?)\b", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[t ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)? ?(z|utc|[+-]\d\d:?\d\d)?", re.ASCII
)
_DAY = re.compile(
    r"(today|yesterday|(?:last )?(mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6})(?:[ ,]+(?:at )?(.+))?", re.ASCII
)
_CLOCK = re.compile(r"\d{1,2}(?::\d\d(?::\d\d)?)? ?(?:[ap]m)?", re.ASCII)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parse(text: str, now: int) -> int:
    """Return the nanoseconds since 1970 that a text means; QueryError says what is accepted."""
    words = " ".join(text.lower().split())
    if not words or not words.isascii() or len(words) > MAX_LENGTH:
        raise _refused(text)
    if words == "now":
        return now
    found = _relative(words, now)
    if found is None:
        found = _iso(words)
    if found is None:
        found = _other(words, now)
    if found is None:
        raise _refused(text)
    return found


def _refused(text: str) -> QueryError:
    shown = text if len(text) <= MAX_LENGTH else text[:MAX_LENGTH] + "…"
    return QueryError(f"not a time: {shown!r}; accepted: {ACCEPTED}")


def _relative(words: str, now: int) -> int | None:
    """`15m`, `-15m`, `now-15m`, `1h30m`, `2 hours ago`: so long before now."""
    words = words.removeprefix("now") if words.startswith("now-") else words
    words = _LONG_UNIT.sub(r"\1", words)
    found = _RELATIVE.fullmatch(words)
    if found is None:
        return None
    return _in_range(now - sum(int(count) * _UNITS[unit] for count, unit in _PARTS.findall(found[1])))


def _iso(words: str) -> int | None:
    found = _ISO.fullmatch(words)
    if found is None:
        return None
    day, minute, second, digits, zone = found.groups()
    zone = "Z" if zone in (None, "z", "utc") else zone
    text = utc(f"{day}T{minute or '00:00'}:{second or '00'}{'.' + digits if digits else ''}{zone}")
    return None if text is None else to_ns(text)


def _other(words: str, now: int) -> int | None:
    """A day by its name and a clock time, or anything that dateutil reads; a bare number is no time."""
    midnight = datetime.fromtimestamp(now // _SECOND, UTC).replace(hour=0, minute=0, second=0)
    found = _DAY.fullmatch(words)
    if found is not None:
        day, weekday, clock = found.groups()
        that_day = midnight - timedelta(days=_days_back(day, weekday, midnight))
        if clock is None:
            return _nanoseconds(that_day)
        if _CLOCK.fullmatch(clock):
            return _by_dateutil(f"{clock}:00" if clock.isdecimal() else clock, that_day)
        if weekday is None:
            return None
    return None if words.isdecimal() else _by_dateutil(words, midnight)


def _days_back(day: str, weekday: str | None, midnight: datetime) -> int:
    if weekday is None:
        return 1 if day == "yesterday" else 0
    back = (midnight.weekday() - _WEEKDAYS.index(weekday)) % 7
    return 7 if back == 0 and day.startswith("last") else back


def _by_dateutil(words: str, default: datetime) -> int | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a zone that dateutil does not know is refused, not ignored
            found = dateutil_parser.parse(words.upper(), default=default)  # it knows zones in capitals only
        return _nanoseconds(found)
    except (ValueError, OverflowError, TypeError, Warning):
        return None


def _nanoseconds(moment: datetime) -> int | None:
    text = utc(moment.astimezone(UTC).isoformat())
    return None if text is None else to_ns(text)


def _in_range(nanoseconds: int) -> int | None:
    """Only what a store can hold: years 1970 to 2261."""
    try:
        text = from_ns(nanoseconds)
    except (ValueError, OverflowError):
        return None
    return nanoseconds if utc(text) is not None else None
