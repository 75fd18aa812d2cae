"""The ledger as people read it: what each series settled, which holes are left, and when a hole can have come about.

The ledger is behind the store, never ahead of it: a hole counts only after the store was asked for its records too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate

from shipper.search.ledger import Entry, SeriesLedger, summarise
from shipper.stores import Reader

#: A hole that can have come about this lately may still be filled: its records may be in the host's queue.
LATE_NS = 600 * 1_000_000_000
#: How many holes one answer compares with the store; a network that loses more has an alarm anyway.
MOST_CHECKS = 200
#: How many records of one hole are looked for at once (`Reader.present`).
_CHECK_RECORDS = 10_000
#: How long a record may have waited on its host before it was settled, and how far clocks may differ.
_DELAY_NS = 86_400 * 1_000_000_000
_SKEW_NS = 300 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers of a series that were never settled, between the times at which its neighbours were."""

    host: str
    series: str
    first: int
    last: int
    #: When the number before it was settled; None when the series begins with the hole.
    since: int | None
    #: When a number after it was settled first.
    until: int

    @property
    def missing(self) -> int:
        """How many records that is."""
        return self.last - self.first + 1

    @property
    def told(self) -> str:
        """It in words."""
        numbers = f"number {self.first}" if self.first == self.last else f"numbers {self.first} to {self.last}"
        plural = "" if self.missing == 1 else "s"
        return f"{self.missing:,} record{plural} of host {self.host} missing ({numbers} of series {self.series})"

    def late(self, now: int) -> bool:
        """Whether its records may still be on their way."""
        return now - self.until < LATE_NS

    def concerns(self, first: int, last: int) -> bool:
        """Whether its records can have been written between two times; False only when they cannot."""
        earliest = 0 if self.since is None else self.since - _DELAY_NS
        return earliest <= last + _SKEW_NS and first - _SKEW_NS <= self.until


@dataclass(frozen=True, slots=True)
class Account:
    """One series: its ledger after comparing with the store, and its holes with their times."""

    ledger: SeriesLedger
    holes: tuple[Hole, ...]

    @property
    def importance(self) -> str:
        """What the name of the series says it holds; "" for a series that no host stamped."""
        return {"w": "warning and above", "n": "below warning"}.get(self.ledger.series[-1:], "")

    @property
    def settled(self) -> int:
        """How many numbers have a final fate."""
        return sum(self.ledger.settled.values())

    @property
    def rejected(self) -> int:
        """How many of them became dead letters."""
        return self.ledger.settled.get("rejected", 0)

    def alarm(self, now: int) -> bool:
        """Whether something is missing that should have come by now."""
        return any(not hole.late(now) for hole in self.holes)


async def accounts(reader: Reader, host: str | None = None) -> tuple[list[Account], list[str]]:
    """Return all series, of one host or of all, and what could not be compared with the store."""
    entries = await reader.ledger(host)
    found, unchecked = await _fill(reader, summarise(entries))
    corrected = summarise([*entries, *found]) if found else summarise(entries)
    by_series: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        by_series.setdefault((entry.host, entry.series), []).append(entry)
    notes = [f"{unchecked} holes of the ledger were not compared with the store"] if unchecked else []
    return [_account(line, by_series[line.host, line.series]) for line in corrected], notes


async def _fill(reader: Reader, lines: Iterable[SeriesLedger]) -> tuple[list[Entry], int]:
    """Ask the store for the records of holes; return them as entries, and how many holes were not asked for."""
    found: list[Entry] = []
    holes = [(line, first, last) for line in lines for first, last in line.holes]
    for line, first, last in holes[:MOST_CHECKS]:
        for a, b in await reader.present(line.series, (first, last), _CHECK_RECORDS):
            found.append(Entry("", line.host, line.series, "stored", a, b, b - a + 1, 0, 0))
    return found, max(0, len(holes) - MOST_CHECKS)


def _account(line: SeriesLedger, entries: list[Entry]) -> Account:
    ranges = [entry for entry in entries if entry.fate != "duplicate"]
    by_last = sorted(ranges, key=lambda entry: entry.last)
    by_first = sorted(ranges, key=lambda entry: entry.first, reverse=True)
    latest = list(accumulate((entry.updated_at for entry in by_last), max))
    earliest = list(accumulate((entry.started_at for entry in by_first), min))
    lasts = [entry.last for entry in by_last]
    firsts = [-entry.first for entry in by_first]
    holes = []
    for first, last in line.holes:
        before = bisect_left(lasts, first)
        after = bisect_right(firsts, -last - 1)
        until = earliest[after - 1] if after else line.updated_at
        since = min(latest[before - 1], until) if before else None
        holes.append(Hole(line.host, line.series, first, last, since, until))
    return Account(replace(line, updated_at=max(entry.updated_at for entry in entries)), tuple(holes))
