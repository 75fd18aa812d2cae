"""Short links: made on request only, the same one for the same question, bounded, and never in an answer's way."""

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shipper.api import short_links
from shipper.api.app import build
from shipper.api.kibana import LOCATOR, base_url
from shipper.api.short_links import COST_SECONDS, ShortLinks, short_links_of
from shipper.config import ApiSettings
from shipper.errors import ConfigError
from tests.servers.kibana import KEY, FakeKibana
from tests.unit.access_world import bearer, entrance, reader
from tests.unit.api_world import NOW, SECOND, MemoryReader, record, request_story
from tests.unit.test_api_kibana import EVERY, STORY, parameters_of

KIBANA = "https://logs.example/kibana"
ASKED = "/api/v1/records?app=shop-api&start=1h&short=1"


@pytest.fixture(scope="module")
def running() -> Iterator[FakeKibana]:
    kibana = FakeKibana()
    kibana.start()
    yield kibana
    kibana.stop()


@pytest.fixture
def kibana(running: FakeKibana) -> FakeKibana:
    running.reset()
    return running


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


def connect(short: ShortLinks | None, base: str = KIBANA) -> httpx.AsyncClient:
    records = MemoryReader(
        record(7, "said", at=NOW - SECOND, orchestrator__resource__id="shop.1"), *request_story(STORY)
    )
    web = build(records, clock=lambda: NOW, kibana=base, short_links=short)
    transport = httpx.ASGITransport(web, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.fixture
async def client(kibana: FakeKibana, key: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(ShortLinks(kibana.url, key)) as found:
        yield found


async def _links(client: httpx.AsyncClient, path: str = ASKED, **headers: str) -> dict[str, str]:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    links: dict[str, str] = answer.json()["links"]
    return links


async def test_it_stands_for_the_same_question(client: httpx.AsyncClient, kibana: FakeKibana) -> None:
    links = await _links(client)
    ((space, slug),) = kibana.slugs
    assert (space, links["kibana_short"]) == ("default", f"{KIBANA}/app/r/s/{slug}")
    locator = kibana.slugs[space, slug]["locator"]
    assert (locator["id"], locator["state"]) == (LOCATOR, parameters_of(links["kibana"]))
    assert "note" not in links


async def test_only_on_request(client: httpx.AsyncClient, kibana: FakeKibana) -> None:
    assert set(await _links(client, ASKED.replace("&short=1", ""))) == {"kibana", "kibana_edit"}
    assert kibana.asked == []


async def test_every_route_makes_one(client: httpx.AsyncClient) -> None:
    for path in (*EVERY, "tasks/shop.1"):
        links = await _links(client, f"/api/v1/{path}{'&' if '?' in path else '?'}short=1")
        assert links["kibana_short"].startswith(f"{KIBANA}/app/r/s/shipper-"), path


async def test_the_same_question_makes_the_same_link_once(
    client: httpx.AsyncClient, kibana: FakeKibana, key: Path
) -> None:
    first = await _links(client)
    assert await _links(client) == first
    assert kibana.asked == ["POST /api/short_url"]
    async with connect(ShortLinks(kibana.url, key)) as another:  # it knows of none: Kibana does
        assert await _links(another) == first
    assert [one.split("/")[0] for one in kibana.asked] == ["POST ", "POST ", "GET "]
    assert len(kibana.slugs) == 1


async def test_a_link_of_that_name_to_something_else_is_not_shown(
    client: httpx.AsyncClient, kibana: FakeKibana, key: Path
) -> None:
    await _links(client)
    ((_, slug),) = kibana.slugs
    for changes in ({"state": {"dataViewId": "evil"}}, {"id": "LEGACY_SHORT_URL_LOCATOR"}):
        kibana.slugs["default", slug]["locator"] |= changes
        async with connect(ShortLinks(kibana.url, key)) as another:
            links = await _links(another)
        assert "kibana_short" not in links
        assert slug in links["note"]


async def test_it_is_made_in_the_space(kibana: FakeKibana, key: Path) -> None:
    kibana.spaces["team-a"] = {"id": "team-a"}
    short = short_links_of(
        ApiSettings(
            kibana_url="/kibana", kibana_space="team-a", kibana_internal_url=kibana.url, kibana_api_key_file=str(key)
        )
    )
    async with connect(short, base_url("/kibana", "team-a")) as client:
        links = await _links(client)
    ((space, slug),) = kibana.slugs
    assert (space, links["kibana_short"]) == ("team-a", f"/kibana/s/team-a/app/r/s/{slug}")


async def test_a_question_too_long_for_a_link_has_a_short_one(client: httpx.AsyncClient) -> None:
    links = await _links(client, "/api/v1/records?short=1&query=" + " or ".join(["ж" * 28] * 60))
    assert set(links) == {"kibana_short"}


WRONG: dict[str, tuple[int, str, bytes, str]] = {
    "refused": (403, "application/json", b"{}", "403"),
    "broken": (500, "text/plain", b"no", "500"),
    "starting": (503, "text/plain", b"Kibana server is not ready yet.", "503"),
    "conflict without a word": (409, "text/html", b"<html>", "another link"),
    "no such space": (404, "application/json", b"{}", "404"),
    "a login page": (302, "text/html", b"", "302"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_goes_wrong_is_said_and_the_answer_is_there(
    client: httpx.AsyncClient, kibana: FakeKibana, case: str
) -> None:
    *answered, said = WRONG[case]
    kibana.instead = (answered[0], answered[1], answered[2])  # type: ignore[assignment]
    links = await _links(client)
    assert set(links) == {"kibana", "kibana_edit", "note"}
    assert said in links["note"]
    kibana.instead = None
    assert "kibana_short" in await _links(client)  # and it is tried again


def _write(key: Path, text: str) -> None:
    key.write_text(text)


def _remove(key: Path) -> None:
    key.unlink()


async def test_the_key_is_read_each_time(client: httpx.AsyncClient, key: Path) -> None:
    for text in ("d3Jvbmc6a2V5", "", "two words", "x" * 5000, "\x00", "ключ"):
        _write(key, text)
        note = (await _links(client))["note"]
        assert "no short link" in note
        assert text == "" or text not in note
    _remove(key)
    assert "cannot be read" in (await _links(client))["note"]
    _write(key, KEY)
    assert "kibana_short" in await _links(client)


async def test_a_kibana_that_is_away_or_never_answers(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr(short_links, "SECONDS", 0.2)
        async with connect(ShortLinks(f"http://127.0.0.1:{port}", key)) as client:
            assert "did not answer within" in (await _links(client))["note"]
    async with connect(ShortLinks(f"http://127.0.0.1:{port}", key)) as client:
        assert "does not answer" in (await _links(client))["note"]


async def test_another_site_makes_none(client: httpx.AsyncClient, kibana: FakeKibana) -> None:
    assert "another site" in (await _links(client, **{"Sec-Fetch-Site": "cross-site"}))["note"]
    assert kibana.asked == []
    assert "kibana_short" in await _links(client, **{"Sec-Fetch-Site": "same-origin"})


async def test_without_a_key_it_says_what_is_needed() -> None:
    async with connect(None) as client:
        assert "api.kibana_api_key_file" in (await _links(client))["note"]


async def _many(kibana: FakeKibana, key: Path, folder: Path, wanted: int) -> list[httpx.Response]:
    limited = entrance(folder, store_seconds_per_minute=10 * COST_SECONDS)
    web = build(reader(), clock=lambda: NOW, entrance=limited, kibana=KIBANA, short_links=ShortLinks(kibana.url, key))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://shipper") as client:
        asked = (f"/api/v1/records?text=word{number}&short=1" for number in range(wanted))
        return [await client.get(path, headers=bearer("shop")) for path in asked]


async def test_a_caller_cannot_make_kibana_write_without_limit(kibana: FakeKibana, key: Path, tmp_path: Path) -> None:
    answers = await _many(kibana, key, tmp_path, 40)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 10 <= len(kibana.slugs) <= 20
    assert len(refused) >= 20
    assert all("Retry-After" in answer.headers for answer in refused)


async def test_all_callers_together_have_a_limit(
    kibana: FakeKibana, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_links, "_MOST_A_MINUTE", 5)
    async with connect(ShortLinks(kibana.url, key)) as client:
        links = [await _links(client, f"/api/v1/records?text=word{number}&short=1") for number in range(20)]
    assert 5 <= len(kibana.slugs) <= 10
    assert "within a minute" in links[-1]["note"]


@pytest.mark.parametrize(
    ("settings", "made"),
    [
        ({}, False),
        ({"kibana_url": "https://k"}, False),
        ({"kibana_api_key_file": "k"}, False),
        ({"kibana_url": "https://k", "kibana_api_key_file": "k"}, True),
        ({"kibana_url": "/kibana", "kibana_api_key_file": "k", "kibana_internal_url": "http://k:5601/kibana"}, True),
    ],
)
def test_what_is_configured(settings: dict[str, Any], made: bool) -> None:
    assert (short_links_of(ApiSettings(**settings)) is not None) == made


def test_a_path_is_nothing_that_this_process_can_reach() -> None:
    with pytest.raises(ConfigError, match="kibana_internal_url"):
        short_links_of(ApiSettings(kibana_url="/kibana", kibana_api_key_file="k"))
