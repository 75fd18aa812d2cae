"""Days that are closed: listed, deleted as a whole, and no error when single records should go out of them."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
import yaml

from shipper.cli import main
from shipper.record.times import day, from_ns
from shipper.search.retention import Removal
from shipper.stores import _elasticsearch_retention
from tests.contract.store_world import http
from tests.contract.test_stores import DAY_NS, NOON, put_all, record
from tests.integration.test_elasticsearch_store import answering, settings


async def test_closed_days(elasticsearch_8: str) -> None:
    made = settings(elasticsearch_8)
    old, older = (record(number, at=NOON - number * DAY_NS) for number in (1, 2))
    async with made.build("closeddays") as store:
        await put_all(store, [old, older])
    for one in (old, older):
        http("POST", f"{elasticsearch_8}/logs-mesos.closeddays-{one.day}/_close")
    async with made.keeper("closeddays") as keeper:
        assert [found.day for found in await keeper.days()] == [older.day, old.day]
        assert [count async for count in keeper.remove(Removal(old.day, ("/a",)))] == [0]
        assert [count async for count in keeper.remove(Removal(older.day))] == [0]
        assert [found.day for found in await keeper.days()] == [day(from_ns(NOON - DAY_NS))]
        await anext(keeper.remove(Removal(old.day)))
        assert await keeper.days() == []


async def test_copies_that_people_made_are_no_days(elasticsearch_9: str) -> None:
    made = settings(elasticsearch_9)
    async with made.build("copydays") as store:
        await put_all(store, [record(1, at=NOON - DAY_NS)])
    prefix, letters = "logs-mesos.copydays-", "shipper-dead-letters.copydays-"
    copies = [f"{prefix}2020-01-01", f"{prefix}backup-001", f"{prefix}2020.99.99", f"{letters}2020-01-01", "2020.01.02"]
    for name in copies:
        http("PUT", f"{elasticsearch_9}/{name}", {"settings": {"number_of_replicas": 0}})
    http("PUT", f"{elasticsearch_9}/2020.01.02/_alias/{prefix}alias")
    async with made.keeper("copydays") as keeper:
        assert [found.day for found in await keeper.days()] == [day(from_ns(NOON - DAY_NS))]
        await keeper.forget(NOON)
    for name in copies:
        assert http("DELETE", f"{elasticsearch_9}/{name}")["acknowledged"]


def test_a_day_that_cannot_be_read_does_not_keep_the_others(
    elasticsearch_9: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = settings(elasticsearch_9)
    old, today = record(1, at=NOON - 10 * DAY_NS), record(2)

    async def fill() -> None:
        async with made.build("reddays") as store:
            await put_all(store, [old, today])

    async def days() -> list[tuple[str, int]]:
        async with made.keeper("reddays") as keeper:
            return [(found.day, found.records) for found in await keeper.days()]

    asyncio.run(fill())
    red = day(from_ns(NOON - 11 * DAY_NS))
    nowhere = {"settings": {"index.routing.allocation.require._name": "nobody", "number_of_replicas": 0}}
    http("PUT", f"{elasticsearch_9}/logs-mesos.reddays-{red}?wait_for_active_shards=0", nowhere)
    http("POST", f"{elasticsearch_9}/logs-mesos.reddays-{old.day},logs-mesos.reddays-{today.day}/_refresh")
    config = tmp_path / "shipper.yaml"
    config.write_text(yaml.safe_dump({"cluster": "reddays", "store": made.model_dump()}))
    try:
        assert asyncio.run(days()) == [(red, 0), (old.day, 1), (today.day, 1)]
        assert main(["retention", "--config", str(config), "--late", "0", "--days", "9"]) == 0
        kept, deleted, _ = capsys.readouterr().out.splitlines()
        assert kept.startswith(f"{red}  kept: all: not now: Elasticsearch at ")
        assert deleted.startswith(f"{old.day}  deleted: all, 1 record")
        assert asyncio.run(days()) == [(red, 0), (today.day, 1)]
    finally:
        http("DELETE", f"{elasticsearch_9}/logs-mesos.reddays-{red}")


async def test_single_records_go_in_small_requests_with_pauses(
    elasticsearch_8: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_elasticsearch_retention, "_BULK", 5)
    made = settings(elasticsearch_8, retention_records_per_second=40)
    async with made.build("slowdays") as store:
        await put_all(store, [record(number, at=NOON - DAY_NS) for number in range(1, 21)])
    http("POST", f"{elasticsearch_8}/logs-mesos.slowdays-*/_refresh")
    began = time.monotonic()
    async with made.keeper("slowdays") as keeper:
        assert keeper.records_per_second == 40
        removal = Removal(day(from_ns(NOON - DAY_NS)), ("/none",))
        assert [count async for count in keeper.remove(removal) if count] == [5, 5, 5, 5]
        assert await keeper.count(removal) == 0
    assert time.monotonic() - began >= 20 / 40


async def test_what_went_before_it_was_stopped_is_kept(elasticsearch_9: str, tmp_path: Path) -> None:
    made = settings(elasticsearch_9, retention_datasets={"access": 3}, retention_records_per_second=20)
    old = NOON - 5 * DAY_NS
    async with made.build("stopdays") as store:
        await put_all(store, [record(number, at=old, event__dataset="access") for number in range(1, 1101)])
    index = f"{elasticsearch_9}/logs-mesos.stopdays-{day(from_ns(old))}"
    http("POST", f"{index}/_refresh")
    config = tmp_path / "shipper.yaml"
    config.write_text(yaml.safe_dump({"cluster": "stopdays", "store": made.model_dump()}))
    argv = [sys.executable, "-m", "shipper", "retention", "--config", str(config), "--late", "0"]
    stopped = await asyncio.create_subprocess_exec(*argv, stdout=PIPE)
    async with asyncio.timeout(120):
        while http("POST", f"{index}/_refresh") and http("GET", f"{index}/_count")["count"] > 100:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        stopped.terminate()
        out, _ = await stopped.communicate()
    assert (stopped.returncode, b"deleted: dataset access, 1,000 records" in out) == (130, True)
    async with made.keeper("stopdays") as keeper:
        (kept,) = await keeper.history(9)
    assert (kept.removal.datasets, kept.records) == (("access",), 1000)


async def test_the_room_is_not_known_to_who_may_not_ask() -> None:
    body = b'{"error":{"type":"security_exception","reason":"action is unauthorized"},"status":403}'
    async with answering("403 Forbidden", body) as url, settings(url).keeper("c") as keeper:
        assert await keeper.disk() is None
