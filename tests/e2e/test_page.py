"""The pages in a real Chromium: hostile records run nothing, and everything works, with script and without."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from shipper.api.app import build
from tests.e2e.browser import Browser, browser
from tests.unit.api_world import NOW, SECOND, MemoryReader, entry, record, request_story, shop
from tests.unit.ledger_world import event, reader_report

#: Each sets the title or opens a dialog where it is run: what an attacker would try that is not in BLNS.
SCRIPTS = (
    "<script>document.title='ran'</script>",
    "</script><script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    '"onmouseover=alert(1) autofocus onfocus=alert(1) x="',
    "</span></summary></details><svg onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example><meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><input type=submit>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}{{ config }}",
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    "\u2028alert(1)\u2029<!--",
    "]]><![CDATA[<script>alert(1)</script>",
)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture
def reader() -> MemoryReader:
    return MemoryReader(*shop(), *request_story())


@pytest.fixture
async def url(reader: MemoryReader) -> AsyncIterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    web = build(reader, clock=lambda: NOW)
    server = _Server(uvicorn.Config(web, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await running
    listening.close()


@pytest.fixture
async def tab(chromium: str, tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(chromium, tmp_path) as found:
        yield found


def blns(folder: Path) -> list[str]:
    lines = (folder / "blns.txt").read_text(errors="surrogateescape").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def hostile_world(reader: MemoryReader, strings: list[str]) -> None:
    """Put strings everywhere that a stranger can write to."""
    reader.records = []
    for number, text in enumerate(strings, 1):
        fields: dict[str, Any] = {
            "host.name": text,
            "service.name": text,
            "http.request.id": text,
            "labels": {text: text},
        }
        if number % 3 == 0:
            fields |= {"log.level": text, "error.stack_trace": f"{text}\n{text}", "tags": [text]}
        reader.records.append({**record(number, text, at=NOW - number * SECOND), **fields})
        reader.entries.append(entry(f"{text[:50]}", 2, 3, host=text))
        said = [event(NOW, text, text)]
        reader.kept_reports.append(reader_report((text, 3, 0), host=text, start=text, boot=text, events=said))
        detail = {"id": text, "host": text, "reason": text, "detail": text, "original": text, "received_at": NOW}
        reader.letters.append(detail)
    story = request_story("r-1")
    for number, text in enumerate(strings):
        made = story[number % len(story)]
        reader.records.append(
            {**made, "event.sequence": 100 + number, "message": text, "host.name": text, "service.name": text}
        )
    reader.incomplete = tuple(strings[:50])


async def test_hostile_records_run_nothing(tab: Browser, url: str, reader: MemoryReader, hostile: Path) -> None:
    strings = [*SCRIPTS, *blns(hostile)]
    hostile_world(reader, strings)
    await tab.call("Fetch.enable", patterns=[{"urlPattern": "*evil.example*"}])
    pages = [
        "/?limit=1000",
        "/requests/r-1",
        "/ledger",
        "/dead-letters",
        "/patterns",
        "/apps?start=7d",
        "/tail?app=%3Cscript%3Ealert(1)%3C/script%3E",
        "/requests/r-1?service=%3Cscript%3Ealert(1)%3C/script%3E",
        "/?query=%3Cscript%3Ealert(1)%3C/script%3E+and+(",
        "/?host=%3Cscript%3Ealert(1)%3C/script%3E&start=x",
    ]
    for path in pages:
        await tab.open(url + path)
        opened = "document.querySelectorAll('details').forEach(d => d.open = true); document.title"
        assert "shipper" in await tab.evaluate(opened), path
        # What a stranger wrote is text: no element but ours, no attribute that acts, no link that leaves.
        found = await tab.evaluate(
            "[document.querySelectorAll('main :is(script, img, iframe, style, object, embed, base, meta)').length,"
            " [...document.querySelectorAll('*')].some(e => [...e.attributes].some(a => /^on|^style$/.test(a.name))),"
            " [...document.links].every(a => a.origin === location.origin)]"
        )
        assert found == [0, False, True], path
    assert tab.dialogs == []
    assert [line for line in tab.console if "status of 400" not in line] == []
    assert {request.split("/")[2] for request in tab.requests if request.startswith("http")} == {url.split("/")[2]}


async def test_hostile_words_are_searched_and_shown_as_text(tab: Browser, url: str) -> None:
    text = "\"'><script>document.title='ran'</script>"
    await tab.open(url)
    await tab.evaluate(f"document.querySelector('[data-search]').value = {json.dumps(text)}")
    await tab.click("form.search button")
    assert await tab.evaluate("document.querySelector('[data-search]').value") == text
    assert await tab.evaluate("document.title") != "ran"
    assert tab.dialogs == []


async def test_inline_script_would_be_refused_by_the_policy(tab: Browser, url: str) -> None:
    """Should escaping ever fail, the second wall holds."""
    await tab.open(url)
    await tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=`ran`\">')")
    await asyncio.sleep(0.3)
    assert await tab.evaluate("document.title") == "shipper"
    assert any("Content Security Policy" in line for line in tab.console)


async def test_from_search_to_story_to_record(tab: Browser, url: str) -> None:
    await tab.open(f"{url}/?host=pay-1&min_level=error&start=1h")
    assert await tab.evaluate("document.querySelectorAll('details.record').length") == 1
    await tab.click(".story-of")
    assert await tab.evaluate("location.pathname") == "/requests/6f1c2a9e"
    assert await tab.evaluate("document.querySelectorAll('.records details').length") == 11
    await tab.click(".opened [data-open]")
    assert (await tab.evaluate("location.pathname")).startswith("/records/lb1n-")
    assert await tab.evaluate("document.querySelectorAll('.record.here').length") == 1
    assert await tab.evaluate("scrollY") == 0
    assert tab.console == []


async def test_the_page_works_without_script(tab: Browser, url: str) -> None:
    await tab.scripts(False)
    await tab.open(f"{url}/?text=timed+out")
    # The protocol evaluates all the same; the page's own file did not run.
    lines = await tab.evaluate("document.querySelectorAll('details.record').length")
    assert lines > 10
    await tab.evaluate("document.querySelector('details.record summary').click()")
    assert await tab.evaluate("document.querySelector('details.record .fields').offsetHeight") > 50
    await tab.click("form.search button.primary")
    assert await tab.evaluate("location.search") == "?text=timed+out"


async def test_slash_goes_to_the_search_box(tab: Browser, url: str) -> None:
    await tab.open(f"{url}/?text=timed+out")
    assert await tab.evaluate("document.activeElement.name ?? ''") == ""
    await tab.press("/")
    assert await tab.evaluate("document.activeElement.name") == "query"
    await tab.press("/")
    assert "/" in await tab.evaluate("document.activeElement.value")  # typed, as in any other box


@pytest.mark.parametrize("width", [360, 800, 1440])
async def test_no_page_scrolls_sideways(tab: Browser, url: str, reader: MemoryReader, width: int) -> None:
    reader.entries = [entry("web3n", n, n) for n in range(1, 40, 2)]
    await tab.size(width, 800)
    for path in ("/", "/?host=web-9", "/requests/6f1c2a9e", "/ledger", "/dead-letters", "/docs", "/?text=" + "x" * 900):
        await tab.open(url + path)
        await tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width, path


async def test_dark_and_light(tab: Browser, url: str) -> None:
    grounds = []
    for dark in (False, True):
        await tab.dark(dark)
        await tab.open(url)
        grounds.append(await tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(247, 247, 245)", "rgb(15, 18, 22)"]
