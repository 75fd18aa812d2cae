"""Counts over time, most frequent values and neighbours: the same from every store, and what was left out is said."""

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from shipper.errors import QueryError
from shipper.record import STORED, Record
from shipper.record.times import to_ns
from shipper.search.expression import And, Equals, Everything, Expression, Like, Not, Or, Present, Words
from shipper.search.query import Around, Buckets, Counts, Neighbours, Query, Top
from tests.contract.store_world import World
from tests.contract.test_stores import DAY_NS, NOON, SERIES, numbers, put_all, record

SECOND = 10**9
HOUR = 3600 * SECOND


def _mix(count: int, seed: int = 3) -> list[Record]:
    """Records of three days, some without app or level; the time of the app is not the time of the host."""
    chance = random.Random(seed)
    found = []
    for number in range(1, count + 1):
        at = NOON - chance.randrange(2 * DAY_NS)
        more: dict[str, Any] = {"tags": ["truncated", "json_invalid"][: chance.randrange(3)]}
        if chance.random() < 0.8:
            more["service__name"] = chance.choice(("shop", "shop-api", "Ä-shop", "mail"))
        if chance.random() < 0.8:
            more["http__response__status_code"] = chance.choice((200, 404, 500))
        message = chance.choice(("order accepted", "order refused"))
        found.append(record(number, message, at=at, host_time=at - chance.randrange(DAY_NS // 4), **more))
    return found


def _counted(records: Sequence[Record], buckets: Buckets, by: str | None) -> Counts:
    found: Counter[tuple[int, str]] = Counter()
    for one in records:
        at = to_ns(one.fields["@timestamp"])
        if not buckets.start <= at < buckets.end:
            continue
        values = [] if by is None else one.fields.get(by, [])
        for value in [values] if isinstance(values, str) else values or [""]:
            found[buckets.start + (at - buckets.start) // buckets.step * buckets.step, value] += 1
    return Counts(dict(found))


BUCKETS = {
    "hours": Buckets(NOON - DAY_NS, NOON, HOUR),
    "no whole number": Buckets(NOON - DAY_NS, NOON - HOUR, 7 * HOUR),
    "not at a round time": Buckets(NOON - DAY_NS + 17 * SECOND, NOON, 3601 * SECOND),
    "not at a millisecond": Buckets(NOON - DAY_NS + 17, NOON, 7 * HOUR + 3),
    "before all records": Buckets(NOON - 9 * DAY_NS, NOON - 8 * DAY_NS, HOUR),
    "one": Buckets(NOON - 9 * DAY_NS, NOON + DAY_NS, 20 * DAY_NS),
}


async def test_counts(world: World) -> None:
    batch = _mix(300)
    async with world.store() as store:
        await put_all(store, batch)
        world.settle()
        for by, name in itertools.product((None, "service.name", "tags", "labels.cart"), BUCKETS):
            buckets = BUCKETS[name]
            assert await store.counts(Query(), buckets, by) == _counted(batch, buckets, by), (by, name)


async def test_counts_of_what_matches(world: World) -> None:
    batch = _mix(200)
    buckets = Buckets(NOON - DAY_NS, NOON, HOUR)
    query = Query(
        start=NOON - 20 * HOUR - 5, end=NOON - 3 * HOUR + 5, app="shop", where=Words(("refused",), "refused"),
        limit=1, newest_first=False,
    )  # fmt: skip
    matching = [
        one
        for one in batch
        if NOON - 20 * HOUR - 5 <= to_ns(one.fields["@timestamp"]) < NOON - 3 * HOUR + 5
        and one.fields.get("service.name") == "shop"
        and one.fields["message"] == "order refused"
    ]
    async with world.store() as store:
        await put_all(store, batch)
        world.settle()
        assert await store.counts(query, buckets, None) == _counted(matching, buckets, None)
        assert matching


def _top(records: Sequence[Record], field: str, limit: int) -> Top:
    found: Counter[str] = Counter()
    without = 0
    for one in records:
        value = one.fields.get(field, [])
        values = value if isinstance(value, list) else [value]
        without += not values
        found.update(map(str, values))
    return Top(sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:limit], len(records), without)


async def test_top(world: World) -> None:
    batch = _mix(300)
    async with world.store() as store:
        await put_all(store, batch)
        world.settle()
        for field in ("service.name", "tags", "http.response.status_code"):
            for limit in (1, 2, 100):
                assert await store.top(Query(limit=1), field, limit) == _top(batch, field, limit)
            assert await store.top(Query(app="no such"), field, 10) == Top()


async def test_what_nothing_is_stored_for(world: World) -> None:
    async with world.reader() as reader:
        assert await reader.counts(Query(), BUCKETS["hours"], "log.level") == Counts()
        assert await reader.top(Query(), "log.level", 10) == Top()
        assert await reader.around(Around(SERIES, 1, NOON, Everything())) == Neighbours()


async def test_a_text_is_not_counted_by(world: World) -> None:
    async with world.reader() as reader:
        with pytest.raises(QueryError, match="message"):
            await reader.top(Query(), "message", 10)
        with pytest.raises(QueryError, match="error"):
            await reader.counts(Query(), BUCKETS["hours"], "error.message")


async def test_too_many_parts_of_time_are_said(world: World) -> None:
    buckets = Buckets(NOON - 3000 * SECOND, NOON + SECOND, SECOND)
    async with world.store() as store:
        await put_all(store, [record(1, at=NOON - 3000 * SECOND), record(2, at=NOON)])
        world.settle()
        found = await store.counts(Query(), buckets, None)
    assert found.counts[buckets.start, ""] == 1
    assert found.incomplete or found.counts[NOON, ""] == 1


def _stream() -> list[Record]:
    """Three classes of importance of one start, mixed; another start and another host write beside them."""
    found = []
    sequences = Counter[str]()
    for number in range(60):
        series = SERIES[:-1] + "nwf"[number * number % 3]
        for name in (series, "65614f3a9c1fn", "x" + SERIES):
            sequences[name] += 1
            at = NOON + number // 2 * 1000
            found.append(
                record(sequences[name], f"number {number}", series=name, at=at - number, host_time=at,
                       service__name=("shop", "mail")[number % 2])
            )  # fmt: skip
    return found


def _place(one: Record) -> tuple[str, str, int]:
    return one.fields["event.created"], one.series, one.sequence


def _told(records: Sequence[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(one["event.created"], one["shipper.series"], one["event.sequence"]) for one in records]


async def test_around(world: World) -> None:
    batch = _stream()
    async with world.store() as store:
        await put_all(store, batch)
        world.settle()
        wheres: list[Expression] = [Everything(), Equals("service.name", "shop")]
        for one_series, where in itertools.product((True, False), wheres):
            order = sorted(_place(one) for one in batch if _asked(one, where, one_series))
            for created, series, sequence in [place for place in order if place[1] == SERIES][::7]:
                at = order.index((created, series, sequence))
                for before, after in ((3, 5), (0, 2), (1000, 1000)):
                    asked = Around(series, sequence, to_ns(created), where, before, after, one_series)
                    found = await store.around(asked)
                    assert _told(found.before) == order[max(0, at - before) : at]
                    assert _told(found.after) == order[at + 1 : at + 1 + after]
                    assert found.incomplete == ()


def _asked(one: Record, where: Expression, one_series: bool) -> bool:
    mine = one.series == SERIES if one_series else one.series[:-1] == SERIES[:-1]
    return mine and (isinstance(where, Everything) or one.fields["service.name"] == "shop")


async def test_around_goes_over_midnight(world: World) -> None:
    midnight = NOON - DAY_NS // 2
    batch = [record(number, at=midnight + (number - 3) * SECOND) for number in range(1, 6)]
    async with world.store() as store:
        assert await store.put(batch) == [STORED] * 5
        world.settle()
        for one_series in (True, False):
            found = await store.around(Around(SERIES, 3, midnight, Everything(), 9, 9, one_series))
            assert [one["event.sequence"] for one in found.before] == [1, 2]
            assert [one["event.sequence"] for one in found.after] == [4, 5]


async def test_a_question_as_large_as_they_come(world: World) -> None:
    """64 parts, each of the most expensive kind, inside each other as deep as one may ask."""
    parts: list[Expression] = []
    for number in range(16):
        word = f"word{number}"
        parts += [Words((word,), word), Like(f"*{word}*", None), Not(Present("user.id")), Like(f"*{word}?", "url.path")]
    deep: Expression = Or(tuple(parts))
    for level in range(20):
        deep = (And, Or)[level % 2]((deep, Not(Equals("user.id", str(level)))))
    async with world.store() as store:
        await put_all(store, [record(1)])
        world.settle()
        assert len((await store.search(Query(where=deep))).records) == 1


async def test_a_pattern_that_is_too_much_is_told_or_answered(world: World) -> None:
    async with world.store() as store:
        await put_all(store, [record(1, "a" * 30, url__path="/" + "a" * 30)])
        world.settle()
        for field in ("message", "url.path"):
            with contextlib.suppress(QueryError):
                assert numbers(await store.search(Query(where=Like("*a" + "?" * 25, field)))) == [1]
