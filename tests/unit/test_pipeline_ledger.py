"""Runs of settled numbers: merged in memory, few entries in the store, the union always right."""

import asyncio
import random
from collections.abc import Sequence

from shipper.pipeline.ledger import Ledger
from shipper.record import DUPLICATE, STORED, Fate, Outcome, Record
from shipper.search.ledger import Entry, Report, summarise


def record(sequence: int, series: str = "aaaaaan", host: str = "h1") -> Record:
    made = Record(b"", 0)
    made.series, made.sequence, made.host = series, sequence, host
    return made


class Written:
    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.reports: list[Report] = []
        self.writes = 0

    async def __call__(self, entries: Sequence[Entry], reports: Sequence[Report]) -> None:
        self.writes += 1
        await asyncio.sleep(0)
        self.entries |= {entry.id: entry for entry in entries}
        self.reports += reports


async def test_batches_in_any_order_become_one_entry_and_no_hole() -> None:
    written = Written()
    ledger = Ledger(written, "i")
    batches = [range(start, start + 10) for start in range(1, 1001, 10)]
    random.Random(7).shuffle(batches)
    for batch in batches:
        ledger.add([record(n) for n in batch], [STORED] * 10)
        await ledger.written()
    (line,) = summarise(written.entries.values())
    assert (line.settled, line.holes, line.last) == ({"stored": 1000}, (), 1000)
    # Entries of runs that were joined are used again: far fewer than the hundred batches.
    assert len(written.entries) < 60


async def test_the_beginning_counts_from_one() -> None:
    written = Written()
    ledger = Ledger(written, "i")
    ledger.add([record(5), record(6), record(9)], [STORED] * 3)
    await ledger.written()
    (line,) = summarise(written.entries.values())
    assert line.holes == ((1, 4), (7, 8))
    assert line.missing == 6


async def test_three_shippers_and_a_restart_share_one_series() -> None:
    written = Written()
    shippers = [Ledger(written, name) for name in ("a", "b", "c", "restarted")]
    for sequence in range(1, 101):
        ledger = shippers[sequence % 4]
        ledger.add([record(sequence)], [STORED])
        await ledger.written()
    (line,) = summarise(written.entries.values())
    assert (line.settled, line.missing) == ({"stored": 100}, 0)


async def test_fates_are_told_apart_and_duplicates_are_settled_numbers() -> None:
    written = Written()
    ledger = Ledger(written, "i")
    outcomes = [
        STORED,
        DUPLICATE,
        Outcome(Fate.REJECTED, "rejected: mapping"),
        Outcome(Fate.DISCARDED, "expired"),
        Outcome(Fate.REJECTED, "id collision"),
    ]
    ledger.add([record(n) for n in range(1, 6)], outcomes)
    ledger.add_duplicates(record(1), 2)
    await ledger.written()
    (line,) = summarise(written.entries.values())
    # The number of an id collision is settled by the other record under that id, not by the dead letter.
    assert line.settled == {"discarded:expired": 1, "rejected": 1, "stored": 2}
    assert line.duplicates == 3
    assert line.holes == ()


async def test_writing_is_shared_by_all_that_wait() -> None:
    written = Written()
    ledger = Ledger(written, "i")

    async def settle(first: int) -> None:
        ledger.add([record(first)], [STORED])
        await ledger.written()
        assert any(entry.first <= first <= entry.last for entry in written.entries.values())

    async with asyncio.TaskGroup() as settling:
        for first in range(1, 51):
            settling.create_task(settle(first))
    assert written.writes < 5
