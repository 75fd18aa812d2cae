"""Times as text and as nanoseconds: RFC 3339 in, one UTC form out. No clock is read here.

The canonical form is UTC with a `Z` and as many digits of a second as were given (none to nine): what Elasticsearch
calls `date_nanos` takes it and SQLite gets it as an integer.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

_SECOND = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):?([0-5]\d)", re.ASCII)
_RFC3339 = re.compile(r"([0-9-]{10}[Tt ][0-9:]{8})(?:[.,](\d{1,9})\d*)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
#: What `date_nanos` can hold: 1970 to 2262-04-11; whole years keep the check cheap.
_FIRST_YEAR, _LAST_YEAR = "1970", "2261"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=8192)
def _utc_second(second: str, offset: str) -> str | None:
    """Move a whole second ("2026-11-22T23:48:34") at an offset ("+11:00", "Z") to UTC; None when there is none such.

    There is no hour 24, though some readers take one, and second 60 becomes 59, as no store can hold it.
    """
    found = _SECOND.fullmatch(second)
    zone = _OFFSET.fullmatch(offset)
    if found is None or (zone is None and offset not in ("Z", "z")):
        return None
    date, clock, rest = found.groups()
    if clock >= "24" or rest > "60":
        return None
    there = "+00:00" if zone is None else f"{zone[1]}{zone[2]}:{zone[3]}"
    try:
        moved = datetime.fromisoformat(f"{date}T{clock}{there}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    minute = moved.strftime("%Y-%m-%dT%H:%M")
    if not _FIRST_YEAR <= minute[:4] <= _LAST_YEAR or len(minute) != 16:
        return None
    return f"{minute}:{min(rest, '59')}"


def utc(text: str) -> str | None:
    """Return an RFC 3339 time (any offset, `T`, `t` or a space, up to nine digits) in UTC, or None if it is not one.

    A leap second (":60") becomes ":59". RFC 3339 section 5.6.
    """
    # The form rsyslog writes (dateFormat="rfc3339") and the one most loggers write, taken apart by position: this
    # runs for every record. What does not fit is left to the pattern.
    if len(text) == 32 and text[19] == ".":
        digits, offset = text[20:26], text[26:]
    elif text[19:20] == "." and text[-1] == "Z":
        digits, offset = text[20:-1], "Z"
    else:
        return _utc_by_pattern(text)
    second = _utc_second(text[:19], offset)
    if second is None or not digits.isdecimal() or not digits.isascii():
        return _utc_by_pattern(text)
    return f"{second}.{digits[:9]}Z"


def _utc_by_pattern(text: str) -> str | None:
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    second, digits = _utc_second(found[1], found[3]), found[2]
    if second is None:
        return None
    return f"{second}.{digits}Z" if digits else f"{second}Z"


@lru_cache(maxsize=4096)
def _minute_seconds(minute: str) -> int:
    return int((datetime.fromisoformat(minute + "+00:00") - _EPOCH).total_seconds())


def to_ns(text: str) -> int:
    """Nanoseconds since 1970 of a canonical UTC time, as `utc` and `from_ns` return it."""
    seconds = _minute_seconds(text[:16]) + int(text[17:19])
    digits = text[20:-1]
    return seconds * 1_000_000_000 + (int(digits.ljust(9, "0")) if digits else 0)


@lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def moment(record: Mapping[str, Any]) -> int:
    """Nanoseconds since 1970 of a record; 0 when it has no time that we can read."""
    text = utc(str(record.get("@timestamp", "")))
    return 0 if text is None else to_ns(text)


def from_ns(nanoseconds: int) -> str:
    """Canonical UTC time of nanoseconds since 1970, with six digits, or nine when they are needed."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    digits = f"{rest // 1000:06d}" if rest % 1000 == 0 else f"{rest:09d}"
    return f"{_second_text(seconds)}.{digits}Z"


def day(utc_text: str) -> str:
    """Day of a canonical UTC time as it stands in an index name: "2026.11.22"."""
    return _dotted(utc_text[:10])


@lru_cache(maxsize=1024)
def _dotted(date: str) -> str:
    return date.replace("-", ".")


def offset_of(text: str) -> timezone:
    """Return the UTC offset that an RFC 3339 time carries; UTC when it carries none."""
    found = _OFFSET.fullmatch(text[-6:]) or _OFFSET.fullmatch(text[-5:])
    if found is None:
        return UTC
    sign = -1 if found[1] == "-" else 1
    return timezone(sign * timedelta(hours=int(found[2]), minutes=int(found[3])))
