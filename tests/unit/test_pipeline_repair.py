"""Records whose task becomes known after they were stored: repaired beside the deliveries, never instead of one."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from shipper import telemetry
from shipper.config import Config
from shipper.enrichers import Late
from shipper.errors import StoreBusy, StoreRejected
from shipper.parsers import chain, host_json, plain
from shipper.pipeline import repair as repairing
from shipper.pipeline.buffer import Buffer
from shipper.pipeline.intake import Intake
from shipper.pipeline.repair import Repairs
from shipper.pipeline.run import Pipeline
from shipper.record import Receipt, Received, Repair, times
from shipper.search.query import Query
from shipper.stores.sqlite import Config as Sqlite
from tests.fake_store import FakeStore
from tests.unit.cluster_server import serving
from tests.unit.test_cluster_follow import Marathon, until
from tests.unit.test_pipeline import SERIES, payload

DEADLINE = 30
TODAY = times.day(times.from_ns(time.time_ns()))
TASK = "shop_api.instance-b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6._app.1"


class Knowing:
    """An enricher that knows what the test says."""

    def __init__(self, *known: Repair) -> None:
        self.known = list(known)

    def take_repairs(self, most: int, in_flight: Callable[[str, int], bool]) -> list[Repair]:
        taken = [one for one in self.known[:most] if not in_flight(one.series, one.sequence)]
        self.known = [one for one in self.known if one not in taken]
        return taken


class Refusing(FakeStore):
    """A store that raises what it is told to, each error once."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    async def repair(self, repairs: Sequence[Repair]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        await super().repair(repairs)


def intake() -> Intake:
    read = {"relp": chain([host_json.parse, plain.parse])}
    return Intake(read, [], Buffer(), memory_bytes=2**20, series="0000000000ffs", host="here")


def submit(into: Intake, *payloads: bytes) -> None:
    into.submit(Received(payloads, "relp", "", time.time_ns(), Receipt(len(payloads))))


def late(sequence: int, day: str = TODAY) -> Repair:
    return Repair(SERIES, sequence, day, {"shipper.enriched_by": "late"})


def count(result: str) -> float:
    return telemetry.REGISTRY.get_sample_value("shipper_repairs_total", {"result": result}) or 0


@contextlib.asynccontextmanager
async def running(store: FakeStore, enricher: Late, into: Intake, seconds: float = 120) -> AsyncIterator[asyncio.Event]:
    stopping = asyncio.Event()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        group.create_task(Repairs(store, into, [enricher], seconds=seconds).run(stopping))
        yield stopping
        stopping.set()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairing, "_LOOK_SECONDS", 0.01)


async def test_all_that_is_known_is_written_in_small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairing, "_BATCH", 3)
    store, into, before = FakeStore(), intake(), count("repaired")
    submit(into, payload(99))
    async with running(store, Knowing(*(late(number) for number in range(1, 9))), into):
        await until(lambda: len(store.repairs) == 8)
    assert [one.sequence for one in store.repairs] == list(range(1, 9))
    assert count("repaired") - before == 8


async def test_a_record_in_flight_is_not_repaired_before_it_is_stored() -> None:
    store, into = FakeStore(), intake()
    submit(into, payload(1))
    knowing = Knowing(late(1), late(2))
    async with running(store, knowing, into):
        await until(lambda: store.repairs)
        assert [one.sequence for one in store.repairs] == [2]
        into.settled(into._buffer.take(10, 10**6))
        await until(lambda: len(store.repairs) == 2)


async def test_a_busy_store_is_asked_again() -> None:
    store, into = Refusing(StoreBusy("later")), intake()
    submit(into, payload(99))
    async with running(store, Knowing(late(1)), into):
        await until(lambda: store.repairs)


@pytest.mark.parametrize("error", [StoreRejected("never"), StoreBusy("for too long")])
async def test_what_cannot_be_written_is_given_up_and_counted(error: Exception) -> None:
    store, into, before = Refusing(error), intake(), count("given_up")
    submit(into, payload(99))
    async with running(store, Knowing(late(1)), into, seconds=-1):
        await until(lambda: count("given_up") - before == 1)
    assert store.repairs == []


async def test_no_index_is_made_for_a_day_that_no_record_may_have() -> None:
    store, into = FakeStore(), intake()
    submit(into, payload(99))
    async with running(store, Knowing(late(1, "1999.01.01"), late(2)), into):
        await until(lambda: store.repairs)
    assert [one.sequence for one in store.repairs] == [2]


async def test_a_stop_does_not_wait_for_a_busy_store() -> None:
    store, into = Refusing(*[StoreBusy("later")] * 1000), intake()
    submit(into, payload(99))
    async with running(store, Knowing(late(1)), into) as stopping:
        await until(lambda: len(store.errors) < 1000)
        stopping.set()
    assert store.errors


@contextlib.asynccontextmanager
async def pipeline(folder: Path, url: str) -> AsyncIterator[tuple[Pipeline, Any]]:
    """A whole pipeline with SQLite that follows a Marathon."""
    config = Config.model_validate({
        "sources": [{"type": "syslog_tcp", "host": "127.0.0.1", "port": 0}],
        "enrichers": [{"type": "marathon", "marathon_urls": [url], "registry_file": str(folder / "registry.json")}],
        "store": {"type": "sqlite", "path": str(folder)},
    })  # fmt: skip
    store = Sqlite(path=str(folder)).build("dev")
    stopping, started = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(DEADLINE), store:
        made = Pipeline(config, store)
        async with asyncio.TaskGroup() as group:
            group.create_task(made.run(stopping, started.set))
            await started.wait()
            yield made, store
            stopping.set()


async def stored(store: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await store.search(Query())).records[0]
    return found


async def test_a_record_is_stored_at_once_and_repaired_when_marathon_knows_its_task(tmp_path: Path) -> None:
    line = payload(1, "hello", task=TASK)
    async with serving() as server:
        marathon = Marathon(server)
        async with pipeline(tmp_path, server.url) as (made, store):
            await until(lambda: marathon.streams == 2)
            submit(made.intake, line)
            await until(lambda: made.intake.in_flight == 0)
            before = await stored(store)
            assert before["shipper.enriched_by"] == "task_id"
            marathon.tell(marathon.start(TASK))
            while (await stored(store))["shipper.enriched_by"] != "late":  # noqa: ASYNC110  only the store says it
                await asyncio.sleep(0.02)
            found = await stored(store)
            assert found["marathon.labels"] == {"team": "a"}
            assert {name: found[name] for name in before if name != "shipper.enriched_by"} == {
                name: value for name, value in before.items() if name != "shipper.enriched_by"
            }
            submit(made.intake, line)
            await until(lambda: made.intake.in_flight == 0)
            assert len((await store.search(Query())).records) == 1
            assert await store.dead_letters(10) == []
        async with pipeline(tmp_path, "http://127.0.0.1:1") as (made, store):
            submit(made.intake, payload(2, "after a restart, without Marathon", task=TASK))
            await until(lambda: made.intake.in_flight == 0)
            assert {one["shipper.enriched_by"] for one in (await store.search(Query())).records} == {"late", "registry"}
