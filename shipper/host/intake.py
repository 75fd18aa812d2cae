"""One read of the container socket: a datagram and who wrote it, as the kernel says."""

import array
import contextlib
import os
import socket
import struct
from typing import Final, NamedTuple

from shipper.host.stamp import LONGEST_MESSAGE

#: Names that Python does not know yet (Linux 6.5 and later).
_SO_PASSPIDFD: Final = 76
_SCM_PIDFD: Final = 4
_RECEIVE_BUFFER: Final = 8 * 2**20
_SO_RCVBUFFORCE: Final = 33
#: One message more than fits, so that a cut is noticed, and its PRI.
_BUFFER: Final = LONGEST_MESSAGE + 64
_CREDENTIALS: Final = struct.Struct("iII")
_DESCRIPTOR: Final = struct.Struct("i")
_ANCILLARY: Final = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_DESCRIPTOR.size)
_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC


class Datagram(NamedTuple):
    """What one writer sent at once."""

    data: bytes
    #: 0 when the kernel cannot say it.
    pid: int
    #: Stands for the process even when its pid is used again; the caller closes it. None on older kernels.
    pidfd: int | None
    truncated: bool


class Intake:
    """Reads a socket that any process may write to, and believes only what the kernel says of the writer."""

    def __init__(self, container: socket.socket) -> None:
        self._socket = container
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._into = [self._view]
        prepare(container)

    def read(self) -> Datagram | None:
        """Return the next datagram; None when there is none now."""
        try:
            size, ancillary, flags, _ = self._socket.recvmsg_into(self._into, _ANCILLARY, _FLAGS)
        except BlockingIOError:
            return None
        pid, pidfd = 0, None
        for level, kind, data in ancillary:
            if level != socket.SOL_SOCKET:
                continue
            if kind == socket.SCM_CREDENTIALS:
                pid = _CREDENTIALS.unpack(data)[0]
            elif kind == _SCM_PIDFD:
                pidfd = _DESCRIPTOR.unpack(data)[0]
            elif kind == socket.SCM_RIGHTS:
                _close_all(data)
        return Datagram(bytes(self._view[:size]), pid, pidfd, bool(flags & socket.MSG_TRUNC))


def prepare(container: socket.socket) -> None:
    """Have the kernel name the writer of each datagram, and buffer as much as it allows."""
    container.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    with contextlib.suppress(OSError):  # a kernel before 6.5
        container.setsockopt(socket.SOL_SOCKET, _SO_PASSPIDFD, 1)
    try:
        container.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except OSError:
        container.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def _close_all(data: bytes) -> None:
    """Close the files that a writer passed along: nobody asked for them."""
    passed = array.array("i")
    passed.frombytes(data[: len(data) - len(data) % passed.itemsize])
    for descriptor in passed:
        with contextlib.suppress(OSError):
            os.close(descriptor)
