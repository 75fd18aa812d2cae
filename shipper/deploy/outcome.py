"""What became of each thing that a deploy was about: the states there are, and the exit code they make."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class State(StrEnum):
    """In which state something was left."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    #: The deploy did not work, and everything is as it was before.
    ROLLED_BACK = "rolled back"
    #: Its canary did not do as well as the old ones, or could not be compared; the app itself was not touched.
    WITHDRAWN = "withdrawn"
    #: Nothing was changed: it was refused, locked, or could not be asked for.
    REFUSED = "refused"
    #: Something was begun and could not be followed or taken back; the detail says what to look at.
    UNFINISHED = "unfinished"
    #: An earlier one failed, so this one was not touched.
    NOT_BEGUN = "not begun"
    #: The file is for a service that no address is given for.
    SKIPPED = "skipped"


GOOD: Final = frozenset({State.CREATED, State.CHANGED, State.UNCHANGED, State.SKIPPED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one app or job."""

    name: str
    state: State
    detail: str = ""

    @property
    def good(self) -> bool:
        """Whether it is as its file says (or not ours to do)."""
        return self.state in GOOD

    def line(self) -> str:
        """Return it for people."""
        return f"{self.state:<11}  {self.name}" + (f"  {self.detail}" if self.detail else "")

    def json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {"name": self.name, "state": str(self.state), "detail": self.detail}


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Return 0 when all is as wanted, 1 when something was rolled back or withdrawn, 2 for any other failure."""
    states = {outcome.state for outcome in outcomes}
    if states & {State.REFUSED, State.UNFINISHED}:
        return 2
    return 1 if states & {State.ROLLED_BACK, State.WITHDRAWN} else 0
