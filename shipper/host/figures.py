"""What the tailer counts, and what it says on stderr: each complaint once in a while, however often it happens."""

import json
import sys
from dataclasses import dataclass
from typing import Final

#: Seconds in which the same complaint is not said again.
_REPEAT_SECONDS: Final = 600.0
#: Complaints that are said in `_REPEAT_SECONDS`: more are only counted.
_MOST_SAID: Final = 100


@dataclass(slots=True)
class Figures:
    """Counted since the start, but for `files` and `waiting`, which are as of now."""

    #: Files that are followed, and those open.
    files: int = 0
    open: int = 0
    lines: int = 0
    bytes: int = 0
    #: Lines of which only the beginning was kept.
    cut: int = 0
    #: 1 while reading pauses because rsyslogd's queues are half full.
    waiting: int = 0
    #: Times that a file could not be opened or read, or a checkpoint not written.
    errors: int = 0
    #: Files that disappeared before they were read to their end.
    lost: int = 0


class Complaints:
    """Counts errors and says each at most once in 10 minutes, 100 in all."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._said: dict[str, float] = {}

    def say(self, what: str, now: float) -> None:
        """Count an error; `what` may hold any text, one line is printed."""
        self._figures.errors += 1
        self._said = {said: at for said, at in self._said.items() if at > now - _REPEAT_SECONDS}
        if what not in self._said and len(self._said) < _MOST_SAID:
            self._said[what] = now
            print(f"shipper tailer: {what}", file=sys.stderr, flush=True)  # noqa: T201  its own log


def shown(path: bytes) -> str:
    """Return a path for people: in quotes, with escapes for what is not printable."""
    return json.dumps(path.decode(errors="replace"))
