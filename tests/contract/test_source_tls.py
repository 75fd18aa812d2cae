"""An encrypted connection's life: what holds for a plain one holds for it, and a failed handshake costs only itself."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from shipper.sources import relp, syslog_tcp
from tests.contract.fake_intake import FakeIntake, Running, counted, on_both_loops, running, until
from tests.tls import Authority

OPEN = b"1 open 0\n"
CLOSED = "shipper_connections_closed_total"
GOODBYE = b"0 serverclose 0\n"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca"))
    made.sign("shipper.example")
    made.sign("web-3.example")
    return made


def source(module: Any, ca: Authority, **settings: Any) -> Any:
    tls = {**ca.pair("shipper.example").source, "client_ca": ca.certificate}
    return module.Config.model_validate({"port": 0, "tls": tls, **settings}).build()


def client(ca: Authority, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    pair = ca.pair("web-3.example")
    context = ssl.create_default_context(cafile=ca.certificate)
    context.load_cert_chain(pair.certificate, pair.key)
    context.maximum_version = version
    return context


def frames(*numbers: int) -> bytes:
    return b"".join(b"%d syslog %d record %d\n" % (number, len(f"record {number}"), number) for number in numbers)


def oks(*numbers: int) -> bytes:
    return b"".join(b"%d rsp 6 200 OK\n" % number for number in numbers)


class Peer:
    """The other end, encrypted by hand: it can stop, hang up and reset where it likes."""

    def __init__(self, run: Running, context: ssl.SSLContext) -> None:
        self._run = run
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._received, self._to_send, server_hostname="shipper.example")
        self.ended = False

    async def connects(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(*self._run.address)
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                await self._hear()
            else:
                self.flush()
                return

    async def opens(self) -> None:
        self.send(OPEN)
        await self.gets(b"commands=syslog\n", exactly=False)

    def send(self, octets: bytes) -> None:
        self.tls.write(octets)
        self.flush()

    def flush(self) -> None:
        self.writer.write(self._to_send.read())

    def says_the_end(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    async def _hear(self) -> None:
        octets = await self.reader.read(2**16)
        if octets:
            self._received.write(octets)
        else:
            self._received.write_eof()

    async def gets(self, octets: bytes, exactly: bool = True) -> None:
        got = b""
        while not (got == octets if exactly else got.endswith(octets)):
            got += await self.reads()
            assert not exactly or octets.startswith(got), got

    async def reads(self) -> bytes:
        while True:
            try:
                got = self.tls.read(2**16)
            except ssl.SSLWantReadError:
                await self._hear()
            else:
                assert got, "it ended"
                return got

    async def gets_the_end(self) -> None:
        """TLS's own end, and then TCP's: nobody cut it."""
        while True:
            try:
                assert self.tls.read(1) == b""
            except ssl.SSLWantReadError:
                await self._hear()
            except ssl.SSLZeroReturnError:  # the same, for one who said so before
                break
            else:
                break
        assert await self.reader.read() == b""


@asynccontextmanager
async def peer(run: Running, context: ssl.SSLContext, *, opened: bool = True) -> AsyncIterator[Peer]:
    made = Peer(run, context)
    await made.connects()
    try:
        if opened:
            await made.opens()
        yield made
    finally:
        made.writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_both_loops
async def test_records_and_a_close(ca: Authority, version: ssl.TLSVersion) -> None:
    async with running(source(relp, ca)) as run, peer(run, client(ca, version)) as made:
        made.send(frames(2, 3) + b"4 close 0\n")
        await until(lambda: run.intake.payloads == [b"record 2", b"record 3"])
        run.intake.settle()
        await made.gets(b"4 rsp 0\n" + oks(2, 3) + GOODBYE)
        await made.gets_the_end()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("end", ["TLS", "TCP", "both"])
@on_both_loops
async def test_end_of_a_peer_that_still_reads(ca: Authority, version: ssl.TLSVersion, end: str) -> None:
    async with running(source(relp, ca)) as run, peer(run, client(ca, version)) as made:
        made.send(frames(2, 3) + b"4 syslog 100 unfinished")
        if end != "TCP":
            made.says_the_end()
        if end != "TLS":
            made.writer.write_eof()
        await until(lambda: len(run.intake.payloads) == 2 and run.intake.held == 0)
        run.intake.settle()
        await made.gets(oks(2, 3) + GOODBYE)
        await made.gets_the_end()


@on_both_loops
async def test_a_stop_says_so_and_waits_for_nobody(ca: Authority) -> None:
    async with running(source(relp, ca)) as run, peer(run, client(ca)) as made, peer(run, client(ca)) as quiet:
        made.send(frames(2))
        await until(lambda: run.intake.received)
        run.stopping.set()
        await quiet.gets(GOODBYE)
        await quiet.gets_the_end()
        made.send(frames(3))
        run.intake.settle()
        await made.gets(oks(2) + GOODBYE)
        await made.gets_the_end()
        await run.task  # neither has closed its side
        assert len(run.intake.payloads) == 1


@on_both_loops
async def test_a_stop_in_the_middle_of_a_handshake(ca: Authority) -> None:
    async with running(source(relp, ca)) as run:
        _, writer = await asyncio.open_connection(*run.address)
        writer.write(b"\x16\x03\x01\x02\x00")
        await until(lambda: any(connection._tunnel.begun for connection in run.source.connections))
        run.stopping.set()
        await run.task
        writer.close()


@on_both_loops
async def test_no_reading_while_the_intake_is_full(ca: Authority) -> None:
    async with running(source(relp, ca)) as run, peer(run, client(ca)) as made:
        run.intake.fill_up = True
        made.send(frames(2))
        await until(lambda: run.intake.waiting)
        for first in range(3, 3003, 100):
            made.send(frames(*range(first, first + 100)))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert run.intake.payloads == [b"record 2"]
        run.intake.make_room()
        await until(lambda: len(run.intake.payloads) == 3001)


@on_both_loops
async def test_what_the_kernel_holds_of_a_reset_connection(ca: Authority) -> None:
    async with running(source(relp, ca)) as run, peer(run, client(ca)) as made:
        run.intake.fill_up = True
        made.send(frames(2))
        await until(lambda: run.intake.waiting)
        made.send(frames(*range(3, 500)))
        await made.writer.drain()
        connected = made.writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        made.writer.transport.abort()
        await asyncio.sleep(0.01)
        run.intake.settle()
        await until(lambda: not run.source.connections)
        assert run.intake.payloads == [b"record %d" % number for number in range(2, 500)]
        run.intake.make_room()


@on_both_loops
async def test_what_the_kernel_holds_of_a_closed_connection_at_a_stop(ca: Authority) -> None:
    async with running(source(relp, ca)) as run, peer(run, client(ca)) as made:
        run.intake.fill_up = True
        made.send(frames(2))
        await until(lambda: run.intake.waiting)
        made.send(frames(*range(3, 500)) + b"500 close 0\n")
        made.says_the_end()
        made.writer.write_eof()
        await asyncio.sleep(0.01)
        run.stopping.set()
        await until(lambda: len(run.intake.payloads) == 498)
        run.intake.settle()
        await run.task


@on_both_loops
async def test_a_large_answer_to_a_peer_that_does_not_read(ca: Authority) -> None:
    """It is read from no more, and gets all of it when it reads."""
    async with running(source(relp, ca, max_frames_in_flight=10**6)) as run, peer(run, client(ca)) as made:
        (connection,) = run.source.connections
        made.reader._transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        while not connection._unread:
            made.send(b"2 syslog 1 a\n" * 10_000)
            sent += 10_000
            await asyncio.sleep(0)
            run.intake.settle()
        await until(lambda: not connection._transport.is_reading())
        made.reader._transport.resume_reading()  # type: ignore[attr-defined]
        got = b""
        while got.count(b"OK") < sent:
            run.intake.settle()
            got += await made.reads()
        assert got == oks(2) * sent


@on_both_loops
async def test_bytes_that_somebody_changed(ca: Authority, caplog: pytest.LogCaptureFixture) -> None:
    async with running(source(relp, ca)) as run, peer(run, client(ca)) as made:
        with counted(CLOSED, 1, source="relp", reason="tls"):
            made.send(frames(2))
            made.writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))
            await until(lambda: run.source.connections == set() or caplog.records)
        assert run.intake.payloads == [b"record 2"]
        assert caplog.records[0].__dict__["why"] == "decryption failed or bad record mac"


@pytest.mark.parametrize("octets", [OPEN, b"GET / HTTP/1.0\r\n\r\n"])
@on_both_loops
async def test_plain_text_to_a_tls_port(ca: Authority, octets: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with running(source(relp, ca)) as run, peer(run, client(ca)) as good:
        with counted(CLOSED, 1, source="relp", reason="tls"):
            reader, writer = await asyncio.open_connection(*run.address)
            writer.write(octets)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        (warning,) = caplog.records
        assert warning.getMessage() == "connection closed"
        assert warning.__dict__["why"] == "the peer does not speak TLS, this source does (set tls on the sender)"
        assert warning.__dict__["peer"].startswith("127.0.0.1:")
        good.send(frames(2))
        await until(lambda: run.intake.payloads == [b"record 2"])


@pytest.mark.parametrize("module", [relp, syslog_tcp])
@on_both_loops
async def test_tls_to_a_plain_port(module: Any, ca: Authority, caplog: pytest.LogCaptureFixture) -> None:
    async with running(source(module, ca, tls=None)) as run:
        name = module.__name__.rpartition(".")[2]
        with counted(CLOSED, 1, source=name, reason="tls"):
            with pytest.raises((OSError, ssl.SSLError)):
                await asyncio.open_connection(*run.address, ssl=client(ca), server_hostname="shipper.example")
        assert run.intake.payloads == []
        (warning,) = caplog.records
        assert warning.__dict__["why"].startswith("the peer speaks TLS, this source does not")


@on_both_loops
async def test_syslog_over_tls(ca: Authority) -> None:
    async with running(source(syslog_tcp, ca)) as run, peer(run, client(ca), opened=False) as made:
        made.send(b"<14>hello\n<14>unfinished")
        await until(lambda: run.intake.payloads == [b"<14>hello"])
        made.says_the_end()
        await until(lambda: run.intake.payloads == [b"<14>hello", b"<14>unfinished"])


@on_both_loops
async def test_who_connects_and_says_nothing_is_a_health_check(ca: Authority) -> None:
    async with running(source(relp, ca)) as run:
        with counted(CLOSED, 0, source="relp", reason="tls"):
            for how in ("close", "abort"):
                _, writer = await asyncio.open_connection(*run.address)
                await until(lambda: run.source.connections)
                getattr(writer.transport, how)()
                await until(lambda: not run.source.connections)


@on_both_loops
async def test_who_hangs_up_right_after_it_is_counted(ca: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """A peer that checks our name does so when the handshake is done."""
    async with running(source(relp, ca)) as run:
        with counted(CLOSED, 1, source="relp", reason="tls"):
            async with peer(run, client(ca), opened=False):
                await until(lambda: any(connection._tunnel.ready for connection in run.source.connections))
            await until(lambda: not run.source.connections)
        assert caplog.records[0].__dict__["why"].endswith("does it take our certificate?")


@pytest.mark.parametrize("how", ["close", "abort"])
@on_both_loops
async def test_who_hangs_up_in_the_middle_is_counted(ca: Authority, how: str, caplog: pytest.LogCaptureFixture) -> None:
    async with running(source(relp, ca)) as run:
        with counted(CLOSED, 1, source="relp", reason="tls"):
            _, writer = await asyncio.open_connection(*run.address)
            writer.write(b"\x16\x03\x01\x02\x00")
            await until(lambda: any(connection._tunnel.begun for connection in run.source.connections))
            getattr(writer.transport, how)()
            await until(lambda: not run.source.connections)
        assert caplog.records[0].__dict__["why"].startswith("the peer hung up at the handshake")


@on_both_loops
async def test_200_handshakes_that_never_end(ca: Authority) -> None:
    """They cost their connections, and no other's."""
    hello = b"\x16\x03\x01\x02\x00" + b"\x01\x00\x01\xfc\x03\x03"
    async with running(source(relp, ca, open_seconds=1.0)) as run:
        with counted(CLOSED, 200, source="relp", reason="tls"):
            waiting = [await asyncio.open_connection(*run.address) for _ in range(200)]
            for _, writer in waiting:
                writer.write(hello)
            async with peer(run, client(ca)) as made:
                made.send(frames(2))
                await until(lambda: run.intake.payloads)
                assert len(run.source.connections) == 201
                await until(lambda: len(run.source.connections) == 1)
                made.send(frames(3))
                await until(lambda: len(run.intake.payloads) == 2)
        for _, writer in waiting:
            writer.close()


@on_both_loops
async def test_too_many_connections(ca: Authority) -> None:
    async with running(source(relp, ca, max_connections=1)) as run, peer(run, client(ca)):
        with counted(CLOSED, 1, source="relp", reason="too_many"):
            with pytest.raises(OSError, match=r"."):
                await asyncio.open_connection(*run.address, ssl=client(ca), server_hostname="shipper.example")


@on_both_loops
async def test_cancelled_it_waits_for_nobody(ca: Authority) -> None:
    intake = FakeIntake()
    async with running(source(relp, ca), intake) as run, peer(run, client(ca)) as made:
        made.send(frames(2))
        await until(lambda: intake.received)
        run.task.cancel()
        with suppress(asyncio.CancelledError):
            await run.task
        intake.settle()
        await until(lambda: not run.source.connections)
