"""Names of our series, and what ids of other people look like: request ids and the W3C trace context."""

import os
import re
import time
from typing import Final

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
#: What loggers print when there is no request.
_NO_ID: Final = frozenset({"-", "null", "none", "nil", "undefined", "n/a"})
_LONGEST_NO_ID: Final = 9
#: version, trace id, parent id, flags; later versions may append fields. W3C Trace Context section 3.2.
TRACEPARENT: Final = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}"
_TRACEPARENT: Final = re.compile(TRACEPARENT + r"(?:-.*)?", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-f]+", re.ASCII)
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_start(seconds: int | None = None) -> str:
    """Return the name of one start of a program that numbers records: with a letter behind it, that of a series.

    7 base-36 digits of the time in seconds, so that names sort by age, and 5 of chance, as a hundred hosts may start
    in one second.
    """
    number = int(time.time()) if seconds is None else seconds
    chance = int.from_bytes(os.urandom(8), "big") % 36**5  # not `secrets`: OpenSSL is 5 MB in each process of a host
    return _base36(number, 7) + _base36(chance, 5)


def request_id(value: str) -> str | None:
    """Return a request id when it is one: 1 to 128 characters of `A-Za-z0-9._:/+=@-`; None for "-" and "null"."""
    # Most are UUIDs: letters, digits and dashes need no pattern.
    if 16 <= len(value) <= 128 and value.isascii() and value.replace("-", "").isalnum():
        return value
    if _REQUEST_ID.fullmatch(value) is None or (len(value) <= _LONGEST_NO_ID and value.lower() in _NO_ID):
        return None
    return value


def trace_id(value: str) -> str | None:
    """Return a W3C trace id in lower case: 32 hexadecimal digits, not all zero; else None."""
    return _hexadecimal(value, 32)


def span_id(value: str) -> str | None:
    """Return a W3C parent id in lower case: 16 hexadecimal digits, not all zero; else None."""
    return _hexadecimal(value, 16)


def traceparent(value: str) -> tuple[str, str] | None:
    """Return trace id and span id of a `traceparent` header, None when it is not valid.

    W3C Trace Context section 3.2.2: "All bytes as zero is considered an invalid value" for both ids, and version
    "ff" is invalid; version 00 has exactly four fields.
    """
    found = _TRACEPARENT.fullmatch(value)
    if found is None or found[1] == "ff" or (found[1] == "00" and len(value) != 55):
        return None
    trace, span = trace_id(found[2]), span_id(found[3])
    return (trace, span) if trace and span else None


def _hexadecimal(value: str, digits: int) -> str | None:
    if len(value) != digits:
        return None
    value = value.lower()
    return value if _HEX.fullmatch(value) and value.strip("0") else None


def _base36(number: int, digits: int) -> str:
    found = ""
    for _ in range(digits):
        number, digit = divmod(number, 36)
        found = _BASE36[digit] + found
    return found
