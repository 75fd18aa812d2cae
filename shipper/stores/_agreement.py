"""What all stores must agree on; first of all what becomes of a record whose id is taken."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from shipper.record import DUPLICATE, Fate, Outcome, said_by_host

#: Longest value by which a keyword is found (`ignore_above` in Elasticsearch).
LONGEST_KEYWORD: Final = 1024

#: Latest time that `date_nanos` can hold, in nanoseconds since 1970, and the largest number of a `long`.
_LAST: Final = 2**63 - 1

_COLLISION: Final = Outcome(Fate.REJECTED, "id collision: a different record is stored under this id")

#: Of a record whose day is deleted already: it is acknowledged, and accounted for.
EXPIRED: Final = Outcome(Fate.DISCARDED, "expired")


#: Days that records of a dataset are kept, by its name (`event.dataset`).
Datasets = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=256)], Annotated[int, Field(ge=1, le=99_999)]],
    Field(max_length=1000),
]


def check_datasets(days: int, datasets: Mapping[str, int]) -> None:
    """ValueError when a dataset asks for more days than are kept of everything: it can only be fewer."""
    longer = [name for name, wanted in datasets.items() if days and wanted > days]
    if longer:
        raise ValueError(
            f"retention_datasets: {longer[0]!r} asks for {datasets[longer[0]]} days, but a dataset can only be kept"
            f" for fewer than the {days} of retention_days"
        )


def outcome_of_twin(fields: Mapping[str, Any], stored: Mapping[str, Any]) -> Outcome:
    """Say what becomes of a record whose id is taken: a duplicate when host, host time and original text are equal."""
    return DUPLICATE if said_by_host(fields) == said_by_host(stored) else _COLLISION


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
