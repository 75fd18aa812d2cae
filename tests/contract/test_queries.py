"""The same answers from every store to everything that can be asked: held against a naive evaluator."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import orjson
import pytest

from shipper.config import component
from shipper.record import STORED
from shipper.record.times import to_ns
from shipper.search.expression import Equals, Everything, Not
from shipper.search.kql import parse, write
from shipper.search.matching import matcher
from shipper.search.normal import normalise
from shipper.search.query import Around, Buckets, Query
from shipper.stores import Reader
from tests import naive
from tests.contract.query_records import NOON, SECOND, records
from tests.contract.query_texts import trees
from tests.contract.store_world import World, http, indices

QUESTIONS = trees()
#: Asked of a store at the same time.
_AT_ONCE = 4

Document = dict[str, Any]


def documents() -> list[Document]:
    """The records as stores return them."""
    return [
        orjson.loads(orjson.dumps({**made.fields, "event.sequence": made.sequence, "shipper.series": made.series}))
        for made in records()
    ]


DOCUMENTS = documents()
#: The whole time of the records, in six parts.
BUCKETS = Buckets(NOON - 7300 * SECOND, NOON + 7200 * SECOND + 17, 2418 * SECOND)


@pytest.fixture(scope="module", params=["sqlite", "elasticsearch_8", "elasticsearch_9"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A store of each kind with all records in it."""
    cluster = f"t{random.randrange(16**8):08x}"
    if request.param == "sqlite":
        path = str(tmp_path_factory.mktemp("queries") / "data")
        world = World(component("stores", "sqlite").Config(path=path), cluster, lambda: None)
        asyncio.run(_load(world))
        yield world
        return
    url = request.getfixturevalue(request.param)
    config = component("stores", "elasticsearch").Config(urls=[url], replicas=0)
    world = World(config, cluster, lambda: http("POST", f"{url}/*.{cluster}*/_refresh"))
    asyncio.run(_load(world))
    yield world
    for index in indices(url, cluster):
        http("DELETE", f"{url}/{index}")


async def _load(world: World) -> None:
    made = records()
    async with world.store() as store:
        assert await store.put(made) == [STORED] * len(made)
    world.settle()


def place(record: Document) -> tuple[int, str, int]:
    return to_ns(record["@timestamp"]), record["shipper.series"], record["event.sequence"]


@cache  # the same of every store
def expected(query: Query) -> list[tuple[int, str, int]]:
    return sorted(place(record) for record in DOCUMENTS if naive.asked(record, query))


async def differences(reader: Reader, group: str) -> list[str]:
    """What a store answers otherwise, one line each."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def ask(text: str, query: Query) -> str | None:
        async with turn:
            page = await reader.search(query)
        found, wanted = [place(record) for record in page.records], expected(query)
        if found == wanted and not page.incomplete:
            return None
        more, less = sorted(set(found) - set(wanted)), sorted(set(wanted) - set(found))
        return f"{text[:200]!a}: too many {more[:3]}, missing {less[:3]} of {len(wanted)} {page.incomplete}"

    asked = [ask(text, Query(where=tree, limit=1000, newest_first=False)) for text, tree in QUESTIONS[group]]
    return [said for said in await asyncio.gather(*asked) if said]


@pytest.mark.parametrize("group", QUESTIONS)
async def test_stores_answer_what_the_naive_evaluator_answers(loaded: World, group: str) -> None:
    async with loaded.reader() as reader:
        found = await differences(reader, group)
    assert not found, f"{len(found)} of {len(QUESTIONS[group])} differ:\n" + "\n".join(found)


@pytest.mark.parametrize("group", QUESTIONS)
def test_the_filter_of_the_tail_answers_the_same(group: str) -> None:
    for text, tree in QUESTIONS[group]:
        matches = matcher(tree)
        for record in DOCUMENTS:
            assert matches(record) is naive.matches(record, tree), f"{text!a}: {record}"


@pytest.mark.parametrize("group", QUESTIONS)
def test_questions_are_read_back_as_they_are_written(group: str) -> None:
    for text, tree in QUESTIONS[group]:
        written = write(tree)
        assert parse(written, NOON) == normalise(tree), f"{text!a}: {written!a}"


def test_most_questions_tell_records_apart() -> None:
    found = [sum(naive.matches(record, tree) for record in DOCUMENTS) for tree in _all_trees()]
    telling = sum(0 < count < len(DOCUMENTS) for count in found)
    assert telling > 0.75 * len(found)
    assert len(found) > 400


def _all_trees() -> list[Any]:
    return [tree for group in QUESTIONS.values() for _, tree in group]


async def test_an_expression_joins_the_other_parts_of_a_question(loaded: World) -> None:
    where = parse("status >= 400 or timed", NOON)
    asked = [
        Query(where=where, host="web-1", limit=1000, newest_first=False),
        Query(where=where, levels=("error", "warn"), limit=1000, newest_first=False),
        Query(where=where, phrases=(("out",),), limit=1000, newest_first=False),
        Query(where=where, request_id="req-1", start=NOON - 5000 * SECOND, limit=1000, newest_first=False),
        Query(where=Not(Equals("host.name", "web-1")), app="shop-api", end=NOON, limit=1000, newest_first=False),
    ]
    async with loaded.reader() as reader:
        for query in asked:
            page = await reader.search(query)
            assert [place(record) for record in page.records] == expected(query) != []


async def test_pages_join(loaded: World) -> None:
    query = Query(where=parse("not level:info", NOON), limit=37)
    found: list[tuple[int, str, int]] = []
    async with loaded.reader() as reader:
        for _ in range(12):
            page = await reader.search(query)
            found += [place(record) for record in page.records]
            if page.next is None:
                break
            query = replace(query, after=page.next)
    assert found == expected(replace(query, after=None))[::-1]


COUNTED = ("*", "timed", "level >= warn", "host:web-1 and not app:*", "time*", "labels.cart:*", "status >= 400 or out")
BY = (None, "log.level", "host.name", "service.name", "tags", "orchestrator.resource.name")


async def test_counts_over_time(loaded: World) -> None:
    async with loaded.reader() as reader:
        for text, by in itertools.product(COUNTED, BY):
            query = Query(where=parse(text, NOON))
            assert await reader.counts(query, BUCKETS, by) == naive.counts(DOCUMENTS, query, BUCKETS, by), (text, by)


async def test_counts_of_a_part_of_the_time(loaded: World) -> None:
    part = Buckets(NOON - 5000 * SECOND, NOON - 4000 * SECOND + 1, 60 * SECOND)
    queries = [
        Query(),
        Query(start=NOON - 4900 * SECOND + 7, end=NOON - 4500 * SECOND),
        Query(host="web-1", levels=("error", "info")),
        Query(app="shop-api", start=NOON - 4800 * SECOND, where=Everything()),
    ]
    async with loaded.reader() as reader:
        for query, by in itertools.product(queries, ("log.level", "service.name", None)):
            assert await reader.counts(query, part, by) == naive.counts(DOCUMENTS, query, part, by), (query, by)


async def test_top_values(loaded: World) -> None:
    fields = ("service.name", "log.level", "host.name", "tags", "http.response.status_code", "marathon.task.ports")
    async with loaded.reader() as reader:
        for text, field in itertools.product(COUNTED, fields):
            query = Query(where=parse(text, NOON), start=NOON - 6900 * SECOND)
            for limit in (2, 100):
                assert await reader.top(query, field, limit) == naive.top(DOCUMENTS, query, field, limit), (text, field)


async def test_neighbours(loaded: World) -> None:
    chance = random.Random(3)
    async with loaded.reader() as reader:
        for record in chance.sample(DOCUMENTS, 12):
            series, sequence = record["shipper.series"], record["event.sequence"]
            for where, one in itertools.product((Everything(), parse("host:web-1", NOON)), (True, False)):
                near = Around(series, sequence, to_ns(record["event.created"]), where, 5, 7, one_series=one)
                found, wanted = await reader.around(near), naive.around(DOCUMENTS, near)
                assert [list(map(place, side)) for side in (found.before, found.after)] == [
                    list(map(place, side)) for side in (wanted.before, wanted.after)
                ], near


async def test_neighbours_at_the_ends(loaded: World) -> None:
    ends = DOCUMENTS[0], DOCUMENTS[-1]
    async with loaded.reader() as reader:
        for record in ends:
            near = Around(
                record["shipper.series"], record["event.sequence"], to_ns(record["event.created"]), Everything(), 3, 0
            )
            found, wanted = await reader.around(near), naive.around(DOCUMENTS, near)
            assert list(map(place, found.before)) == list(map(place, wanted.before))
            assert found.after == []
