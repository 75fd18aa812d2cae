"""Patterns of a question as GLOB of SQLite understands them."""

from collections.abc import Iterator
from typing import Final

#: What means something to GLOB and is put into brackets to mean itself.
_SPECIAL: Final = frozenset("*?[")


def glob(pattern: str) -> str:
    """Return the GLOB pattern of a `Like`."""
    return "".join(char if wild else f"[{char}]" if char in _SPECIAL else char for char, wild in _characters(pattern))


def literal_start(pattern: str) -> str:
    """Return what every match of a pattern starts with."""
    start = []
    for char, wild in _characters(pattern):
        if wild:
            break
        start.append(char)
    return "".join(start)


def is_prefix(pattern: str) -> bool:
    """Whether the pattern says only what a match starts with: its one wildcard is a star at the end."""
    marks = list(_characters(pattern))
    return len(marks) > 1 and marks[-1] == ("*", True) and not any(wild for _, wild in marks[:-1])


def _characters(pattern: str) -> Iterator[tuple[str, bool]]:
    """Characters of a pattern, and whether each is a wildcard; a backslash at the end means itself."""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            yield pattern[at], False
        else:
            yield char, char in "*?"
        at += 1
