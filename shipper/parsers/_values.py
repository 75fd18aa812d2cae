"""Values as the field table wants them: each function returns the value in its field's type, or None if it is none."""

import ipaddress
import re
from functools import lru_cache
from typing import Any, Final

from shipper.record import ids

#: Longest keyword or label value, in bytes of UTF-8. Lucene refuses terms over 32,766 bytes, with their key in front.
LONGEST: Final = 8192
#: Strings of up to so many characters cannot be longer than LONGEST.
SHORT: Final = LONGEST // 4
SMALLEST, LARGEST = -(2**63), 2**63 - 1

_INTEGER: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,15}(?:\.\d{1,15})?) ?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip


def fits(text: str) -> bool:
    """Whether a text is short enough for a keyword."""
    return len(text) <= SHORT or len(text.encode()) <= LONGEST


def cut(text: str) -> str:
    """Return the longest beginning of a text that is a keyword."""
    return text.encode()[:LONGEST].decode(errors="ignore")


def keyword(value: object) -> str | None:
    """A text that is not empty, or a whole number as text."""
    if isinstance(value, str):
        return value if value and fits(value) else None
    if isinstance(value, int) and not isinstance(value, bool) and SMALLEST <= value <= LARGEST:
        return str(value)
    return None


def text(value: object) -> str | None:
    """A text of any length."""
    return value if isinstance(value, str) else None


def long(value: object) -> int | None:
    """A whole number of 64 bits with sign, or its digits."""
    if isinstance(value, str):
        if _INTEGER.fullmatch(value) is None:
            return None
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and SMALLEST <= value <= LARGEST:
        return value
    return None


def count(value: object) -> int | None:
    """A whole number that is not negative."""
    number = long(value)
    return number if number is not None and number >= 0 else None


def status(value: object) -> int | None:
    """An HTTP status: 100 to 599. RFC 9110 section 15."""
    number = value if type(value) is int else long(value)
    return number if number is not None and 100 <= number <= 599 else None


def request_id(value: object) -> str | None:
    """A request id (see `ids.request_id`)."""
    found = value if type(value) is str else keyword(value)
    return ids.request_id(found) if found is not None else None


def trace_id(value: object) -> str | None:
    """A W3C trace id."""
    return ids.trace_id(value) if isinstance(value, str) else None


def span_id(value: object) -> str | None:
    """A W3C parent id."""
    return ids.span_id(value) if isinstance(value, str) else None


def ip(value: object) -> str | None:
    """An IPv4 or IPv6 address without zone."""
    return _ip(value) if isinstance(value, str) and len(value) <= 45 else None


@lru_cache(maxsize=4096)
def _ip(value: str) -> str | None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return None
    return None if "%" in value else value


def nanoseconds(unit: int) -> Any:
    """Return a function that reads a number of `unit` nanoseconds as nanoseconds; nothing negative, nothing huge."""

    def read(value: object) -> int | None:
        if isinstance(value, str):
            found = _DURATION.fullmatch(value + "ns")
            if found is None:
                return None
            value = float(found[1]) if "." in value else int(value)
        # The types themselves: a bool is an int to isinstance.
        if (type(value) is int or type(value) is float) and 0 <= value * unit <= LARGEST // 2:
            return round(value * unit)
        return None

    return read


def duration(value: object) -> int | None:
    """A duration with its unit, as Go writes it ("12.5ms"), in nanoseconds. A bare number has no unit: None."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    nanos = round(float(found[1]) * _UNITS[found[2]])
    return nanos if nanos <= LARGEST else None
