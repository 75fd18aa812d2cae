"""What the page's script does in a real Chromium: keys, times, more lines, live tail, completion; and what axe says."""

import functools
import json
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from shipper.record.times import from_ns, to_ns
from shipper.search import cursor as cursors
from shipper.search.query import Page, Place, Query
from tests.e2e.browser import Browser, browser
from tests.e2e.page_world import FAILED, Served, cut, served, shop
from tests.e2e.test_page import SCRIPTS
from tests.unit.api_world import NOW, SECOND, MemoryReader, place_of, record

FOCUSED = "document.activeElement.closest('.record')?.id ?? ''"
LINES = "document.querySelectorAll('#records .record').length"
#: In dark only the colours differ.
_RULES = {False: "", True: ", runOnly: ['color-contrast']"}
_TOLD = "found.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.target.join(' ') + ' ' + n.failureSummary)])"


@pytest.fixture
async def world() -> AsyncIterator[Served]:
    reader = shop(hours=0.7)
    cut(reader)
    async with served(reader) as found:
        yield found


@pytest.fixture
async def tab(chromium: str, tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(chromium, tmp_path) as found:
        yield found


def paths(reader: MemoryReader) -> dict[str, str]:
    """Every kind of page."""
    made = reader.records[-1]
    record_id = f"{made['shipper.series']}-{made['event.sequence']:010d}"
    return {
        "search": "/?start=3h&limit=12",
        "nothing": "/?text=nosuchword&app=x",
        "wrong": "/?start=soon",
        "tail": "/tail?app=web",
        "patterns": "/patterns?start=5m",
        "apps": "/apps?start=24h",
        "record": f"/records/{record_id}?at={to_ns(made['@timestamp'])}",
        "story": f"/requests/{FAILED}",
        "no story": "/requests/nobody",
        "task": f"/tasks/{made['orchestrator.resource.id']}",
        "no task": "/tasks/nobody",
        "ledger": "/ledger",
        "dead letters": "/dead-letters",
        "api": "/docs",
    }


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_axe_finds_nothing(tab: Browser, world: Served, dark: bool) -> None:
    world.reader.letters = [
        {"id": "a-1", "reason": "bug", "detail": "d", "host": "h", "received_at": NOW, "original": "o"}
    ]
    axe = (resources.files("axe_core_python") / "axe.min.js").read_text()
    await tab.dark(dark)
    found: dict[str, Any] = {}
    for name, path in paths(world.reader).items():
        await tab.open(world.url + path)
        await tab.evaluate("document.querySelectorAll('details:not(:nth-of-type(n+3))').forEach(d => d.open = true)")
        await tab.evaluate(axe)
        wrong = await tab.evaluate(
            f"axe.run(document, {{resultTypes: ['violations']{_RULES[dark]}}}).then(found => {_TOLD})"
        )
        if wrong:
            found[name] = wrong
    assert found == {}, json.dumps(found, indent=1)


async def test_keys_move_open_and_go(tab: Browser, world: Served) -> None:
    await tab.open(f"{world.url}/?min_level=error")
    first, second = await tab.evaluate("[...document.querySelectorAll('#records .record')].slice(0, 2).map(r => r.id)")
    await tab.press("j")
    assert await tab.evaluate(FOCUSED) == first
    await tab.press("j")
    assert await tab.evaluate(FOCUSED) == second
    assert await tab.evaluate("getComputedStyle(document.activeElement.closest('.record')).outlineStyle") == "solid"
    await tab.press("k")
    assert await tab.evaluate(FOCUSED) == first
    await tab.press("Enter")
    assert await tab.evaluate("document.activeElement.closest('.record').open") is True
    await tab.press("?")
    assert await tab.evaluate("document.querySelector('.help').open") is True
    await tab.press("Escape")
    assert await tab.evaluate("document.querySelector('.help').open") is False
    await tab.press("g")
    await tab.goes("a")
    assert await tab.evaluate("location.pathname") == "/apps"
    await tab.goes("t")
    assert await tab.evaluate("location.pathname") == "/tail"
    assert tab.console == []


async def test_times_are_of_the_readers_zone_with_utc_beside(tab: Browser, world: Served) -> None:
    world.reader.records.append(record(1, "late in the evening", at="2026-11-21T23:30:05.123456Z", series="zzzzn"))
    await tab.zone("Asia/Tokyo")
    await tab.open(f"{world.url}/?text=evening")
    shown = "[...document.querySelectorAll('#records :is(.day, time)')].map(e => e.textContent)"
    assert await tab.evaluate(shown) == ["2026-11-22", "08:30:05.123"]
    assert "2026-11-21T23:30:05.123456Z (UTC)" in await tab.evaluate("document.querySelector('#records time').title")
    assert "Asia/Tokyo" in await tab.evaluate("document.querySelector('footer').textContent")
    world.reader.letters = [{"id": "a-1", "reason": "bug", "host": "h", "received_at": NOW, "original": "o"}]
    for path, selector, expected in (
        ("/ledger", ".ledger td.when time", "2026-11-22 23:29:56"),
        ("/dead-letters", ".letters time", "2026-11-22 23:30:00"),
    ):
        await tab.open(world.url + path)
        assert await tab.evaluate(f"document.querySelector('{selector}').textContent") == expected
    await tab.open(f"{world.url}/?text=evening")
    await tab.evaluate("document.querySelector('[data-zone]').click()")
    assert await tab.evaluate(shown) == ["2026-11-21", "23:30:05.123"]
    await tab.open(f"{world.url}/?text=evening")  # kept
    assert await tab.evaluate(shown) == ["2026-11-21", "23:30:05.123"]


async def test_the_theme_is_kept(tab: Browser, world: Served) -> None:
    await tab.dark(False)
    await tab.open(world.url + "/ledger")
    await tab.evaluate("document.querySelector('[data-theme-switch]').click()")
    await tab.open(world.url)
    assert await tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"


async def test_more_lines_are_appended_and_bring_their_fields(tab: Browser, world: Served) -> None:
    await tab.open(world.url)
    assert await tab.evaluate(LINES) == 100
    await tab.evaluate("document.querySelector('.pager [rel=next]').click()")
    there = len(world.reader.records)
    await tab.until(f"{LINES} === {there}")
    ids = await tab.evaluate("[...document.querySelectorAll('#records .record')].map(r => r.id)")
    assert len(set(ids)) == there
    last = "document.querySelector('#records .record:last-of-type')"
    await tab.evaluate(f"{last}.querySelector('summary').click()")
    await tab.until(f"{last}.querySelectorAll('.fields dt').length > 8")
    links = await tab.evaluate(f"[...{last}.querySelectorAll('.actions a')].map(a => a.textContent)")
    assert links[-3:] == ["Its task", "Its app on its host", "The same message elsewhere"]
    assert tab.console == []


async def _page(newest_first: list[dict[str, Any]], query: Query) -> Page:
    """Read on in a list; the naive reader would look at all of it for every page."""
    begin = 0 if query.after is None else query.after.sequence
    found = newest_first[begin : begin + query.limit]
    return Page(found, place_of(found[-1]) if begin + len(found) < len(newest_first) else None)


async def test_ten_thousand_lines_stay_usable(tab: Browser, world: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    world.reader.records = [
        record(number, f"line {number} " + "x" * (100_000 if number == 50 else 20), at=NOW - number * SECOND)
        for number in range(1, 10_001)
    ]
    monkeypatch.setattr(world.reader, "search", functools.partial(_page, world.reader.records))
    await tab.open(f"{world.url}/?limit=1000&cursor={cursors.encode(Place(NOW, 'a', 0))}")
    while await tab.evaluate("Boolean(document.querySelector('.pager [rel=next]'))"):
        before = await tab.evaluate(LINES)
        await tab.evaluate("document.querySelector('.pager [rel=next]').click()")
        await tab.until(f"{LINES} > {before}")
    assert await tab.evaluate(LINES) == 10_000
    assert await tab.evaluate("document.documentElement.outerHTML.length") < 20_000_000
    await tab.evaluate("document.querySelector('#records .record:last-of-type summary').focus()")
    await tab.press("k")
    assert await tab.evaluate(FOCUSED) == "65614f3a9c1en-0000009999"


async def test_the_box_completes_fields_and_values(tab: Browser, world: Served) -> None:
    await tab.open(world.url)
    offered = "[...document.querySelectorAll('#choices [role=option] b')].map(e => e.textContent)"
    box = "document.querySelector('[data-search]')"
    await tab.evaluate(f"{box}.focus()")
    for key in "(ap":
        await tab.press(key)
    await tab.until(f"{offered}.includes('app')")
    assert await tab.evaluate(f"{box}.getAttribute('aria-expanded')") == "true"
    await tab.press("ArrowDown")
    await tab.press("Enter")
    assert await tab.evaluate(f"{box}.value") == "(app:"
    await tab.press("p")
    await tab.until(f"JSON.stringify({offered}) === '[\"payments\"]'")
    await tab.press("ArrowDown")
    await tab.press("Enter")
    assert await tab.evaluate(f"{box}.value") == "(app:payments "
    assert await tab.evaluate("document.querySelector('#choices')") is None
    assert tab.console == []


async def test_a_wrong_question_shows_its_place(tab: Browser, world: Served) -> None:
    await tab.open(f"{world.url}/?query=level%3Aerror+and+(app%3Aweb")
    assert await tab.evaluate("document.querySelector('[data-search]').value") == "level:error and (app:web"
    assert "cannot be answered" in await tab.evaluate("document.querySelector('[role=alert]').textContent")
    assert (await tab.evaluate("document.querySelector('.place').textContent")).rstrip() == "level:error and (app:web"
    assert await tab.evaluate("document.querySelectorAll('.place mark').length") == 1


async def test_the_tail_shows_what_comes_and_what_was_skipped(tab: Browser, world: Served) -> None:
    await tab.open(f"{world.url}/tail?app=live")
    state = "document.querySelector('[data-state]').textContent"
    lines = "document.querySelectorAll('.live .record').length"
    await tab.until(f"{state}.startsWith('listening')")
    strange = [*SCRIPTS, "\x1b[31mred \u202e"]
    made = [record(number, text, series="liven", service__name="live") for number, text in enumerate(strange)]
    world.hub.post("test", [*made, record(99, "not asked for", series="liven")], NOW)
    await tab.until(f"{lines} === {len(strange)}")
    texts = await tab.evaluate("[...document.querySelectorAll('.live .message')].map(e => e.textContent)")
    assert texts[:-1] == [text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029") for text in SCRIPTS]
    assert texts[-1] == "\\x1b[31mred \\u202e"
    world.hub.post("test", [], NOW, 7)
    await tab.until(f"{state}.includes('7 skipped')")
    await tab.press("t")
    many = [record(number, "more", series="liven", service__name="live") for number in range(1000, 4000)]
    for begin in range(0, 3000, 500):
        world.hub.post("test", many[begin : begin + 500], NOW)
        await tab.until(f"Number(/([0-9,]+) records/.exec({state})[1].replace(',', '')) >= {begin + 500}")
    assert "paused, 2,000 waiting" in await tab.evaluate(state)
    assert await tab.evaluate(lines) == len(strange)
    await tab.press("t")
    await tab.until(f"{lines} >= 1900")
    assert await tab.evaluate("document.querySelector('.live .records').childElementCount") == 2000
    assert tab.console == []
    assert tab.dialogs == []


async def test_the_tail_goes_on_after_a_restart(tab: Browser, world: Served) -> None:
    """While the server stops, and from a proxy, a tail gets 503, at which an EventSource gives up."""
    await tab.open(f"{world.url}/tail?app=live")
    state = "document.querySelector('[data-state]').textContent"
    texts = "[...document.querySelectorAll('.live .message')].map(e => e.textContent)"
    await tab.until(f"{state}.startsWith('listening')")
    made = [record(number, str(number), at=NOW, series="liven", service__name="live") for number in range(6)]
    world.hub.post("test", made[:2], NOW)
    await tab.until(f"{texts}.length === 2")
    world.hub.end("it is being restarted")
    await tab.until(f"{state}.includes('trying again')")
    await tab.until("performance.getEntriesByType('resource').filter(e => e.initiatorType === 'fetch').length > 0")
    world.reader.records += [one | {"event.ingested": from_ns(NOW)} for one in made[:4]]
    world.hub.ended = None
    await tab.until(f"{state}.startsWith('listening')")
    world.hub.post("test", made[3:], NOW)
    await tab.until(f"{texts}.length >= 6")
    assert await tab.evaluate(texts) == list("012345")


async def test_the_tail_without_script_says_so(tab: Browser, world: Served) -> None:
    await tab.scripts(False)
    await tab.open(f"{world.url}/tail?app=web")
    told = "document.querySelector('noscript').textContent || document.querySelector('noscript').innerHTML"
    assert "needs the script" in await tab.evaluate(told)


async def test_a_phone_scrolls_down_only(tab: Browser, world: Served) -> None:
    await tab.size(375, 760)
    for path in paths(world.reader).values():
        await tab.open(world.url + path)
        await tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 375, path
