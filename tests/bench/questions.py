"""How fast questions about one day are answered: every kind many times, each time another one, against its target."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from shipper.api.story import tell
from shipper.record.levels import at_least
from shipper.search.query import Buckets, Query
from shipper.stores import Reader
from tests.bench import questions_store
from tests.bench.questions_corpus import APPS, DAY_NS, Day, rare_word, request_id

RECORDS = 200_000
STORES = ("sqlite", "elasticsearch")
#: Different questions of each kind; some more go before them and are not measured.
ASKED = 120
_WARM_UP = 12
_MINUTE_NS = 60 * 10**9

Ask = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question: `ask` answers the one of a number; the targets are milliseconds, by store."""

    name: str
    ask: Ask
    median: dict[str, int]
    p99: int | None = None


def measure_questions(records: int, stores: tuple[str, ...] = STORES) -> None:
    """Print one table per store that is to be had here."""
    start = (time.time_ns() // DAY_NS - 1) * DAY_NS
    for store in stores:
        with contextlib.ExitStack() as stack:
            try:
                found = stack.enter_context(questions_store.settings(store, records))
            except LookupError as error:
                print(f"{store}: not measured: {error}")
                continue
            asyncio.run(_measure(found, Day(start, records)))


async def _measure(found: dict[str, object], wanted: Day) -> None:
    async with questions_store.reader(found, wanted) as reader:
        await print_table(str(found["type"]), reader, wanted)


async def print_table(store: str, reader: Reader, wanted: Day) -> None:
    """Ask every question of every kind, one after the other, and print how long they took."""
    print(f"{'question':34} {'median ms':>10} {'p99 ms':>8} {'worst':>8}   target")
    for kind in kinds(reader, wanted):
        for number in range(ASKED, ASKED + _WARM_UP):
            await kind.ask(number)
        taken = sorted([await _milliseconds(kind.ask(number)) for number in range(ASKED)])
        median, p99 = taken[ASKED // 2], taken[ASKED * 99 // 100]
        target = kind.median[store]
        missed = median >= target or (kind.p99 is not None and p99 >= kind.p99)
        more = "" if kind.p99 is None else f", p99 < {kind.p99}"
        print(
            f"{kind.name:34} {median:10.1f} {p99:8.1f} {taken[-1]:8.1f}   median < {target}{more}"
            f"{'  MISSED' if missed else ''}",
            flush=True,
        )


async def _milliseconds(answer: Awaitable[object]) -> float:
    started = time.perf_counter()
    found = await answer
    taken = (time.perf_counter() - started) * 1000
    assert found, "nothing was found: this would measure nothing"
    return taken


def kinds(reader: Reader, wanted: Day) -> Iterator[Kind]:
    """Yield the kinds of questions; the numbers 0 to ASKED + _WARM_UP are all different questions."""
    step = wanted.requests // (ASKED + _WARM_UP) or 1

    async def newest(query: Query) -> object:
        page = await reader.search(query)
        assert not page.incomplete, page.incomplete
        return page.records

    def until(number: int) -> int:
        return wanted.end - number * _MINUTE_NS

    async def histogram(number: int) -> object:
        buckets = Buckets(wanted.start + number * _MINUTE_NS, wanted.end, DAY_NS // 60)
        found = await reader.counts(Query(), buckets, "log.level")
        assert not found.incomplete, found.incomplete
        return found.counts

    async def apps(number: int) -> object:
        query = Query(start=wanted.start + number * _MINUTE_NS, end=wanted.end)
        return (await reader.top(query, "service.name", 10)).values

    usual = dict.fromkeys(STORES, 100)
    yield Kind(
        "story of a request",
        lambda number: tell(reader, request_id(number * step % wanted.requests), wanted.end),
        {"sqlite": 50, "elasticsearch": 100},
        300,
    )
    yield Kind("newest 100", lambda number: newest(Query(end=until(number))), usual)
    yield Kind(
        "newest 100 of an app",
        lambda number: newest(Query(app=APPS[number % len(APPS)], end=until(number))),
        usual,
    )
    yield Kind(
        "newest 100, error and above",
        lambda number: newest(Query(levels=at_least("error"), end=until(number))),
        usual,
    )
    yield Kind(
        "rare word",
        lambda number: newest(Query(phrases=((rare_word(number % wanted.rare_words),),))),
        usual,
    )
    yield Kind("histogram of the day, by level", histogram, dict.fromkeys(STORES, 500))
    yield Kind("most frequent apps of the day", apps, dict.fromkeys(STORES, 500))
