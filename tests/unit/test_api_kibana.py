"""Links to Kibana: the same question there, in the form that Kibana's own locator reads."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson

from shipper.api.app import build
from shipper.search import kql
from tests.unit.api_world import NOW, MemoryReader, record, request_story

KIBANA = "https://logs.example/kibana/"


async def _ask(path: str, kibana: str | None) -> Any:
    reader = MemoryReader(record(7, 'said "no"', at=NOW - 10**9), *request_story())
    transport = httpx.ASGITransport(build(reader, clock=lambda: NOW, kibana=kibana), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()


def _parameters(url: str) -> Any:
    parts = urlsplit(url)
    asked = parse_qs(parts.query, strict_parsing=True)
    assert (parts.netloc, parts.path) == ("logs.example", "/kibana/app/r")
    assert (asked["l"], set(asked)) == (["DISCOVER_APP_LOCATOR"], {"l", "v", "p"})
    return orjson.loads(asked["p"][0])


async def test_an_answer_links_to_the_same_question() -> None:
    found = await _ask('records?query=level:info "POST /checkout"&start=2026-11-22T14:00&order=oldest', KIBANA)
    asked = _parameters(found["kibana"])
    assert asked["timeRange"] == {"from": "2026-11-22T14:00:00.000000Z", "to": "now"}
    assert asked["query"] == {"language": "kuery", "query": found["kql"]}
    assert kql.parse(found["kql"], NOW) == kql.parse('level:info "POST /checkout"', NOW)
    assert asked["sort"] == [["@timestamp", "asc"]]


async def test_a_record_links_to_itself() -> None:
    (found,) = (await _ask("records?text=said", KIBANA))["records"]
    (link,) = [action["url"] for action in found["actions"] if action["name"] == "kibana"]
    asked = _parameters(link)["query"]["query"]
    again = await _ask(f"records?{httpx.QueryParams(query=asked)}", KIBANA)
    assert [one["id"] for one in again["records"]] == [found["id"]]


async def test_without_kibana_there_is_no_link() -> None:
    found = await _ask("records", None)
    assert found["kibana"] is None
    assert all(action["name"] != "kibana" for one in found["records"] for action in one["actions"])
