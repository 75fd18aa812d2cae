"""A day's file of the first version of the SQLite store's tables: read as it is, upgraded by who writes."""

import sqlite3
from pathlib import Path

import pytest

from shipper.record import DUPLICATE, STORED, Record
from shipper.record.times import day, from_ns
from shipper.search.expression import Equals, Expression, Like, Not, Words
from shipper.search.query import Around, Buckets, Query
from shipper.search.retention import Removal
from shipper.stores import Reader
from shipper.stores.sqlite import Config
from tests.contract.test_stores import NOON, SERIES, numbers, record

SECOND = 10**9
FIELDS = ("series", "sequence", "timestamp", "level", "app", "host", "request_id", "document")
#: As the first version made them.
FIRST_TABLES = """
CREATE TABLE first (
    rowid INTEGER PRIMARY KEY, series TEXT NOT NULL, sequence INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    level TEXT, app TEXT, host TEXT, request_id TEXT, document BLOB NOT NULL, UNIQUE (series, sequence)
);
INSERT INTO first SELECT rowid, series, sequence, timestamp, level, app, host, request_id, document FROM records;
DROP TABLE records;
DROP TABLE counts_by_app;
DROP TABLE counts_by_host;
DROP TABLE zones;
ALTER TABLE first RENAME TO records;
CREATE INDEX by_time ON records (timestamp);
CREATE INDEX by_app ON records (app, timestamp);
CREATE INDEX by_request ON records (request_id) WHERE request_id IS NOT NULL;
PRAGMA user_version = 1;
"""
LEVELS = ("info", "warn", "error", None)


def _batch() -> list[Record]:
    return [
        record(
            n,
            f"order {n} of customer{n % 7}",
            at=NOON + n * 7 * SECOND,
            log__level=LEVELS[n % 4],
            service__name=("shop", "cart")[n % 2],
            trace__id=f"{n % 5:032x}",
            orchestrator__resource__name=("/shop/api", "/other", None)[n % 3],
        )
        for n in range(1, 121)
    ]


@pytest.fixture
async def settings(tmp_path: Path) -> Config:
    """A folder with one day as the first version left it."""
    found = Config(path=str(tmp_path / "data"))
    async with found.build("c") as store:
        assert await store.put(_batch()) == [STORED] * 120
    with sqlite3.connect(_file(found)) as connection:
        connection.executescript(FIRST_TABLES)
    connection.close()
    return found


def _file(settings: Config) -> Path:
    return Path(settings.path) / "c" / f"records-{day(from_ns(NOON))}.db"


def _version(settings: Config) -> int:
    with sqlite3.connect(_file(settings)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return version


QUESTIONS: list[Expression] = [
    Equals("trace.id", f"{3:032x}"),
    Words((f"{3:032x}",), f"{3:032x}"),
    Words(("customer3",), "customer3"),
    Like("/shop/*", "orchestrator.resource.name"),
    Equals("orchestrator.resource.name", "/other"),
    Not(Equals("orchestrator.resource.name", "/shop/api")),
    Equals("log.level", "error"),
]


async def _answers(reader: Reader) -> list[object]:
    """Return what is asked in every way, as values that can be compared."""
    found: list[object] = []
    for where in QUESTIONS:
        query = Query(where=where)
        found.append(numbers(await reader.search(query)))
        for by in (None, "log.level", "orchestrator.resource.name", "trace.id"):
            found.append(await reader.counts(query, Buckets(NOON, NOON + 900 * SECOND, 70 * SECOND), by))
        found.append(await reader.top(query, "service.name", 10))
    around = await reader.around(Around(SERIES, 50, NOON + 350 * SECOND, Equals("service.name", "shop"), 3, 3))
    found.append([one["event.sequence"] for one in around.before + around.after])
    return found


async def test_it_is_read_as_it_is_and_upgraded_by_who_writes(settings: Config) -> None:
    async with settings.reader("c") as reader:
        before = await _answers(reader)
        assert _version(settings) == 1
    assert before[0] == list(range(118, 0, -5))
    assert before[-1] == [44, 46, 48, 52, 54, 56]
    async with settings.build("c") as store:
        assert _version(settings) == 2
        assert await _answers(store) == before
        assert await store.put([record(1, "order 1 of customer1", at=NOON + 7 * SECOND), record(500)]) == [
            DUPLICATE,
            STORED,
        ]
        (newest,) = (await store.search(Query(limit=1))).records
        assert newest["event.sequence"] == 120
        total = await store.counts(Query(), Buckets(NOON - 60 * SECOND, NOON + 3600 * SECOND, 3660 * SECOND), None)
        assert list(total.counts.values()) == [121]


async def test_an_upgrade_that_fails_leaves_it_as_it_was(settings: Config) -> None:
    with sqlite3.connect(_file(settings)) as connection:
        connection.execute("CREATE TABLE counts_by_app (of_somebody_else)")
    connection.close()
    async with settings.reader("c") as reader:
        before = numbers(await reader.search(Query(limit=200)))
    with pytest.raises(Exception, match="already exists"):
        async with settings.build("c"):
            pass
    assert _version(settings) == 1
    async with settings.reader("c") as reader:
        assert numbers(await reader.search(Query(limit=200))) == before


async def test_records_are_deleted_from_it_without_an_upgrade(settings: Config) -> None:
    async with settings.keeper("c") as keeper:
        removal = Removal(day(from_ns(NOON)), ("/shop/api",), others=False)
        assert sum([count async for count in keeper.remove(removal)]) == 40
    assert _version(settings) == 1
    async with settings.build("c") as store:
        assert len((await store.search(Query(limit=200))).records) == 80
        counted = await store.counts(Query(), Buckets(NOON, NOON + 3600 * SECOND, 3600 * SECOND), None)
        assert counted.counts == {(NOON, ""): 80}
