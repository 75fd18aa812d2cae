"""Marathon's event stream: frames however they are cut, and a listener that nothing ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from shipper.cluster.events import Event, Frames, listen
from shipper.cluster.marathon import Marathon
from shipper.cluster.settings import ClusterSettings
from tests.unit.cluster_server import Server, free_url, serving, text_of

CONNECTED = Event("connected", {})
#: A pause between connections that costs a test nothing.
AT_ONCE = 0.001


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


STATUS = {"eventType": "status_update_event", "taskId": "t"}
FRAMES: list[tuple[bytes, list[Event]]] = [
    (b"event: a\ndata: " + _json(**STATUS) + b"\n\n", [Event("status_update_event", STATUS)]),
    (b"event: a\r\ndata: " + _json(**STATUS) + b"\r\n\r\n", [Event("status_update_event", STATUS)]),
    (b"event:a\ndata:" + _json(x=1) + b"\n\n", [Event("a", {"x": 1})]),
    (b"data: " + _json(eventType="b") + b"\ndata: " + _json(eventType="c") + b"\n\n",
     [Event("b", {"eventType": "b"}), Event("c", {"eventType": "c"})]),
    (b"event: a\ndata: " + _json(eventType="b") + _json(x=2) + b"\n\n",
     [Event("b", {"eventType": "b"}), Event("a", {"x": 2})]),
    (b'event: a\ndata: {"x":\ndata: 1}\n\n', [Event("a", {"x": 1})]),
    (b": a comment\n\n\r\n\nid: 7\nretry: 1\nevent: a\n\n", []),
    (b"event: a\ndata: garbage\n\nevent: b\ndata: {}\n\n", [Event("a", {}), Event("b", {})]),
    (b"data: garbage\n\n", []),
    (b"event: a\ndata: [1]\n\n", [Event("a", {})]),
    (b"event: a\ndata: " + b"[" * 100_000 + b"\n\n", [Event("a", {})]),
    (b'event: a\ndata: {"x": "\xff"}\n\n', [Event("a", {"x": "\ufffd"})]),
    (b"event: a\ndata: {}", []),
    (b"event: a\ndata: {}\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("data", "events"), FRAMES)
def test_frames(data: bytes, events: list[Event]) -> None:
    assert Frames().feed(data) == events
    frames = Frames()
    assert [event for byte in data[:300] for event in frames.feed(bytes([byte]))] + frames.feed(data[300:]) == events


def test_real_events() -> None:
    frames = Frames()
    events = frames.feed(text_of("api", "events.txt").encode())
    assert [event.type for event in events] == ["event_stream_attached", "status_update_event", "status_update_event"]
    assert events[1].fields["host"] == "srv5.hw.ca1.mesosphere.com"
    lines = text_of("events.ndjson").splitlines()
    known = frames.feed("".join(f"data: {line}\r\n\r\n" for line in lines).encode())
    assert [event.fields for event in known] == [json.loads(line) for line in lines]


def test_an_event_that_is_too_large_still_says_that_it_was() -> None:
    frames = Frames(largest=1000)
    assert frames.feed(b"event: big\ndata: " + b"x" * 5000) == []
    assert frames.feed(b"y" * 5000 + b"\n") == []
    assert frames.feed(b"data: more\n\n") == [Event("big", {})]
    assert frames.feed(b"event: a\ndata: {}\n\n") == [Event("a", {})]
    assert frames.feed(b"event: many\n" + b"data: {}\n" * 600 + b"\n") == [Event("many", {})]
    assert frames.feed(b"event: a\ndata: {}\n\n") == [Event("a", {})]
    assert frames.feed(b"x" * 5000 + b"\n\n") == []


@given(
    st.lists(st.sampled_from([data for data, _ in FRAMES if len(data) < 200]) | st.binary(max_size=30), max_size=6),
    st.data(),
)
def test_no_cut_matters(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    whole = Frames(largest=60).feed(stream)
    frames, cut = Frames(largest=60), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        cut += frames.feed(stream[:size])
        stream = stream[size:]
    assert cut == whole


Says = Callable[[web.StreamResponse], Awaitable[None]]


def _stream(*connections: Says) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The event stream: each connection does the next of these, the last for ever."""
    waiting = list(connections)

    async def attach(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept"] == "text/event-stream"
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(stream)
        return stream

    return attach


def _saying(data: bytes, then: str = "stay") -> Says:
    async def say(stream: web.StreamResponse) -> None:
        await stream.write(data)
        if then == "stay":
            await asyncio.Event().wait()
        if then == "break":
            raise ConnectionResetError

    return say


@asynccontextmanager
async def _listening(server: Server | str, types: Sequence[str] = (), **more: Any) -> AsyncIterator[Any]:
    url = server if isinstance(server, str) else server.url
    settings = ClusterSettings(marathon_urls=[free_url(), url], request_seconds=30)
    async with (
        Marathon(settings) as marathon,
        aclosing(listen(marathon, types, pause_seconds=AT_ONCE, **more)) as events,
    ):
        yield events


async def _next(events: Any, number: int) -> list[Event]:
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(number)]


async def test_it_connects_again_whatever_happens() -> None:
    event = b'event: a\r\ndata: {"x":1}\r\n\r\n'
    async with serving() as server:
        server.replies["GET /v2/events"] = _stream(
            _saying(event, "close"), _saying(b"event: a\r\ndata: {", "break"), _saying(b"", "close"), _saying(event)
        )
        async with _listening(server) as events:
            seen = await _next(events, 6)
    assert seen == [CONNECTED, Event("a", {"x": 1}), CONNECTED, CONNECTED, CONNECTED, Event("a", {"x": 1})]


async def test_silence_ends_a_connection() -> None:
    async with serving() as server:
        server.replies["GET /v2/events"] = _stream(_saying(b""))
        async with _listening(server, silence_seconds=0.2) as events:
            assert await _next(events, 3) == [CONNECTED] * 3


async def test_it_waits_for_a_marathon_that_comes_back() -> None:
    async with serving() as server:
        refusals: list[Any] = [
            (503, {"message": "no leader"}),
            (405, "no"),
            (401, {"message": "no"}),
            (200, "no stream"),
        ]
        attach = _stream(_saying(b'event: a\ndata: {"x":1}\n\n'))

        async def first_refuse(request: web.Request) -> web.StreamResponse:
            if refusals:
                status, text = refusals.pop(0)
                return web.Response(status=status, text=str(text))
            return await attach(request)

        server.replies["GET /v2/events"] = first_refuse
        async with _listening(server) as events:
            assert CONNECTED in await _next(events, 2)
            assert refusals == []


async def test_types_are_asked_for_and_held_to() -> None:
    # Marathon before 1.3.7 sends all of them.
    data = b'event: a\ndata: {"n":1}\n\nevent: b\ndata: {}\n\nevent: a\ndata: {"n":2}\n\n'
    async with serving() as server:
        server.replies["GET /v2/events"] = _stream(_saying(data))
        async with _listening(server, ("a", "c")) as events:
            assert await _next(events, 3) == [CONNECTED, Event("a", {"n": 1}), Event("a", {"n": 2})]
        assert server.asked[0].query == [("plan-format", "light"), ("event_type", "a"), ("event_type", "c")]


def _send_to(server: Server, leader: Server) -> asyncio.Event:
    """Redirect to the leader; set at the third time."""
    thrice = asyncio.Event()

    async def redirect(request: web.Request) -> web.StreamResponse:
        if len(server.asked) == 3:
            thrice.set()
        return web.Response(status=302, headers={"Location": f"{leader.url}{request.rel_url}"})

    server.replies["GET /v2/events"] = redirect
    leader.replies["GET /v2/events"] = _stream(_saying(b"event: a\ndata: {}\n\n"))
    return thrice


async def test_the_leader_has_the_stream() -> None:
    async with serving() as member, serving("127.0.0.2") as leader:
        _send_to(member, leader)
        async with _listening(member, ("a",)) as events:
            assert await _next(events, 2) == [CONNECTED, Event("a", {})]
        assert ("event_type", "a") in leader.asked[0].query


async def test_a_leader_that_is_a_stranger_gets_no_credentials(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    async with serving() as member, serving("127.0.0.2") as leader:
        thrice = _send_to(member, leader)
        settings = ClusterSettings(marathon_urls=[member.url], token_file=secret)
        async with Marathon(settings) as marathon, aclosing(listen(marathon, pause_seconds=AT_ONCE)) as events:
            waiting = asyncio.create_task(anext(events))
            async with asyncio.timeout(60):
                await thrice.wait()
            waiting.cancel()
            await asyncio.wait([waiting])
        assert leader.asked == []
        settings = ClusterSettings(marathon_urls=[member.url, leader.url], token_file=secret)
        async with Marathon(settings) as marathon, aclosing(listen(marathon, pause_seconds=AT_ONCE)) as events:
            assert await _next(events, 1) == [CONNECTED]
        assert leader.asked[0].headers["Authorization"] == "token=geheim"
