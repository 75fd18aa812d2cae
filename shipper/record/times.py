"""Times as text and as nanoseconds: RFC 3339 in, one UTC form out. No clock is read here.

The canonical form is UTC with a `Z` and as many digits of a second as were given (none to nine): what Elasticsearch
calls `date_nanos` takes it and SQLite gets it as an integer.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(?:([Zz])|([+-]\d\d):?(\d\d))", re.ASCII
)
#: What `date_nanos` can hold: 1970 to 2262-04-11; whole years keep the check cheap.
_FIRST_YEAR, _LAST_YEAR = "1970", "2261"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def _utc_minute(minute: str, offset: str) -> str | None:
    """Move a minute ("2026-11-22T23:48") at an offset ("+11:00") to UTC; None when there is no such minute."""
    try:
        moved = datetime.fromisoformat(minute + offset).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    text = moved.strftime("%Y-%m-%dT%H:%M")
    return text if _FIRST_YEAR <= text[:4] <= _LAST_YEAR and len(text) == 16 else None


def utc(text: str) -> str | None:
    """Return an RFC 3339 time (any offset, `T`, `t` or a space, up to nine digits) in UTC, or None if it is not one.

    A leap second (":60") becomes ":59", as no store can hold it. RFC 3339 section 5.6.
    """
    # The form rsyslog writes (dateFormat="rfc3339"), taken apart by position: this runs for every record.
    if len(text) == 32 and text[19] == "." and text[16] == ":" and (text[17:19] + text[20:26]).isdecimal():
        minute, second, digits, offset = text[:16], text[17:19], text[20:26], text[26:]
        if not text.isascii():
            return None
    else:
        found = _RFC3339.fullmatch(text)
        if found is None:
            return None
        date, clock, second, digits, zulu, hours, minutes = found.groups()
        minute, offset = f"{date}T{clock}", "+00:00" if zulu else f"{hours}:{minutes}"
    moved = _utc_minute(minute, offset)
    if moved is None or second > "60":
        return None
    second = min(second, "59")
    return f"{moved}:{second}.{digits}Z" if digits else f"{moved}:{second}Z"


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


def from_ns(nanoseconds: int) -> str:
    """Canonical UTC time of nanoseconds since 1970, with six digits, or nine when they are needed."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    digits = f"{rest // 1000:06d}" if rest % 1000 == 0 else f"{rest:09d}"
    return f"{_second_text(seconds)}.{digits}Z"


def day(utc_text: str) -> str:
    """Day of a canonical UTC time as it stands in an index name: "2026.11.22"."""
    return f"{utc_text[:4]}.{utc_text[5:7]}.{utc_text[8:10]}"


def offset_of(text: str) -> timezone:
    """Return the UTC offset that an RFC 3339 time carries; UTC when it carries none."""
    found = re.search(r"([+-])(\d\d):?(\d\d)$", text)
    if found is None:
        return UTC
    sign = -1 if found[1] == "-" else 1
    return timezone(sign * timedelta(hours=int(found[2]), minutes=int(found[3])))
