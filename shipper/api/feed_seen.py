"""A bounded memory of ids: whether a record has come before, from another source or a second time from one."""

from typing import Final

#: Ids that are remembered at least; twice as many at most.
REMEMBERED: Final = 50_000


class Seen:
    """Two generations of ids: when the younger one is full, the older one is forgotten."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._young: set[str] = set()
        self._old: set[str] = set()

    def add(self, record_id: str) -> bool:
        """Remember an id; whether it was new."""
        if record_id in self._young or record_id in self._old:
            return False
        self._young.add(record_id)
        if len(self._young) >= self._remembered:
            self._young, self._old = set(), self._young
        return True
