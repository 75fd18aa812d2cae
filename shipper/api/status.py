"""What the process says of itself: ready or not, why not, and figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Status:
    """Whether the process takes records; `reason` says in one line why not, `figures` are shown as they are."""

    ready: bool
    reason: str = ""
    figures: Mapping[str, int | float | str] = field(default_factory=dict)


def api_only() -> Status:
    """Return the status of a process that answers questions and receives nothing."""
    return Status(ready=True, reason="api only")
