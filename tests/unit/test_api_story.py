"""A request's story and the ledger behind it: what is told, what may be missing, which holes matter."""

import asyncio
from typing import Any

import httpx
import pytest

from shipper.api import story as stories
from shipper.api import story_usual
from shipper.api.access.scoped import Scoped, Used
from shipper.api.accounts import books
from shipper.api.shown import duration, offset
from shipper.errors import StoreBusy
from shipper.record.times import from_ns, to_ns
from shipper.search import kql
from shipper.search.expression import Equals, Not
from shipper.search.holes import Kind
from shipper.search.ledger import Entry
from shipper.search.query import Page, Query
from tests.unit.api_world import NOW, SECOND, MemoryReader, entry, record, request_story
from tests.unit.test_api_records import connect

HOUR = 3600 * SECOND


@pytest.fixture
def reader() -> MemoryReader:
    return MemoryReader(*request_story("r-1"), record(1, "of another request", http__request__id="r-2"))


async def tell(reader: MemoryReader, request_id: str = "r-1") -> httpx.Response:
    async with connect(reader) as client:
        return await client.get(f"/api/v1/requests/{request_id}")


async def test_the_story(reader: MemoryReader) -> None:
    told = (await tell(reader)).json()
    assert [found["event.sequence"] for found in told["records"]] == list(range(1, 12))
    assert [found["name"] for found in told["services"]] == [
        "edge-haproxy", "shop-web", "shop-api", "shop-payment", "shop-mail",
    ]  # fmt: skip
    assert told["services"][2] == {
        "name": "shop-api",
        "first": "2026-11-22T14:20:00.004000Z",
        "last": "2026-11-22T14:20:04.022300Z",
        "count": 3,
        "errors": 1,
        "worst_level": "error",
        "hosts": ["web-4"],
        "lane": 2,
        "offset_ns": 4_000_000,
        "duration_ns": 4_018_300_000,
        "status": None,
        "clock_shift_ns": 0,
    }
    assert [(hop["from"], hop["to"], hop["how"]) for hop in told["hops"]] == [
        ("edge-haproxy", "shop-web", "time"), ("shop-web", "shop-api", "time"), ("shop-api", "shop-payment", "time"),
        ("edge-haproxy", "shop-mail", "time"),
    ]  # fmt: skip
    assert (told["began"], told["duration_ns"]) == ("2026-11-22T14:20:00.000000Z", 4_090_000_000)
    assert told["entry"] == {"service": "edge-haproxy", "method": None, "path": None, "status": None}
    assert not any("shown_time" in found for found in told["records"])
    assert told["first_error"]["message"] == "charge failed: upstream timed out"
    assert (told["complete"], told["cut"], told["incomplete"], told["holes"]) == (True, False, [], [])


async def test_nobody_knows_the_request(reader: MemoryReader) -> None:
    answer = await tell(reader, "r-3")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "no record carries the request id r-3"


@pytest.mark.parametrize("request_id", ["a%0d%0aSet-Cookie:x", "%00", "-", "null", "a" * 129, "%3Cscript%3E", "a%20b"])
async def test_what_is_no_request_id(reader: MemoryReader, request_id: str) -> None:
    answer = await tell(reader, request_id)
    assert answer.status_code in (400, 404)
    assert "set-cookie" not in answer.headers
    assert not reader.asked


async def test_a_hole_that_can_concern_it(reader: MemoryReader) -> None:
    reader.entries = [
        entry("web3n", 1, 40, started_at=NOW - HOUR, updated_at=NOW - 660 * SECOND),
        entry("web3n", 53, 60, started_at=NOW - 500 * SECOND),
        entry("db1n", 2, 9, host="db-1"),  # a host that has no part in it
    ]
    told = (await tell(reader)).json()
    assert not told["complete"]
    missing = "12 records of host web-3 missing (numbers 41 to 52 of series web3n)"
    assert told["incomplete"] == [f"{missing}: may still come: it may be on its way"]
    assert told["holes"] == [
        {
            "host": "web-3", "series": "web3n", "first": 41, "last": 52, "missing": 12,
            "since": "2026-11-22T14:19:00.000000Z", "until": "2026-11-22T14:21:40.000000Z", "kind": "late",
            "kinds": {"late": 12}, "reason": "may still come: it may be on its way", "late": True,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "concerned"),
    [
        (NOW - 100 * HOUR, NOW - 99 * HOUR, False),  # filled up to long before it began
        (NOW - 2 * HOUR, NOW - HOUR, False),
        (NOW - 2 * HOUR, NOW, True),
        (NOW - 2 * HOUR, NOW - 601 * SECOND, True),  # clocks differ by minutes
        (NOW - 20 * SECOND, NOW, True),  # settled late: its records may have waited on the host
    ],
)
async def test_which_holes_concern_a_request(reader: MemoryReader, before: int, after: int, concerned: bool) -> None:
    reader.entries = [entry("web3n", 1, 40, started_at=before), entry("web3n", 50, 60, started_at=after)]
    assert (await tell(reader)).json()["complete"] is not concerned


async def test_an_incomplete_search_is_an_incomplete_story(reader: MemoryReader) -> None:
    reader.incomplete = ("day lost",)
    told = (await tell(reader)).json()
    assert (told["complete"], told["incomplete"]) == (False, ["day lost"])


async def test_a_long_story_is_cut_and_says_so(reader: MemoryReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories, "MOST_RECORDS", 4)
    monkeypatch.setattr(stories, "_PAGE", 3)
    told = (await tell(reader)).json()
    assert len(told["records"]) == 4
    assert (told["cut"], told["complete"]) == (True, False)
    assert told["incomplete"] == ["the request has more than 4 records; only the first 4 are told"]
    assert told["first_error"]["message"] == "charge failed: upstream timed out"  # although it comes later
    assert told["verdict"] == {"state": "incomplete", "reasons": told["incomplete"]}


def visit(number: int, request_id: str, minutes: int, *services: str, **fields: Any) -> list[dict[str, Any]]:
    """Records of one request for an order, some minutes ago: an answered entry, then the other services."""
    made = []
    for place, service in enumerate(("edge", *services)):
        said = {"http__request__id": request_id, "service__name": service, "host__name": f"host-{service}", **fields}
        if service == "edge":
            said |= {
                "http__request__method": "GET",
                "url__path": f"/orders/{number}",
                "http__response__status_code": 200,
            }
        at = NOW - minutes * 60 * SECOND + place * 1_000_000
        made.append(record(100 * number + place, f"{service} says", at=at, series=f"{service}n", **said))
    return made


def visits(count: int, *services: str, **fields: Any) -> list[dict[str, Any]]:
    """Earlier requests."""
    return [
        one for number in range(count) for one in visit(number, f"before-{number}", 90 - number, *services, **fields)
    ]


async def test_who_usually_takes_part_is_learned_from_earlier_requests() -> None:
    reader = MemoryReader(*visits(30, "orders", "mail"), *visit(50, "r-1", 5, "orders"))
    told = (await tell(reader)).json()
    why = "mail took part in 25 of 25 earlier requests like this one and has no record here"
    assert told["silent"] == [{"service": "mail", "share": 1.0, "of": 25, "explained": False, "why": why}]
    assert told["verdict"] == {"state": "possibly incomplete", "reasons": [why]}
    assert told["complete"] is False


async def test_a_hole_where_the_silent_service_runs() -> None:
    reader = MemoryReader(*visits(30, "orders", "mail"), *visit(50, "r-1", 5, "orders"))
    reader.entries = [
        entry("m1n", first, last, host="host-mail", started_at=NOW - 400 * SECOND) for first, last in ((1, 4), (7, 9))
    ]
    told = (await tell(reader)).json()
    assert [hole["host"] for hole in told["holes"]] == ["host-mail"]
    assert told["verdict"]["state"] == "incomplete"
    assert "where mail runs, which is silent here" in told["verdict"]["reasons"][0]


class _AwayAtTheEnd(MemoryReader):
    """A store that goes away when it is asked where a silent service runs."""

    async def search(self, query: Query) -> Page:
        if query.app == "mail":
            raise StoreBusy("connection refused")
        return await super().search(query)


async def test_a_store_that_goes_away_takes_only_what_was_not_yet_told() -> None:
    reader = _AwayAtTheEnd(*visits(30, "orders", "mail"), *visit(50, "r-1", 5, "orders"))
    told = (await tell(reader)).json()
    assert (len(told["records"]), [one["service"] for one in told["silent"]]) == (2, ["mail"])
    assert told["verdict"]["state"] == "possibly incomplete"
    assert "the ledger could not be read: connection refused" in told["verdict"]["reasons"]


async def test_stories_of_one_entry_point_learn_once_a_minute_but_never_from_themselves() -> None:
    found = [*visits(6, "orders", "mail"), *visit(50, "r-1", 5, "orders"), *visit(51, "r-2", 5, "orders", "mail")]
    reader = MemoryReader(*found)
    first = (await tell(reader)).json()
    asked = len(reader.asked)
    second = (await tell(reader, "r-2")).json()
    assert len(reader.asked) - asked == 1  # its records, and nothing else
    assert ([one["of"] for one in first["silent"]], second["silent"]) == ([6], [])


async def test_what_a_caller_may_not_see_is_not_named_although_another_was_told() -> None:
    reader = MemoryReader(*visits(30, "orders", "secret"), *visit(50, "r-1", 5, "orders"))
    narrow = Scoped(reader, Not(Equals("service.name", "secret")), Used(lambda _: None))
    for asking, silent in ((reader, ["secret"]), (narrow, []), (reader, ["secret"])):
        told = await stories.tell(asking, "r-1", NOW)
        assert told is not None
        assert [one.service for one in told.silent] == silent


async def test_too_many_records_of_earlier_requests_are_counted_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story_usual, "_PAGE", 20)
    reader = MemoryReader(*visits(30, "orders", "mail"), *visit(50, "r-1", 5, "orders"))
    assert [(one["service"], one["of"]) for one in (await tell(reader)).json()["silent"]] == [("mail", 12)]


async def test_earlier_requests_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story_usual, "_SECONDS", 0.0)
    reader = Slow(*visits(30, "orders", "mail"), *visit(50, "r-1", 5, "orders"))
    told = await stories.tell(reader, "r-1", NOW)
    assert told is not None
    reason = "who usually takes part could not be learned: the store took too long"
    assert (told.verdict.state, told.verdict.reasons) == ("possibly incomplete", [reason])


class Slow(MemoryReader):
    """A store that never finds earlier requests."""

    async def search(self, query: Query) -> Page:
        if query.app is not None:
            await asyncio.Event().wait()
        return await super().search(query)


async def test_a_request_on_its_way_misses_nobody() -> None:
    going = [one | {"http.response.status_code": None} for one in visit(50, "r-1", 0, "orders")]
    told = (await tell(MemoryReader(*visits(30, "orders", "mail"), *going))).json()
    assert (told["silent"], told["entry"]["status"], told["complete"]) == ([], None, True)


async def test_related_requests() -> None:
    trace, labels = "0af7651916cd43dd8448eb211c80319c", {"session_id": 'a"b'}
    reader = MemoryReader(
        *visit(50, "r-1", 5, "orders", trace__id=trace, labels=labels, user__id="7f3a91"),
        *visit(51, "r-2", 6, trace__id=trace),
        *(one for n in range(9) for one in visit(60 + n, f"s-{n}", 20 + n, labels=labels)),
        *visit(80, "long-ago", 60 * 24, user__id="7f3a91"),
    )
    told = (await tell(reader)).json()["related"]
    assert [(one["kind"], one["id"], one["requests"]) for one in told] == [
        ("trace", trace, ["r-2"]),
        ("session", 'a"b', ["s-0", "s-1", "s-2", "s-3", "s-4"]),
        ("user", "7f3a91", []),
    ]
    for one in told:
        assert isinstance(kql.parse(one["query"], NOW), Equals)


async def test_a_clock_that_is_wrong() -> None:
    found = visit(50, "r-1", 5, "orders")
    for number, one in enumerate(found):
        one["shipper.received_at"] = from_ns(to_ns(one["@timestamp"]) + 20_000_000 - number * 3 * SECOND)
    told = (await tell(MemoryReader(*found))).json()
    assert told["clocks"] == [
        {
            "host": "host-orders", "shift_ns": -3 * SECOND,
            "told": "the clock of host host-orders was 3.000 s ahead: it is shown 3.000 s earlier",
        }
    ]  # fmt: skip
    assert [one["service.name"] for one in told["records"]] == ["orders", "edge"]
    assert told["records"][0]["shown_time"] == "2026-11-22T14:24:57.001000Z"
    assert told["records"][0]["@timestamp"] == "2026-11-22T14:25:00.001000Z"
    assert [lane["clock_shift_ns"] for lane in told["services"]] == [-3 * SECOND, 0]


async def test_records_without_app_level_and_host() -> None:
    bare = {"@timestamp": "2026-11-22T14:20:00Z", "message": "x", "event.sequence": 1, "shipper.series": "a"}
    told = (await tell(MemoryReader({**bare, "http.request.id": "r-1"}))).json()
    assert [(one["name"], one["worst_level"], one["hosts"]) for one in told["services"]] == [("(no app)", None, [])]


async def test_the_ledger() -> None:
    reader = MemoryReader()
    reader.entries = [
        entry("aw", 1, 10),
        entry("aw", 12, 12, "rejected", started_at=NOW - SECOND),
        entry("aw", 1, 9, "duplicate", count=30),
        entry("bn", 3, 5, host="web-4"),
        entry("bn", 6, 9, "discarded:debug", host="web-4"),
    ]
    async with connect(reader) as client:
        told = (await client.get("/api/v1/ledger")).json()
        one = (await client.get("/api/v1/ledger?host=web-4")).json()
    assert told["totals"] == {
        "hosts": 2, "series": 2, "settled": 18, "rejected": 1, "duplicates": 30, "missing": 3,
        "kinds": {**dict.fromkeys(map(str, Kind), 0), "late": 1, "unexplained": 2},
    }  # fmt: skip
    first, second = told["series"]
    assert (first["host"], first["importance"], first["missing"], first["duplicates"]) == (
        "web-3",
        "warning and above",
        1,
        30,
    )
    assert first["alarm"] is False  # its neighbour came a second ago: it may still come
    assert second["settled"] == {"discarded:debug": 4, "stored": 3}
    assert second["holes"][0]["since"] is None
    assert (second["alarm"], told["alarm"]) == (True, True)
    assert [line["host"] for line in one["series"]] == ["web-4"]


async def test_the_ledger_asks_the_store_before_it_complains() -> None:
    reader = MemoryReader(*(record(n, series="an") for n in (4, 5, 7)))
    reader.entries = [entry("an", 1, 3), entry("an", 9, 10)]
    found = await books(reader, NOW)
    (account,) = found.accounts
    assert account.ledger.holes == ((6, 6), (8, 8))
    assert account.ledger.settled == {"stored": 8}
    assert account.ledger.updated_at == NOW - HOUR
    assert [(hole.since, hole.until) for hole in account.holes] == [(NOW - HOUR, NOW - HOUR)] * 2
    assert found.notes == []


async def test_very_many_holes_are_not_all_compared() -> None:
    reader = MemoryReader()
    reader.entries = [entry("an", n, n) for n in range(1, 1001, 2)]
    found = await books(reader, NOW)
    (account,) = found.accounts
    assert account.ledger.missing == 499
    assert found.notes == ["299 holes of the ledger were not compared with the store"]
    async with connect(reader) as client:
        told = (await client.get("/api/v1/ledger")).json()
    assert len(told["series"][0]["holes"]) == 100
    assert told["series"][0]["missing"] == 499


async def test_times_of_holes_come_from_their_neighbours() -> None:
    def run(first: int, last: int, started: int, updated: int) -> Entry:
        return entry("an", first, last, started_at=started, updated_at=updated)

    reader = MemoryReader()
    reader.entries = [
        run(1, 5, 10, 20),
        run(3, 7, 15, 40),
        run(10, 11, 60, 90),
        run(12, 20, 50, 80),
        run(25, 25, 100, 100),
    ]
    (account,) = (await books(reader, NOW)).accounts
    assert [(h.first, h.last, h.since, h.until) for h in account.holes] == [(8, 9, 40, 50), (21, 24, 90, 100)]


async def test_dead_letters() -> None:
    reader = MemoryReader()
    reader.letters = [
        {"id": "a-0000000001", "reason": "rejected", "detail": "x", "received_at": NOW, "original": b"\xff<b>"},
        {"id": "a-0000000002", "reason": "bug", "detail": "y", "received_at": "2026-11-22T00:00:00Z", "original": "z"},
    ]
    async with connect(reader) as client:
        told = (await client.get("/api/v1/dead-letters")).json()["dead_letters"]
        assert len((await client.get("/api/v1/dead-letters?limit=1")).json()["dead_letters"]) == 1
        for wrong in ("0", "1001", "x"):
            assert (await client.get(f"/api/v1/dead-letters?limit={wrong}")).status_code == 400
    assert told[0]["received_at"] == "2026-11-22T14:30:00.000000Z"
    assert told[0]["original"] == "\\xff<b>"
    assert told[1]["received_at"] == "2026-11-22T00:00:00Z"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "+0"), (300_000, "+0.3 ms"), (1_234_567, "+1.23 ms"), (12_400_000, "+12 ms"), (999_900_000, "+999 ms"),
        (1_234_567_890, "+1.234 s"), (123 * SECOND, "+2 m 03 s"), (3 * HOUR + 300 * SECOND, "+3 h 05 m"),
        (50 * HOUR, "+2 d 02 h"),
    ],
)  # fmt: skip
def test_offsets(nanoseconds: int, text: str) -> None:
    assert offset(nanoseconds) == text
    assert duration(nanoseconds) == text.lstrip("+") or nanoseconds == 0
