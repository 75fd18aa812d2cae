"""Arithmetic of the ledger: which numbers of a series are settled, with what fate, and which are missing.

Every shipper writes entries of its own; the truth is their union, so any number of shippers, in any order, after
any restart, gives the same answer. A series starts at 1, so a missing beginning shows too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Range = tuple[int, int]  # first and last number, both included


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of settled numbers, as one shipper knows it. `id` names it in the store: writing it again replaces it."""

    id: str
    host: str
    series: str
    #: "stored", "rejected" (kept as a dead letter), "discarded:<reason>", "duplicate" (a count, not a range).
    fate: str
    first: int
    last: int
    #: How many records: last - first + 1, except for duplicates, which are counted each time they come.
    count: int
    #: Nanoseconds since 1970 (UTC) of the first and the latest record settled in it.
    started_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Report:
    """The newest figures that one part of a host gave of itself: its reader, or one of rsyslogd's counters."""

    #: Names it in the store: `start/name`. One with a later `updated_at` replaces it, an older one never does.
    id: str
    host: str
    #: One start of the part: its series are this and a letter.
    start: str
    #: "reader", or the name of one of rsyslogd's statistics objects ("normal queue").
    name: str
    #: Host time of the report, nanoseconds since 1970 (UTC).
    updated_at: int
    #: As they came: JSON values.
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeriesLedger:
    """What is known of one series: how many numbers were settled how, and which never were."""

    host: str
    series: str
    #: The highest number known: settled, or given out as the host's report says.
    last: int
    settled: dict[str, int]
    duplicates: int
    holes: tuple[Range, ...]
    updated_at: int

    @property
    def missing(self) -> int:
        """How many numbers between 1 and the last one known were never settled."""
        return sum(last - first + 1 for first, last in self.holes)


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Join ranges that touch or overlap; sorted."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def holes(ranges: Sequence[Range], start: int = 1) -> list[Range]:
    """Return the ranges missing between `start` and the last number of merged ranges."""
    missing = []
    for first, last in ranges:
        if first > start:
            missing.append((start, first - 1))
        start = max(start, last + 1)
    return missing


def summarise(entries: Iterable[Entry], given_out: Mapping[tuple[str, str], int] | None = None) -> list[SeriesLedger]:
    """Put the entries of all shippers together: one line per host and series, sorted by host, then series.

    `given_out` says by host and series which number is known to have been the last: what is not settled up to there
    is a hole, too, and a series of which nothing was settled is one hole.
    """
    ends = given_out or {}
    by_series: dict[tuple[str, str], list[Entry]] = {key: [] for key in ends}
    for entry in entries:
        by_series.setdefault((entry.host, entry.series), []).append(entry)
    return [_series(*key, found, ends.get(key, 0)) for key, found in sorted(by_series.items())]


def _series(host: str, series: str, entries: list[Entry], end: int) -> SeriesLedger:
    by_fate: dict[str, list[Range]] = {}
    duplicates = 0
    for entry in entries:
        if entry.fate == "duplicate":
            duplicates += entry.count
        else:
            by_fate.setdefault(entry.fate, []).append((entry.first, entry.last))
    merged = merge(found for ranges in by_fate.values() for found in ranges)
    last = merged[-1][1] if merged else 0
    beyond = [(last + 1, end)] if end > last else []
    return SeriesLedger(
        host=host,
        series=series,
        last=max(last, end),
        settled=_settled(by_fate),
        duplicates=duplicates,
        holes=(*holes(merged), *beyond),
        updated_at=max((entry.updated_at for entry in entries), default=0),
    )


def _settled(by_fate: Mapping[str, list[Range]]) -> dict[str, int]:
    """Count numbers by fate: what is kept somewhere was not discarded, whatever a second delivery of it met."""
    kept = [fate for fate in by_fate if not fate.startswith("discarded:")]
    counts = {fate: _size(merge(by_fate[fate])) for fate in kept}
    seen = merge(found for fate in kept for found in by_fate[fate])
    for fate in sorted(by_fate.keys() - counts.keys()):
        before = _size(seen)
        seen = merge([*seen, *by_fate[fate]])
        if _size(seen) > before:
            counts[fate] = _size(seen) - before
    return dict(sorted(counts.items()))


def _size(ranges: Iterable[Range]) -> int:
    return sum(last - first + 1 for first, last in ranges)
