"""Numbers that never came: a hole between its neighbours, the kinds of reasons, and whether its host is heard of."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shipper.search.reports import HostReports

_SECOND: Final = 1_000_000_000
#: Of a host that sends no reports: a hole that can have come about this lately may still be filled.
LATE_NS: Final = 600 * _SECOND
#: A host that sent no report for three heartbeats is silent; for so much longer, somebody should look.
SILENT_NS: Final = 30 * _SECOND
ALARM_NS: Final = 300 * _SECOND
#: How long a record may have waited on its host before it was settled, and how far clocks may differ.
DELAY_NS: Final = 86_400 * _SECOND
SKEW_NS: Final = 300 * _SECOND


class Kind(StrEnum):
    """Why numbers are missing; their counts add up to all that are missing."""

    LATE = "late"
    READER = "dropped_by_reader"
    QUEUE = "dropped_by_queue"
    DISK = "queue_disk_full"
    RSYSLOGD = "lost_with_rsyslogd"
    TAIL = "tail"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers of a series that were never settled, between the times at which its neighbours were."""

    host: str
    series: str
    first: int
    last: int
    #: When the number before it was settled; None when the series begins with the hole.
    since: int | None
    #: When a number after it was settled first; at the end of a series, when its last number was reported.
    until: int
    #: Whether the series ends with it, and may go on.
    open: bool = False
    #: How many of its numbers are missing why, and the same in words.
    kinds: dict[Kind, int] = field(default_factory=dict)
    reason: str = ""

    @property
    def missing(self) -> int:
        """How many records that is."""
        return self.last - self.first + 1

    @property
    def kind(self) -> Kind:
        """What most of it is missing for."""
        return max(self.kinds, key=lambda kind: self.kinds[kind], default=Kind.UNEXPLAINED)

    @property
    def late(self) -> bool:
        """Whether all of it may still come."""
        return set(self.kinds) == {Kind.LATE}

    @property
    def told(self) -> str:
        """It in words."""
        numbers = f"number {self.first}" if self.first == self.last else f"numbers {self.first} to {self.last}"
        plural = "" if self.missing == 1 else "s"
        what = f"{self.missing:,} record{plural} of host {self.host} missing ({numbers} of series {self.series})"
        return f"{what}: {self.reason}" if self.reason else what

    def concerns(self, first: int, last: int) -> bool:
        """Whether its records can have been written between two times; False only when they cannot."""
        return self._between(first, last, DELAY_NS)

    def fits(self, first: int, last: int) -> bool:
        """Whether something that happened between two times is likely to have made it."""
        return self._between(first, last, LATE_NS)

    def _between(self, first: int, last: int, waited: int) -> bool:
        earliest = 0 if self.since is None else self.since - waited
        return earliest <= last + SKEW_NS and first - SKEW_NS <= self.until


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a host is heard of: "reporting", "silent", "stopped" (it said goodbye) or "unknown" (no report ever)."""

    state: str
    #: When it was last heard of, by the shipper's clock where that is known.
    heard_at: int
    now: int

    @property
    def alarm(self) -> bool:
        """Whether it has been silent for longer than a restart takes."""
        return self.state == "silent" and self.now - self.heard_at >= ALARM_NS

    @property
    def silence(self) -> str:
        """How long it has been silent, in words."""
        return _long(self.now - self.heard_at)


def presence(host: HostReports | None, heard_at: int | None, now: int) -> Presence:
    """Return whether a host is heard of; `heard_at` is when its newest report came, if that is known."""
    if host is None or not host.readers:
        return Presence("unknown", now, now)
    newest = host.readers[-1]
    heard = newest.at if heard_at is None else heard_at
    if newest.ended:
        return Presence("stopped", heard, now)
    return Presence("reporting" if now - heard < SILENT_NS else "silent", heard, now)


def tally(holes: Iterable[Hole]) -> dict[Kind, int]:
    """Return how many numbers are missing for each reason, all reasons named."""
    found = dict.fromkeys(Kind, 0)
    for hole in holes:
        for kind, count in hole.kinds.items():
            found[kind] += count
    return found


def _long(nanoseconds: int) -> str:
    """Return a duration in its largest unit that gives more than one: "45 s", "12 min", "3 h", "2 d"."""
    seconds = max(0, nanoseconds) // _SECOND
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
