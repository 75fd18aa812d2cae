"""A store in memory whose answers a test can script: stands at the rim, for tests of the pipeline."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Self

from shipper.record import DUPLICATE, STORED, DeadLetter, Outcome, Record, Repair
from shipper.search.ledger import Entry, Range, Report, merge
from shipper.search.query import Around, Buckets, Counts, Neighbours, Page, Query, Top

Script = Callable[[Sequence[Record]], list[Outcome] | None]


class FakeStore:
    """Keeps records by id. `script` may answer (or raise) for a batch instead; None lets the store answer."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script
        self.records: dict[str, Record] = {}
        self.letters: dict[str, DeadLetter] = {}
        self.entries: dict[str, Entry] = {}
        self.kept_reports: dict[str, Report] = {}
        self.repairs: list[Repair] = []
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def put(self, records: Sequence[Record]) -> list[Outcome]:
        self.batches.append(len(records))
        await self.gate.wait()
        answer = self.script(records) if self.script else None
        outcomes = answer or [DUPLICATE if record.id in self.records else STORED for record in records]
        for record, outcome in zip(records, outcomes, strict=True):
            if outcome is STORED:
                self.records[record.id] = record
        return outcomes

    async def put_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self.letters |= {letter.id: letter for letter in letters}

    async def put_ledger(self, entries: Sequence[Entry]) -> None:
        self.entries |= {entry.id: entry for entry in entries}

    async def put_reports(self, reports: Sequence[Report]) -> None:
        for report in reports:
            kept = self.kept_reports.get(report.id, report)
            self.kept_reports[report.id] = report if report.updated_at >= kept.updated_at else kept

    async def repair(self, repairs: Sequence[Repair]) -> None:
        await self.gate.wait()
        self.repairs += repairs

    async def search(self, query: Query) -> Page:
        raise NotImplementedError

    async def counts(self, query: Query, buckets: Buckets, by: str | None) -> Counts:
        raise NotImplementedError

    async def top(self, query: Query, field: str, limit: int) -> Top:
        raise NotImplementedError

    async def around(self, around: Around) -> Neighbours:
        raise NotImplementedError

    async def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        raise NotImplementedError

    async def ledger(self, *hosts: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if not hosts or entry.host in hosts]

    async def reports(self, *hosts: str) -> list[Report]:
        return [report for report in self.kept_reports.values() if not hosts or report.host in hosts]

    async def present(self, series: str, numbers: Range, limit: int = 10_000) -> list[Range]:
        found = (record.sequence for record in self.records.values() if record.series == series)
        return merge((number, number) for number in found if numbers[0] <= number <= numbers[1])

    async def healthy(self) -> str | None:
        return None
