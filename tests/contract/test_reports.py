"""Reports of hosts in every store: the newest of each id is kept, whatever the order in which they come."""

import dataclasses
from typing import Any

from shipper.search.ledger import Report
from tests.contract.store_world import World
from tests.contract.test_stores import NOON

START = "0t8k2l4abcde"
#: What no store may stumble over: deep, huge, empty and odd values.
ODD: dict[str, Any] = {
    "series": [{"series": START + "w", "last": 10, "dropped": 0}],
    "": {"": [None, True, 1.5, -(2**63), 2**64 - 1, "é\u2028\0"]},
    "deep": [[[[[[[[[["x"]]]]]]]]]],
    "long": "x" * 50_000,
}


def report(name: str, *, host: str = "web-1", updated_at: int = NOON, **figures: Any) -> Report:
    return Report(f"{START}/{name}", host, START, name, updated_at, figures)


async def test_what_is_kept_is_the_report_itself(world: World) -> None:
    sent = [report("normal queue[DA]", host="web-2", size=1), report("reader", **ODD)]
    async with world.store() as store:
        await store.put_reports(sent)
        world.settle()
        assert await store.reports() == sent[::-1]
        assert await store.reports("web-2") == sent[:1]
        assert await store.reports("web-9") == []
        assert await store.reports("web-9", "web-1", "web-2") == sent[::-1]


async def test_the_newest_of_an_id_stays(world: World) -> None:
    old, new, newer = (report("reader", updated_at=NOON + n, number=n) for n in (1, 2, 3))
    async with world.store() as store:
        await store.put_reports([new])
        await store.put_reports([old, report("imuxsock")])
        world.settle()
        assert await store.reports() == [report("imuxsock"), new]
        await store.put_reports([newer, old, new])
        world.settle()
        assert await store.reports() == [report("imuxsock"), newer]


async def test_a_report_that_comes_again_replaces_itself(world: World) -> None:
    first = report("reader", number=1)
    async with world.store() as store:
        for sent in (first, first, dataclasses.replace(first, figures={"number": 2})):
            await store.put_reports([sent])
        world.settle()
        (kept,) = await store.reports()
    assert kept.figures == {"number": 2}


async def test_reports_survive_the_process_and_need_no_writer(world: World) -> None:
    async with world.reader() as reader:
        assert await reader.reports() == []
    async with world.store() as store:
        await store.put_reports([])
        await store.put_reports([report("reader", number=1)])
    world.settle()
    async with world.reader() as reader:
        assert await reader.reports() == [report("reader", number=1)]


async def test_many_reports(world: World) -> None:
    sent = [report(f"queue {number:05d}", size=number) for number in range(10_500)]
    async with world.store() as store:
        await store.put_reports(sent[5000:])
        await store.put_reports(sent[:5000])
        world.settle()
        assert await store.reports() == sent
