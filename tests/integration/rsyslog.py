"""A real rsyslogd on the generated configuration, and a plain RELP receiver that shares no code with the product."""

import asyncio
import fcntl
import signal
import socket
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import psutil

from shipper.generate import write
from shipper.generate.rsyslog import generate, read
from tests.servers.process import Process, wait_until


def unread(writer: socket.socket) -> int:
    """Memory of what was sent and is not read yet; 0: all is read."""
    return int.from_bytes(fcntl.ioctl(writer, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


class Rsyslogd:
    """One host's rsyslogd, in a directory of its own, sending to a shipper's port; stopped at the end of a `with`.

    When the receiver runs in the test's own event loop, use `async with` and `asyncio.to_thread(host.stop)`: a stop
    waits for the receiver.
    Each `start` is a new series. What was spooled to disk stays in `directory` from one start to the next.
    `settings` are those of `shipper.generate.rsyslog`; rsyslogd's own messages are off unless asked for, so that
    what comes out is what was written.
    """

    def __init__(self, binary: str | Path, directory: Path, port: int, **settings: object) -> None:
        self.binary = Path(binary)
        self.directory = directory
        self.work = directory / "work"
        self.socket = directory / "log"
        self.log = directory / "rsyslogd.log"
        defaults = {"socket": str(self.socket), "work_directory": str(self.work), "shipper_port": port}
        self.settings = read({**defaults, "own_messages": False, **settings})
        self.config, self.launcher = write(generate(self.settings), directory)
        self.process: Process | None = None

    @property
    def series(self) -> str:
        """The base of this start's series: its records carry it with `w` or `n` at the end."""
        return str(psutil.Process(self.running.pid).environ()["SHIPPER_SERIES"])

    @property
    def running(self) -> Process:
        """The process of the last start."""
        assert self.process is not None, "not started"
        return self.process

    def start(self) -> None:
        """Start it by its launcher and wait until its socket is read."""
        self.process = Process([self.launcher, "-r", self.binary], log=self.log)
        self.process.wait_until(self.listening, what=f"{self.socket} is read")

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM: it saves what it has; at most about 6 s per queue when nobody answers. Its exit code."""
        return self.running.stop(seconds)

    def kill9(self) -> int:
        """SIGKILL: what was only in its memory is lost."""
        return self.running.kill9()

    def restart(self) -> None:
        """Stop it in order and start it with a new series."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """SIGSTOP: it keeps its socket and reads nothing."""
        self.running.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.running.signal(signal.SIGCONT)

    def listening(self) -> bool:
        """Whether somebody has its socket open."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def writer(self) -> socket.socket:
        """A connected socket, as syslog(3) has one; one `send` is one record."""
        writer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            writer.connect(str(self.socket))
        except OSError:
            writer.close()
            raise
        return writer

    def write(self, *messages: bytes) -> None:
        """Write records, each with its PRI ("<14>text"); returns when rsyslogd has read them.

        What lies unread in the socket when rsyslogd ends (at most 11 datagrams) is lost before it has a number.
        """
        with self.writer() as writer:
            for message in messages:
                writer.send(message)
            wait_until(lambda: unread(writer) == 0, what=f"{self.socket} is read empty")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)  # in a thread: the receiver in this loop is to answer meanwhile

    def close(self) -> None:
        """Stop it if it runs."""
        if self.process is not None and self.process.running:
            self.process.signal(signal.SIGCONT)
            self.stop()


_OPENED = b"200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog"


class RelpReceiver:
    """Takes every frame and answers it at once; keeps the bytes of each. Use it in an `async with`."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.payloads: list[bytes] = []
        self._changed = asyncio.Event()
        self._sessions: set[asyncio.Task[None]] = set()

    def records(self) -> list[dict[str, str]]:
        """Return what came, as JSON objects; invalid UTF-8 is replaced as the shipper does."""
        return [orjson.loads(payload.decode(errors="replace")) for payload in self.payloads]

    async def wait_for(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Return as soon as the condition holds; looked at after each frame."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def wait_count(self, count: int, seconds: float = 30) -> None:
        """Return when so many records have come."""
        await self.wait_for(lambda: len(self.payloads) >= count, seconds)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=2**20)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._frame(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _frame(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        number, command, size = (await reader.readuntil(b" ")), (await reader.readuntil(b" ")), b""
        while (byte := await reader.readexactly(1)).isdigit():
            size += byte
        data = await reader.readexactly(int(size)) if int(size) else b""
        if byte != b"\n":
            assert await reader.readexactly(1) == b"\n"
        transaction = number.strip()
        if command == b"syslog ":
            self.payloads.append(data.removesuffix(b"\n"))
            self._changed.set()
        answer = {b"open ": _OPENED, b"close ": b""}.get(command, b"200 OK")
        writer.write(b"%s rsp %d%s\n" % (transaction, len(answer), b" " + answer if answer else b""))
        return command != b"close "
