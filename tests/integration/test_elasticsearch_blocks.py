"""Indices that are read-only for a while, by a full disk or by hand: records wait, all are stored, once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import pytest

from shipper.errors import StoreFull
from shipper.pipeline import deliver
from shipper.record import STORED, Fate
from shipper.search.ledger import merge
from shipper.search.query import Buckets, Query
from shipper.search.retention import Removal
from tests.contract.store_world import http, indices
from tests.contract.test_stores import DAY_NS, NOON, put_all, record
from tests.fake_store import FakeStore
from tests.integration.test_elasticsearch_store import index, settings
from tests.unit.test_pipeline import Rig, payload

RECORDS = 5000
DEADLINE = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(deliver, "LONGEST_BACKOFF", 0.1)


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def cluster_block(url: str, name: str) -> Iterator[None]:
    """Make the whole cluster read-only; other tests use the same server, so it ends whatever happens."""
    http("PUT", f"{url}/_cluster/settings", {"persistent": {f"cluster.blocks.{name}": True}})
    try:
        yield
    finally:
        http("PUT", f"{url}/_cluster/settings", {"persistent": {f"cluster.blocks.{name}": None}})


@contextlib.contextmanager
def index_block(url: str, pattern: str, name: str = "read_only_allow_delete") -> Iterator[None]:
    http("PUT", f"{url}/{pattern}/_settings", {f"index.blocks.{name}": True})
    try:
        yield
    finally:
        http("PUT", f"{url}/{pattern}/_settings?expand_wildcards=all", {f"index.blocks.{name}": None})


def blocked(url: str, cluster: str, kind: str) -> contextlib.AbstractContextManager[None]:
    return index_block(url, f"*.{cluster}*") if kind == "index" else cluster_block(url, kind)


def tidy(url: str, cluster: str) -> None:
    for name in indices(url, cluster):
        http("DELETE", f"{url}/{name}")


@contextlib.asynccontextmanager
async def delivering(url: str, cluster: str) -> AsyncIterator[Rig]:
    """The pipeline from intake to the real store, with so little patience that a refusal would show at once."""
    async with settings(url).build(cluster) as store:
        rig = Rig(cast(FakeStore, store), refusal_seconds=0.1)
        async with asyncio.timeout(2 * DEADLINE), asyncio.TaskGroup() as group:
            group.create_task(rig.delivery.run())
            yield rig
            rig.buffer.close()


SAID = {
    "index": "the disk of Elasticsearch is full: delete old days with `shipper retention`",
    "read_only": "Elasticsearch is read-only as a whole (cluster.blocks.read_only)",
    "read_only_allow_delete": "Elasticsearch is read-only as a whole (cluster.blocks.read_only_allow_delete)",
}


@pytest.mark.parametrize("kind", SAID)
async def test_records_wait_and_nothing_is_lost_or_double(elasticsearch_url: str, kind: str) -> None:
    cluster = f"full{kind.replace('_', '')}"
    async with delivering(elasticsearch_url, cluster) as rig:
        await rig.submit(payload(1)).wait()
        waiting = []
        with blocked(elasticsearch_url, cluster, kind):
            for first in range(2, RECORDS + 2, 500):
                waiting.append(rig.submit(*(payload(number) for number in range(first, first + 500))))
            await until(lambda: rig.delivery.trouble, "said that it waits")
            assert SAID[kind] in str(rig.delivery.trouble)
            await asyncio.sleep(0.5)  # longer than refusal_seconds: a refusal would be given up by now
            assert not any(event.is_set() for event in waiting)
        for event in waiting:
            await event.wait()
        assert rig.delivery.trouble is None
    http("POST", f"{elasticsearch_url}/*.{cluster}*/_refresh")
    async with settings(elasticsearch_url).reader(cluster) as reader:
        assert await reader.dead_letters(1) == []
        whole = Buckets(NOON - DAY_NS, NOON + DAY_NS, 2 * DAY_NS)
        assert sum((await reader.counts(Query(), whole, None)).counts.values()) == RECORDS + 1
        entries = await reader.ledger()
        assert {one.fate for one in entries} == {"stored"}
        assert merge((one.first, one.last) for one in entries) == [(1, RECORDS + 1)]
    tidy(elasticsearch_url, cluster)


async def test_one_day_on_a_full_disk_waits_while_others_go_on(elasticsearch_url: str) -> None:
    old, new = record(1, at=NOON - DAY_NS), record(2)
    async with settings(elasticsearch_url).build("fullday") as store:
        await put_all(store, [old, new])
        with index_block(elasticsearch_url, index("fullday", old)):
            outcomes = await store.put([record(3, at=NOON - DAY_NS), record(4)])
            assert [outcome.fate for outcome in outcomes] == [Fate.BUSY, Fate.STORED]
            assert outcomes[0].reason.startswith(SAID["index"])
        assert await store.put([record(3, at=NOON - DAY_NS)]) == [STORED]
    tidy(elasticsearch_url, "fullday")


async def test_days_can_be_deleted_while_the_disk_is_full(elasticsearch_url: str) -> None:
    old, new = record(1, at=NOON - DAY_NS), record(2)
    async with settings(elasticsearch_url).build("fullgo") as store:
        await put_all(store, [old, new])
    http("POST", f"{elasticsearch_url}/logs-mesos.fullgo-*/_refresh")
    with index_block(elasticsearch_url, "logs-mesos.fullgo-*"):
        async with settings(elasticsearch_url).keeper("fullgo") as keeper:
            assert [count async for count in keeper.remove(Removal(old.day))] == [1]
            assert [found.day for found in await keeper.days()] == [new.day]
            with pytest.raises(StoreFull, match=r"disk of Elasticsearch is full: delete old days"):
                await anext(keeper.remove(Removal(new.day, ("/none",))))
    tidy(elasticsearch_url, "fullgo")
