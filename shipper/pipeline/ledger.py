"""Writes the ledger: runs of settled numbers, merged in memory, written before any receipt is settled; and reports.

Writing is a group commit: everything that settled while one write was on its way goes with the next, so a busy
shipper writes a few entries per batch and an idle one a single small one. An entry only ever grows or is reused for
a later run, and the union of all entries is the truth: a crash between two writes leaves the ledger behind the
store, never ahead of it. Reports of hosts are written with the entries that settle their numbers; of those that
wait for a write only the newest of each id is kept, and none after it.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson

from shipper.record import STORED, Fate, Outcome, Record, times
from shipper.search.ledger import Entry, Report

#: Runs of one series and fate that are kept in memory to be merged; older ones stay as they were written.
MOST_RUNS = 256
#: A series that nothing came from for so long is forgotten here; what was written stays.
IDLE_NS = 3600 * 1_000_000_000
#: Characters of the name of a start; ours have twelve.
_LONGEST_START = 32


class _Run:
    """Numbers first..last, settled alike, and the entry that says so."""

    __slots__ = ("dirty", "first", "id", "last", "started_at", "updated_at")

    def __init__(self, id: str, first: int, last: int, now: int) -> None:
        self.id, self.first, self.last = id, first, last
        self.started_at = self.updated_at = now
        self.dirty = True


class _Runs:
    """All runs of one host, series and fate, in order and never touching."""

    def __init__(self, host: str, series: str, fate: str) -> None:
        self.host, self.series, self.fate = host, series, fate
        self.runs: list[_Run] = []
        self._free: list[str] = []

    def add(self, first: int, last: int, now: int, new_id: Callable[[str], str]) -> None:
        """Add first..last, joining it with every run that it touches."""
        place = bisect_left(self.runs, first - 1, key=lambda run: run.last)
        end = place
        while end < len(self.runs) and self.runs[end].first <= last + 1:
            end += 1
        joined = self.runs[place:end]
        if joined:
            run = joined[0]
            if run.first <= first and last <= run.last:
                return
            run.first = min(run.first, first)
            run.last = max(joined[-1].last, last)
            run.updated_at, run.dirty = now, True
            # Entries that are part of a longer one now say nothing wrong; they are reused before new ones are made.
            self._free += [other.id for other in joined[1:]]
            self.runs[place:end] = [run]
            return
        self.runs.insert(place, _Run(self._free.pop() if self._free else new_id(self.series), first, last, now))
        if len(self.runs) > MOST_RUNS and not self.runs[0].dirty:
            del self.runs[0]

    def take_dirty(self) -> Iterable[Entry]:
        """Return the entries that changed since the last call."""
        for run in self.runs:
            if run.dirty:
                run.dirty = False
                count = run.last - run.first + 1
                yield Entry(
                    run.id,
                    self.host,
                    self.series,
                    self.fate,
                    run.first,
                    run.last,
                    count,
                    run.started_at,
                    run.updated_at,
                )


class Ledger:
    """What this shipper settled, and its way into the store."""

    def __init__(self, write: Callable[[Sequence[Entry], Sequence[Report]], Awaitable[None]], instance: str) -> None:
        #: Stores entries and reports; returns only when they are stored (it tries again by itself).
        self._write = write
        self._instance = instance
        self._runs: dict[tuple[str, str, str], _Runs] = {}
        self._duplicates: dict[tuple[str, str], Entry] = {}
        self._dirty_duplicates: set[tuple[str, str]] = set()
        self._reports: dict[str, Report] = {}
        self._counter = 0
        self._added = self._written = 0
        self._lock = asyncio.Lock()

    def add(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """Note records with a final fate."""
        now = time.time_ns()
        self._added += 1
        numbers = [record.sequence for record in records]
        if (
            outcomes.count(STORED) == len(outcomes)
            and len({record.series for record in records}) == 1
            and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        ):  # nearly every batch of a busy host
            self._add_run(records[0].host, records[0].series, _fate(STORED), numbers[0], numbers[-1], now)
            return
        series, outcome = "", None
        host = fate = ""
        first = last = 0
        for record, found in zip(records, outcomes, strict=True):
            if found.fate is Fate.DUPLICATE:
                self.add_duplicates(record, 1, now)
            if record.sequence == last + 1 and found is outcome and record.series == series:
                last += 1
                continue
            if fate:
                self._add_run(host, series, fate, first, last, now)
            host, series, outcome, fate = record.host, record.series, found, _fate(found)
            first = last = record.sequence
        if fate:
            self._add_run(host, series, fate, first, last, now)

    def add_duplicates(self, record: Record, count: int, now: int | None = None) -> None:
        """Count records that came again."""
        key = (record.host, record.series)
        now = now or time.time_ns()
        old = self._duplicates.get(key)
        self._duplicates[key] = Entry(
            id=old.id if old else self._new_id(record.series),
            host=record.host,
            series=record.series,
            fate="duplicate",
            first=min(old.first, record.sequence) if old else record.sequence,
            last=max(old.last, record.sequence) if old else record.sequence,
            count=(old.count if old else 0) + count,
            started_at=old.started_at if old else now,
            updated_at=now,
        )
        self._dirty_duplicates.add(key)

    def add_report(self, record: Record, name: str) -> None:
        """Note the figures that a record brought, unless newer ones wait to be written. `add` notes its number."""
        content = record.content()
        figures = orjson.loads(content["message"])
        start = _start(figures) or record.series[:-1]
        updated_at = times.to_ns(content["event.created"])
        id = f"{start}/{name}"
        waiting = self._reports.get(id)
        if waiting is None or updated_at >= waiting.updated_at:
            self._reports[id] = Report(id, record.host, start, name, updated_at, figures)

    async def written(self) -> None:
        """Return when everything that was added before this call is in the store."""
        goal = self._added
        async with self._lock:
            if self._written >= goal:
                return
            reached = self._added
            entries, reports = self._take_dirty(), list(self._reports.values())
            self._reports.clear()
            if entries or reports:
                await self._write(entries, reports)
            self._written = reached

    def _add_run(self, host: str, series: str, fate: str, first: int, last: int, now: int) -> None:
        if fate == "-":
            return
        key = (host, series, fate)
        runs = self._runs.get(key)
        if runs is None:
            self._forget_idle(now)
            runs = self._runs[key] = _Runs(host, series, fate)
        runs.add(first, last, now, self._new_id)

    def _new_id(self, series: str) -> str:
        self._counter += 1
        return f"{series}-{self._instance}-{self._counter}"

    def _take_dirty(self) -> list[Entry]:
        entries = [entry for runs in self._runs.values() for entry in runs.take_dirty()]
        entries += [self._duplicates[key] for key in self._dirty_duplicates]
        self._dirty_duplicates.clear()
        return entries

    def _forget_idle(self, now: int) -> None:
        for key, runs in list(self._runs.items()):
            latest = max((run.updated_at for run in runs.runs), default=0)
            if now - latest > IDLE_NS and not any(run.dirty for run in runs.runs):
                del self._runs[key]
                self._duplicates.pop(key[:2], None)


def _start(figures: dict[str, Any]) -> str | None:
    """Return the start that figures name: a killed reader is reported by its successor, in a series of that one."""
    start = figures.get("start")
    return (
        start
        if isinstance(start, str) and len(start) <= _LONGEST_START and start.isascii() and start.isalnum()
        else None
    )


def _fate(outcome: Outcome) -> str:
    """Return the ledger's word for a final outcome; "-" when the number was settled by another record."""
    if outcome.fate is Fate.DUPLICATE:
        return "stored"
    if outcome.fate is Fate.DISCARDED:
        return f"discarded:{outcome.reason}"
    if outcome.fate is Fate.REJECTED and outcome.reason == "id collision":
        return "-"
    return outcome.fate.value
