"""The API over the real SQLite store: what was put in is what is told."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shipper.api.app import build
from shipper.config import component
from shipper.record import STORED, DeadLetter, Record
from shipper.record.times import day, to_ns
from tests.unit.api_world import NOW, entry, request_story, shop

LETTER = DeadLetter("abcn-0000000001", "2026.11.22", "abcn", 1, "web-3", "rejected", "too big", b"\xff<b>", NOW)


def made(document: dict[str, Any]) -> Record:
    """The record that a document was, before it was stored."""
    fields = {name: value for name, value in document.items() if name not in ("event.sequence", "shipper.series")}
    found = Record(document["message"].encode(), to_ns(document["@timestamp"]))
    found.fields, found.host = fields, document["host.name"]
    found.series, found.sequence = document["shipper.series"], document["event.sequence"]
    found.host_time, found.day = document["event.created"], day(document["event.created"])
    return found


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = component("stores", "sqlite").Config(path=str(tmp_path), retention_days=0)
    shop_records = [document | {"shipper.series": "shopn"} for document in shop()]
    records = [made(document) for document in (*shop_records, *request_story("a/b+c="))]
    async with settings.build("test") as store, settings.reader("test") as reader:
        assert await store.put(records) == [STORED] * len(records)
        await store.put_dead_letters([LETTER])
        await store.put_ledger([entry("web3n", 1, 1, started_at=NOW), entry("web3n", 12, 12, started_at=NOW)])
        transport = httpx.ASGITransport(build(reader, clock=lambda: NOW))
        async with httpx.AsyncClient(transport=transport, base_url="http://shipper") as found:
            yield found


async def test_records(client: httpx.AsyncClient) -> None:
    told = (await client.get("/api/v1/records?text=timed+out&min_level=error&start=16h&order=oldest")).json()
    assert told["incomplete"] == []
    assert all("timed out" in found["message"] for found in told["records"])
    expected = [one["@timestamp"] for one in (*shop(), *request_story()) if "timed out" in one["message"]]
    assert [found["@timestamp"] for found in told["records"]] == sorted(expected)
    assert all(found["id"] == f"{found['shipper.series']}-{found['event.sequence']:010d}" for found in told["records"])


async def test_pages_join(client: httpx.AsyncClient) -> None:
    found: list[str] = []
    query = "limit=13"
    while True:
        told = (await client.get(f"/api/v1/records?{query}")).json()
        found += [one["id"] for one in told["records"]]
        if told["next_cursor"] is None:
            break
        query = f"limit=13&cursor={told['next_cursor']}"
    assert len(found) == len(set(found)) == 218


async def test_story_with_a_hole(client: httpx.AsyncClient) -> None:
    told = (await client.get("/api/v1/requests/a%2Fb%2Bc%3D")).json()
    assert len(told["records"]) == 11
    assert told["first_error"]["error.type"] == "httpx.ReadTimeout"
    # 2 and 9 are in the store although the ledger has not heard of them.
    assert [(hole["first"], hole["last"]) for hole in told["holes"]] == [(3, 8), (10, 11)]
    assert "8 late." in (await client.get("/ledger")).text


async def test_pages_of_it(client: httpx.AsyncClient) -> None:
    for path in ("/", "/requests/a%2Fb%2Bc%3D", "/ledger", "/dead-letters"):
        assert (await client.get(path)).status_code == 200, path
    first = (await client.get("/api/v1/records?limit=1")).json()["records"][0]
    at = to_ns(first["@timestamp"])
    assert (await client.get(f"/records/{first['id']}?at={at}")).status_code == 200


async def test_dead_letters(client: httpx.AsyncClient) -> None:
    (told,) = (await client.get("/api/v1/dead-letters")).json()["dead_letters"]
    assert (told["id"], told["reason"], told["detail"]) == (LETTER.id, "rejected", "too big")
    assert told["received_at"] == "2026-11-22T14:30:00.000000Z"


async def test_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ready")).json()["ready"] is True
