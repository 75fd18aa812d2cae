"""Writes to a log socket as syslog(3) does, but never waits: what cannot be taken at once is dropped and counted."""

import socket
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
