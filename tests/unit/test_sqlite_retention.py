"""A running SQLite store deletes by itself: days, and the records of apps that ask for other numbers of days."""

from pathlib import Path

import pytest

from shipper.errors import StoreUnusable
from shipper.record import DUPLICATE, STORED, Record
from shipper.record.times import day, from_ns
from shipper.search.query import Query
from shipper.search.retention import Removal
from shipper.stores import _sqlite_retention
from shipper.stores.sqlite import Config, SqliteStore
from tests.contract.test_stores import DAY_NS, NOON, numbers, put_all, record


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return Config(path=str(tmp_path), retention_days=14)


def of(app: str, sequence: int, days_ago: int) -> Record:
    made = record(sequence, at=NOON - days_ago * DAY_NS)
    made.fields["orchestrator.resource.name"] = app
    return made


async def kept(store: SqliteStore) -> list[int]:
    return sorted(numbers(await store.search(Query())))


async def put_until(store: SqliteStore, wanted: list[int]) -> None:
    """Write today's records, as a shipper does all the time, until what is too old is gone."""
    for sequence in range(1000, 1100):
        assert (await store.put([of("/today", sequence, 0)]))[0] in (STORED, DUPLICATE)
        if (found := [number for number in await kept(store) if number < 1000]) == wanted:
            return
    pytest.fail(f"still there: {found}")


async def test_apps_that_ask_for_fewer_days(settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_retention, "_SLICE", 3)  # so that several steps are needed
    async with settings.build("c") as store:
        await put_all(store, [of("/a" if number % 2 else "/b", number, 5) for number in range(1, 21)])
        await put_all(store, [of("/a", 30, 1)])
        store.retain({"/a": 3})
        await put_until(store, [*range(2, 21, 2), 30])


async def test_kinds_of_logs_that_are_kept_for_fewer_days(settings: Config) -> None:
    wanted = settings.model_copy(update={"retention_datasets": {"access": 3}})
    old = [of("/a", number, 5) for number in range(1, 5)]
    for one in old[:2]:
        one.fields["event.dataset"] = "access"
    async with settings.build("c") as store:
        await put_all(store, [*old, of("/a", 9, 1)])
    forever = settings.model_copy(update={"retention_days": 0})
    async with forever.build("c") as store:
        await put_all(store, [of("/a", 20, 20)])
    async with wanted.build("c") as store:
        await put_until(store, [3, 4, 9])
    async with wanted.keeper("c") as keeper:
        part, whole = await keeper.history(9)
    assert (whole.removal.whole, whole.records, whole.reason) == (True, 1, "14 days are kept")
    assert (part.removal.datasets, part.records, part.reason) == (("access",), 2, "retention_datasets")
    assert {part.by, whole.by} == {"shipper run, hourly"}


async def test_for_an_app_that_asks_for_more_the_others_go(settings: Config) -> None:
    forever = settings.model_copy(update={"retention_days": 0})
    async with forever.build("c") as store:
        await put_all(store, [of("/long", 1, 20), of("/b", 2, 20), of("/long", 3, 40), of("/b", 4, 13)])
        store.retain({"/long": 30})
        await put_until(store, [1, 2, 4])  # kept for ever, but for the app that asks for less
    async with settings.build("c") as store:  # its label is remembered: nobody tells of it again
        await put_until(store, [1, 4])


async def test_a_damaged_day_does_not_keep_the_others(settings: Config, tmp_path: Path) -> None:
    async with settings.build("c") as store:
        await put_all(store, [of("/a", 1, 5), of("/b", 2, 5)])
    damaged = tmp_path / "c" / f"records-{day(from_ns(NOON - 6 * DAY_NS))}.db"
    damaged.write_bytes(b"no database at all" * 1000)
    async with settings.build("c") as store:
        store.retain({"/a": 3})
        for number in range(10, 20):
            await put_all(store, [of("/today", number, 0)])
        assert await store.healthy() is None
    damaged.unlink()
    async with settings.reader("c") as reader:
        assert 1 not in numbers(await reader.search(Query()))


async def test_while_a_shipper_runs_nobody_else_deletes(settings: Config) -> None:
    async with settings.build("c") as store:
        await put_all(store, [of("/a", 1, 5)])
        async with settings.keeper("c") as keeper:
            removal = Removal((await keeper.days())[0].day)
            assert await keeper.count(removal) == 1
            with pytest.raises(StoreUnusable, match=r"another shipper .* let it delete: it does so every hour"):
                await anext(keeper.remove(removal))
        assert await kept(store) == [1]
