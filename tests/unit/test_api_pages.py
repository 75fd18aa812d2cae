"""Pages and the service around the API: health, headers, errors for people, links that are questions."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from shipper.api.app import Status, build
from shipper.api.html import ENVIRONMENT, show
from shipper.api.rows import MESSAGE_CUT, row
from shipper.errors import StoreBusy
from tests.unit.api_world import NOW, SECOND, MemoryReader, entry, record, request_story, shop
from tests.unit.test_api_records import connect

HTML = {"Accept": "text/html,*/*"}
PATHS = (
    "/",
    "/requests/6f1c2a9e",
    "/ledger",
    "/dead-letters",
    "/docs",
    "/records/lb1n-0000000001?at=1795357200000000000",
    "/apps?start=7d",
    "/patterns",
    "/tail?app=shop-api",
)
#: Which of them show records, and so whether any are missing.
RECORD = PATHS[5]


@pytest.fixture
def reader() -> MemoryReader:
    found = MemoryReader(*shop(), *request_story())
    found.entries = [
        entry("web3n", 1, 5),
        entry("web3n", 9, 12, started_at=NOW - 700 * SECOND),
        entry("web4n", 1, 5, host="web-4"),
    ]
    found.letters = [
        {"id": "a-1", "reason": "bug", "detail": "<b>", "host": "h", "received_at": NOW, "original": "<i>"}
    ]
    return found


@pytest.fixture
async def client(reader: MemoryReader) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(reader) as found:
        yield found


@pytest.mark.parametrize("path", [*PATHS, "/api/v1/records", "/health", "/nope", "/static/page.css", "/static/nope"])
async def test_every_answer_has_the_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path, headers=HTML)).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    assert headers["cache-control"] == ("public, max-age=86400" if path == "/static/page.css" else "no-store")


@pytest.mark.parametrize("path", PATHS)
async def test_pages_load_nothing_from_outside(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=HTML)
    assert answer.status_code == 200
    assert not re.findall(r"""(?:src|href|action)=["'](?!/|#)""", answer.text)
    assert not re.findall(r"""(?:src|href|action)=["']//""", answer.text)
    assert not re.findall(r"<[^>]*\s(?:style|on\w+)=", answer.text)  # what the policy would refuse
    for url in set(re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text)):
        assert (await client.get(url)).status_code == 200


async def test_templates_escape_whatever_they_are_given() -> None:
    assert ENVIRONMENT.autoescape is True
    assert ENVIRONMENT.from_string("{{ x }}").render(x="<b>&\"'") == "&lt;b&gt;&amp;&#34;&#39;"
    assert show("<b>\x1b") == '&lt;b&gt;<span class="unseen">\\x1b</span>'
    assert show("<b>timed  out</b>", (("timed", "out"),)) == "&lt;b&gt;<mark>timed  out</mark>&lt;/b&gt;"
    assert show("a b", (("(", ")"),)) == "a b"


async def test_search_page(client: httpx.AsyncClient) -> None:
    page = (await client.get("/?app=shop-payment&min_level=error&start=24h")).text
    assert page.count("<details") > 5
    assert 'value="shop-payment"' in page
    assert '<option value="error" selected>' in page
    assert "2026-11-22T14:20:04.021000Z" in page
    assert 'href="/requests/6f1c2a9e"' in page
    assert "shop-web" not in page


async def test_the_same_question_in_kibana_and_as_json(reader: MemoryReader) -> None:
    transport = httpx.ASGITransport(build(reader, clock=lambda: NOW, kibana="https://kibana.example"))
    async with httpx.AsyncClient(transport=transport, base_url="http://shipper") as client:
        page = (await client.get("/?query=level:error&start=24h")).text
    assert 'href="https://kibana.example/app/r?l=DISCOVER_APP_LOCATOR' in page
    assert "log.level" in page
    assert 'href="/api/v1/records?query=level%3Aerror&amp;start=24h"' in page


async def test_a_form_without_answers_is_a_short_link(client: httpx.AsyncClient) -> None:
    answer = await client.get("/?text=a+b&app=&host=&min_level=&start=&end=&order=")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?text=a+b")
    assert (await client.get("/?text=&level=")).headers["location"] == "/"


async def test_next_page_keeps_the_time_range(client: httpx.AsyncClient) -> None:
    seen: list[str] = []
    url: str | None = "/?limit=20&start=3d"
    for _ in range(50):
        assert url is not None
        page = (await client.get(url)).text
        seen += re.findall(r'<details class="record[^>]* id="([^"]+)"', page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        url = found[1].replace("&amp;", "&") if found else None
        if url is None:
            break
        assert "start=2026-11-19T14%3A30%3A00.000000Z" in url
    assert len(seen) == 218


async def test_nothing_found_says_what_was_looked_for(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    page = (await client.get('/?text=zebra+"blue+moon"&app=nix&start=1h')).text
    assert "No record matches" in page
    assert "“zebra” and “blue moon”" in page
    assert 'href="/?text=zebra+%22blue+moon%22&amp;app=nix"' in page  # the same of all time
    reader.records = []
    assert "No records yet" in (await client.get("/")).text


async def test_a_wrong_question_keeps_what_was_typed(client: httpx.AsyncClient) -> None:
    answer = await client.get("/?text=hello&start=<soon>", headers=HTML)
    assert answer.status_code == 400
    assert "start: not a time: &#39;&lt;soon&gt;&#39;" in answer.text
    assert 'value="hello"' in answer.text
    assert 'value="&lt;soon&gt;"' in answer.text
    assert (await client.get("/?evil=1", headers=HTML)).status_code == 400


async def test_incomplete_is_said_on_every_page(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    reader.incomplete = ("day <2026.11.20> lost",)
    for path in ("/", "/?text=zebra", "/requests/6f1c2a9e", "/requests/nobody", RECORD):
        page = (await client.get(path)).text
        assert "<strong>Possibly incomplete" in page or "<strong>Incomplete" in page, path
        assert "day &lt;2026.11.20&gt; lost" in page


async def test_story_page(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    page = (await client.get("/requests/6f1c2a9e")).text
    assert "<strong>Incomplete:</strong>\n3 records of host web-3 missing (numbers 6 to 8 of series web3n)" in page
    assert "First error" in page
    assert "+4.021 s" in page
    assert "no record for 2.002 s" in page
    assert page.count('<rect class="bar"') == 5
    assert page.count('<rect class="hatch"') == 1
    reader.entries = []
    assert "<strong>Complete</strong>, as far as the ledger knows." in (await client.get("/requests/6f1c2a9e")).text
    missing = await client.get("/requests/nobody")
    assert missing.status_code == 404
    assert "No record carries the request ID" in missing.text


async def test_the_small_form_finds_the_story(client: httpx.AsyncClient) -> None:
    assert (await client.get("/requests?id=+6f1c2a9e+")).headers["location"] == "/requests/6f1c2a9e"
    assert (await client.get("/requests?id=//evil.example")).headers["location"] == "/requests/%2F%2Fevil.example"
    for wrong in ("", "<x>", "a\r\nb"):
        assert (await client.get("/requests", params={"id": wrong})).status_code == 400


async def test_record_page_has_what_stands_around_it(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    long = record(500, "<needle> " * 20_000, host__name="web-9")
    reader.records.append(long)
    url = row(long).url
    page = (await client.get(url)).text
    assert page.count("&lt;needle&gt;") > 20_000
    assert page.count("<details") == 8  # and the seven other records of its host
    assert 'class="record info here"' in page
    for wrong in ("/records/nobody-0000000001?at=1", "/records/65614f3a9c1en-0000000500?at=1"):
        assert (await client.get(wrong, headers=HTML)).status_code == 404
    for wrong in (
        "/records/x?at=1",
        "/records/a-1",
        "/records/a-1?at=x",
        "/records/a-1?at=" + "9" * 30,
        "/records/a-²?at=1",
    ):
        assert (await client.get(wrong, headers=HTML)).status_code == 400, wrong


async def test_long_messages_are_cut_in_a_list(client: httpx.AsyncClient) -> None:
    long = row(record(1, "x" * 100_000))
    assert (len(long.message.text), long.message.length, long.message.cut) == (MESSAGE_CUT, 100_000, True)
    page = (await client.get("/?host=web-9")).text
    assert "… 105,313 characters" in page
    assert "show all 105,313 characters" in page
    assert len(page) < 60_000


async def test_ledger_page(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    page = (await client.get("/ledger")).text
    assert "3 records missing" in page
    assert "<b>6\u20138</b>" in page.replace("\n", "")
    assert "web-4" not in (await client.get("/ledger?host=web-3")).text
    reader.entries = [entry("web3n", 1, 5)]
    assert "Nothing is missing." in (await client.get("/ledger")).text
    reader.entries = [entry("web3n", 2, 5, started_at=NOW - SECOND)]
    assert "1 late." in (await client.get("/ledger")).text
    reader.entries = []
    assert "Nothing in the ledger" in (await client.get("/ledger")).text


async def test_dead_letters_page(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    assert "&lt;i&gt;" in (await client.get("/dead-letters")).text
    reader.letters = []
    assert "No dead letters" in (await client.get("/dead-letters")).text


async def test_docs_describe_every_endpoint(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    for path in (await client.get("/openapi.json")).json()["paths"]:
        assert f"</span> <code>{path}</code>" in page
    for name in ("min_level", "next_cursor", "services[].worst_level", "holes[].first", "error.position"):
        assert f"<code>{name}</code>" in page, name
    assert (
        "curl &#39;http://shipper/api/v1/ledger?host=web-3&#39;" in page or "curl 'http://shipper/api/v1/ledger" in page
    )


async def test_health_asks_no_store(reader: MemoryReader, client: httpx.AsyncClient) -> None:
    reader.error = StoreBusy("down")
    assert (await client.get("/health")).json() == {"status": "up"}
    metrics = await client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "shipper_records_received" in metrics.text


@pytest.mark.parametrize(
    ("status", "trouble", "code", "reason"),
    [
        (Status(True), None, 200, ""),
        (Status(True), "disk full", 503, "disk full"),
        (Status(False, "draining"), None, 503, "draining"),
        (Status(False), None, 503, "not ready"),
    ],
)
async def test_ready(status: Status, trouble: str | None, code: int, reason: str) -> None:
    reader = MemoryReader()
    reader.trouble = trouble
    transport = httpx.ASGITransport(build(reader, lambda: status))
    async with httpx.AsyncClient(transport=transport, base_url="http://shipper") as client:
        answer = await client.get("/ready")
    assert answer.status_code == code
    assert answer.json() == {"ready": code == 200, "reason": reason, "figures": {}}


async def test_not_ready_when_the_store_fails(client: httpx.AsyncClient, reader: MemoryReader) -> None:
    reader.error = StoreBusy("no route")
    answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "no route")


async def test_unknown_addresses(client: httpx.AsyncClient) -> None:
    page = await client.get("/nope", headers=HTML)
    assert (page.status_code, "Not found" in page.text) == (404, True)
    assert (await client.get("/api/v1/nope", headers=HTML)).json()["error"]["message"] == "Not Found"
    assert (await client.post("/api/v1/records")).status_code == 405
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert (await client.get(path)).status_code == 404
