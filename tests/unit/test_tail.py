"""The live tail over HTTP: what it shows, what it skips and says so, where it goes on, and how it ends."""

import asyncio
import socket
import time
from typing import Any

import pytest

from shipper.api import feed as feeds
from shipper.api import feed_response, tail, tail_buffer
from shipper.api.feed import Hub
from shipper.record.times import from_ns
from tests.unit.api_world import MemoryReader, busy, record
from tests.unit.tail_world import World, serving


async def test_records_come_as_they_are_stored_and_no_store_is_asked() -> None:
    reader = MemoryReader()
    async with serving(reader) as world, world.tail() as one, world.tail("?min_level=error&app=shop-api") as other:
        world.store(record(1), record(2, log__level="error"))
        world.store(record(3, log__level="fatal", service__name="else"), record(4, "last", log__level="critical"))
        assert (await one.until(4)).numbers == [1, 2, 3, 4]
        assert (await other.until(2)).numbers == [2, 4]
        shown = other.records[-1]
        assert shown["id"] == "65614f3a9c1en-0000000004"
        assert shown["message"] == "last"
        assert {action["name"] for action in shown["actions"]} >= {"siblings", "record"}
        assert one.answer.headers["Content-Type"].startswith("text/event-stream")
        assert one.answer.headers["Cache-Control"] == "no-cache"
        assert one.answer.headers["X-Accel-Buffering"] == "no"
    assert reader.asked == []


async def test_every_filter_and_words() -> None:
    async with serving(MemoryReader()) as world:
        async with world.tail("?text=%22timed+out%22&host=web-3&level=warn&level=error&request_id=r-1") as one:
            good = {"log__level": "warn", "http__request__id": "r-1"}
            world.store(
                record(1, "it timed out", **good),
                record(2, "out timed", **good),
                record(3, "it timed out", **{**good, "host__name": "web-4"}),
                record(4, "it timed out", **{**good, "log__level": "info"}),
                record(5, "it timed out", log__level="warn"),
                record(6, "Timed OUT again", **{**good, "log__level": "error"}),
            )
            assert (await one.until(2)).numbers == [1, 6]


async def test_the_language() -> None:
    async with serving(MemoryReader()) as world, world.tail("?query=level:(error+or+warn)+and+not+host:web-4") as one:
        world.store(
            record(1, log__level="error"),
            record(2, log__level="info"),
            record(3, log__level="warn", host__name="web-4"),
            record(4, log__level="warn"),
        )
        assert (await one.until(2)).numbers == [1, 4]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?start=1h", "'start': no such parameter; known: query, text, app"),
        ("?query=(((", "query: "),
        ("?back=1001", "back: a number from 0 to 1000"),
        ("?back=-1", "back: a number"),
        ("?last_event_id=x", "last_event_id: not one of ours"),
        ("?level=loud", "no such level"),
        ("?text=%20%2C", "no word"),
        ("?" + "app=" + "x" * 300, "app: "),
    ],
)
async def test_what_cannot_be_asked(query: str, told: str) -> None:
    async with serving(MemoryReader()) as world:
        status, said = await world.refused(query)
        assert (status, told in said) == (400, True), said


async def test_the_same_record_from_two_sources_comes_once() -> None:
    async with serving(MemoryReader()) as world, world.tail() as one:
        world.store(record(1), record(2))
        world.hub.post("a peer", [record(2), record(3)], world.hub.clock())
        world.store(record(4))
        assert (await one.until(4)).numbers == [1, 2, 3, 4]


async def test_the_last_records_first() -> None:
    reader = MemoryReader(*(record(n, at=time.time_ns() - (100 - n) * 10**9) for n in range(1, 9)))
    async with serving(reader) as world, world.tail("?back=3") as one:
        world.store(record(9))
        assert (await one.until(4)).numbers == [6, 7, 8, 9]


def ingested(number: int, seconds_ago: float) -> dict[str, Any]:
    at = time.time_ns() - int(seconds_ago * 10**9)
    return record(number, at=at, event__ingested=from_ns(at))


async def test_going_on_reads_what_was_stored_meanwhile_and_sends_nothing_twice() -> None:
    reader = MemoryReader(*(ingested(n, 100.5 - n) for n in range(1, 60)))
    async with serving(reader) as world:
        since = time.time_ns() - 50 * 10**9
        async with world.tail(**{"Last-Event-ID": f"{since}:65614f3a9c1en-0000000050"}) as one:
            world.store(record(59), record(60))  # the first of them was in the store already
            await one.until(13)
            assert one.numbers == [*range(48, 60), 60]  # those of the margin come again: their reader knows them
            assert one.last_id.partition(":")[0] > str(since)
        async with world.tail(f"?last_event_id={since}") as again:
            assert (await again.until(12)).numbers == list(range(48, 60))


async def test_a_connection_lost_before_anything_matched_goes_on_from_its_beginning() -> None:
    async with serving(MemoryReader()) as world, world.tail("?app=none") as one:
        began = int(one.last_id)
        assert abs(began - time.time_ns()) < 10 * 10**9


async def test_too_much_to_go_on_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_MOST_RESUMED", 5)
    reader = MemoryReader(*(ingested(n, 100.5 - n) for n in range(1, 60)))
    async with serving(reader) as world:
        async with world.tail(f"?last_event_id={time.time_ns() - 50 * 10**9}") as one:
            assert (await one.until(5)).numbers == list(range(55, 60))
            assert one.skipped == [{"count": 7, "reason": "more were stored than are sent at once"}]


async def test_after_more_than_a_day_it_begins_anew() -> None:
    async with serving(MemoryReader()) as world:
        async with world.tail("?last_event_id=5") as one:
            world.store(record(1))
            await one.until(1)
            assert "more than a day" in one.notes[0]


async def test_a_store_that_is_away_stops_no_new_tail_but_one_that_goes_on() -> None:
    async with serving(busy()) as world:
        assert (await world.refused(f"?last_event_id={time.time_ns()}"))[0] == 503
        async with world.tail() as one:
            world.store(record(1))
            assert (await one.until(1)).numbers == [1]
        await world.until(lambda: not world.hub._tails)


async def test_without_a_feed_one_question_to_the_store_serves_all() -> None:
    reader = MemoryReader()
    async with serving(reader, fed=False) as world:
        async with world.tail() as one, world.tail("?app=shop-api") as other, world.tail("?app=none") as none:
            reader.records += [ingested(1, 0.5), ingested(2, 0.2)]
            await asyncio.gather(one.until(2), other.until(2))
            asked = len(reader.asked)
            reader.records.append(ingested(3, 0))
            await asyncio.gather(one.until(3), other.until(3))
            assert one.numbers == other.numbers == [1, 2, 3]
            assert none.numbers == []
            assert len(reader.asked) - asked <= 10  # one each half second, whatever the number of tails
        before = len(reader.asked)
        await asyncio.sleep(0)
        assert len(reader.asked) == before


async def test_a_store_that_cannot_be_asked_is_told_and_nothing_is_lost() -> None:
    reader = busy()
    async with serving(reader, fed=False) as world, world.tail() as one:
        reader.records.append(ingested(1, 0))
        async with asyncio.timeout(20):
            while not one.notes:
                await one.event()
        assert "the store cannot be asked now" in one.notes[0]
        reader.error = None
        assert (await one.until(1)).numbers == [1]


async def test_a_slow_reader_is_told_what_it_missed_where_it_missed_it() -> None:
    waiting = tail_buffer.Tail(lambda _: True)
    for number in range(10):
        waiting.offer(str(number), b"x" * 100, 500)
    waiting.take(300)
    waiting.offer("10", b"y" * 100, 500)
    rest = waiting.take(10**6)
    assert rest == b"x" * 200 + tail_buffer.message("skipped", {"count": 5, "reason": tail_buffer.SLOW}) + b"y" * 100
    assert not waiting.ready.is_set()


async def test_one_record_that_is_larger_than_the_buffer_passes_when_it_is_alone() -> None:
    waiting = tail_buffer.Tail(lambda _: True)
    waiting.offer("1", b"x" * 1000, 500)
    waiting.offer("2", b"y", 500)
    assert waiting.take(10**6).startswith(b"x" * 1000 + b"event: skipped\n")


async def flood(world: World, count: int) -> None:
    """Store many records of 10 kB while nobody reads."""
    big = "x" * 10_000
    for start in range(0, count, 50):
        world.store(*(record(n, big, labels={"n": n}) for n in range(start, start + 50)))
        await asyncio.sleep(0.005)


async def test_a_reader_that_stands_still_costs_bounded_memory_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_response, "STALL_SECONDS", 1.0)
    async with serving(MemoryReader()) as world:
        with socket.create_connection(("127.0.0.1", int(world.url.rpartition(":")[2]))) as stalled:
            stalled.sendall(b"GET /api/v1/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await world.until(lambda: world.hub._tails)
            (open_tail,) = world.hub._tails
            async with world.tail("?text=other") as other:
                flooding = asyncio.create_task(flood(world, 2000))
                async with asyncio.timeout(20):
                    while world.hub._tails and open_tail in world.hub._tails:
                        assert open_tail._bytes <= feeds._MOST_BYTES
                        await asyncio.sleep(0.01)
                await flooding
                world.store(record(5000, "other"))
                assert (await other.until(1)).numbers == [5000]


async def test_as_many_tails_as_the_limit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MOST_TAILS", 2)
    async with serving(MemoryReader()) as world:
        async with world.tail(), world.tail():
            status, said = await world.refused("")
            assert (status, said[:21]) == (503, "2 live tails are open")
        await world.until(lambda: not world.hub._tails)
        async with world.tail():
            assert len(world.hub._tails) == 1


async def test_a_quiet_tail_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "HEARTBEAT_SECONDS", 0.05)
    async with serving(MemoryReader()) as world, world.tail() as one:
        first = one.last_id
        async with asyncio.timeout(20):
            while one.last_id == first:
                assert await one.event()
        assert one.comments > 1
        assert one.last_id > first


async def test_the_end_of_the_server_ends_it_with_a_word() -> None:
    async with serving(MemoryReader()) as world, world.tail() as one:
        world.store(record(1))
        await asyncio.sleep(0)
        world.hub.end("shipper is stopping")
        await one.to_the_end()
        assert (one.numbers, one.notes) == ([1], ["shipper is stopping"])
        assert (await world.refused(""))[0] == 503


async def test_a_bug_in_a_filter_ends_its_own_tail_only() -> None:
    async with serving(MemoryReader()) as world, world.tail() as good, world.tail("?app=x") as bad:
        broken = world.hub._tails[1]
        broken.matches = lambda found: bool(1 / 0)
        world.store(record(1))
        assert (await good.until(1)).numbers == [1]
        assert (await bad.to_the_end()).notes == ["a bug in shipper; its own log has the details"]


def test_more_than_can_be_looked_at_is_counted() -> None:
    hub = Hub(MemoryReader())
    hub.post("own", [b"{}"] * 20_000, 1)
    hub.post("own", [b"{}"] * 7, 2)
    assert (hub._posted_records, hub._lost) == (20_000, 7)


async def test_nothing_runs_while_nobody_tails() -> None:
    async with serving(MemoryReader()) as world:
        async with world.tail():
            assert world.feed._listeners
        await world.until(lambda: not world.feed._listeners and world.hub._running is None)
