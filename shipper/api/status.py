"""What the process says of itself: ready or not, why not, and figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: What a reason begins with while records wait for the store: all of them, or some.
BUSY: Final = "the store is busy: "
WAITING: Final = "some records wait: "
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Status:
    """Whether the process takes records; `reason` says in one line why not, `figures` are shown as they are."""

    ready: bool
    reason: str = ""
    figures: Mapping[str, int | float | str] = field(default_factory=dict)


def why_behind(reason: str) -> str | None:
    """Return why records wait for the store, as the reason of a status says; None when it says something else."""
    begins = next((begins for begins in (BUSY, WAITING) if reason.startswith(begins)), None)
    return None if begins is None else reason.removeprefix(begins)[:_LONGEST]


def api_only() -> Status:
    """Return the status of a process that answers questions and receives nothing."""
    return Status(ready=True, reason="api only")
