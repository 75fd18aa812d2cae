"""What the SQLite store counts while it writes stays true, and tells where to look."""

import itertools
import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shipper.record import Record, Repair
from shipper.record.times import day, from_ns
from shipper.search.expression import And, Equals, Expression, Like, Not, Or, Present, Words
from shipper.search.query import Around, Buckets, Query
from shipper.search.retention import Removal
from shipper.stores import Reader, _sqlite_around, _sqlite_rollup, _sqlite_rollup_read, _sqlite_words
from shipper.stores._sqlite_retention import steps
from shipper.stores.sqlite import Config
from tests import naive
from tests.contract.test_stores import NOON, SERIES, numbers, put_all, record

SECOND = 10**9
DAY = day(from_ns(NOON))
KEYS = {"counts_by_host": ("level", "host"), "counts_by_app": ("app", "level", "resource")}


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return Config(path=str(tmp_path))


def _file(settings: Config) -> Path:
    return Path(settings.path) / "c" / f"records-{DAY}.db"


def _batch(count: int) -> list[Record]:
    """Records of an hour, late ones among them; `rare` is said by few of them, all early."""
    chance = random.Random(7)
    return [
        record(
            n,
            "often" if n % 3 else "often rare" if n < count // 4 else "else",
            at=NOON + n * 3600 * SECOND // count - (1800 * SECOND if chance.random() < 0.1 else 0),
            host_time=NOON,
            log__level="critical" if n % 97 == 0 else chance.choice(("info", "debug")),
            service__name=f"app{n % 5}",
            host__name=f"web-{n % 3}",
            orchestrator__resource__name=f"/shop/{n % 5}" if n % 7 else None,
        )
        for n in range(1, count + 1)
    ]


def _kept(settings: Config) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return what the tables of counts say and what they should say."""
    said, true = {}, {}
    with sqlite3.connect(_file(settings)) as connection:
        for table, columns in KEYS.items():
            said[table] = connection.execute(f"SELECT * FROM {table} WHERE count <> 0 ORDER BY 1, 2, 3, 4").fetchall()
            key = ", ".join(f"coalesce({column}, x'')" for column in columns)
            true[table] = connection.execute(
                f"SELECT timestamp / 60000000000, {key}, COUNT(*) FROM records GROUP BY 1, {key} ORDER BY 1, 2, 3, 4"
            ).fetchall()
    connection.close()
    return said, true


async def test_counts_are_true_after_twins_repairs_and_deletions(settings: Config) -> None:
    batch = _batch(600)
    async with settings.build("c") as store:
        await put_all(store, batch[:400])
        await store.put(batch[300:])  # a hundred of them are there already
        said, true = _kept(settings)
        assert said == true
        late = {"service.name": "known-late", "orchestrator.resource.name": "/shop/late"}
        await store.repair([Repair(SERIES, n, DAY, late) for n in (*range(1, 50), 9999)])
        await store.repair([Repair(SERIES, 1, DAY, late)])
        said, true = _kept(settings)
        assert said == true
        assert sum(row[1] == "known-late" for row in said["counts_by_app"]) > 10
        top = await store.top(Query(), "service.name", 1)
        assert (top.total, top.without) == (600, 0)
    deleted = sum(steps(_file(settings), Removal(DAY, ("/shop/late", "/shop/3"), others=False)))
    assert deleted > 100
    said, true = _kept(settings)
    assert said == true


async def test_a_batch_that_fails_is_not_counted(settings: Config) -> None:
    poison = record(2, service__name=["a", "b"])
    async with settings.build("c") as store:
        await store.put([record(1), poison])
        said, true = _kept(settings)
    assert said == true
    assert [len(rows) for rows in said.values()] == [1, 1]


QUESTIONS: list[Expression] = [
    Words(("rare",), "rare"),
    Words(("often",), "often"),
    And((Words(("often",), "often"), Not(Words(("rare",), "rare")))),
    Like("oft*", None),
    Or((Words(("rare",), "rare"), Equals("log.level", "critical"))),
    Equals("log.level", "critical"),
    And((Equals("log.level", "critical"), Equals("service.name", "app2"))),
    And((Equals("host.name", "web-1"), Words(("else",), "else"))),
    And((Equals("host.name", "web-1"), Equals("service.name", "app3"))),
    And((Equals("host.name", "web-1"), Not(Equals("log.level", "info")), Present("orchestrator.resource.name"))),
    Or((Equals("host.name", "web-2"), Equals("orchestrator.resource.name", "/shop/2"))),
    Not(Present("orchestrator.resource.name")),
    Like("/shop/[3]*", "orchestrator.resource.name"),
    Like("/shop/?", "orchestrator.resource.name"),
    Not(Or((Equals("log.level", "info"), Equals("log.level", "debug")))),
]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_whichever_way_is_taken_the_page_is_the_same(
    settings: Config, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    """Few words and many, in many zones: each page is a part of all that matches, sorted."""
    for module in (_sqlite_rollup, _sqlite_rollup_read):
        monkeypatch.setattr(module, "ZONE_BITS", 5)
    batch = _batch(500)
    fields = {one.sequence: {**one.fields, "event.sequence": one.sequence} for one in batch}
    async with settings.build("c") as store:
        for start in range(0, 500, 90):
            await put_all(store, batch[start : start + 90])
        for where, many in itertools.product(QUESTIONS, (10, 10_000)):
            monkeypatch.setattr(_sqlite_words, "MANY", many)
            matching = [one for one in fields.values() if naive.matches(one, where)]
            matching.sort(key=lambda one: (one["@timestamp"], one["event.sequence"]), reverse=newest_first)
            expected = [one["event.sequence"] for one in matching]
            assert await _pages(store, where, newest_first) == expected[:70], (where, many)
            counted = await store.counts(Query(where=where), Buckets(0, 2**62, 2**61), None)
            assert sum(counted.counts.values()) == len(expected), (where, many)
            for field in ("service.name", "host.name", "orchestrator.resource.name"):
                top = await store.top(Query(where=where), field, 100)
                true = Counter(fields[n][field] for n in expected if fields[n].get(field) is not None)
                assert (dict(top.values), top.total) == (true, len(expected)), (where, many, field)


async def _pages(store: Reader, where: Expression, newest_first: bool) -> list[int]:
    found: list[int] = []
    after = None
    for _ in range(10):
        page = await store.search(Query(where=where, limit=7, newest_first=newest_first, after=after))
        found += numbers(page)
        after = page.next
        if after is None:
            break
    return found


async def test_neighbours_end_after_so_many_records(settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_around, "_MOST_LOOKED_AT", 50)
    async with settings.build("c") as store:
        await put_all(
            store,
            [record(n, at=NOON + n, user__id="me" if n in (10, 190, 210, 390) else "other") for n in range(1, 400)],
        )
        asked = Around(SERIES, 200, NOON + 200, Equals("user.id", "me"), 2, 2)
        found = await store.around(asked)
        assert [one["event.sequence"] for one in found.before + found.after] == [190, 210]
        assert found.incomplete == (f"day {DAY}: only the nearest 50 records were looked at",)
        enough = await store.around(Around(SERIES, 200, NOON + 200, Equals("user.id", "me"), 1, 1))
        assert enough.incomplete == ()
