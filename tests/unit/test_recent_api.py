"""Questions while the store is away: answered from recent copies, marked so, never beyond what the caller may see."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shipper.api import recent as recents
from shipper.api import recent_wire as wire
from shipper.api.app import build
from shipper.api.recent import WithRecent
from shipper.api.recent_copies import Copies
from shipper.api.recent_peers import RecentPeers
from shipper.api.recent_wire import Own
from shipper.api.status import Status
from shipper.config import FeedSettings
from shipper.errors import StoreBusy
from shipper.pipeline.recent import Coverage, Recent
from shipper.search.expression import Equals
from shipper.search.query import Page, Query
from tests.unit.access_world import CANARY, REQUEST, TEXTS, entrance
from tests.unit.access_world import reader as two_teams
from tests.unit.api_world import NOW, SECOND, MemoryReader, busy, record, request_story
from tests.unit.tail_world import serving
from tests.unit.test_recent import fill, settings


class Away:
    """A store whose answer never comes."""

    def __init__(self, reader: MemoryReader) -> None:
        self.reader, self.away, self.asked = reader, True, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    async def search(self, query: Query) -> Page:
        self.asked += 1
        if self.away:
            await asyncio.Event().wait()
        return await self.reader.search(query)


@contextlib.asynccontextmanager
async def copy(folder: Path, records: list[dict[str, Any]]) -> AsyncIterator[Own]:
    async with Recent(settings(folder)) as found:
        fill(found, records)
        yield Own(found, lambda: True)


def web(store: Any, own: Own | None, peers: RecentPeers | None = None, **more: Any) -> FastAPI:
    reader = WithRecent(store, Copies(own, peers), more.pop("trouble", lambda: None), lambda: NOW)
    return build(reader, clock=lambda: NOW, own=own, **more)


def client(app: FastAPI, token: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {TEXTS[token]}"} if token else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers)


async def test_a_story_from_the_recent_copy(tmp_path: Path) -> None:
    async with copy(tmp_path, request_story("r-1")) as own, client(web(busy(), own)) as asking:
        answer = await asking.get("/api/v1/requests/r-1")
        told = answer.json()
        assert answer.status_code == 200
        assert told["source"] == "recent"
        assert [one["event.sequence"] for one in told["records"]] == list(range(1, 12))
        assert told["verdict"]["state"] == "incomplete"
        reasons = " / ".join(told["verdict"]["reasons"])
        assert "the store does not answer since 2026-11-22T14:30:00Z (connection refused)" in reasons
        assert "the shipper's recent copy, which begins at 2026-11-22T14:20:00Z" in reasons
        assert "what hosts sent after 2026-11-22T14:20:04Z waits in their queues" in reasons
        page = (await asking.get("/requests/r-1", headers={"Accept": "text/html"})).text
        assert "from recent copies" in page
        assert "the store does not answer since" in page


async def test_searches_context_and_pages_from_the_recent_copy(tmp_path: Path) -> None:
    records = [record(number, at=NOW + number * SECOND) for number in range(1, 40)]
    async with copy(tmp_path, records) as own, client(web(busy(), own)) as asking:
        found = (await asking.get("/api/v1/records?limit=5&query=app:shop-api")).json()
        assert [one["event.sequence"] for one in found["records"]] == [39, 38, 37, 36, 35]
        assert found["source"] == "recent"
        more = (await asking.get("/api/v1/records", params={"limit": 5, "cursor": found["next_cursor"]})).json()
        assert [one["event.sequence"] for one in more["records"]] == [34, 33, 32, 31, 30]
        html = {"Accept": "text/html"}
        page = (await asking.get("/", headers=html)).text
        assert "from recent copies" in page
        one = found["records"][2]
        around = await asking.get(f"/api/v1/records/{one['id']}/context?before=3&after=2")
        assert around.status_code == 200, around.text
        told = around.json()
        assert [one["event.sequence"] for one in told["before"]] == [34, 35, 36]
        assert [one["event.sequence"] for one in told["after"]] == [38, 39]
        assert (await asking.get("/api/v1/requests/unknown")).json()["verdict"]["state"] == "incomplete"


async def test_a_page_from_the_recent_copy_asks_the_store_for_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any) -> Any:
        await asyncio.Event().wait()

    store = busy()
    for name in ("counts", "ledger", "reports"):
        monkeypatch.setattr(store, name, hang)
    async with copy(tmp_path, request_story("r-1")) as own, client(web(store, own)) as asking, asyncio.timeout(20):
        assert "from recent copies" in (await asking.get("/", headers={"Accept": "text/html"})).text


async def test_a_store_that_goes_away_in_the_middle_of_a_story(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryReader(*request_story("r-1"))

    async def away(*_: str) -> list[Any]:
        raise StoreBusy("connection refused")

    monkeypatch.setattr(store, "ledger", away)
    async with client(web(store, None)) as asking:
        answer = await asking.get("/api/v1/requests/r-1")
        assert answer.status_code == 200
        told = answer.json()
        assert len(told["records"]) == 11
        assert told["verdict"]["state"] == "possibly incomplete"
        assert "the ledger could not be read: connection refused" in told["verdict"]["reasons"]


async def test_without_a_copy_the_store_is_busy_as_before(tmp_path: Path) -> None:
    async with client(web(busy(), None)) as asking:
        assert (await asking.get("/api/v1/requests/r-1")).status_code == 503
        assert (await asking.get("/api/v1/records")).status_code == 503
        assert (await asking.get("/api/v1/feed/recent")).status_code == 404
    gone = RecentPeers(FeedSettings(peers=["http://127.0.0.1:9"]))
    async with gone.running(), client(web(busy(), None, gone)) as asking:
        assert (await asking.get("/api/v1/requests/r-1")).status_code == 503


async def test_a_store_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recents, "_STORY_SECONDS", 0.3)
    monkeypatch.setattr(recents, "_LOOK_SECONDS", 0.05)
    store = Away(MemoryReader(*request_story("r-1")))
    async with copy(tmp_path, request_story("r-1")) as own:
        reader = WithRecent(store, Copies(own), lambda: None)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await reader.search(Query(request_id="r-1"))).source == "recent"
        first = loop.time() - began
        again = await reader.search(Query(request_id="r-1"))
        assert first >= 0.3
        assert "no answer in 0.3 s" in again.incomplete[0]
        store.away = False
        watching = asyncio.create_task(reader.watch())
        async with asyncio.timeout(20):
            while reader._since:  # noqa: ASYNC110  no event tells it
                await asyncio.sleep(0.01)
        watching.cancel()
        assert (await reader.search(Query(request_id="r-1"))).source == "store"


async def test_a_store_that_is_behind_is_completed_and_says_so(tmp_path: Path) -> None:
    story = request_story("r-1")
    async with copy(tmp_path, story) as own:
        app = web(MemoryReader(*story[:4]), own, trouble=lambda: "disk full")
        async with client(app) as asking:
            told = (await asking.get("/api/v1/requests/r-1")).json()
            assert [one["event.sequence"] for one in told["records"]] == list(range(1, 12))
            assert told["source"] == "store"
            assert "the store is behind (disk full)" in " ".join(told["incomplete"])
            found = (await asking.get("/api/v1/records?order=oldest")).json()
            assert [one["event.sequence"] for one in found["records"]] == list(range(1, 12))
            assert found["incomplete"] == [
                "the store is behind (disk full): newer records are from recent copies, as far as shippers have them"
            ]
            for path in ("counts", "top?field=service.name", "records?limit=1&order=oldest"):
                (note,) = (await asking.get(f"/api/v1/{path}")).json()["incomplete"]
                assert note == "the store is behind (disk full): what is newer may be missing"


async def test_other_shippers_say_that_the_store_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recents, "_LISTEN_SECONDS", 0.02)
    said = Status(ready=False, reason="the store is busy: disk full")
    async with serving(MemoryReader(), status=lambda: said) as one:
        peers = RecentPeers(FeedSettings(peers=["http://127.0.0.1:9", one.url]))
        reader = WithRecent(MemoryReader(*request_story("r-1")), Copies(None, peers), lambda: None)
        async with peers.running():
            watching = asyncio.create_task(reader.watch())
            async with asyncio.timeout(20):
                while not (await reader.top(Query(), "service.name", 1)).incomplete:  # noqa: ASYNC110  no event tells it
                    await asyncio.sleep(0.01)
            assert (await reader.search(Query())).incomplete == (
                "the store is behind (disk full): what is newer may be missing",
            )
            said = Status(ready=False, reason="not accepting")  # it is being stopped
            async with asyncio.timeout(20):
                while (await reader.search(Query())).incomplete:  # noqa: ASYNC110  no event tells it
                    await asyncio.sleep(0.01)
            watching.cancel()


async def test_a_store_that_is_behind_says_so_without_a_copy(tmp_path: Path) -> None:
    reader = WithRecent(MemoryReader(*request_story("r-1")), Copies(), lambda: "disk full")
    page = await reader.search(Query(request_id="r-1"))
    assert len(page.records) == 11
    assert page.incomplete == ("the store is behind (disk full): what is newer may be missing",)


@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_of_a_store_that_is_behind_have_neither_holes_nor_doubles(
    tmp_path: Path, *, newest_first: bool
) -> None:
    records = [record(number, at=NOW + number * SECOND) for number in range(1, 41)]
    async with copy(tmp_path, records[10:]) as own:
        reader = WithRecent(MemoryReader(*records[:30:2]), Copies(own), lambda: "disk full")
        asked = Query(limit=7, newest_first=newest_first)
        found: list[int] = []
        while True:
            page = await reader.search(asked)
            assert len(page.records) <= asked.limit
            found += [one["event.sequence"] for one in page.records]
            if page.next is None:
                break
            asked = replace(asked, after=page.next)
        assert found == sorted([*range(1, 11, 2), *range(11, 41)], reverse=newest_first)


async def test_a_store_that_takes_nothing_is_asked_as_patiently_as_ever(tmp_path: Path) -> None:
    class Slow(MemoryReader):
        async def search(self, query: Query) -> Page:
            await asyncio.sleep(2 * recents._IN_TROUBLE_STORY_SECONDS)
            return await super().search(query)

    async with copy(tmp_path, []) as own:
        page = await WithRecent(Slow(*request_story("r-1")), Copies(own), lambda: "disk full").search(
            Query(request_id="r-1")
        )
        assert (len(page.records), page.source) == (11, "store")


@pytest.mark.parametrize("path", ["/api/v1/records?limit=100", f"/api/v1/requests/{REQUEST}", "/api/v1/feed/recent"])
async def test_a_caller_sees_no_more_than_from_the_store(tmp_path: Path, path: str) -> None:
    async with copy(tmp_path / "copy", two_teams().records) as own:
        app = web(busy(), own, entrance=entrance(tmp_path))
        async with client(app, "shop") as asking:
            answer = await asking.get(path)
            if path.endswith("/recent"):
                assert answer.status_code == 403
                return
            assert answer.status_code == 200
            assert answer.json()["records"]
            assert CANARY not in answer.text
        async with client(app, "reader") as asking:
            assert CANARY in (await asking.get(path)).text
        async with client(app) as asking:
            assert (await asking.get(path)).status_code == 401


async def test_other_shippers_are_asked_and_their_answers_are_one(tmp_path: Path) -> None:
    story = request_story("r-1")
    async with copy(tmp_path / "a", story[:7]) as one, copy(tmp_path / "b", story[4:]) as two:
        reader = MemoryReader()
        async with serving(reader, own=one) as first, serving(reader, own=two) as second:
            peers = RecentPeers(FeedSettings(peers=[first.url, f"{second.url}/", "http://127.0.0.1:9"]))
            async with peers.running(), client(web(busy(), None, peers)) as asking:
                told = (await asking.get("/api/v1/requests/r-1")).json()
                assert [one["event.sequence"] for one in told["records"]] == list(range(1, 12))
                assert "the shippers' recent copies, which begin at" in " ".join(told["incomplete"])
                assert "the shipper at http://127.0.0.1:9 could not be asked" in " ".join(told["incomplete"])
                everything = await asking.get("/api/v1/records?limit=4&query=level:info and app:(shop-api or shop-web)")
                sequences = [one["event.sequence"] for one in everything.json()["records"]]
                assert sequences == [4, 2]


async def test_pages_of_several_copies_follow_each_other_without_holes(tmp_path: Path) -> None:
    records = [record(number, at=NOW + number * SECOND) for number in range(1, 41)]
    async with copy(tmp_path / "a", records[:30]) as one, copy(tmp_path / "b", records[20::2]) as two:
        reader = MemoryReader()
        async with serving(reader, own=one) as first, serving(reader, own=two) as second:
            peers = RecentPeers(FeedSettings(peers=[first.url, second.url]))
            async with peers.running():
                for newest_first in (True, False):
                    asked = Query(limit=3, newest_first=newest_first, where=Equals("service.name", "shop-api"))
                    found: list[int] = []
                    while True:
                        page = await Copies(None, peers).search(asked)
                        assert page is not None
                        found += [one["event.sequence"] for one in page.records]
                        if page.next is None:
                            break
                        asked = replace(asked, after=page.next)
                    expected = [*range(1, 31), *range(31, 41, 2)]
                    assert found == sorted(expected, reverse=newest_first)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"recent":1}', b"<html>", wire.write(wire.Told([], Coverage(1, 2), False, (), False))[:-20]]
)
def test_what_is_no_answer_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the answer"):
        wire.read(data)


def test_an_answer_is_read_as_it_was_written() -> None:
    told = wire.Told([record(1, "a\nb")], Coverage(1, 2, 3, 4), waits=True, notes=("why",), more=True)
    assert wire.read(wire.write(told)) == told


async def test_errors_of_the_question_stay_errors(tmp_path: Path) -> None:
    async with copy(tmp_path, request_story("r-1")) as own, client(web(busy(), own)) as asking:
        assert (await asking.get("/api/v1/records?query=(")).status_code == 400
        assert (await asking.get("/api/v1/feed/recent?query=(")).status_code == 400
        with pytest.raises(StoreBusy):
            await busy().search(Query())
