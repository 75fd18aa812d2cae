"""A hub that reads other shippers' feeds: what they say, what is lost with a connection, and who they are."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shipper.api import feed_peers, feed_wire
from shipper.api.feed import Hub
from shipper.api.feed_peers import Peers, addresses
from shipper.cluster.model import App, Task
from shipper.cluster.settings import ClusterSettings
from shipper.config import FeedSettings
from shipper.errors import ConfigError
from tests.unit.api_world import MemoryReader, record
from tests.unit.tail_world import serving
from tests.unit.test_tail import ingested


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_peers, "_AGAIN_SECONDS", 0.05)


def hub_of(reader: MemoryReader, *urls: str, **settings: Any) -> Hub:
    return Hub(reader, None, Peers(FeedSettings(peers=list(urls), **settings)))


async def test_many_tails_read_each_peer_once() -> None:
    async with serving(MemoryReader()) as one, serving(MemoryReader()) as two:
        async with serving(MemoryReader(), hub=hub_of(MemoryReader(), one.url, f"{two.url}/")) as api:
            async with api.tail() as first, api.tail("?min_level=error") as second:
                await api.until(lambda: one.feed._listeners and two.feed._listeners)
                assert (len(one.feed._listeners), len(two.feed._listeners)) == (1, 1)
                one.store(record(1), record(2, log__level="error"))
                two.store(record(1, series="otherserien"), record(2))  # the second is known already
                two.store(record(3, log__level="error"))
                assert sorted((await first.until(4)).numbers) == [1, 1, 2, 3]
                assert sorted((await second.until(2)).numbers) == [2, 3]
            await api.until(lambda: not one.feed._listeners and not two.feed._listeners)


async def test_while_a_peer_is_away_the_store_is_asked() -> None:
    reader = MemoryReader()
    async with serving(MemoryReader()) as one:
        hub = hub_of(reader, one.url)
        async with serving(reader, hub=hub) as api, api.tail() as tail:
            await api.until(lambda: not hub.polls)
            one.store(record(1))
            await tail.until(1)
            one.hub.end("stops")
            await api.until(lambda: hub.polls)
            reader.records += [ingested(1, 0.5), ingested(2, 0)]
            assert (await tail.until(2)).numbers == [1, 2]
            one.hub.ended = None
            await api.until(lambda: not hub.polls)
            one.store(record(3))
            assert (await tail.until(3)).numbers == [1, 2, 3]


async def test_the_token_is_shown_to_the_peer_and_to_nobody_it_names(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("Authorization", "")))
        raise web.HTTPFound("/elsewhere")

    server = web.Application()
    server.router.add_get("/{path:.*}", redirect)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (tmp_path / "token").write_text("secret\n")
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    hub = hub_of(MemoryReader(), url, token_file=str(tmp_path / "token"))
    try:
        async with serving(MemoryReader(), hub=hub) as api, api.tail():
            await api.until(lambda: len(asked) > 1)
            assert set(asked) == {("/api/v1/feed", "Bearer secret")}
    finally:
        await runner.cleanup()


async def test_a_slow_peer_is_told_what_it_missed() -> None:
    documents = [b'{"event.sequence":1}', b'{"event.sequence":2}']
    sent = feed_wire.encode(5, 7, documents) + feed_wire.encode(6, 0, ())
    blocks = feed_wire.Blocks()
    found = [block for place in range(len(sent)) for block in blocks.read(sent[place : place + 1])]
    assert [(block.mark, block.skipped, len(block.records)) for block in found] == [(5, 7, 2), (6, 0, 0)]
    hub = hub_of(MemoryReader(), "http://127.0.0.1:1")
    tail = hub.open(lambda _: True)
    hub.post("peer", found[0].records, 5, 7)
    async with asyncio.timeout(10):
        await tail.ready.wait()
    assert b'"count":7' in tail.take(10**6)
    hub.close(tail)


@pytest.mark.parametrize("line", [b"[]\n", b"1\n", b"{}\n", b'{"feed":{}}\n', b'{"feed":{"mark":"x"}}\n', b"<html>\n"])
def test_what_is_no_feed_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(feed_wire.Blocks().read(line))


def test_settings_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match=r"api\.feed\.peers: ftp://x: must be http"):
        Peers(FeedSettings(peers=["ftp://x"]))
    with pytest.raises(ConfigError, match=r"api\.feed\.app: needs an enricher marathon"):
        Peers(FeedSettings(app="/shipper"), ClusterSettings())


def test_the_port_of_the_api_is_the_one_of_that_name() -> None:
    tasks = tuple(
        Task(id=f"t{n}", app_id="/s", host=f"h{n}", ports=(5140, 8080, 9999), state=state)
        for n, state in enumerate(("TASK_RUNNING", "", "TASK_FAILED"))
    )
    ports = [{"name": "relp"}, {"name": "http"}, {"name": "more"}]
    app = App("/s", "v", {}, 3, (), tasks, (), {"portDefinitions": ports})
    assert addresses(app) == ["http://h0:8080", "http://h1:8080"]
    assert addresses(App("/s", "v", {}, 1, (), tasks[:1], (), {})) == ["http://h0:9999"]
