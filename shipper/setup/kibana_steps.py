"""What setting up Kibana consists of: steps that can be shown, in parts that can be done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

#: overwrite: a person may have changed it; left: it stays as a person made it; old: ours, no longer generated.
Action = Literal["create", "change", "overwrite", "remove", "unchanged", "left", "old"]
_WORK: Final = frozenset({"create", "change", "overwrite", "remove"})
_MOST_DETAILS: Final = 6


@dataclass(frozen=True, slots=True)
class Step:
    """One thing of one space, and what is, or would be, done with it."""

    space: str
    #: space, data view, default data view, search, dashboard, lens, alert rule.
    kind: str
    id: str
    action: Action
    title: str = ""
    #: Where it differs, or why it is left.
    details: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether doing it changes something in Kibana."""
        return self.action in _WORK

    def json(self) -> dict[str, Any]:
        """Return the step for scripts."""
        return {
            "space": self.space, "kind": self.kind, "id": self.id, "title": self.title, "action": self.action,
            "details": list(self.details),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """Steps that are done together; `work` is None when there is nothing to do."""

    steps: tuple[Step, ...]
    work: Callable[[], Awaitable[None]] | None = None


def shortened(details: list[str]) -> tuple[str, ...]:
    """Return the first details, and how many more there are."""
    more = len(details) - _MOST_DETAILS
    return (*details[:_MOST_DETAILS], *([f"{more} more"] if more > 0 else []))
