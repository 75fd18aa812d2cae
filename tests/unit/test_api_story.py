"""A request's story and the ledger behind it: what is told, what may be missing, which holes matter."""

import httpx
import pytest

from shipper.api import story as stories
from shipper.api.accounts import books
from shipper.api.shown import duration, offset
from shipper.search.holes import Kind
from shipper.search.ledger import Entry
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
    }
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
