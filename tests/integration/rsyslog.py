"""A plain RELP receiver that shares no code with the product, and a look into a socket."""

import asyncio
import fcntl
import socket
import sys
import termios
from collections.abc import Callable
from typing import Self

import orjson


def unread(writer: socket.socket) -> int:
    """Memory of what was sent and is not read yet; 0: all is read."""
    return int.from_bytes(fcntl.ioctl(writer, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


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

    async def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Return as soon as the condition holds; looked at after each frame."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def wait_count(self, count: int, seconds: float = 60) -> None:
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
