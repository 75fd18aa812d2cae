"""A task's page and its answer: what it is, its errors, requests and siblings, and whether its records are all here."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.api.links import task_page, task_url
from shipper.api.task import is_task_id
from tests.unit.api_world import NOW, SECOND, MemoryReader, busy, entry, record
from tests.unit.test_api_records import connect

TASK = "shop_api.b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6"
OTHER = "shop_api.c7005fa5-7714-11e7-a55c-5ecf1c4671f6"
CONTAINER = "9f3c" * 16
HTML = {"Accept": "text/html"}
ESCAPED = quote(TASK, safe="")


def _of_task(number: int, task: str = TASK, **fields: Any) -> dict[str, Any]:
    """One record a second, the newest last."""
    made = record(number, f"line {number}", at=NOW - (100 - number) * SECOND, **fields)
    return made | {
        "orchestrator.resource.id": task,
        "orchestrator.resource.name": "/shop/api",
        "orchestrator.resource.type": "task",
        "container.id": CONTAINER,
        "marathon.app.version": "2026-11-20T00:00:00Z",
    }


@pytest.fixture
def reader() -> MemoryReader:
    mine = [_of_task(number) for number in range(1, 61)]
    mine[10] |= {"log.level": "error", "http.request.id": "r-1", "message": "charge failed"}
    mine[12] |= {"http.request.id": "r-1"}
    mine[50] |= {"http.request.id": "r/2="}
    del mine[20]["log.level"]
    siblings = [_of_task(70, OTHER), _of_task(71, "a\nb")]
    elsewhere = [record(80, "another app", at=NOW, service__name="bank", orchestrator__resource__id="bank.1")]
    found = MemoryReader(*mine, *siblings, *elsewhere)
    found.entries = [entry("65614f3a9c1en", 1, 80, updated_at=NOW)]
    return found


@pytest.fixture
async def client(reader: MemoryReader) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(reader) as found:
        yield found


async def _task(client: httpx.AsyncClient, path: str = ESCAPED) -> Any:
    answer = await client.get(f"/api/v1/tasks/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_a_task_is_and_wrote(client: httpx.AsyncClient) -> None:
    told = await _task(client)
    assert (told["task_id"], told["app"], told["app_id"], told["is_job"]) == (TASK, "shop-api", "/shop/api", False)
    assert (told["hosts"], told["containers"]) == (["web-3"], [CONTAINER])
    assert told["versions"] == ["2026-11-20T00:00:00Z"]
    assert (told["first"], told["last"]) == ("2026-11-22T14:28:21.000000Z", "2026-11-22T14:29:20.000000Z")
    assert told["total"] == 60
    assert list(told["levels"].items()) == [("error", 1), ("info", 58), ("", 1)]
    assert [one["event.sequence"] for one in told["records"]] == list(range(60, 0, -1))
    assert told["last_error"]["message"] == "charge failed"
    assert told["requests"] == [
        {"request_id": "r/2=", "records": 1, "errors": 0, "last": told["records"][9]["@timestamp"],
         "url": "/requests/r%2F2%3D"},
        {"request_id": "r-1", "records": 2, "errors": 1, "last": told["records"][47]["@timestamp"],
         "url": "/requests/r-1"},
    ]  # fmt: skip
    assert [action["name"] for action in told["actions"]] == ["shell", "sandbox", "where"]
    assert told["siblings"] == [
        {"task_id": "a\nb", "records": 1, "url": ""},
        {"task_id": OTHER, "records": 1, "url": f"/tasks/{OTHER}"},
    ]
    assert (told["verdict"], told["incomplete"], told["links"]) == ({"state": "complete", "reasons": []}, [], {})


async def test_a_time_makes_no_difference(client: httpx.AsyncClient) -> None:
    for at in (NOW - 99 * SECOND, NOW - 40 * SECOND, NOW + SECOND, 0):
        assert await _task(client, f"{ESCAPED}?at={at}") == await _task(client)


async def test_losses_on_its_host_are_told(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    reader.entries = [
        entry("65614f3a9c1en", 1, 80, updated_at=NOW - 90 * SECOND),
        entry("65614f3a9c1en", 91, 95, started_at=NOW - 40 * SECOND, updated_at=NOW),
        entry("77714f3a9c1en", 5, 9, host="web-4"),
    ]
    told = await _task(client)
    assert told["verdict"]["state"] == "possibly incomplete"
    assert [(hole["host"], hole["first"], hole["last"]) for hole in told["holes"]] == [("web-3", 81, 90)]
    page = (await client.get(f"/tasks/{ESCAPED}", headers=HTML)).text
    assert "10 records of host web-3 missing" in page
    assert "<strong>Complete</strong>" not in page


async def test_a_host_without_a_ledger_is_not_called_complete(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    reader.entries = []
    assert "the ledger knows no host web-3" in (await _task(client))["verdict"]["reasons"]
    for one in reader.records:
        one.pop("host.name", None)
    assert (await _task(client))["verdict"]["state"] == "possibly incomplete"


async def test_a_task_that_is_older_than_what_is_looked_at_says_so(
    client: httpx.AsyncClient, reader: MemoryReader
) -> None:
    reader.records += [_of_task(100 - 40 + 1 - 7 * 86_400), _of_task(100 - 14 * 86_400)]
    told = await _task(client)
    assert told["total"] == 61
    assert any("7 days" in note for note in told["incomplete"])


async def test_the_page_shows_it_and_leads_on(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/tasks/{ESCAPED}", headers=HTML)).text
    for said in (
        f"docker exec -it {CONTAINER}",
        f"shipper sandbox {TASK}",
        "charge failed",
        'href="/requests/r%2F2%3D"',
        f'href="/tasks/{OTHER}"',
        'href="/ledger?host=web-3"',
        "<strong>Complete</strong>",
        "line 60",
    ):
        assert said in page, said
    search = next(part for part in page.split('"') if part.startswith("/?query=orchestrator"))
    listed = await client.get(f"/api/v1/records{search.replace('&amp;', '&')[1:]}")
    assert len(listed.json()["records"]) == 60
    errors = await client.get(f"/api/v1/records{search[1:]}&min_level=error")
    assert [one["message"] for one in errors.json()["records"]] == ["charge failed"]


async def test_records_and_stories_lead_to_it(client: httpx.AsyncClient) -> None:
    for path in ("/?query=line", "/requests/r-1", f"/records/65614f3a9c1en-0000000060?at={NOW - 40 * SECOND}"):
        page = (await client.get(path, headers=HTML)).text
        url = next(part for part in page.split('"') if part.startswith("/tasks/"))
        answer = await client.get(url, headers=HTML)
        assert (answer.status_code, TASK in answer.text) == (200, True)


async def test_a_job_of_chronos_is_found_by_the_link_that_kibana_makes(
    client: httpx.AsyncClient, reader: MemoryReader
) -> None:
    id = "ct:1510000000000:0:nightly report:--day 1 a/b"
    reader.records.append(_of_task(90, id) | {"orchestrator.resource.type": "job"})
    told = await _task(client, "ct%3A1510000000000%3A0%3Anightly%20report%3A--day%201%20a%2Fb")
    assert (told["task_id"], told["is_job"], told["total"]) == (id, True, 1)


HOSTILE = {
    "a%2Fb": 404, "..%2F..%2Fetc": 404, "%2e%2e": 400, "%2E": 400, "%00": 400, "a%0d%0ab": 404, "%1b[2J": 400,
    "x" * 256: 400, "x" * 2000: 400, "%5c": 404, "a//b": 404, "%E2%80%AE": 400, "": 400, "%ff%fe": 404, "-": 404,
    "%3Cscript%3Ealert(1)%3C/script%3E": 404, "%3Cimg src=x onerror=alert(1)%3E": 404, "nobody": 404,
    "%7B%7B7*7%7D%7D": 404, "*": 404, "%22 or *": 404, "%25": 404, "%F0%9F%92%A5": 404,
}  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path[:20])
async def test_a_hostile_id_is_refused(client: httpx.AsyncClient, path: str) -> None:
    for prefix in ("/tasks/", "/api/v1/tasks/"):
        answer = await client.get(httpx.URL(f"http://localhost{prefix}{path}"), headers=HTML)
        assert answer.status_code == HOSTILE[path], answer.text
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text.replace('<img src="/static', "")
        if prefix.startswith("/api"):
            assert json.loads(answer.content)["error"]["message"]


@pytest.mark.parametrize("at", ["-1", "x", "9" * 30, "1.5"])
async def test_a_wrong_time_is_refused(client: httpx.AsyncClient, at: str) -> None:
    for prefix in ("/tasks/", "/api/v1/tasks/"):
        assert (await client.get(f"{prefix}{ESCAPED}?at={at}", headers=HTML)).status_code == 400


async def test_a_busy_store_is_said() -> None:
    async with connect(busy()) as client:
        for prefix in ("/tasks/", "/api/v1/tasks/"):
            assert (await client.get(f"{prefix}{ESCAPED}", headers=HTML)).status_code == 503


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_every_link_to_a_task_is_a_path_of_ours(id: str) -> None:
    page = task_page(id)
    assert bool(page) == is_task_id(id)
    if page:
        parts = urlsplit(page)
        assert (page.isascii(), page.isprintable(), parts[:2], parts.query) == (True, True, ("", ""), "")
        assert page.count("/") == 2
        assert unquote(page.removeprefix("/tasks/")) == id


def test_a_task_whose_id_is_none_is_searched_for() -> None:
    url = task_url({"orchestrator.resource.id": "..", "@timestamp": "2026-11-22T14:00:00Z"})
    assert parse_qs(urlsplit(url).query) == {"query": ['orchestrator.resource.id: ".."']}
    assert task_url({"orchestrator.resource.id": "a"}) == "/tasks/a"
    assert task_url({}) == ""


async def test_the_last_error_of_a_task_that_wrote_much_since() -> None:
    lines = [_of_task(number) for number in range(-600, 60)]
    lines[3] |= {"log.level": "critical", "message": "out of disk"}
    async with connect(MemoryReader(*lines)) as client:
        told = await _task(client)
    assert (told["last_error"]["message"], told["total"], len(told["records"])) == ("out of disk", 660, 100)
