"""What every source promises, for every file in the room; and what the datagram sources promise beside it."""

import asyncio
import functools
import os
import socket
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shipper.config import component, component_names
from shipper.errors import ConfigError
from shipper.sources import syslog_udp, unix
from tests.contract.fake_intake import FakeIntake, counted, on_both_loops, running, until

NAMES = component_names("sources")


Send = Callable[[bytes], Awaitable[None]]


@asynccontextmanager
async def tcp_peer(address: Any, hello: bytes, frame: Callable[[bytes], bytes]) -> AsyncIterator[Send]:
    _, writer = await asyncio.open_connection(*address)

    async def send(text: bytes) -> None:
        writer.write(hello + frame(text))
        await writer.drain()

    yield send
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def datagram_peer(address: Any) -> AsyncIterator[Send]:
    yield functools.partial(send_datagram, address)


async def send_datagram(address: Any, *datagrams: bytes) -> None:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, address)


#: Somebody who sends one record to a source; a new source needs a line here.
PEERS: dict[str, Callable[[Any], AbstractAsyncContextManager[Send]]] = {
    "relp": lambda address: tcp_peer(address, b"1 open 0\n", lambda text: b"2 syslog %d %b\n" % (len(text), text)),
    "syslog_tcp": lambda address: tcp_peer(address, b"", lambda text: text + b"\n"),
    "syslog_udp": datagram_peer,
    "unix": datagram_peer,
}


def build(name: str, tmp_path: Path, **settings: Any) -> Any:
    """Build a source from its example, on a place of the test's own."""
    module = component("sources", name)
    own = {"port": 0} if "port" in module.EXAMPLE else {"path": tmp_path / "log"} if "path" in module.EXAMPLE else {}
    return module.Config.model_validate({**module.EXAMPLE, **own, **settings}).build()


@pytest.mark.parametrize("name", NAMES)
def test_settings(name: str) -> None:
    module = component("sources", name)
    assert module.EXAMPLE["type"] == name
    assert module.Config.model_validate(module.EXAMPLE).type == name
    assert module.Config().build().address == "", "every setting has a default"
    for setting, field in module.Config.model_fields.items():
        assert setting == "type" or field.description, f"{setting} is not described"
    assert name in PEERS


@pytest.mark.parametrize("name", NAMES)
@on_both_loops
async def test_receives(name: str, run_dir: Path) -> None:
    before = time.time_ns()
    async with running(build(name, run_dir)) as run, PEERS[name](run.address) as send:
        await send(b"<14>hello")
        await until(lambda: run.intake.received)
        (received,) = run.intake.received
        assert list(received.payloads) == [b"<14>hello"]
        assert type(received.payloads[0]) is bytes
        assert received.source == name
        assert before <= received.received_at <= time.time_ns()
        assert received.peer.startswith("127.0.0.1:") or name == "unix"


@pytest.mark.parametrize("name", NAMES)
@on_both_loops
async def test_reads_only_while_there_is_room(name: str, run_dir: Path) -> None:
    intake = FakeIntake()
    intake.full = True
    async with running(build(name, run_dir), intake) as run, PEERS[name](run.address) as send:
        await until(lambda: intake.waiting)
        await send(b"<14>hello")
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert intake.received == []
        intake.make_room()
        await until(lambda: intake.received)
        assert intake.payloads == [b"<14>hello"]


@pytest.mark.parametrize("name", NAMES)
@on_both_loops
async def test_a_stop_waits_for_what_was_submitted(name: str, run_dir: Path) -> None:
    async with running(build(name, run_dir)) as run, PEERS[name](run.address) as send:
        await send(b"<14>hello")
        await until(lambda: run.intake.received)
        run.stopping.set()
        for _ in range(20):
            await asyncio.sleep(0.001)
            assert not run.task.done()
        run.intake.settle()
        await run.task


@pytest.mark.parametrize("name", NAMES)
@on_both_loops
async def test_cancelled_it_does_not_wait(name: str, run_dir: Path) -> None:
    async with running(build(name, run_dir)) as run, PEERS[name](run.address) as send:
        await send(b"<14>hello")
        await until(lambda: run.intake.received)
        run.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.task
        run.intake.settle()


@pytest.mark.parametrize("name", NAMES)
@on_both_loops
async def test_the_same_place_twice(name: str, run_dir: Path) -> None:
    async with running(build(name, run_dir)) as run, PEERS[name](run.address) as send:
        own: dict[str, Any] = {"path": run.address} if isinstance(run.address, str) else {"port": run.address[1]}
        with pytest.raises(
            ConfigError, match=rf"^sources\[{name}\]: cannot listen on .*(address already in use|listens)"
        ):
            async with running(build(name, run_dir, **own)):
                pass
        await send(b"<14>still here")
        await until(lambda: run.intake.received)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "unix"])
@pytest.mark.parametrize(
    ("host", "why"),
    [("192.0.2.1", "no such address: set another host"), ("no.such.host.invalid", "set another host")],
)
@on_both_loops
async def test_no_such_host(name: str, host: str, why: str, run_dir: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {host}:0: .*{why}"):
        async with running(build(name, run_dir, host=host)):
            pass


@on_both_loops
async def test_udp_peers_are_kept_apart(run_dir: Path) -> None:
    intake = FakeIntake()
    intake.full = True
    async with running(build("syslog_udp", run_dir), intake) as run:
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            for text in (b"1", b"2", b"3"):
                for sender in (one, two):
                    sender.connect(run.address)
                    sender.send(text)
            intake.make_room()
            await until(lambda: len(intake.payloads) == 6)
            names = {"{}:{}".format(*sender.getsockname()) for sender in (one, two)}
        assert {received.peer for received in intake.received} == names
        assert [list(received.payloads) for received in intake.received] == [[b"1", b"2", b"3"]] * 2


@on_both_loops
async def test_udp_over_ipv6(run_dir: Path) -> None:
    async with running(build("syslog_udp", run_dir, host="::1")) as run:
        await send_datagram(run.address, b"six")
        await until(lambda: run.intake.received)
        assert run.intake.received[0].peer.startswith("[::1]:")


@pytest.mark.parametrize("name", ["syslog_udp", "unix"])
@on_both_loops
async def test_ends_of_datagrams(name: str, run_dir: Path) -> None:
    async with running(build(name, run_dir, max_frame_bytes=480)) as run:
        with counted("shipper_records_truncated_total", 1, source=name):
            await send_datagram(run.address, b"a\n", b"", b"\n", b"b\0", b"c\nd", b"e" * 480, b"f" * 481)
            await until(lambda: len(run.intake.payloads) == 5)
        assert run.intake.payloads == [b"a", b"b", b"c\nd", b"e" * 480, b"f" * 480]


@pytest.mark.parametrize("name", ["syslog_udp", "unix"])
@on_both_loops
async def test_what_the_kernel_holds_at_a_stop_is_taken(name: str, run_dir: Path) -> None:
    intake = FakeIntake()
    intake.full = True
    async with running(build(name, run_dir), intake) as run:
        await send_datagram(run.address, *[b"%d" % number for number in range(10)])
        intake.full = False
        run.stopping.set()
        await until(lambda: len(intake.payloads) == 10)


@on_both_loops
async def test_many_datagrams_come_in_few_reads(run_dir: Path) -> None:
    intake = FakeIntake()
    intake.full = True
    async with running(build("syslog_udp", run_dir), intake) as run:
        await send_datagram(run.address, *[b"x" * 100] * 300)
        intake.make_room()
        await until(lambda: len(intake.payloads) == 300)
        assert [len(received.payloads) for received in intake.received] == [256, 44]


@on_both_loops
async def test_unix_takes_large_messages_from_everybody(run_dir: Path) -> None:
    path = run_dir / "log"
    async with running(build("unix", run_dir)) as run:
        assert run.address == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        await send_datagram(run.address, b"x" * 100_000)
        await until(lambda: run.intake.received)
        assert run.intake.payloads == [b"x" * 100_000]
    assert not path.exists()


@on_both_loops
async def test_unix_replaces_a_stale_socket_only(run_dir: Path) -> None:
    path = run_dir / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as killed:
        killed.bind(str(path))
    async with running(build("unix", run_dir)) as run:
        await send_datagram(run.address, b"hello")
        await until(lambda: run.intake.received)
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists and is not a socket: remove it or set another path"):
        async with running(build("unix", run_dir)):
            pass
    assert path.read_text() == "precious"
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConfigError, match=r"in use .*: stop the other program or set another path"):
            async with running(build("unix", run_dir)):
                pass
    assert path.exists()


@on_both_loops
async def test_unix_leaves_the_socket_of_a_successor(run_dir: Path) -> None:
    path = run_dir / "log"
    async with running(build("unix", run_dir)):
        path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as successor:
            successor.bind(str(path))
    assert path.exists()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("x" * 108, "the path has 108 bytes, a socket's has at most 107: set a shorter one"),
        ("missing/log", "no such file or directory .its folder must exist and be writable"),
    ],
)
async def test_unix_cannot_listen(path: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        async with running(unix.Config.model_validate({"path": path}).build()):
            pass


@on_both_loops
async def test_datagrams_asked_to_give_up_memory_go_on(run_dir: Path) -> None:
    """They hold nothing unfinished, so there is nothing to give; but the intake has forgotten them by then."""
    intake = FakeIntake()
    intake.full = True
    async with running(build("syslog_udp", run_dir), intake) as run:
        reader = intake.waiting.pop()
        assert reader.partial == 0
        reader.abort("memory")
        await until(lambda: intake.waiting)
        await send_datagram(run.address, b"hello")
        intake.make_room()
        await until(lambda: intake.received)


def test_udp_buffer_is_raised() -> None:
    async def size() -> int:
        bound = await syslog_udp.Config.model_validate({"port": 0}).build()._bind()
        with bound:
            return bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    most = int(Path("/proc/sys/net/core/rmem_max").read_text())
    assert asyncio.run(size()) >= min(8 * 2**20, most) or os.geteuid() == 0
