"""One suite for every store: what is kept, what is found and in which order must not depend on the store."""

import base64
import dataclasses
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from shipper.record import DUPLICATE, STORED, DeadLetter, Fate, Outcome, Record, Repair
from shipper.record.times import day, from_ns, to_ns
from shipper.search.ledger import Entry
from shipper.search.query import Page, Place, Query
from shipper.search.words import parse_text, words
from shipper.stores import Store
from tests.contract.store_world import World

SERIES = "65614f3a9c1en"
DAY_NS = 86_400 * 10**9
#: Noon of today, so that neighbours in time are of the same day whenever the suite runs.
NOON = time.time_ns() // DAY_NS * DAY_NS + DAY_NS // 2


def record(
    sequence: int,
    message: str = "hello",
    *,
    series: str = SERIES,
    at: int = NOON,
    host_time: int | None = None,
    **more: Any,
) -> Record:
    """Return a record as parsers and enrichers leave it; `more` are fields, with "__" for a dot."""
    created = from_ns(at if host_time is None else host_time)
    made = Record(message.encode("utf-8", "surrogatepass"), at)
    made.series, made.sequence, made.host, made.host_time, made.day = series, sequence, "web-1", created, day(created)
    made.fields = {"@timestamp": from_ns(at), "message": message, "event.created": created, "host.name": "web-1"}
    made.fields |= {name.replace("__", "."): value for name, value in more.items()}
    return made


def numbers(page: Page) -> list[int]:
    return [found["event.sequence"] for found in page.records]


async def put_all(store: Store, records: Sequence[Record]) -> None:
    assert await store.put(records) == [STORED] * len(records)


async def test_what_is_stored_is_the_record_itself(world: World) -> None:
    at = NOON + 123_456_789
    sent = record(
        7, "checkout failed", at=at, log__level="error", labels={"a": {"b": ["c", 1, None]}, "x.y": "z"},
        tags=["truncated"], http__response__status_code=500, process__pid=2**40, service__name="shop-api",
    )  # fmt: skip
    async with world.store() as store:
        await put_all(store, [sent])
        world.settle()
        (found,) = (await store.search(Query())).records
    assert to_ns(found.pop("event.ingested")) <= time.time_ns()
    assert found.pop("shipper.series") == SERIES
    assert found.pop("event.sequence") == 7
    assert found == {
        "@timestamp": from_ns(at), "message": "checkout failed", "event.created": from_ns(at), "host.name": "web-1",
        "log.level": "error", "labels": {"a": {"b": ["c", 1, None]}, "x.y": "z"}, "tags": ["truncated"],
        "http.response.status_code": 500, "process.pid": 2**40, "service.name": "shop-api",
    }  # fmt: skip


async def test_same_record_twice_is_kept_once(world: World) -> None:
    async with world.store() as store:
        await put_all(store, [record(1), record(2)])
        assert await store.put([record(1), record(3), record(2)]) == [DUPLICATE, STORED, DUPLICATE]
        world.settle()
        assert numbers(await store.search(Query(newest_first=False))) == [1, 2, 3]


async def test_what_parsers_and_enrichers_found_does_not_make_it_another_record(world: World) -> None:
    raw = "Nov 22 23:48:34 shop[7]: hello"
    async with world.store() as store:
        await put_all(store, [record(1, raw)])
        better = record(1, "hello", event__original=raw, at=NOON - 5, host_time=NOON, service__name="known-now")
        assert await store.put([better]) == [DUPLICATE]


@pytest.mark.parametrize(
    "other",
    [
        record(1, "other text"),
        record(1, host_time=NOON + 1000),
        record(1, host__name="web-2"),
        record(1, event__original="other"),
        record(1, shipper__original_base64="aGVsbG//"),
    ],
    ids=["text", "host time", "host", "original", "bytes"],
)
async def test_a_different_record_under_a_known_id_is_not_swallowed(world: World, other: Record) -> None:
    async with world.store() as store:
        await put_all(store, [record(1)])
        (outcome,) = await store.put([other])
        world.settle()
        (found,) = (await store.search(Query())).records
    assert outcome.fate is Fate.REJECTED
    assert outcome.reason.startswith("id collision")
    assert found["message"] == "hello"


async def test_twins_inside_one_batch(world: World) -> None:
    async with world.store() as store:
        outcomes = await store.put([record(1), record(1), record(2), record(1, "different")])
        world.settle()
        assert sorted(numbers(await store.search(Query()))) == [1, 2]
    assert outcomes[:3] == [STORED, DUPLICATE, STORED]
    assert outcomes[3].reason.startswith("id collision")


async def test_days_of_one_batch_and_their_duplicates(world: World) -> None:
    batch = [record(n, at=NOON - (n % 3) * DAY_NS) for n in range(1, 10)]
    async with world.store() as store:
        await put_all(store, batch)
        again = [record(n, at=NOON - (n % 3) * DAY_NS) for n in range(1, 11)]
        assert await store.put(again) == [DUPLICATE] * 9 + [STORED]
        world.settle()
        assert len((await store.search(Query())).records) == 10


def _poison() -> dict[str, Record]:
    deep: Any = "x"
    for _ in range(300):
        deep = {"a": deep}
    no_time = record(2)
    del no_time.fields["@timestamp"]
    several_times = record(2)
    several_times.fields["@timestamp"] = [several_times.fields["@timestamp"]] * 2
    return {
        "no time": no_time,
        "several times": several_times,
        "too deep": record(2, labels=deep),
        "not JSON": record(2, labels={"a": object()}),
        "lone surrogate": record(2, "half \ud800 a pair"),
        "number too large": record(2, process__pid=2**70),
    }


@pytest.mark.parametrize("poison", _poison().values(), ids=_poison().keys())
async def test_a_record_that_cannot_be_written_hurts_only_itself(world: World, poison: Record) -> None:
    async with world.store() as store:
        outcomes = await store.put([record(1), poison, record(3), record(1)])
        world.settle()
        assert sorted(numbers(await store.search(Query()))) == [1, 3]
    assert [outcomes[0], *outcomes[2:]] == [STORED, STORED, DUPLICATE]
    assert outcomes[1].fate is Fate.REJECTED
    assert outcomes[1].reason.startswith("bug: ")


async def test_an_empty_batch(world: World) -> None:
    async with world.store() as store:
        assert await store.put([]) == []
        await store.put_ledger([])
        await store.put_dead_letters([])


async def test_a_reader_without_data(world: World) -> None:
    async with world.reader() as reader:
        assert await reader.search(Query(app="shop-api", phrases=(("hello",),))) == Page()
        assert await reader.dead_letters(10) == []
        assert await reader.ledger() == []
        assert await reader.present(SERIES, (1, 10)) == []
        assert await reader.healthy() is None


async def test_reopened_it_is_still_there(world: World) -> None:
    async with world.store() as store:
        await put_all(store, [record(1), record(2)])
        await store.put_ledger([_entry("a", 1, 2)])
        assert await store.healthy() is None
    world.settle()
    async with world.reader() as reader:
        assert sorted(numbers(await reader.search(Query()))) == [1, 2]
        assert await reader.ledger() == [_entry("a", 1, 2)]
    async with world.store() as store:
        assert await store.put([record(2), record(3)]) == [DUPLICATE, STORED]


async def test_a_reader_beside_the_writer(world: World) -> None:
    async with world.store() as store, world.reader() as reader:
        for number in range(1, 4):
            await put_all(store, [record(number)])
            world.settle()
            assert len((await reader.search(Query())).records) == number


FOUND = [
    ("timed_out", "request timed_out after 3 s", True),
    ("timed", "request timed_out after 3 s", False),
    ("TIMED_OUT", "request timed_out after 3 s", True),
    ("com.shop.Cart", "at com.shop.Cart.add", False),
    ("com.shop.Cart.add", "at com.shop.Cart.add(Cart.java:7)", True),
    ("com.shop.cart", "in com.shop.Cart, then", True),
    ("10.0.0.1", "from 10.0.0.1:443", True),
    ("10.0.0", "from 10.0.0.1:443", False),
    ("Ä", "Ärger mit ä", True),
    ("A", "Ärger mit ä", False),
    ("ä", "nur Ä hier", True),
    ("connection refused", "refused: the connection", True),
    ('"connection refused"', "refused: the connection", False),
    ('"connection refused"', "Connection (refused)", True),
    ("status=500", "status=500", True),
    ("status=500", "500 is no status", False),
    ("Cart", "Cartwheel", False),
    ("wheel", "Cartwheel", False),
    ("it's", "it's gone", True),
    ("it", "it's gone", False),
    ("日", "日本語", True),
    ("日本", "日本語", True),
    ("本日", "日本語", False),
    ("😀", "done 😀!", True),
    ("e\u0301", "caf e\u0301", True),
    ("AND", "salt and pepper", True),
    ('x"y', "x y", True),
    ("a*", "abc", False),
    ("shop:Cart", "shop:Cart", True),
]


async def test_words(world: World) -> None:
    async with world.store() as store:
        await put_all(
            store, [record(n, message, http__request__id=f"r-{n}") for n, (_, message, _) in enumerate(FOUND, 1)]
        )
        world.settle()
        for number, (question, message, expected) in enumerate(FOUND, 1):
            query = Query(phrases=parse_text(question), request_id=f"r-{number}")
            assert bool(numbers(await store.search(query))) is expected, f"{question} in {message}"


async def test_every_ascii_character_in_a_message(world: World) -> None:
    messages = [f"left{chr(code)}right" for code in range(128)]
    async with world.store() as store:
        await put_all(store, [record(number, message) for number, message in enumerate(messages, 1)])
        world.settle()
        for number, message in enumerate(messages, 1):
            found = numbers(await store.search(Query(phrases=(tuple(words(message)),), limit=1000)))
            expected = [n for n, other in enumerate(messages, 1) if _has_phrase(words(other), tuple(words(message)))]
            assert sorted(found) == expected, message
            assert number in found


async def test_long_words_are_cut_alike(world: World) -> None:
    text = "a" * 300 + " " + "b" * 255 + " " + "c" * 1000
    async with world.store() as store:
        await put_all(store, [record(1, text), record(2, "a" * 255)])
        world.settle()
        assert numbers(await store.search(Query(phrases=parse_text("a" * 300)))) == [1]
        assert numbers(await store.search(Query(phrases=(tuple(words(text)),)))) == [1]
        assert sorted(numbers(await store.search(Query(phrases=(("a" * 255,),))))) == [1, 2]


async def test_filters(world: World) -> None:
    fields: list[dict[str, Any]] = [
        {"service__name": "shop-api", "log__level": "error", "http__request__id": "r-1"},
        {"service__name": "shop-api", "log__level": "info", "host__name": "web-2"},
        {"service__name": "shop", "log__level": "warn", "http__request__id": "r-1"},
        {},
    ]
    async with world.store() as store:
        await put_all(store, [record(n, at=NOON + n, **more) for n, more in enumerate(fields, 1)])
        world.settle()
        questions: list[tuple[Query, list[int]]] = [
            (Query(app="shop-api"), [2, 1]),
            (Query(app="sho"), []),
            (Query(host="web-2"), [2]),
            (Query(levels=("error", "warn")), [3, 1]),
            (Query(request_id="r-1"), [3, 1]),
            (Query(request_id="R-1"), []),
            (Query(request_id="r-1", app="shop"), [3]),
            (Query(start=NOON + 2), [4, 3, 2]),
            (Query(end=NOON + 2), [1]),
            (Query(start=NOON + 2, end=NOON + 4), [3, 2]),
            (Query(start=-5, end=2**70), [4, 3, 2, 1]),
            (Query(end=-5), []),
            (Query(app="x" * 40_000), []),
        ]
        for question, expected in questions:
            assert numbers(await store.search(question)) == expected, question


async def test_order_to_the_nanosecond_then_series_then_sequence(world: World) -> None:
    places = [(NOON + 1, "b1w", 2), (NOON, "b1w", 1), (NOON + 1, "b1n", 10), (NOON + 1, "b1n", 9), (NOON + 2, "a1n", 1)]
    async with world.store() as store:
        await put_all(store, [record(number, series=series, at=at) for at, series, number in places])
        world.settle()
        upwards = (await store.search(Query(newest_first=False))).records
        downwards = (await store.search(Query())).records
    found = [(to_ns(r["@timestamp"]), r["shipper.series"], r["event.sequence"]) for r in upwards]
    assert found == sorted(places)
    assert downwards == upwards[::-1]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_show_every_record_exactly_once(world: World, newest_first: bool) -> None:
    chance = random.Random(5)
    batch = []
    for number in range(1, 201):
        at = NOON + chance.randrange(4)
        batch.append(
            record(number, at=at, host_time=NOON - chance.randrange(3) * DAY_NS, series=chance.choice("ab") * 6)
        )
    expected = sorted((_place(one) for one in batch), reverse=newest_first)
    async with world.store() as store:
        await put_all(store, batch)
        world.settle()
        for limit in (1, 7, 100, 199, 200, 201):
            found: list[tuple[int, str, int]] = []
            after: Place | None = None
            while True:
                page = await store.search(Query(limit=limit, newest_first=newest_first, after=after))
                assert len(page.records) <= limit
                found += [(to_ns(r["@timestamp"]), r["shipper.series"], r["event.sequence"]) for r in page.records]
                after = page.next
                if after is None:
                    break
                if limit == 1 and len(found) == 20:
                    break
            assert found == expected[: len(found)]
            assert len(found) == (20 if limit == 1 else 200)


def _place(one: Record) -> tuple[int, str, int]:
    return to_ns(one.fields["@timestamp"]), one.series, one.sequence


async def test_an_application_time_far_from_the_host_time_is_found_in_order(world: World) -> None:
    async with world.store() as store:
        await put_all(
            store,
            [
                record(1, at=NOON - 10 * DAY_NS, host_time=NOON),
                record(2, at=NOON + 2 * DAY_NS, host_time=NOON - DAY_NS),
                record(3, at=NOON),
            ],
        )
        world.settle()
        assert numbers(await store.search(Query())) == [2, 3, 1]
        assert numbers(await store.search(Query(limit=1))) == [2]
        assert numbers(await store.search(Query(start=NOON + DAY_NS))) == [2]
        assert numbers(await store.search(Query(end=NOON - DAY_NS))) == [1]


VOCABULARY = ["error", "timed_out", "retry", "10.0.0.1", "com.shop.Cart", "order", "Ä", "42", "ok"]


def _corpus(chance: random.Random) -> list[Record]:
    batch = []
    for number in range(1, 301):
        more: dict[str, Any] = {"log__level": chance.choice(["info", "warn", "error"])}
        if chance.random() < 0.8:
            more["service__name"] = chance.choice(["shop", "shop-api", "cart"])
        if chance.random() < 0.5:
            more["http__request__id"] = chance.choice(["r-1", "r-2", "r-3"])
        more["host__name"] = chance.choice(["web-1", "web-2"])
        message = " ".join(chance.choices(VOCABULARY, k=chance.randrange(6)))
        at = NOON + chance.randrange(-3, 3) * 3600 * 10**9 + chance.randrange(3)
        host_time = NOON - chance.randrange(3) * DAY_NS
        batch.append(record(number, message, at=at, host_time=host_time, series=chance.choice(["a1", "a2"]), **more))
    return batch


def _query(chance: random.Random, batch: Sequence[Record]) -> Query:
    def maybe(share: float, value: Callable[[], Any]) -> Any:
        return value() if chance.random() < share else None

    times = sorted(chance.choice(batch).fields["@timestamp"] for _ in range(2))
    phrases = tuple(tuple(words(" ".join(chance.choices(VOCABULARY, k=chance.choice([1, 1, 2]))))) for _ in range(2))
    return Query(
        start=maybe(0.3, lambda: to_ns(times[0])),
        end=maybe(0.3, lambda: to_ns(times[1])),
        app=maybe(0.3, lambda: chance.choice(["shop", "shop-api", "none"])),
        host=maybe(0.2, lambda: "web-2"),
        levels=maybe(0.3, lambda: tuple(chance.sample(["info", "warn", "error"], 2))) or (),
        request_id=maybe(0.2, lambda: "r-1"),
        phrases=phrases[: chance.choice([0, 0, 1, 2])],
        after=maybe(0.3, lambda: Place(*_place(chance.choice(batch)))),
        limit=chance.choice([1, 5, 50, 1000]),
        newest_first=chance.random() < 0.5,
    )


def _has_phrase(text: Sequence[str], phrase: tuple[str, ...]) -> bool:
    return any(tuple(text[at : at + len(phrase)]) == phrase for at in range(len(text)))


def _matches(one: Record, query: Query) -> bool:
    fields = one.fields
    at = to_ns(fields["@timestamp"])
    text = words(fields["message"])
    after = (query.after.timestamp, query.after.series, query.after.sequence) if query.after else None
    return (
        (query.start is None or at >= query.start)
        and (query.end is None or at < query.end)
        and query.app in (None, fields.get("service.name"))
        and query.host in (None, fields.get("host.name"))
        and (not query.levels or fields.get("log.level") in query.levels)
        and query.request_id in (None, fields.get("http.request.id"))
        and all(_has_phrase(text, phrase) for phrase in query.phrases)
        and (after is None or (_place(one) < after if query.newest_first else _place(one) > after))
    )


def naive(batch: Iterable[Record], query: Query) -> tuple[list[tuple[int, str, int]], Place | None]:
    """Answer a query as its definition says, slowly."""
    found = sorted((_place(one) for one in batch if _matches(one, query)), reverse=query.newest_first)
    shown = found[: query.limit]
    return shown, Place(*shown[-1]) if len(found) > query.limit else None


async def test_generated_questions_have_the_answer_of_the_naive_evaluator(world: World) -> None:
    chance = random.Random(11)
    batch = _corpus(chance)
    async with world.store() as store:
        await put_all(store, batch)
        world.settle()
        answered = 0
        for _ in range(200):
            query = _query(chance, batch)
            page = await store.search(query)
            found = [(to_ns(r["@timestamp"]), r["shipper.series"], r["event.sequence"]) for r in page.records]
            assert (found, page.next) == naive(batch, query), query
            assert page.incomplete == ()
            answered += bool(found)
    assert answered > 50


def _entry(name: str, first: int, last: int, host: str = "web-1", fate: str = "stored", series: str = SERIES) -> Entry:
    return Entry(f"{name}-{first}", host, series, fate, first, last, last - first + 1, NOON, NOON + last)


async def test_ledger_entries_replace_those_of_the_same_id(world: World) -> None:
    async with world.store() as store:
        await store.put_ledger(
            [_entry("a", 1, 10), _entry("b", 5, 7, fate="discarded:debug"), _entry("a", 1, 2, "web-2")]
        )
        await store.put_ledger([_entry("a", 1, 2, "web-2"), _entry("c", 11, 12)])
        world.settle()
        entries = await store.ledger()
        assert [(e.host, e.first, e.last, e.fate) for e in entries] == [
            ("web-1", 5, 7, "discarded:debug"), ("web-1", 11, 12, "stored"), ("web-2", 1, 2, "stored"),
        ]  # fmt: skip
        assert await store.ledger("web-1") == [_entry("b", 5, 7, fate="discarded:debug"), _entry("c", 11, 12)]
        assert await store.ledger("web-9") == []
        assert await store.ledger("web-9", "web-2", "web-1") == entries


async def test_many_ledger_entries(world: World) -> None:
    entries = [_entry(f"e{n:05d}", n, n, series=f"s{n % 7}aaaaa") for n in range(1, 10_501)]
    async with world.store() as store:
        await store.put_ledger(entries[:6000])
        await store.put_ledger(entries[6000:])
        world.settle()
        assert await store.ledger() == sorted(entries, key=lambda entry: (entry.host, entry.series, entry.first))


async def test_present(world: World) -> None:
    async with world.store() as store:
        kept = [record(n, at=NOON - (n % 2) * DAY_NS) for n in (1, 2, 3, 7, 8, 20)]
        await put_all(store, [*kept, record(5, series="other1")])
        world.settle()
        assert await store.present(SERIES, (1, 100)) == [(1, 3), (7, 8), (20, 20)]
        assert await store.present(SERIES, (2, 7)) == [(2, 3), (7, 7)]
        assert await store.present(SERIES, (9, 19)) == []
        assert await store.present("nobody", (1, 100)) == []
        limited = await store.present(SERIES, (1, 100), limit=2)
        assert sum(last - first + 1 for first, last in limited) == 2


def _letter(number: int, payload: bytes = b"bad \x00 bytes", **more: Any) -> DeadLetter:
    letter = DeadLetter(
        f"{SERIES}-{number:010d}-abcdef", day(from_ns(NOON)), SERIES, number, "web-1", "rejected", "too deep", payload,
        NOON + number,
    )  # fmt: skip
    return dataclasses.replace(letter, **more)


async def test_dead_letters_newest_first(world: World) -> None:
    async with world.store() as store:
        await store.put_dead_letters([_letter(1), _letter(2, b"\xff\xfe<14>"), _letter(3, day="")])
        await store.put_dead_letters([_letter(1), _letter(4)])
        world.settle()
        letters = await store.dead_letters(3)
        assert [letter["sequence"] for letter in letters] == [4, 3, 2]
        assert len(await store.dead_letters(100)) == 4
    newest = {
        "id": f"{SERIES}-0000000004-abcdef", "day": day(from_ns(NOON)), "series": SERIES, "sequence": 4,
        "host": "web-1", "reason": "rejected", "detail": "too deep", "original": "bad \x00 bytes",
        "received_at": from_ns(NOON + 4),
    }  # fmt: skip
    assert letters[0] == newest
    assert letters[2]["original"] == "\ufffd\ufffd<14>"
    assert base64.b64decode(letters[2]["original_base64"]) == b"\xff\xfe<14>"


async def test_outcomes_are_in_the_order_of_the_batch(world: World) -> None:
    async with world.store() as store:
        await put_all(store, [record(n) for n in range(1, 2000, 3)])
        outcomes = await store.put([record(n) for n in range(1, 2001)])
    expected: list[Outcome] = [DUPLICATE if n % 3 == 1 else STORED for n in range(1, 2001)]
    assert outcomes == expected


async def test_a_stored_record_gets_the_fields_of_a_task_that_became_known_late(world: World) -> None:
    known = {
        "service.name": "shop",
        "marathon.labels": {"team": "a", "a.b": "c"},
        "marathon.task.ports": [31001, 31002],
    }
    async with world.store() as store:
        await put_all(store, [record(1, "first words", service__name="tag", labels={"a": 2**60}), record(2)])
        world.settle()
        (before,) = (await store.search(Query(phrases=(("first", "words"),)))).records
        repair = Repair(SERIES, 1, day(from_ns(NOON)), {**known, "shipper.enriched_by": "late"})
        await store.repair([repair])
        await store.repair([repair])
        world.settle()
        assert await store.put([record(1, "first words")]) == [DUPLICATE]
        (found,) = (await store.search(Query(phrases=(("first", "words"),)))).records
        assert found == {**before, **known, "shipper.enriched_by": "late"}
        assert numbers(await store.search(Query(app="shop"))) == [1]
        assert numbers(await store.search(Query(app="tag"))) == []
        assert sorted(numbers(await store.search(Query()))) == [1, 2]


async def test_what_is_not_stored_is_not_repaired_and_nothing_is_made_for_it(world: World) -> None:
    other_day = day(from_ns(NOON - 3 * DAY_NS))
    async with world.store() as store:
        await put_all(store, [record(1)])
        await store.repair([])
        await store.repair(
            [Repair(SERIES, n, at, {"service.name": "shop"}) for n, at in ((1, other_day), (2, day(from_ns(NOON))))]
        )
        await store.repair([Repair(SERIES, 1, day(from_ns(NOON)), {"service.name": "shop"})])
        world.settle()
        assert numbers(await store.search(Query(app="shop"))) == [1]
        assert numbers(await store.search(Query())) == [1]
        assert await store.put([record(1, at=NOON - 3 * DAY_NS)]) == [STORED]
