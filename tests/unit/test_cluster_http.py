"""Asking the cluster: several addresses, credentials that no stranger gets, limits, and servers that misbehave."""

import asyncio
import gzip
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.cluster._http import Question, Service
from shipper.cluster.marathon import Marathon
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterBusy, ClusterError, ClusterRefused, ConfigError
from tests.tls import Authority
from tests.unit.cluster_server import Server, free_url, serving, speaking

APPS = {"apps": [{"id": "/a"}]}
#: The one wait that a test cannot avoid: an address that says nothing.
SHORT = 1.5


def _marathon(*servers: Server | str, **more: Any) -> Marathon:
    urls = [one if isinstance(one, str) else one.url for one in servers]
    return Marathon(ClusterSettings(marathon_urls=urls, **more))


async def _never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def test_the_next_address_answers_and_is_remembered() -> None:
    async with serving() as broken, serving() as good:
        broken.replies["GET /v2/apps"] = (503, {"message": "no leader"})
        good.replies["GET /v2/apps"] = APPS
        async with _marathon(free_url(), broken, good) as marathon:
            assert [app.id for app in await marathon.apps()] == ["/a"]
            assert [app.id for app in await marathon.apps()] == ["/a"]
        assert len(broken.asked) == 1
        assert len(good.asked) == 2


async def test_a_no_is_an_answer_too() -> None:
    async with serving() as good:
        async with _marathon(free_url(), good) as marathon:
            with pytest.raises(ClusterRefused):
                await marathon.info()
            assert marathon._service._urls[0] == good.url


@pytest.mark.parametrize(
    "reply", [_never, (200, "<html>hello</html>"), (200, ""), (200, {"apps": 7}), (500, {}), (303, "")]
)
async def test_an_unusable_answer_is_asked_for_elsewhere(reply: Any) -> None:
    async with serving() as bad, serving() as good:
        bad.replies["GET /v2/apps"] = reply
        good.replies["GET /v2/apps"] = APPS
        async with _marathon(bad, good, request_seconds=SHORT) as marathon:
            assert [app.id for app in await marathon.apps()] == ["/a"]


async def test_every_address_is_named_when_none_answers() -> None:
    async with serving() as silent, serving() as garbage:
        silent.replies["GET /v2/apps"] = _never
        garbage.replies["GET /v2/apps"] = (200, "\x1b[2Jhello")
        async with _marathon(free_url(), silent, garbage, request_seconds=SHORT) as marathon:
            with pytest.raises(ClusterBusy) as caught:
                await marathon.apps()
    text = str(caught.value)
    assert f"Marathon at {free_url()} cannot be reached" in text
    assert "check marathon_urls" in text
    assert f"Marathon at {silent.url} gave no answer in 1.5 s" in text
    assert f"Marathon at {garbage.url} gives an answer that is not its own: no JSON, but '?[2Jhello'" in text
    assert text.isprintable()


async def test_no_address() -> None:
    with pytest.raises(ConfigError, match="set marathon_urls"):
        Marathon(ClusterSettings())


async def test_a_change_is_asked_elsewhere_only_where_it_was_not_made() -> None:
    async with serving() as leaderless, serving() as good:
        leaderless.replies["DELETE /v2/apps/a"] = (502, "Could not determine the current leader")
        good.replies["DELETE /v2/apps/a"] = {"deploymentId": "d"}
        async with _marathon(free_url(), leaderless, good) as marathon:
            assert await marathon.delete("/a") == "d"


@pytest.mark.parametrize("reply", [_never, (503, {"message": "time-out"}), (200, {}), (200, "hello")])
async def test_a_change_that_may_have_been_made_is_not_asked_again(reply: Any) -> None:
    async with serving() as bad, serving() as good:
        bad.replies["DELETE /v2/apps/a"] = reply
        good.replies["DELETE /v2/apps/a"] = {"deploymentId": "d"}
        async with _marathon(bad, good, request_seconds=SHORT) as marathon:
            with pytest.raises(ClusterBusy, match="look before trying again"):
                await marathon.delete("/a")
        assert good.asked == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
@pytest.mark.parametrize("body", [None, {"instances": 2}])
@pytest.mark.parametrize("rude", [False, True])
async def test_a_change_is_sent_once_when_its_connection_is_lost(method: str, body: Any, rude: bool) -> None:
    asked = []

    async def lose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"}" if body else b"\r\n\r\n"))
        if rude:
            writer.transport.abort()
        writer.close()

    listening = await asyncio.start_server(lose, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening, serving() as good, Service("X", [url, good.url], "urls", ClusterSettings()) as service:
        with pytest.raises(ClusterBusy, match="look before trying again"):
            await service.ask(Question("/a", method, body=body))
        assert good.asked == []
    assert len(asked) == 1


async def test_changes_one_after_the_other_and_redirected_ones_are_all_sent() -> None:
    async with serving() as member, serving("127.0.0.2") as leader:
        leader.replies["PUT /v2/apps/a"] = {"deploymentId": "d"}
        await _redirecting(member, leader)
        async with _marathon(member) as marathon:
            assert [await marathon.scale("/a", count) for count in (1, 2, 3)] == ["d"] * 3
        assert [one.body for one in leader.asked] == [{"instances": count} for count in (1, 2, 3)]


async def test_basic_and_token(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("gehe:im\n")
    async with serving() as server:
        server.replies["GET /v2/apps"] = APPS
        async with _marathon(server, user="shipper", password_file=secret) as marathon:
            await marathon.apps()
            secret.write_text("neu\n")
            await marathon.apps()
            secret.unlink()
            await marathon.apps()  # the last one, while the file is being replaced
        secret.write_text("abc.def")
        async with _marathon(server, token_file=secret) as marathon:
            await marathon.apps()
    sent = [one.headers["Authorization"] for one in server.asked]
    assert sent == ["Basic c2hpcHBlcjpnZWhlOmlt", *["Basic c2hpcHBlcjpuZXU="] * 2, "token=abc.def"]


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff\xfe", b"x" * 20_000, b"a\x00b"])
def test_a_secret_that_cannot_be_used(tmp_path: Path, content: bytes | None) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^token_file: "):
        _marathon("http://127.0.0.1:1", token_file=secret)


async def _redirecting(server: Server, target: Server | str, status: int = 302) -> None:
    url = target if isinstance(target, str) else target.url

    async def redirect(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": f"{url}{request.rel_url}"})

    for question in ("GET /v2/apps", "PUT /v2/apps/a"):
        server.replies[question] = redirect


async def test_a_redirect_to_the_leader() -> None:
    async with serving() as member, serving("127.0.0.2") as leader:
        leader.replies = {"GET /v2/apps": APPS, "PUT /v2/apps/a": {"deploymentId": "d"}}
        await _redirecting(member, leader)
        async with _marathon(member) as marathon:
            assert [app.id for app in await marathon.apps()] == ["/a"]
            assert await marathon.scale("/a", 2) == "d"
        # Neither method nor body are lost, which other clients do at a 302.
        assert leader.asked[1].method == "PUT"
        assert leader.asked[1].body == {"instances": 2}


async def test_credentials_go_to_no_stranger(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    async with serving() as member, serving("127.0.0.2") as stranger:
        stranger.replies["GET /v2/apps"] = APPS
        await _redirecting(member, stranger)
        async with _marathon(member, user="u", password_file=secret) as marathon:
            with pytest.raises(ClusterBusy, match="credentials are not sent; add that host to marathon_urls"):
                await marathon.apps()
        assert stranger.asked == []
        async with _marathon(member, stranger, user="u", password_file=secret) as marathon:
            assert [app.id for app in await marathon.apps()] == ["/a"]
        assert stranger.asked[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("location", ["ftp://127.0.0.1", "http://user@127.0.0.1", "javascript:alert(1)//", "http://"])
async def test_a_redirect_to_nowhere(location: str) -> None:
    async with serving() as member:
        await _redirecting(member, location)
        async with _marathon(member) as marathon:
            with pytest.raises(ClusterBusy):
                await marathon.apps()


async def test_a_redirect_in_a_circle() -> None:
    async with serving() as member:
        await _redirecting(member, member, 307)
        async with _marathon(member) as marathon:
            with pytest.raises(ClusterBusy, match="circle"):
                await marathon.apps()
        assert len(member.asked) == 4


async def test_certificates(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    pair = ours.sign("localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    async with serving(tls=tls) as server:
        server.replies["GET /v2/apps"] = APPS
        url = server.url.replace("127.0.0.1", "localhost")
        async with _marathon(url, ca_file=Path(ours.certificate)) as marathon:
            assert [app.id for app in await marathon.apps()] == ["/a"]
        async with _marathon(url, ca_file=Path(other.certificate)) as marathon:
            with pytest.raises(ClusterBusy, match="check ca_file"):
                await marathon.apps()
        async with _marathon(url) as marathon:
            with pytest.raises(ClusterBusy, match="check ca_file"):
                await marathon.apps()
    for wrong in (tmp_path / "absent", Path(__file__)):
        with pytest.raises(ConfigError, match=r"^ca_file: "):
            _marathon(url, ca_file=wrong)


async def _asked(server: Server, largest: int) -> int:
    async with Service("Marathon", [server.url], "marathon_urls", ClusterSettings()) as service:
        return len((await service.ask(Question("/big", largest=largest))).body)


async def test_no_answer_is_too_large() -> None:
    packed = gzip.compress(bytes(50 * 2**20))

    async def bomb(_: web.Request) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with serving() as server:
        server.replies["GET /big"] = (200, "x" * 2**20)
        assert await _asked(server, 2**20) == 2**20
        large: list[Any] = [(200, "x" * (2**20 + 1)), bomb]
        for reply in large:
            server.replies["GET /big"] = reply
            with pytest.raises(ClusterBusy, match="more than 1 MiB"):
                await _asked(server, 2**20)
        server.replies["GET /big"] = (404, "x" * (2**20 + 1))
        with pytest.raises(ClusterRefused):
            await _asked(server, 2**20)


HEADS = [
    b"200 OK", b"200 OK\r\nContent-Length: 5", b"200 OK\r\nTransfer-Encoding: chunked", b"404 \xff\xff", b"999 x",
    b"101 x", b"100 x", b"302 x\r\nLocation: //", b"302 x\r\nLocation: http://[", b"200 OK\r\nContent-Encoding: gzip",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200)
    | st.builds(
        lambda head, body: b"HTTP/1.1 " + head + b"\r\n\r\n" + body, st.sampled_from(HEADS), st.binary(max_size=60)
    )
)
def test_no_bytes_break_it(data: bytes) -> None:
    async def ask() -> None:
        async with speaking(data) as url, _marathon(url, request_seconds=30) as marathon:
            with pytest.raises(ClusterError) as caught:
                await marathon.apps()
            assert str(caught.value).isprintable()

    asyncio.run(ask())
