"""Writes to a log socket as syslog(3) does, but never waits: what cannot be taken at once is dropped and counted."""

import asyncio
import contextlib
import fcntl
import socket
import termios
from pathlib import Path


class Writer:
    """A non-blocking Unix datagram socket that connects again when whoever reads it was away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        #: Messages that nobody took.
        self.dropped = 0

    def send(self, message: bytes) -> bool:
        """Write one message; False when it was dropped."""
        try:
            if self._socket is None:
                self._socket = self._connect()
            self._socket.send(message)
        except BlockingIOError:
            self.dropped += 1
            return False
        except OSError:
            self.close()
            self.dropped += 1
            return False
        return True

    async def taken(self, seconds: float) -> None:
        """Wait until all that was sent has been read, but no longer than so many seconds."""
        with contextlib.suppress(OSError):  # TimeoutError is one, and so is what a kernel says that does not count
            async with asyncio.timeout(seconds):
                # Asked again and again: the kernel tells nobody when a datagram has been read
                while self._socket is not None and any(fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    def close(self) -> None:
        """Close it; the next message opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            connecting.setblocking(False)
            connecting.connect(str(self._path))
        except OSError:
            connecting.close()
            raise
        return connecting
