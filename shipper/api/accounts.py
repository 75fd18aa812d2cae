"""The ledger as people read it: what each series settled, which holes are left and why, and how its host is.

The ledger is behind the store, never ahead of it: a hole counts only after the store was asked for its records too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, islice, pairwise

from shipper.record.times import from_ns
from shipper.search.holes import SKEW_NS, Hole, Kind, Presence, presence, tally
from shipper.search.ledger import Entry, SeriesLedger, summarise
from shipper.search.reasons import explain
from shipper.search.reports import HostReports, ReaderStart, hosts_of, last_numbers, queue_of
from shipper.stores import Reader

#: How many holes one answer compares with the store; a network that loses more has an alarm anyway.
MOST_CHECKS = 200
#: How many records of one hole are looked for at once (`Reader.present`).
_CHECK_RECORDS = 10_000
_HOLDS = {
    "w": "warning and above", "n": "below warning", "f": "files", "h": "heartbeats", "j": "the host's journal",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """One series: its ledger after comparing with the store, and its holes with their times and reasons."""

    ledger: SeriesLedger
    holes: tuple[Hole, ...]
    #: "open", "clean", "killed", "gone" (without a word), or "" when no report names the series.
    end: str = ""
    #: How many the reader says it dropped although they are not missing.
    surplus: int = 0

    @property
    def importance(self) -> str:
        """What the name of the series says it holds; "" for a series that no host stamped."""
        return _HOLDS.get(self.ledger.series[-1:], "")

    @property
    def queue(self) -> str:
        """The queue of its host that it goes through; "" for none."""
        return queue_of(self.ledger.series)

    @property
    def settled(self) -> int:
        """How many numbers have a final fate."""
        return sum(self.ledger.settled.values())

    @property
    def rejected(self) -> int:
        """How many of them became dead letters."""
        return self.ledger.settled.get("rejected", 0)

    @property
    def kinds(self) -> dict[Kind, int]:
        """How many numbers are missing for which reason."""
        return tally(self.holes)

    @property
    def alarm(self) -> bool:
        """Whether something is missing that nothing explains."""
        return self.kinds[Kind.UNEXPLAINED] > 0


@dataclass(frozen=True, slots=True)
class HostAccount:
    """One host: its series, whether it is heard of, and what it said of itself (None: it sends no reports)."""

    host: str
    accounts: tuple[Account, ...]
    there: Presence
    reports: HostReports | None
    #: By queue: dropped by it, and yet not missing.
    queue_surplus: Mapping[str, int]
    #: When its newest report was received, minus its own time, in nanoseconds; None when that is not known.
    clock_difference: int | None

    @property
    def reader(self) -> ReaderStart | None:
        """The newest start of its reader."""
        return self.reports.readers[-1] if self.reports is not None and self.reports.readers else None

    @property
    def alarm(self) -> bool:
        """Whether somebody should look: something is missing without a reason, or the host is silent."""
        return self.there.alarm or any(account.alarm for account in self.accounts)

    def unknown(self, first: int, last: int) -> list[str]:
        """Say of which parts of a time range nobody knows what the host numbered, because its reader was just gone."""
        readers = self.reports.readers if self.reports is not None else ()
        found = []
        for reader, after in pairwise(readers):
            until = after.started_at or after.at
            if not reader.ended and reader.at - SKEW_NS <= last and first <= until + SKEW_NS:
                between = f"between {from_ns(reader.at)} and {from_ns(until)}"
                found.append(f"what host {self.host} wrote {between} is not known: its reader ended without a word")
        return found


@dataclass(frozen=True, slots=True)
class Books:
    """All hosts, by name, and what could not be compared with the store."""

    hosts: tuple[HostAccount, ...]
    notes: list[str]

    @property
    def accounts(self) -> list[Account]:
        """All series of all hosts."""
        return [account for host in self.hosts for account in host.accounts]

    @property
    def alarm(self) -> bool:
        """Whether somebody should look."""
        return any(host.alarm for host in self.hosts)


async def books(reader: Reader, now: int, *hosts: str) -> Books:
    """Return the account of some hosts, or of all, as of `now` (nanoseconds since 1970)."""
    # Reports first: what they name may be settled a moment later, and the ledger must not be older than they are.
    reports = hosts_of(await reader.reports(*hosts))
    given_out = last_numbers(reports.values())
    entries = await reader.ledger(*hosts)
    found, unchecked = await _fill(reader, summarise(entries, given_out))
    lines: dict[str, list[SeriesLedger]] = {name: [] for name in reports}
    for line in summarise([*entries, *found], given_out):
        lines.setdefault(line.host, []).append(line)
    by_series: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        by_series.setdefault((entry.host, entry.series), []).append(entry)
    notes = [f"{unchecked} holes of the ledger were not compared with the store"] if unchecked else []
    return Books(tuple(_host(name, lines[name], reports.get(name), by_series, now) for name in sorted(lines)), notes)


async def _fill(reader: Reader, lines: Iterable[SeriesLedger]) -> tuple[list[Entry], int]:
    """Ask the store for the records of holes; return them as entries, and how many holes were not asked for."""
    found: list[Entry] = []
    holes = [(line, first, last) for line in lines for first, last in line.holes]
    for line, first, last in holes[:MOST_CHECKS]:
        for a, b in await reader.present(line.series, (first, last), _CHECK_RECORDS):
            found.append(Entry("", line.host, line.series, "stored", a, b, b - a + 1, 0, 0))
    return found, max(0, len(holes) - MOST_CHECKS)


def _host(
    name: str,
    lines: list[SeriesLedger],
    reports: HostReports | None,
    by_series: Mapping[tuple[str, str], list[Entry]],
    now: int,
) -> HostAccount:
    newest = reports.readers[-1] if reports is not None and reports.readers else None
    heard_at = None
    if newest is not None:  # its reports are numbered records: the ledger has the time at which they came
        heard = by_series.get((name, f"{newest.start}h"), ())
        heard_at = max((entry.updated_at for entry in heard), default=None)
    difference = heard_at - newest.at if heard_at is not None and newest is not None else None
    there = presence(reports, heard_at, now)
    parts = [_dated(line, by_series.get((name, line.series), []), reports, difference or 0) for line in lines]
    why = explain([hole for _, holes in parts for hole in holes], reports, there)
    explained = iter(why.holes)
    accounts = tuple(
        Account(
            line,
            tuple(islice(explained, len(holes))),
            _end(line.series, reports),
            why.reader_surplus.get(line.series, 0),
        )
        for line, holes in parts
    )
    return HostAccount(name, accounts, there, reports, why.queue_surplus, difference)


def _end(series: str, reports: HostReports | None) -> str:
    reader = reports.reader_of(series) if reports is not None else None
    return "" if reports is None or reader is None else reports.end(reader)


def _dated(
    line: SeriesLedger, entries: list[Entry], reports: HostReports | None, difference: int
) -> tuple[SeriesLedger, list[Hole]]:
    """Return a series with the time it was settled last, and its holes with the times of their neighbours."""
    reader = reports.reader_of(line.series) if reports is not None else None
    reported_at = 0 if reader is None else reader.at + difference
    updated_at = max((entry.updated_at for entry in entries), default=reported_at)
    times = _Times([entry for entry in entries if entry.fate != "duplicate"])
    goes_on = _end(line.series, reports) == "open"
    holes = []
    for first, last in line.holes:
        since, until = times.around(first, last)
        at_the_end = until is None and last == line.last
        if until is None:
            until = max(reported_at or updated_at, since or 0)
        since = None if since is None else min(since, until)
        holes.append(Hole(line.host, line.series, first, last, since, until, open=at_the_end and goes_on))
    return replace(line, updated_at=updated_at), holes


class _Times:
    """When the numbers around a hole were settled."""

    def __init__(self, ranges: list[Entry]) -> None:
        by_last = sorted(ranges, key=lambda entry: entry.last)
        by_first = sorted(ranges, key=lambda entry: entry.first, reverse=True)
        self._latest = list(accumulate((entry.updated_at for entry in by_last), max))
        self._earliest = list(accumulate((entry.started_at for entry in by_first), min))
        self._lasts = [entry.last for entry in by_last]
        self._firsts = [-entry.first for entry in by_first]

    def around(self, first: int, last: int) -> tuple[int | None, int | None]:
        """Return when numbers below `first` were settled last, and numbers above `last` first; None: there are none."""
        before = bisect_left(self._lasts, first)
        after = bisect_right(self._firsts, -last - 1)
        return self._latest[before - 1] if before else None, self._earliest[after - 1] if after else None
