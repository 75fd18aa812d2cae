"""Links to Kibana: the same question there, in the form that Kibana's own locator reads, and as its state."""

import re
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
import orjson
import pytest
from pydantic import ValidationError

from shipper.api.app import build
from shipper.api.kibana import MOST_URL, Discover, base_url, links_to
from shipper.config import ApiSettings
from shipper.search import kql
from tests.unit.api_world import NOW, SECOND, MemoryReader, record, request_story

KIBANA = "https://logs.example/kibana/"
STORY = "6f1c2a9e"
HOUR = "start=2026-11-22T13:30&end=2026-11-22T14:30"
RECORD = f"65614f3a9c1en-0000000007?at={NOW - SECOND}"


def _reader() -> MemoryReader:
    task = {"orchestrator.resource.id": "shop.1", "log.level": "error"}
    return MemoryReader(record(7, 'said "no"', at=NOW - SECOND) | task, *request_story(STORY))


async def _ask(path: str, kibana: str | None = KIBANA) -> Any:
    transport = httpx.ASGITransport(build(_reader(), clock=lambda: NOW, kibana=kibana), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json() if path.startswith("/api") else answer.text


def parameters_of(url: str) -> Any:
    """What the locator is given."""
    parts = urlsplit(url)
    asked = parse_qs(parts.query, strict_parsing=True)
    assert (parts.netloc, parts.path) == ("logs.example", "/kibana/app/r")
    assert (asked["l"], set(asked)) == (["DISCOVER_APP_LOCATOR"], {"l", "v", "p"})
    return orjson.loads(asked["p"][0])


async def test_an_answer_links_to_the_same_question() -> None:
    asked = 'records?query=level:info "POST /checkout"&app=shop-web&start=2026-11-22T14:00&order=oldest'
    found = await _ask(f"/api/v1/{asked}")
    assert found["links"]["kibana"] == found["kibana"]
    there = parameters_of(found["kibana"])
    assert there["timeRange"] == {"from": "2026-11-22T14:00:00.000Z", "to": "now"}
    assert there["query"] == {"language": "kuery", "query": found["kql"]}
    wanted = 'service.name:"shop-web" and (level:info "POST /checkout")'
    assert kql.parse(found["kql"], NOW) == kql.parse(wanted, NOW)
    assert there["sort"] == [["@timestamp", "asc"]]


EVERY = {
    f"records?app=shop-api&{HOUR}": ('service.name: "shop-api"', None),
    f"counts?app=shop-api&by=host&{HOUR}": ('service.name: "shop-api"', "host.name"),
    f"top?app=shop-api&field=task&{HOUR}": ('service.name: "shop-api"', "orchestrator.resource.id"),
    f"top?field=status&{HOUR}": ("", None),  # of numbers Discover makes no breakdown
    f"patterns?min_level=warn&{HOUR}": ("log.level: (", None),
    f"compare?before_start=2h&{HOUR}&app=shop-api": ('service.name: "shop-api"', None),
    f"apps?{HOUR}": ("", "service.name"),
    f"requests/{STORY}": (f'http.request.id: "{STORY}"', None),
    f"records/{RECORD}": ('shipper.series: "65614f3a9c1en" and event.sequence: 7', None),
    f"records/{RECORD.replace('?', '/context?')}": ('orchestrator.resource.id: "shop.1"', None),
    f"records/{RECORD.replace('?', '/context?')}&kind=series": ('shipper.series: "65614f3a9c1en"', None),
}


@pytest.mark.parametrize(("path", "wanted"), EVERY.items(), ids=lambda value: str(value)[:30])
async def test_every_answer_carries_links(path: str, wanted: tuple[str, str | None]) -> None:
    links = (await _ask(f"/api/v1/{path}"))["links"]
    there = parameters_of(links["kibana"])
    asked, breakdown = wanted
    assert there["query"]["query"].startswith(asked)
    assert (asked == "") == (there["query"]["query"] == "")
    assert there.get("breakdownField") == breakdown
    if HOUR in path:
        assert there["timeRange"] == {"from": "2026-11-22T13:30:00.000Z", "to": "2026-11-22T14:30:00.000Z"}
    edit = urlsplit(links["kibana_edit"])
    assert edit.path == "/kibana/app/discover"
    assert "index:logs-mesos" in edit.fragment
    assert f"from:'{there['timeRange']['from']}'" in unquote(edit.fragment)
    assert re.search(r"breakdownField:([\w.]+)", edit.fragment) is None if breakdown is None else breakdown in edit[4]


async def test_a_story_is_asked_for_oldest_first_with_room_around_it() -> None:
    links = (await _ask(f"/api/v1/requests/{STORY}"))["links"]
    there = parameters_of(links["kibana"])
    assert there["sort"] == [["@timestamp", "asc"]]
    assert there["timeRange"] == {"from": "2026-11-22T14:19:00.000Z", "to": "2026-11-22T14:21:04.090Z"}
    assert "host.name" in there["columns"]


async def test_both_sides_of_a_comparison_have_links() -> None:
    found = await _ask(f"/api/v1/compare?before_start=2026-11-22T12:30&{HOUR}")
    assert found["links"] == found["b"]["links"]
    assert parameters_of(found["a"]["links"]["kibana"])["timeRange"]["to"] == "2026-11-22T13:30:00.000Z"


async def test_counts_without_times_link_to_those_that_were_counted() -> None:
    found = await _ask("/api/v1/counts")
    there = parameters_of(found["links"]["kibana"])["timeRange"]
    assert (there["from"][:19], there["to"][:19]) == (found["start"][:19], found["end"][:19])


def test_times_are_never_narrower_than_asked_for() -> None:
    asked = Discover("", NOW + 1_999_999, NOW + 2_000_001).parameters["timeRange"]
    assert [text[-5:] for text in asked.values()] == [".001Z", ".003Z"]
    assert Discover("", 0, None).parameters["timeRange"] == {"from": "1970-01-01T00:00:00.000Z", "to": "now"}


async def test_a_record_links_to_itself() -> None:
    (found,) = (await _ask("/api/v1/records?text=said"))["records"]
    (link,) = [action["url"] for action in found["actions"] if action["name"] == "kibana"]
    asked = parameters_of(link)["query"]["query"]
    again = await _ask(f"/api/v1/records?{httpx.QueryParams(query=asked)}")
    assert [one["id"] for one in again["records"]] == [found["id"]]


async def test_without_kibana_there_is_no_link() -> None:
    found = await _ask("/api/v1/records?short=1", None)
    assert (found["kibana"], found["links"]) == (None, {})
    assert all(action["name"] != "kibana" for one in found["records"] for action in one["actions"])
    for path in EVERY:
        assert (await _ask(f"/api/v1/{path}", None))["links"] == {}


PAGES = ("/?start=1h", f"/requests/{STORY}", "/patterns?start=1h", "/apps?start=1h", f"/records/{RECORD}")


@pytest.mark.parametrize("path", PAGES)
async def test_pages_link_to_the_same_question(path: str) -> None:
    assert 'href="https://logs.example/kibana/app/r?l=DISCOVER_APP_LOCATOR&amp;' in await _ask(path)
    assert "/app/r?" not in await _ask(path, None)


def test_a_space_is_in_every_link_and_a_path_is_enough() -> None:
    base = base_url("/kibana/", "team-a")
    links = links_to(base, Discover("level: error"))
    assert links["kibana"].startswith("/kibana/s/team-a/app/r?l=")
    assert links["kibana_edit"].startswith("/kibana/s/team-a/app/discover#/?_g=(")


def test_a_question_that_is_too_long_for_a_link_says_so() -> None:
    assert set(links_to("https://k", Discover("ф" * 1200))) == {"kibana", "kibana_edit"}
    assert all(len(url) <= MOST_URL for url in links_to("https://k", Discover("ф" * 1200)).values())
    long = links_to("https://k", Discover("ф" * 2000))
    assert set(long) == {"note"}
    assert "short=1" in long["note"]


def test_a_lone_surrogate_makes_no_bug() -> None:
    links = links_to("https://k", Discover("a\ud800b"))
    assert quote("a\ufffdb") in links["kibana"]


@pytest.mark.parametrize("url", ["https://logs", "http://k:5601/kibana", "/kibana", "/a/b_c/", "https://k/"])
def test_addresses_that_are_taken(url: str) -> None:
    assert ApiSettings(kibana_url=url).kibana_url == url


@pytest.mark.parametrize(
    "url", ["//evil.example", "/\\evil", "kibana", "javascript:alert(1)", "https://", "/", "", "/a?b", "https://k/#a",
            "/kibana\n", "https://a b", "/a//b"],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(kibana_url=url)


@pytest.mark.parametrize("space", ["", "A", "a/b", "../x", "a b", "a\n"])
def test_spaces_that_are_refused(space: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(kibana_space=space)
