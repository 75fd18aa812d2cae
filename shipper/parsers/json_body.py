"""A message that is a JSON object, as applications with structured logs write it; also after `@cee:`.

Known keys become fields, the others labels (`_known_keys`). What is no valid JSON, or more than a record may hold,
stays plain text, tagged "json_invalid" or "json_limits".
"""

import json
from typing import Any, Final

import orjson

from shipper.parsers._known_keys import Inexact, Reading, TooMuch
from shipper.record import Record

LONGEST: Final = 2**20
_COOKIE: Final = "@cee:"
_DIGITS_OF_64_BITS: Final = 18


def parse(record: Record) -> bool:
    """Read the whole of `body` as one JSON object, or leave it alone."""
    text = record.body
    first = text[:1]
    if first != "{":
        if first != "@" and not first.isspace():  # most texts
            return False
        text = _after_cookie(text)
        if text[:1] != "{":
            return False
    if len(text) > LONGEST:
        if text[1:].lstrip()[:1] in ('"', "}"):
            record.tag("json_limits")
        return False
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        if text[1:].lstrip()[:1] == '"':
            record.tag("json_invalid")
        return False
    try:
        reading = _read(record, text, document)
    except TooMuch:
        record.tag("json_limits")
        return False
    reading.fill(text)
    return True


def _after_cookie(text: str) -> str:
    """Return what follows blanks and, if it is there, the cookie of CEE (as mmjsonparse knows it)."""
    return text.lstrip().removeprefix(_COOKIE).lstrip()


def _read(record: Record, text: str, document: dict[str, Any]) -> Reading:
    reading = Reading(record, exact=False)
    try:
        reading.read(document)
    except Inexact:
        # Integers beyond 64 bits: read again by the slower reader, which hands over their digits. It recurses, so the
        # depth is checked first, by reading without regard to digits.
        Reading(record).read(document)
        reading = Reading(record)
        reading.read(json.loads(text, parse_int=_exact))
    return reading


def _exact(digits: str) -> int | str:
    return int(digits) if len(digits) <= _DIGITS_OF_64_BITS else _large(digits)


def _large(digits: str) -> int | str:
    if len(digits) > _DIGITS_OF_64_BITS + 2:
        return digits
    number = int(digits)
    return number if -(2**63) <= number < 2**63 else digits
