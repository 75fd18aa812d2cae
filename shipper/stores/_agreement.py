"""What all stores must agree on; first of all when two records under one id are the same record, sent twice.

What a parser or an enricher found has no part in it: a better parser, or a task that became known meanwhile, must not
turn a record that is sent again into a different one.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from shipper.record import DUPLICATE, Fate, Outcome

#: Fields of a stored record that `outcome_of_twin` looks at.
COMPARED: Final = ("event.created", "host.name", "event.original", "message", "shipper.original_base64")

#: Longest value by which a keyword is found (`ignore_above` in Elasticsearch).
LONGEST_KEYWORD: Final = 1024

#: Latest time that `date_nanos` can hold, in nanoseconds since 1970, and the largest number of a `long`.
_LAST: Final = 2**63 - 1

_COLLISION: Final = Outcome(Fate.REJECTED, "id collision: a different record is stored under this id")


def outcome_of_twin(fields: Mapping[str, Any], stored: Mapping[str, Any]) -> Outcome:
    """Say what becomes of a record whose id is taken: a duplicate when host, host time and original text are equal."""
    return DUPLICATE if _said(fields) == _said(stored) else _COLLISION


def _said(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    original = fields.get("event.original") or fields.get("message")
    return fields.get("event.created"), fields.get("host.name"), original, fields.get("shipper.original_base64")


def bug(error: Exception) -> Outcome:
    """Say what becomes of a record that cannot be written as it is: its neighbours must not suffer."""
    return Outcome(Fate.REJECTED, f"bug: {type(error).__name__}: {' '.join(str(error).split())[:500]}")


def original(payload: bytes) -> dict[str, str]:
    """Return the bytes of a dead letter as text, and exactly (in base64) when they are not valid UTF-8."""
    try:
        return {"original": payload.decode()}
    except UnicodeDecodeError:
        return {
            "original": payload.decode(errors="replace"),
            "original_base64": base64.b64encode(payload).decode("ascii"),
        }


def within(number: int) -> int:
    """Return the time or sequence that a store can compare with, nearest to what was asked."""
    return max(0, min(number, _LAST))
