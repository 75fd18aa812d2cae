"""One TCP connection's life: order of answers, closing from either side, peers that misbehave, and limits."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from shipper.record import Received
from shipper.sources import relp, syslog_tcp
from tests.contract.fake_intake import FakeIntake, Running, counted, on_both_loops, running, until

_OFFERS = b"relp_version=0\nrelp_software=librelp,1.2.14,http://librelp.adiscon.com\ncommands=syslog"
OPEN = b"1 open %d %b\n" % (len(_OFFERS), _OFFERS)
CLOSED = "shipper_connections_closed_total"


def frames(*numbers: int) -> bytes:
    return b"".join(b"%d syslog %d record %d\n\n" % (number, len(f"record {number}\n"), number) for number in numbers)


def oks(*numbers: int) -> bytes:
    return b"".join(b"%d rsp 6 200 OK\n" % number for number in numbers)


class Peer:
    """The other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def gets(self, octets: bytes) -> None:
        assert await self.reader.readexactly(len(octets)) == octets

    async def gets_the_end(self) -> None:
        assert await self.reader.read() == b""

    async def is_cut(self) -> None:
        with suppress(ConnectionResetError):
            await self.gets_the_end()

    async def opens(self) -> None:
        self.send(OPEN)
        assert await self.reader.readuntil(b"commands=syslog\n")


@asynccontextmanager
async def peer(run: Running, *, opened: bool = True) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection(*run.address)
    made = Peer(reader, writer)
    if opened:
        await made.opens()
    try:
        yield made
    finally:
        writer.close()


def relp_source(**settings: Any) -> Any:
    return relp.Config(port=0, **settings).build()


def tcp_source(**settings: Any) -> Any:
    return syslog_tcp.Config(port=0, **settings).build()


async def send_one_by_one(run: Running, made: Peer, *numbers: int) -> None:
    for number in numbers:
        before = len(run.intake.received)
        made.send(frames(number))
        await until(lambda before=before: len(run.intake.received) > before)  # type: ignore[misc]


@on_both_loops
async def test_answers_are_in_order_though_records_settle_in_any() -> None:
    async with running(relp_source()) as run, peer(run) as made:
        await send_one_by_one(run, made, 2, 3, 4)
        run.intake.settle(2)
        run.intake.settle(1)
        made.send(b"5 nonsense 0\n")
        await asyncio.sleep(0.01)
        run.intake.settle(0)
        await made.gets(oks(2, 3, 4) + b"5 rsp 19 500 unknown command\n")


@on_both_loops
async def test_a_stop_takes_what_is_still_on_its_way() -> None:
    """rsyslog never sends again what a worker of its sent before it ended, so nothing may lie unread at a close."""
    async with running(relp_source()) as run, peer(run) as made:
        await send_one_by_one(run, made, 2)
        run.stopping.set()
        for number in range(3, 8):
            await asyncio.sleep(0.02)  # less than the quiet that ends the reading
            made.send(frames(number))
        await until(lambda: len(run.intake.payloads) == 6)
        run.intake.settle()
        await made.gets(oks(*range(2, 8)) + b"0 serverclose 0\n")
        await made.gets_the_end()


@on_both_loops
async def test_a_stop_does_not_read_for_ever() -> None:
    async with running(relp_source()) as run, peer(run) as made:
        run.stopping.set()
        goodbye = asyncio.create_task(made.reader.readuntil(b"0 serverclose 0\n"))
        number = 2
        while not goodbye.done():
            await asyncio.sleep(0.02)
            made.send(frames(number))
            run.intake.settle()
            number += 1
        await goodbye
        assert 20 < number < 200


@on_both_loops
async def test_a_read_of_many_records_has_several_receipts() -> None:
    async with running(relp_source()) as run, peer(run) as made:
        made.send(frames(*range(2, 602)))
        await until(lambda: len(run.intake.payloads) == 600)
        assert max(len(received.payloads) for received in run.intake.received) <= 256
        run.intake.settle()
        await made.gets(oks(*range(2, 602)))


@on_both_loops
async def test_close_is_answered_at_once_and_the_records_when_they_are_safe() -> None:
    """What came after the close is not lost either."""
    async with running(relp_source()) as run, peer(run) as made:
        made.send(frames(2, 3) + b"4 close 0\n" + frames(5))
        await made.gets(b"4 rsp 0\n")
        await until(lambda: len(run.intake.payloads) == 3)
        run.intake.settle()
        await made.gets(oks(2, 3, 5) + b"0 serverclose 0\n")
        await made.gets_the_end()


@on_both_loops
async def test_end_of_a_peer_that_still_reads() -> None:
    async with running(relp_source()) as run, peer(run) as made:
        made.send(frames(2, 3) + b"4 syslog 100 unfinished")
        made.writer.write_eof()
        await until(lambda: len(run.intake.payloads) == 2 and run.intake.held == 0)
        run.intake.settle()
        await made.gets(oks(2, 3) + b"0 serverclose 0\n")
        await made.gets_the_end()


@on_both_loops
async def test_records_of_a_peer_that_is_gone() -> None:
    """They are submitted, their answers dropped; a stop still waits for them."""
    async with running(relp_source()) as run:
        async with peer(run) as made:
            made.send(frames(2, 3) + b"4 syslog 100 unfinished")
            await until(lambda: run.intake.payloads and run.intake.held)
            made.writer.transport.abort()
        await until(lambda: not run.source.connections or run.intake.held == 0)
        run.stopping.set()
        await asyncio.sleep(0.01)
        assert not run.task.done()
        run.intake.settle()
        await run.task


@on_both_loops
async def test_what_the_kernel_holds_of_a_reset_connection() -> None:
    """rsyslog closed with answers unread, which resets; it will never send again what we did not read yet."""
    async with running(relp_source()) as run, peer(run) as made:
        run.intake.fill_up = True
        await send_one_by_one(run, made, 2)
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
async def test_what_the_kernel_holds_of_a_closed_connection_at_a_stop() -> None:
    async with running(relp_source()) as run, peer(run) as made:
        run.intake.fill_up = True
        await send_one_by_one(run, made, 2)
        await until(lambda: run.intake.waiting)
        made.send(frames(*range(3, 500)) + b"500 close 0\n")
        made.writer.write_eof()
        await asyncio.sleep(0.01)
        run.stopping.set()
        await until(lambda: len(run.intake.payloads) == 498)
        await made.gets(b"500 rsp 0\n")
        run.intake.settle()
        await made.gets(oks(*range(2, 500)) + b"0 serverclose 0\n")
        await made.gets_the_end()


@on_both_loops
async def test_a_broken_peer_hurts_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with running(relp_source()) as run, peer(run) as good, peer(run) as broken:
        with counted(CLOSED, 1, source="relp", reason="protocol"):
            broken.send(frames(2, 3) + b"4 syslog 5 secret record\n" + frames(5))
            await until(lambda: run.intake.received)
            run.intake.settle()
            await broken.gets(oks(2, 3) + b"0 serverclose 0\n")
            await broken.gets_the_end()
        await send_one_by_one(run, good, 2)
        run.intake.settle()
        await good.gets(oks(2))
        (warning,) = [entry for entry in caplog.records if entry.name.startswith("shipper.sources")]
        assert warning.getMessage() == "connection closed"
        assert warning.__dict__["why"] == "byte 0x74 where a frame of 5 bytes should end with LF"


@on_both_loops
async def test_all_connections_pause_when_the_intake_is_full() -> None:
    async with running(relp_source()) as run, peer(run) as one, peer(run) as two:
        run.intake.fill_up = True
        await send_one_by_one(run, one, 2)
        assert len(run.intake.waiting) == 2
        one.send(frames(3))
        two.send(frames(2))
        await asyncio.sleep(0.01)
        assert len(run.intake.received) == 1
        run.intake.make_room()
        await until(lambda: len(run.intake.received) == 3)
        run.intake.settle()
        await one.gets(oks(2, 3))
        await two.gets(oks(2))


@on_both_loops
async def test_unfinished_frames_are_counted_and_can_be_given_up() -> None:
    async with running(relp_source()) as run, peer(run) as made, peer(run) as small:
        small.send(b"2 syslog 100 abc")
        made.send(frames(2) + b"3 syslog 5000 " + b"x" * 1000)
        await until(lambda: run.intake.held == 16 + 1014)
        run.intake.full = True
        made.send(b"x")
        await until(lambda: run.intake.waiting)
        largest, other = run.intake.waiting
        assert (largest.partial, other.partial) == (1015, 16), "the largest waits first"
        with counted(CLOSED, 1, source="relp", reason="memory"):
            largest.abort("memory")
        assert run.intake.held == 16
        assert run.intake.waiting == [other]
        run.intake.settle()
        await made.gets(oks(2) + b"0 serverclose 0\n")
        await made.gets_the_end()
        run.intake.make_room()


@on_both_loops
async def test_too_many_connections() -> None:
    async with running(relp_source(max_connections=2)) as run, peer(run) as one, peer(run):
        with counted(CLOSED, 1, source="relp", reason="too_many"):
            async with peer(run, opened=False) as third:
                await third.is_cut()
        await until(lambda: len(run.source.connections) == 2)
        one.writer.close()
        await until(lambda: len(run.source.connections) == 1)
        async with peer(run):
            pass


@pytest.mark.parametrize("said", [b"", OPEN[:10]])
@on_both_loops
async def test_a_peer_that_never_opens(said: bytes) -> None:
    with counted(CLOSED, 1, source="relp", reason="silent"):
        async with running(relp_source(open_seconds=0.05)) as run, peer(run, opened=False) as made:
            made.send(said)
            await made.gets_the_end()


@on_both_loops
async def test_a_quiet_peer_is_closed_unless_it_waits_for_an_answer() -> None:
    with counted(CLOSED, 1, source="relp", reason="idle"):
        async with running(relp_source(idle_seconds=0.05)) as run, peer(run) as made:
            await send_one_by_one(run, made, 2)
            await asyncio.sleep(0.2)
            run.intake.settle()
            await made.gets(oks(2) + b"0 serverclose 0\n")
            await made.gets_the_end()


@on_both_loops
async def test_a_stop_answers_what_was_read() -> None:
    async with running(relp_source()) as run, peer(run) as made, peer(run) as quiet:
        await send_one_by_one(run, made, 2, 3)
        run.stopping.set()
        await quiet.gets(b"0 serverclose 0\n")
        await quiet.gets_the_end()
        with pytest.raises(OSError, match=r"(?i)connect"):
            await asyncio.open_connection(*run.address)
        await until(lambda: all(one._finishing for one in run.source.connections))  # each when its peer is quiet
        made.send(frames(4))
        run.intake.settle(1)
        await asyncio.sleep(0.01)
        run.intake.settle(0)
        await made.gets(oks(2, 3) + b"0 serverclose 0\n")
        await made.gets_the_end()
        assert len(run.intake.received) == 2
        made.writer.close()
        quiet.writer.close()
        await run.task


class Settling(FakeIntake):
    """Settles at once."""

    count = 0

    def submit(self, received: Received) -> None:
        self.count += len(received.payloads)
        received.receipt.settle(received.receipt.pending)


@on_both_loops
async def test_a_peer_that_does_not_read_its_answers() -> None:
    intake = Settling()
    async with running(relp_source(max_frames_in_flight=10**6), intake) as run, peer(run) as made:
        (connection,) = run.source.connections
        made.reader._transport.pause_reading()  # type: ignore[attr-defined]
        block = b"2 syslog 1 a\n" * 10_000
        sent = 0
        while not connection._unread:
            made.send(block)
            sent += 10_000
            await asyncio.sleep(0)
        await until(lambda: not connection._transport.is_reading())
        made.reader._transport.resume_reading()  # type: ignore[attr-defined]
        answers = oks(2)
        for _ in range(sent // 10_000):
            await made.gets(answers * 10_000)
        assert intake.count == sent


@on_both_loops
async def test_a_peer_that_does_not_even_read_our_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipper.sources._connection._LINGER_SECONDS", 0.01)
    async with running(relp_source(max_frames_in_flight=10**6), Settling()) as run, peer(run) as made:
        (connection,) = run.source.connections
        made.reader._transport.pause_reading()  # type: ignore[attr-defined]
        while not connection._unread:
            made.send(b"2 syslog 1 a\n" * 10_000)
            await asyncio.sleep(0)
        run.stopping.set()
        await run.task
        made.writer.transport.abort()


class Broken(FakeIntake):
    """Has a bug."""

    def submit(self, received: Received) -> None:
        raise LookupError("bug")


@on_both_loops
async def test_a_bug_reaches_the_loop() -> None:
    bugs: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    async with running(tcp_source(), Broken()) as run, peer(run, opened=False) as made:
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: bugs.append(context))
        made.send(b"<14>hello\n")
        await until(lambda: bugs)
        loop.set_exception_handler(before)
        assert isinstance(bugs[0]["exception"], LookupError)
        run.task.cancel()


@pytest.mark.parametrize(
    ("octets", "expected"),
    [(b"<1>a\r\n<2>b\n<3>c", [b"<1>a", b"<2>b", b"<3>c"]), (b"4 <1>a6 <2>b\nc", [b"<1>a", b"<2>b\nc"])],
)
@on_both_loops
async def test_syslog_framings(octets: bytes, expected: list[bytes]) -> None:
    async with running(tcp_source()) as run, peer(run, opened=False) as made:
        made.send(octets)
        made.writer.write_eof()
        await until(lambda: run.intake.payloads == expected)
        await made.gets_the_end()


@on_both_loops
async def test_syslog_line_unfinished_at_a_stop() -> None:
    async with running(tcp_source()) as run, peer(run, opened=False) as made:
        made.send(b"<1>a")
        await until(lambda: run.intake.held == 4)
        run.stopping.set()
        await until(lambda: run.intake.payloads == [b"<1>a"])
        assert run.intake.held == 0


@on_both_loops
async def test_syslog_line_that_is_too_long() -> None:
    async with running(tcp_source(max_frame_bytes=480)) as run, peer(run, opened=False) as made:
        with counted("shipper_records_truncated_total", 1, source="syslog_tcp"):
            made.send(b"x" * 10_000 + b"\nnext\n")
            await until(lambda: len(run.intake.payloads) == 2)
        assert run.intake.payloads == [b"x" * 480, b"next"]


@on_both_loops
async def test_syslog_garbage_and_silence() -> None:
    async with running(tcp_source(first_byte_seconds=0.05)) as run:
        with counted(CLOSED, 1, source="syslog_tcp", reason="protocol"):
            async with peer(run, opened=False) as made:
                made.send(b"4 <1>agarbage")
                await made.gets_the_end()
                assert run.intake.payloads == [b"<1>a"]
        with counted(CLOSED, 1, source="syslog_tcp", reason="silent"):
            async with peer(run, opened=False) as made:
                await made.gets_the_end()
