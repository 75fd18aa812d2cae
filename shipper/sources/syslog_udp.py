"""Syslog over UDP (RFC 5426): one message per datagram. What the kernel's buffer cannot hold is lost."""

import socket
from contextlib import suppress
from typing import Any, Literal

from pydantic import Field

from shipper.config import Settings
from shipper.sources._datagrams import DatagramSource
from shipper.sources._sockets import bind, endpoint

EXAMPLE = {"type": "syslog_udp", "host": "127.0.0.1", "port": 5514}


class Config(Settings):
    """Settings of a source for syslog over UDP."""

    type: Literal["syslog_udp"] = "syslog_udp"
    host: str = Field("127.0.0.1", description="address to listen on; :: for every address of the machine")
    port: int = Field(5514, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    max_frame_bytes: int = Field(65_535, ge=480, le=2**20, description="longest record, in bytes; a longer one is cut")
    receive_buffer_bytes: int = Field(
        8 * 2**20, ge=4096, le=2**30, description="kernel's buffer, in bytes; it gives no more than net.core.rmem_max"
    )

    def build(self) -> DatagramSource:
        """Return the source."""
        return _SyslogUdp(self)


class _SyslogUdp(DatagramSource):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings.type, settings.max_frame_bytes)
        self._settings = settings

    async def _bind(self) -> socket.socket:
        bound = await bind(self.name, self._settings.host, self._settings.port, socket.SOCK_DGRAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._settings.receive_buffer_bytes)
        with suppress(OSError):  # above rmem_max only with the right to
            bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, self._settings.receive_buffer_bytes)
        return bound

    def _name(self, address: Any) -> str:
        return endpoint(address)


#: Linux, <asm-generic/socket.h>; Python has no name for it.
_SO_RCVBUFFORCE = 33
