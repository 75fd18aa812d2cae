"""Deleting what is too old, the same from every store."""

import dataclasses
import time
from collections.abc import Sequence

import pytest

from shipper.api.accounts import books
from shipper.record import STORED, DeadLetter, Fate, Outcome, Record
from shipper.record.times import day, from_ns
from shipper.search.ledger import Entry, Report
from shipper.search.query import Query
from shipper.search.retention import Deletion, Removal
from shipper.search.words import parse_text
from shipper.stores import Keeper
from tests.contract.store_world import World
from tests.contract.test_stores import DAY_NS, NOON, SERIES, numbers, put_all, record

#: Kept by a store that keeps 14 days, and not the newest.
OLD = NOON - 5 * DAY_NS


def of(app: str | None, sequence: int, message: str = "hello", at: int = OLD) -> Record:
    made = record(sequence, message, at=at)
    if app is not None:
        made.fields["orchestrator.resource.name"] = app
    return made


def keeper(world: World) -> Keeper:
    return world.settings.keeper(world.cluster)


async def remove(world: World, *removals: Removal) -> list[int]:
    async with keeper(world) as found:
        return [sum([count async for count in found.remove(removal)]) for removal in removals]


async def stored(world: World, text: str = "") -> list[int]:
    world.settle()
    phrases = tuple(parse_text(text))
    async with world.reader() as reader:
        return sorted(numbers(await reader.search(Query(phrases=phrases))))


async def test_days_are_listed_counted_and_deleted(world: World) -> None:
    async with world.store() as store:
        await put_all(store, [of("/a", 1), of("/b", 2), of("/a", 3, at=NOON)])
    world.settle()
    async with keeper(world) as found:
        listed = await found.days()
        assert [(one.day, one.records) for one in listed] == [(day(from_ns(OLD)), 2), (day(from_ns(NOON)), 1)]
        assert min(one.bytes for one in listed) > 0
        assert await found.count(Removal(listed[0].day)) == 2
        assert await found.count(Removal("2020.01.01", ("/a",))) == 0
    assert await remove(world, Removal(listed[0].day)) == [2]
    assert await stored(world) == [3]
    async with keeper(world) as found:
        assert [one.day for one in await found.days()] == [day(from_ns(NOON))]


@pytest.mark.parametrize(
    ("removal", "left"),
    [
        (Removal(day(from_ns(OLD)), ("/a",), others=False), [2, 3, 4]),
        (Removal(day(from_ns(OLD)), ("/a", "/b"), others=False), [3, 4]),
        (Removal(day(from_ns(OLD)), ("/a",), others=True), [1, 4]),
        (Removal(day(from_ns(OLD)), ("/none",), others=False), [1, 2, 3, 4]),
        (Removal(day(from_ns(OLD)), ("/none",), others=True), [4]),
        (Removal(day(from_ns(OLD)), others=False, datasets=("nginx.access",)), [1, 3, 4]),
        (Removal(day(from_ns(OLD)), ("/a",), others=False, datasets=("nginx.access", "x")), [3, 4]),
        (Removal(day(from_ns(OLD)), ("/b",), datasets=("nginx.access",)), [4]),
    ],
)
async def test_records_of_apps_go_out_of_a_day(world: World, removal: Removal, left: list[int]) -> None:
    async with world.store() as store:
        access = of("/b", 2)
        access.fields["event.dataset"] = "nginx.access"
        await put_all(store, [of("/a", 1), access, of(None, 3), of("/a", 4, at=NOON)])
    world.settle()
    async with keeper(world) as found:
        assert await found.count(removal) == 4 - len(left)
    assert await remove(world, removal, removal) == [4 - len(left), 0]
    assert await stored(world) == left


async def test_what_comes_after_a_deletion_is_found_by_its_own_words_only(world: World) -> None:
    async with world.store() as store:
        await put_all(store, [of("/b", 1, "red"), of("/a", 2, "green"), of("/a", 3, "green")])
    world.settle()
    await remove(world, Removal(day(from_ns(OLD)), ("/a",), others=False))
    async with world.store() as store:
        await put_all(store, [of("/b", 4, "blue"), of("/b", 5, "blue")])
        assert (await store.put([of("/b", 1, "red")]))[0].fate is Fate.DUPLICATE
    assert await stored(world, "green") == []
    assert await stored(world, "blue") == [4, 5]
    assert await stored(world, "red") == [1]


async def test_a_record_of_a_day_that_is_not_kept_expires(world: World) -> None:
    old = dataclasses.replace(world, settings=world.settings.model_copy(update={"retention_days": 3}))
    async with old.store() as store:
        outcomes = await store.put([of("/a", 1), of("/a", 2, at=NOON), of("/a", 3)])
        assert outcomes == [Outcome(Fate.DISCARDED, "expired"), STORED, Outcome(Fate.DISCARDED, "expired")]
        assert await store.put([of("/a", 4)]) == [Outcome(Fate.DISCARDED, "expired")]
    assert await stored(world) == [2]


def _entries(now: int) -> Sequence[Entry]:
    ages = {"old": (9, 8), "partly": (9, 1), "young": (1, 1)}
    return [
        Entry(f"{series}-{number}", "h1", series, "stored", number, number, 1, now - age * DAY_NS, now - age * DAY_NS)
        for series, both in ages.items()
        for number, age in enumerate(both, 1)
    ]


async def test_of_the_ledger_only_whole_series_go(world: World) -> None:
    now = time.time_ns()
    ages = {age: now - age * DAY_NS for age in (9, 1)}
    letters = [
        DeadLetter(f"l{age}", day(from_ns(at)), SERIES, age, "h1", "rejected", "x", b"x", at)
        for age, at in ages.items()
    ]
    reports = [Report(f"s{age}/reader", "h1", f"s{age}", "reader", at, {"a": 1}) for age, at in ages.items()]
    async with world.store() as store:
        await store.put_ledger(_entries(now))
        await store.put_dead_letters(letters)
        await store.put_reports(reports)
    world.settle()
    async with keeper(world) as found:
        await found.forget(now - 5 * DAY_NS)
        await found.forget(now - 5 * DAY_NS)
    world.settle()
    async with world.reader() as reader:
        assert [one.id for one in await reader.ledger()] == ["partly-1", "partly-2", "young-1", "young-2"]
        assert [one["id"] for one in await reader.dead_letters(10)] == ["l1"]
        assert [one.id for one in await reader.reports()] == ["s1/reader"]


async def test_what_was_deleted_is_remembered(world: World) -> None:
    whole = Deletion(5, "a@b", Removal("2026.01.01"), 7, 4096, "30 days are kept")
    part = Deletion(9, "a@b", Removal("2026.01.02", ("/a", "/ü"), others=False, datasets=("x",)), 2, 0, "asked")
    async with keeper(world) as found:
        assert await found.history(10) == []
        for one in (whole, part, part):
            await found.note(one)
        assert await found.history(10) == [part, whole]
        assert await found.history(1) == [part]
    async with world.store() as store:
        await put_all(store, [of("/a", 1)])
    async with keeper(world) as found:
        assert await found.history(1) == [part]


async def test_an_answer_about_a_deleted_day_says_so(world: World) -> None:
    async with world.store() as store:
        await put_all(store, [of("/a", 1), of("/a", 2, at=NOON)])
    world.settle()
    await remove(world, Removal(day(from_ns(OLD))))
    async with keeper(world) as found:
        await found.note(Deletion(NOON, "a@b", Removal(day(from_ns(OLD))), 1, 4096, "asked"))
    said = f"records up to {day(from_ns(OLD))} were deleted by retention, last on {from_ns(NOON)[:10]}"
    async with world.reader() as reader:
        page = await reader.search(Query(start=OLD - DAY_NS))
        assert (numbers(page), page.incomplete) == ([2], (said,))
        for young in (Query(), Query(start=OLD + DAY_NS), Query(start=NOON - 1)):
            page = await reader.search(young)
            assert (numbers(page), page.incomplete) == ([2], ())


async def test_when_a_day_was_written_last(world: World) -> None:
    began = time.time_ns()
    async with world.store() as store:
        await put_all(store, [of("/a", 1), of("/a", 2, at=NOON)])
    world.settle()
    async with keeper(world) as found:
        assert await found.written_at("2020.01.01") == 0
        written_at = await found.written_at(day(from_ns(OLD)))
        assert began - 10**9 <= written_at <= time.time_ns()


async def test_the_disk_has_room(world: World) -> None:
    async with world.store() as store:
        await put_all(store, [of("/a", 1)])
    async with keeper(world) as found:
        disk = await found.disk()
    assert disk is not None
    assert 0 < disk.free <= disk.total
    assert 0 <= disk.room <= disk.free


async def test_numbers_of_a_deleted_day_stay_settled(world: World) -> None:
    young = dataclasses.replace(world, settings=world.settings.model_copy(update={"retention_days": 3}))
    old = [of("/a", number) for number in (1, 2, 3)]
    async with world.store() as store:
        await put_all(store, old)
        await store.put_ledger([Entry("e", "web-1", SERIES, "stored", 1, 3, 3, OLD, NOON)])
    world.settle()
    assert await remove(world, Removal(old[0].day)) == [3]
    async with young.store() as store:
        assert await store.put(old[:1]) == [Outcome(Fate.DISCARDED, "expired")]
        world.settle()
        found = await books(store, NOON)
    (account,) = found.accounts
    assert (account.settled, account.holes, found.alarm) == (3, (), False)


async def test_an_empty_store_has_nothing_to_delete(world: World) -> None:
    async with keeper(world) as found:
        assert await found.days() == []
        await found.forget(NOON)
