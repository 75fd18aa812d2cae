"""GET /api/v1/fields and /api/v1/values: what completion offers."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shipper.api.app import build
from shipper.record.fields import FIELDS
from shipper.record.levels import LEVELS
from shipper.search.kql import parse
from shipper.search.names import SHORT
from tests.unit.api_world import NOW, SECOND, MemoryReader, record

RECORDS = [
    record(1, service__name="shop-web", http__response__status_code=200),
    record(2, service__name="Shop-mail", http__response__status_code=200),
    record(3, service__name="shop-web", http__response__status_code=404),
    record(4, service__name="kernel", tags=["truncated", "late"]),
    record(5, service__name="shop-old", at=NOW - 25 * 3600 * SECOND),
]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build(MemoryReader(*RECORDS), clock=lambda: NOW), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shipper") as found:
        yield found


async def test_fields_are_those_that_can_be_asked_for(client: httpx.AsyncClient) -> None:
    fields = (await client.get("/api/v1/fields")).json()["fields"]
    assert {field["name"] for field in fields} == {field.name for field in FIELDS if field.kind != "unindexed"}
    assert {field["short"]: field["name"] for field in fields if field["short"]}.items() <= SHORT.items()
    assert all(field["meaning"] and field["kind"] for field in fields)
    for field in fields:
        assert parse(f"{field['name']}:*", NOW) == parse(f"{field['short'] or field['name']}:*", NOW)
    assert fields[0]["short"] == "time"


@pytest.mark.parametrize(
    ("query", "field", "values"),
    [
        ("field=app", "service.name", ["shop-web", "Shop-mail", "kernel"]),
        ("field=app&prefix=sh", "service.name", ["shop-web", "Shop-mail"]),
        ("field=app&prefix=SHOP-W", "service.name", ["shop-web"]),
        ("field=service.name&limit=1", "service.name", ["shop-web"]),
        ("field=app&prefix=nothing", "service.name", []),
        ("field=level&prefix=e", "log.level", ["error", "emergency"]),
        ("field=level", "log.level", list(LEVELS)),
        ("field=status", "http.response.status_code", ["200", "404"]),
        ("field=tags", "tags", ["late", "truncated"]),
    ],
)
async def test_values(client: httpx.AsyncClient, query: str, field: str, values: list[str]) -> None:
    answer = await client.get(f"/api/v1/values?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"field": field, "values": values}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("field=leve", "field: there is no field 'leve'; did you mean level?"),
        ("field=message", "field: message (text): values are listed of keyword and number fields only"),
        ("field=@timestamp", "field: @timestamp (date_nanos): values"),
        ("field=labels.cart", "field: labels.cart (key): values"),
        ("field=event.original", "field: event.original (unindexed): values"),
        ("field=app&limit=101", "limit: input should be less than or equal to 100"),
        ("field=app&prefix=" + "a" * 257, "prefix: string should have at most 256"),
        ("", "field: field required"),
    ],
)
async def test_what_has_no_values_says_so(client: httpx.AsyncClient, query: str, said: str) -> None:
    answer = await client.get(f"/api/v1/values?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(said)
