"""Records that are stored before their task is known: remembered, and handed over as repairs when it is."""

import time
from collections.abc import Callable
from typing import Any, Final

from shipper import telemetry
from shipper.enrichers._task_fields import Found
from shipper.record import Record, Repair

#: Tasks and containers that may be unknown at the same time; beyond it the oldest is forgotten.
_MOST_UNKNOWN: Final = 4096

#: Series, sequence, day and the fields that the record and its host said themselves.
_Entry = tuple[str, int, str, frozenset[str]]


class Unknown:
    """A task (or a container without one) that nobody knows, and its records so far."""

    __slots__ = ("entries", "since")

    def __init__(self, since: float) -> None:
        #: None when it was waited for long enough.
        self.entries: list[_Entry] | None = []
        self.since = since


class WaitingRoom:
    """Bounded in records, tasks and time; what is given up is counted."""

    def __init__(self, most_records: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_records = most_records
        self._seconds = seconds
        self._clock = clock
        #: By task id and container id.
        self._unknown: dict[tuple[str, str], Unknown] = {}
        self._count = 0

    def unknown(self, task_id: str, container: str) -> Unknown:
        """Return the place where records of an unknown task wait."""
        found = self._unknown.get((task_id, container))
        if found is None:
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._give_up(self._unknown.pop(next(iter(self._unknown))))
            found = self._unknown[task_id, container] = Unknown(self._clock())
        return found

    def remember(self, record: Record, unknown: Unknown, said: frozenset[str]) -> None:
        """Remember a record, if it is worth waiting and there is room."""
        if unknown.entries is None:
            return
        if self._count >= self._most_records:
            telemetry.REPAIRS.labels("given_up").inc()
            return
        unknown.entries.append((record.series, record.sequence, record.day, said))
        self._count += 1

    def take(self, find: Callable[[str, str], Found], most: int, in_flight: Callable[[str, int], bool]) -> list[Repair]:
        """Hand over records of tasks that are known by now, at most so many; those in flight stay."""
        taken: list[Repair] = []
        latest = self._clock() - self._seconds
        for key, unknown in list(self._unknown.items()):
            found = find(*key)
            if not found.open:
                left = self._take_of(unknown, found, taken, most, in_flight)
                if not left:
                    del self._unknown[key]
            elif unknown.since < latest:
                self._give_up(unknown)
        telemetry.TASKS_UNKNOWN.set(len(self._unknown))
        return taken

    def _take_of(
        self,
        unknown: Unknown,
        found: Found,
        taken: list[Repair],
        most: int,
        in_flight: Callable[[str, int], bool],
    ) -> list[_Entry]:
        entries = unknown.entries or []
        left = []
        for entry in entries:
            series, sequence, day, said = entry
            if len(taken) >= most or in_flight(series, sequence):
                left.append(entry)
            else:
                taken.append(Repair(series, sequence, day, _fields(found, said)))
        self._count -= len(entries) - len(left)
        unknown.entries = left
        return left

    def _give_up(self, unknown: Unknown) -> None:
        """Wait no more; the task stays noted, so that its next records are not remembered in vain."""
        count = len(unknown.entries or ())
        self._count -= count
        unknown.entries = None
        if count:
            telemetry.REPAIRS.labels("given_up").inc(count)


def _fields(found: Found, said: frozenset[str]) -> dict[str, Any]:
    added = {name: value for name, value in found.fields.items() if name not in said}
    return added | {"shipper.enriched_by": "late"}
