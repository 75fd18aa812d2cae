"""GET /api/v1/records: every parameter, pages, errors; and that what is wrong with a question is said."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from shipper.api.app import build
from shipper.api.question import PARAMETERS, Question, question
from shipper.errors import QueryError, StoreBusy, StoreRejected, StoreUnusable
from shipper.search import cursor
from shipper.search.query import Place
from tests.unit.api_world import NOW, SECOND, MemoryReader, busy, record

RECORDS = [
    record(1, "checkout timed out", at=NOW - 3 * 3600 * SECOND, log__level="error", http__request__id="r-1"),
    record(2, "checkout done", at=NOW - 600 * SECOND, host__name="web-4", http__request__id="r-2"),
    record(3, "out of time, timed", at=NOW - 300 * SECOND, service__name="shop-web", log__level="warn"),
    record(4, "cache miss", at=NOW - 10 * SECOND, log__level="debug", orchestrator__resource__name="/shop/cache"),
]


@pytest.fixture
def reader() -> MemoryReader:
    return MemoryReader(*RECORDS)


@pytest.fixture
async def client(reader: MemoryReader) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(reader) as found:
        yield found


def connect(reader: MemoryReader) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build(reader, clock=lambda: NOW), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://shipper")


async def sequences(client: httpx.AsyncClient, query: str) -> list[int]:
    answer = await client.get(f"/api/v1/records?{query}")
    assert answer.status_code == 200, answer.text
    return [found["event.sequence"] for found in answer.json()["records"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4, 3, 2, 1]),
        ("order=newest", [4, 3, 2, 1]),
        ("order=oldest", [1, 2, 3, 4]),
        ("limit=2", [4, 3]),
        ("text=timed+out", [3, 1]),
        ("text=%22timed+out%22", [1]),
        ("text=TIMED", [3, 1]),
        ("app=shop-web", [3]),
        ("app=shop", []),
        ("app=/shop/cache", [4]),
        ("app=/shop/cache&query=level:error", []),
        ("host=web-4", [2]),
        ("level=error", [1]),
        ("level=error&level=debug", [4, 1]),
        ("level=WARNING", [3]),
        ("min_level=warn", [3, 1]),
        ("min_level=warn&level=error&level=debug", [1]),
        ("request_id=r-2", [2]),
        ("start=15m", [4, 3, 2]),
        ("start=-15m", [4, 3, 2]),
        ("end=15m", [1]),
        ("start=1h&end=5m", [2]),
        ("start=5m", [4, 3]),  # start is included
        ("start=2026-11-22T14:29:50Z&end=now", [4]),
        ("start=today+14:00&app=shop-api", [4, 2]),
        ("query=timed+level:error", [1]),
        ("query=level+%3E%3D+warn", [3, 1]),
        ("query=app:shop-web+or+host:web-4", [3, 2]),
        ("query=%40timestamp+%3E%3D+now-6m&text=timed", [3]),
        ("query=&app=shop-web", [3]),
        ("app=&host=&level=&text=&start=&limit=", [4, 3, 2, 1]),
    ],
)
async def test_parameters(client: httpx.AsyncClient, query: str, expected: list[int]) -> None:
    assert await sequences(client, query) == expected


async def test_every_parameter_is_tested_and_described(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["paths"]["/api/v1/records"]["get"]["parameters"]
    assert {parameter["name"] for parameter in described} == {*PARAMETERS, "short"}
    assert all(parameter["description"] for parameter in described)


async def test_records_are_exact_and_have_their_id(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/v1/records?limit=1&order=oldest")).json()
    assert answer["records"][0].pop("actions")
    assert answer["records"] == [{"id": "65614f3a9c1en-0000000001", **RECORDS[0]}]
    assert answer["incomplete"] == []
    assert answer["searched"] == {"start": None, "end": None}


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_pages_join_without_doubles(order: str) -> None:
    records = [record(n, at=NOW - n // 7 * SECOND) for n in range(1, 100)]
    async with connect(MemoryReader(*records)) as client:
        found: list[int] = []
        query = f"limit=7&order={order}"
        for _ in range(20):
            answer = (await client.get(f"/api/v1/records?{query}")).json()
            found += [one["event.sequence"] for one in answer["records"]]
            if answer["next_cursor"] is None:
                break
            query = f"limit=7&order={order}&cursor={answer['next_cursor']}"
    assert sorted(found) == list(range(1, 100))
    assert found == await_order(records, order)


def await_order(records: list[dict[str, Any]], order: str) -> list[int]:
    ordered = sorted(records, key=lambda one: (one["@timestamp"], one["event.sequence"]), reverse=order == "newest")
    return [one["event.sequence"] for one in ordered]


async def test_relative_times_are_told_as_understood(client: httpx.AsyncClient) -> None:
    searched = (await client.get("/api/v1/records?start=1h&end=now")).json()["searched"]
    assert searched == {"start": "2026-11-22T13:30:00.000000Z", "end": "2026-11-22T14:30:00.000000Z"}


async def test_an_incomplete_answer_says_so(reader: MemoryReader, client: httpx.AsyncClient) -> None:
    reader.incomplete = ("day 2026.11.20 could not be read",)
    assert (await client.get("/api/v1/records")).json()["incomplete"] == ["day 2026.11.20 could not be read"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("level=loud", "level: no such level: 'loud' (known: trace debug"),
        ("min_level=loud", "min_level: no such level"),
        ("min_level=error&level=debug", "level is below min_level error"),
        ("start=soon", "start: not a time: 'soon'; accepted: now, 15m"),
        ("end=2026-13-01", "end: not a time"),
        ("start=1h&end=2h", "start is not before end"),
        ("cursor=AAAA", "cursor: not one of ours"),
        ("cursor=" + "A" * 513, "cursor: string should have at most 512"),
        ("text=%20--%20", "text: there is no word in it"),
        ("text=" + "a+" * 65, "text: more than 64"),
        ("text=" + "a" * 1001, "text: string should have at most 1000"),
        ("request_id=a%0d%0ab", "request_id: 1 to 128 letters"),
        ("request_id=" + "a" * 129, "request_id: 1 to 128 letters"),
        ("host=" + "a" * 257, "host: string should have at most 256"),
        ("limit=0", "limit: input should be greater than or equal to 1"),
        ("limit=1001", "limit: input should be less than or equal to 1000"),
        ("limit=x", "limit: input should be a valid integer"),
        ("order=random", "order: input should be 'newest' or 'oldest'"),
        ("query=leve:error", "query: there is no field 'leve'; did you mean level?"),
        ("query=" + "a" * 2001, "query: string should have at most 2000"),
        ("query=(timed", "query: this parenthesis is not closed"),
        ("lvel=error", "'lvel': no such parameter; known: query, text, app"),
    ],
)
async def test_errors_say_what_is_wrong(client: httpx.AsyncClient, query: str, said: str) -> None:
    answer = await client.get(f"/api/v1/records?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(said)
    assert set(answer.json()["error"]) == {"message", "position"}


async def test_a_changed_cursor_is_an_error(client: httpx.AsyncClient) -> None:
    good = cursor.encode(Place(NOW, "65614f3a9c1en", 3))
    for at in range(0, len(good), 3):
        changed = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
        assert (await client.get(f"/api/v1/records?cursor={changed}")).status_code == 400


async def test_the_place_of_an_error_is_said(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/records?text=" + "a+" * 65)
    assert answer.json()["error"]["position"] == 128
    answer = await client.get("/api/v1/records?query=timed+leve:error")
    assert answer.json()["error"]["position"] == 6


@pytest.mark.parametrize(
    ("query", "kql"),
    [
        ("", ""),
        ("start=1h", ""),
        ("query=*", ""),
        ("query=timed+status:500&start=1h", "timed and http.response.status_code: 500"),
        (
            "app=shop-web&host=web-4&level=error&level=warn&text=%22a+b%22&request_id=r-1",
            'service.name: "shop-web" and host.name: "web-4" and http.request.id: "r-1" and '
            'log.level: ("error" or "warn") and message: "a b"',
        ),
    ],
)
async def test_the_question_is_told_as_kql(client: httpx.AsyncClient, query: str, kql: str) -> None:
    assert (await client.get(f"/api/v1/records?{query}")).json()["kql"] == kql
    assert (await client.get("/api/v1/records", params={"query": kql})).json()["kql"] == kql


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (StoreBusy("connection refused"), 503, "the store is busy: connection refused"),
        (StoreUnusable("no such folder"), 503, "no such folder"),
        (StoreRejected("too many clauses"), 400, "the store does not take this question: too many clauses"),
        (RuntimeError("secret"), 500, "a bug in shipper; its own log has the details"),
    ],
)
async def test_trouble_of_the_store(
    client: httpx.AsyncClient, reader: MemoryReader, error: Exception, status: int, said: str
) -> None:
    reader.error = error
    answer = await client.get("/api/v1/records")
    assert answer.status_code == status
    assert answer.json() == {"error": {"message": said, "position": None}}
    assert ("retry-after" in answer.headers) is (status == 503)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_values_that_json_hardly_takes() -> None:
    odd = record(1, "a\ud800b\x00", labels={"huge": 2**70, "deep": [[[{}]]]})
    async with connect(MemoryReader(odd)) as client:
        found = (await client.get("/api/v1/records")).json()["records"][0]
    assert found["message"] == "a\ud800b\x00"
    assert found["labels"]["huge"] == 2**70


async def test_a_big_page_is_quick(client: httpx.AsyncClient) -> None:
    async with connect(MemoryReader(*(record(n, "x" * 1000, at=NOW + n) for n in range(1000)))) as big:
        answer = await big.get("/api/v1/records?limit=1000")
    assert len(orjson.loads(answer.content)["records"]) == 1000


def test_a_question_is_its_link() -> None:
    asked = question({"text": 'a "b c"', "level": ["error", "warn"], "limit": "7", "start": "1h"})
    assert asked.url() == "/?text=a+%22b+c%22&level=error&level=warn&start=1h&limit=7"
    assert asked.url(start=None, app="x&y") == "/?text=a+%22b+c%22&level=error&level=warn&limit=7&app=x%26y"
    assert question({"query": "level:error a"}).url(limit=5) == "/?query=level%3Aerror+a&limit=5"
    assert Question().url() == "/"
    with pytest.raises(QueryError):
        question({"level": ["x"]})


async def test_busy_is_busy_everywhere() -> None:
    async with connect(busy()) as client:
        for path in ("/api/v1/records", "/api/v1/requests/abc", "/api/v1/ledger", "/api/v1/dead-letters"):
            assert (await client.get(path)).status_code == 503, path
        for path in ("/", "/requests/abc", "/ledger", "/dead-letters", "/records/a-1?at=1"):
            answer = await client.get(path, headers={"Accept": "text/html"})
            assert answer.status_code == 503, path
            assert "the store is busy" in answer.text.lower() or "connection refused" in answer.text
