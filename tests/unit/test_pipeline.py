"""Intake and delivery against a scripted store: receipts, twins, retries, dead letters, limits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

import orjson
import pytest

from shipper import telemetry
from shipper.config import PipelineSettings
from shipper.errors import StoreBusy, StoreRejected
from shipper.parsers import chain, host_json, json_body, plain, rfc3164, rfc5424
from shipper.pipeline import deliver
from shipper.pipeline.buffer import Buffer
from shipper.pipeline.deliver import Delivery
from shipper.pipeline.intake import Intake
from shipper.record import RECORD_OVERHEAD, STORED, Fate, Outcome, Receipt, Received, Record, times
from shipper.search.ledger import Report, summarise
from tests.fake_store import FakeStore

DEADLINE = 10
SERIES = "65614f3a9c1en"
HEARTBEATS = "0t8k2l4abcdeh"


def payload(sequence: int, message: str = "hello", series: str = SERIES, **stamp: str) -> bytes:
    host_time = times.from_ns(time.time_ns())[:26] + "+00:00"
    record = {
        "v": "1", "series": series, "sequence": str(sequence), "host_time": host_time, "host": "h1",
        "input": "imuxsock", "pri": "14", "container": "", "message": message,
    }  # fmt: skip
    return orjson.dumps(record | stamp) + b"\n"


class Rig:
    """Intake and delivery on a fake store."""

    def __init__(self, store: FakeStore, **settings: float) -> None:
        self.store = store
        self.buffer = Buffer()
        options = PipelineSettings.model_validate(settings)
        every = [host_json.parse, rfc5424.parse, rfc3164.parse, json_body.parse, plain.parse]
        read = {"relp": chain(every), "syslog_tcp": chain(every[1:])}
        self.intake = Intake(
            read, [], self.buffer, memory_bytes=options.memory_bytes, series="0000000000ffs", host="here"
        )
        self.delivery = Delivery(store, self.buffer, self.intake, options, "i")

    def submit(self, *payloads: bytes, source: str = "relp") -> asyncio.Event:
        settled = asyncio.Event()
        receipt = Receipt(len(payloads), settled.set)
        self.intake.submit(Received(payloads, source, "", time.time_ns(), receipt))
        return settled


@contextlib.asynccontextmanager
async def running(store: FakeStore, **settings: float) -> AsyncIterator[Rig]:
    rig = Rig(store, **settings)
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        group.create_task(rig.delivery.run())
        yield rig
        rig.buffer.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(deliver, "LONGEST_BACKOFF", 0.01)


async def test_a_receipt_is_settled_when_all_its_records_are() -> None:
    async with running(FakeStore()) as rig:
        await rig.submit(payload(1), payload(2), payload(3)).wait()
        assert sorted(rig.store.records) == [f"{SERIES}-000000000{n}" for n in (1, 2, 3)]
        assert rig.intake.in_flight == 0


async def test_nothing_is_acknowledged_before_the_store_and_the_ledger_have_it() -> None:
    store = FakeStore()
    store.gate.clear()
    async with running(store) as rig:
        settled = rig.submit(payload(1))
        await _until(lambda: store.batches)
        assert not settled.is_set()
        store.gate.set()
        await settled.wait()
        assert [(entry.first, entry.last) for entry in store.entries.values()] == [(1, 1)]


async def test_a_record_sent_again_while_in_flight_waits_for_the_first() -> None:
    store = FakeStore()
    store.gate.clear()
    async with running(store) as rig:
        first = payload(1)
        settled = [rig.submit(first) for _ in range(1000)]
        assert rig.intake.in_flight == 1
        store.gate.set()
        for event in settled:
            await event.wait()
        assert sum(entry.count for entry in store.entries.values() if entry.fate == "duplicate") == 999
        assert len(store.records) == 1


async def test_another_record_under_an_id_in_flight_is_a_dead_letter() -> None:
    store = FakeStore()
    store.gate.clear()
    async with running(store) as rig:
        one, two = rig.submit(payload(1, "one")), rig.submit(payload(1, "two"))
        store.gate.set()
        await one.wait()
        await two.wait()
        (letter,) = store.letters.values()
        assert (letter.reason, letter.series, letter.sequence) == ("id collision", SERIES, 1)
        assert b'"two"' in letter.payload
        assert rig.intake.in_flight == 0


async def test_a_busy_store_is_tried_until_it_takes_the_batch() -> None:
    tries = iter([StoreBusy("429"), StoreBusy("429"), None])

    def script(records: Sequence[Record]) -> list[Outcome] | None:
        error = next(tries)
        if error:
            raise error
        return None

    async with running(FakeStore(script)) as rig:
        await rig.submit(payload(1)).wait()
        assert len(rig.store.records) == 1


async def test_a_rejected_request_is_split_down_to_the_culprit() -> None:
    def script(records: Sequence[Record]) -> list[Outcome] | None:
        if any(record.sequence == 37 for record in records):
            raise StoreRejected("request too large")
        return None

    async with running(FakeStore(script)) as rig:
        await rig.submit(*(payload(n) for n in range(1, 101))).wait()
        assert len(rig.store.records) == 99
        (letter,) = rig.store.letters.values()
        assert (letter.sequence, letter.reason) == (37, "rejected")
        assert len(rig.store.batches) <= 2 * 7 + 1


async def test_only_busy_items_are_tried_again_and_the_rest_is_acknowledged() -> None:
    seen: dict[int, int] = {}

    def script(records: Sequence[Record]) -> list[Outcome] | None:
        outcomes = []
        for record in records:
            seen[record.sequence] = seen.get(record.sequence, 0) + 1
            busy = record.sequence % 5 == 0 and seen[record.sequence] < 4
            outcomes.append(Outcome(Fate.BUSY, "429") if busy else STORED)
        return outcomes

    async with running(FakeStore(script)) as rig:
        good, bad = rig.submit(payload(1)), rig.submit(payload(5))
        await good.wait()
        await bad.wait()
        assert seen == {1: 1, 5: 4}


async def test_a_refusing_index_never_holds_others_and_has_a_limit() -> None:
    def script(records: Sequence[Record]) -> list[Outcome] | None:
        return [Outcome(Fate.REFUSED, "index closed") if r.sequence == 2 else STORED for r in records]

    async with running(FakeStore(script), refusal_seconds=0.05) as rig:
        refused = rig.submit(payload(2))
        await _until(lambda: rig.store.batches)
        await rig.submit(payload(1)).wait()
        assert not refused.is_set()
        while not refused.is_set():  # others go on being accepted: then the limit counts
            await rig.submit(payload(1000 + len(rig.store.batches))).wait()
        (letter,) = rig.store.letters.values()
        assert (letter.reason, letter.sequence) == ("refused", 2)


async def test_while_the_whole_store_refuses_nothing_becomes_a_dead_letter() -> None:
    refusing = True

    def script(records: Sequence[Record]) -> list[Outcome] | None:
        return [Outcome(Fate.REFUSED, "read-only") for _ in records] if refusing else None

    async with running(FakeStore(script), refusal_seconds=0.01) as rig:
        settled = rig.submit(payload(1))
        await _until(lambda: len(rig.store.batches) > 20)
        refusing = False
        await settled.wait()
        assert not rig.store.letters
        assert len(rig.store.records) == 1


async def test_a_parser_that_raises_on_one_record_hurts_only_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(record: Record) -> bool:
        if "poison" in record.body:
            raise RuntimeError("parser bug")
        return False

    monkeypatch.setattr(rfc3164, "parse", poisoned)
    async with running(FakeStore()) as rig:
        await rig.submit(payload(1), payload(2, "poison pill"), payload(3)).wait()
        stored = rig.store.records[f"{SERIES}-0000000002"].content()
        assert len(rig.store.records) == 3
        assert stored["message"] == "poison pill"
        assert stored["tags"] == ["parser_bug"]
        assert stored["host.name"] == "h1"


async def test_a_host_with_a_broken_clock_makes_dead_letters_not_indices() -> None:
    async with running(FakeStore()) as rig:
        await rig.submit(payload(1, host_time="2101-01-01T00:00:00.000000+00:00"), payload(2)).wait()
        (letter,) = rig.store.letters.values()
        assert (letter.reason, letter.sequence) == ("host time", 1)
        assert letter.day == times.day(times.from_ns(time.time_ns()))
        assert len(rig.store.records) == 1


async def test_a_record_without_a_stamp_gets_a_series_of_ours() -> None:
    async with running(FakeStore()) as rig:
        await rig.submit(b"<14>Nov 22 23:48:34 web-1 app: one", b"just text", source="syslog_tcp").wait()
        assert sorted(rig.store.records) == ["0000000000ffs-0000000001", "0000000000ffs-0000000002"]


async def test_a_stamp_is_believed_by_relp_alone() -> None:
    async with running(FakeStore()) as rig:
        await rig.submit(payload(1, "forged"), source="syslog_tcp").wait()
        await rig.submit(payload(1, "true")).wait()
        assert rig.store.records[f"{SERIES}-0000000001"].content()["message"] == "true"
        forged = rig.store.records["0000000000ffs-0000000001"].content()
        assert "host.name" not in forged
        assert not rig.store.letters


def report(sequence: int, number: int = 0, name: str = "reader", **stamp: str) -> bytes:
    figures = orjson.dumps({"report": name, "number": number}).decode()
    return payload(sequence, figures, **{"series": HEARTBEATS, "input": "report", **stamp})


async def test_a_report_is_kept_as_figures_and_its_number_is_settled() -> None:
    async with running(FakeStore()) as rig:
        await rig.submit(payload(1), report(1, 7), payload(2), report(2, name="imuxsock")).wait()
        assert sorted(rig.store.records) == [f"{SERIES}-0000000001", f"{SERIES}-0000000002"]
        kept = rig.store.kept_reports["0t8k2l4abcde/reader"]
        assert (kept.host, kept.start, kept.name) == ("h1", "0t8k2l4abcde", "reader")
        assert kept.figures == {"report": "reader", "number": 7}
        assert abs(kept.updated_at - time.time_ns()) < DEADLINE * 10**9
        assert "0t8k2l4abcde/imuxsock" in rig.store.kept_reports
        settled = [(entry.first, entry.last, entry.fate) for entry in rig.store.entries.values()]
        assert sorted(settled) == [(1, 2, "discarded:heartbeat"), (1, 2, "stored")]
        assert not rig.store.letters
        assert rig.intake.in_flight == 0


async def test_a_killed_reader_is_reported_by_its_successor_under_its_own_start() -> None:
    def told(start: object) -> str:
        return orjson.dumps({"report": "reader", "start": start}).decode()

    names = ["0t8k2l4abcde", "0t8k2l0first", "<b>", "x" * 33, None]
    async with running(FakeStore()) as rig:
        for number, start in enumerate(names, 1):
            await rig.submit(payload(number, told(start), series=HEARTBEATS, input="report")).wait()
        assert sorted(rig.store.kept_reports) == ["0t8k2l0first/reader", "0t8k2l4abcde/reader"]
        assert rig.store.kept_reports["0t8k2l0first/reader"].start == "0t8k2l0first"


async def test_statistics_that_nobody_needs_are_settled_without_a_report() -> None:
    text = '{ "name": "resource-usage", "origin": "impstats", "utime": 1 }'
    async with running(FakeStore()) as rig:
        await rig.submit(payload(1, text, series=HEARTBEATS, input="impstats")).wait()
        assert not rig.store.records
        assert not rig.store.kept_reports
        assert [entry.fate for entry in rig.store.entries.values()] == ["discarded:heartbeat"]


async def test_a_report_is_acknowledged_only_when_it_is_kept() -> None:
    class Slow(FakeStore):
        busy = 3

        async def put_reports(self, reports: Sequence[Report]) -> None:
            await self.gate.wait()
            if self.busy:
                self.busy -= 1
                raise StoreBusy("429")
            await super().put_reports(reports)

    store = Slow()
    store.gate.clear()
    async with running(store) as rig:
        settled = [rig.submit(report(n, n)) for n in range(1, 20)]
        await _until(lambda: rig.buffer.count == 0)
        assert not any(event.is_set() for event in settled)
        store.gate.set()
        for event in settled:
            await event.wait()
        assert store.kept_reports["0t8k2l4abcde/reader"].figures["number"] == 19
        assert [(e.first, e.last) for e in store.entries.values()] == [(1, 19)]


async def test_an_older_report_that_comes_later_changes_nothing() -> None:
    def at(second: int) -> str:
        return times.from_ns(time.time_ns() // 10**9 * 10**9 + second * 10**9)[:26] + "+00:00"

    async with running(FakeStore()) as rig:
        await rig.submit(report(2, 2, host_time=at(0)), report(1, 1, host_time=at(-10))).wait()
        await rig.submit(report(3, 3, host_time=at(-20))).wait()
        assert rig.store.kept_reports["0t8k2l4abcde/reader"].figures["number"] == 2


async def test_a_report_from_another_century_is_a_dead_letter() -> None:
    async with running(FakeStore()) as rig:
        await rig.submit(report(1, host_time="2101-01-01T00:00:00.000000+00:00")).wait()
        (letter,) = rig.store.letters.values()
        assert letter.reason == "host time"
        assert not rig.store.kept_reports


async def test_reading_stops_at_the_byte_limit_and_goes_on_when_there_is_room() -> None:
    store = FakeStore()
    store.gate.clear()
    async with running(store, memory_bytes=2**20) as rig:
        settled = [rig.submit(payload(n)) for n in range(1, 2**20 // RECORD_OVERHEAD + 1)]
        assert rig.intake.full
        resumed = asyncio.Event()

        class Reader:
            partial = 0

            def resume(self) -> None:
                resumed.set()

            def abort(self, reason: str) -> None:
                raise AssertionError(reason)

        rig.intake.wait(Reader())
        assert not resumed.is_set()
        store.gate.set()
        await resumed.wait()
        for event in settled:
            await event.wait()
        assert not rig.intake.full


async def test_unfinished_frames_that_fill_the_memory_cost_the_largest_its_connection() -> None:
    rig = Rig(FakeStore(), memory_bytes=2**20)
    aborted: list[int] = []

    class Reader:
        def __init__(self, partial: int) -> None:
            self.partial = partial

        def resume(self) -> None:
            pass

        def abort(self, reason: str) -> None:
            aborted.append(self.partial)
            rig.intake.hold(-self.partial)

    readers = [Reader(400_000), Reader(500_000), Reader(200_000)]
    for reader in readers:
        rig.intake.hold(reader.partial)
        if rig.intake.full:
            rig.intake.wait(reader)
    assert aborted == [200_000]
    assert not rig.intake.full


async def test_received_is_the_sum_of_all_fates_and_what_is_in_flight() -> None:
    before = _settled(), _received()
    async with running(FakeStore()) as rig:
        for n in range(1, 51):
            rig.submit(payload(n))
            rig.submit(payload(n))
        await rig.submit(payload(1)).wait()
        await _until(lambda: rig.intake.in_flight == 0)
    assert _settled() - before[0] == _received() - before[1] == 101


async def _until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  what is waited for is the store's, which has no events
        await asyncio.sleep(0.001)


def _total(name: str) -> float:
    found = (sample for metric in telemetry.REGISTRY.collect() for sample in metric.samples if sample.name == name)
    return sum(sample.value for sample in found)


def _settled() -> float:
    return _total("shipper_records_settled_total")


def _received() -> float:
    return _total("shipper_records_received_total")


class _Sampler:
    """Leaves out every second record, as an app's budget does."""

    def enrich(self, record: Record) -> None:
        if record.sequence % 2 == 0:
            record.discarded = "budget"
        if record.sequence == 4:
            raise ValueError("a bug in the next enricher")


async def test_what_an_enricher_discards_is_settled_and_not_stored() -> None:
    async with running(FakeStore()) as rig:
        rig.intake._enrich = [_Sampler().enrich]
        await rig.submit(*(payload(number) for number in range(1, 7))).wait()
        stored = sorted(int(id.rpartition("-")[2]) for id in rig.store.records)
        assert stored == [1, 3, 4, 5]  # 4 became plain text, and that is kept
        settled = {(entry.first, entry.last, entry.fate) for entry in rig.store.entries.values()}
        assert {(2, 2, "discarded:budget"), (6, 6, "discarded:budget")} <= settled
        assert not rig.store.letters
        assert rig.intake.in_flight == 0


async def test_a_record_stored_at_first_and_discarded_then_stays_and_counts_once() -> None:
    async with running(FakeStore()) as rig:
        sent = payload(2)
        await rig.submit(payload(1), sent).wait()
        rig.intake._enrich = [_Sampler().enrich]
        await rig.submit(sent).wait()
        assert len(rig.store.records) == 2
        (line,) = summarise(rig.store.entries.values())
        assert (line.settled, line.missing) == ({"stored": 2}, 0)
