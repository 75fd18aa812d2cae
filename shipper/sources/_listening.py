"""Listening for TCP connections: how many there may be, which receipts they wait for, and how they all stop."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Protocol

from pydantic import Field

from shipper.config import Settings
from shipper.record import Receipt
from shipper.sources import Intake
from shipper.sources._certificates import Certificates, TlsSettings
from shipper.sources._sockets import bind, endpoint
from shipper.telemetry import CONNECTIONS, CONNECTIONS_CLOSED

_log = logging.getLogger(__name__)

#: The same warning is logged at most once in so many seconds.
_WARNING_SECONDS = 10.0


class Listened(Protocol):
    """A connection, as the listening side sees it."""

    partial: int

    def wait(self) -> None:
        """Read no more until the intake has room."""

    def finish(self, reason: str, why: str = "") -> None:
        """Read no more; close when all that is owed is answered."""

    def cut(self) -> None:
        """Close at once."""


class TcpSettings(Settings):
    """What every TCP source can be told."""

    host: str = Field("127.0.0.1", description="address to listen on; :: for every address of the machine")
    port: int = Field(0, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    max_frame_bytes: int = Field(2**20, ge=480, le=2**28, description="longest record, in bytes")
    max_connections: int = Field(512, ge=1, description="most connections at a time; one more is closed at once")
    idle_seconds: float = Field(
        3600, gt=0, description="a peer that sends nothing for so many seconds, and waits for nothing, is closed"
    )
    tls: TlsSettings | None = Field(None, description="TLS on every connection; default: none")


class TcpSource:
    """Listens, and keeps count of connections and of receipts that are not settled yet. ConfigError: see `tls`."""

    def __init__(
        self, name: str, settings: TcpSettings, make: Callable[["TcpSource", Intake], asyncio.BaseProtocol]
    ) -> None:
        self.name = name
        self.settings = settings
        self._make = make
        self.certificates = Certificates(name, settings.tls) if settings.tls is not None else None
        self.connections: set[Listened] = set()
        self.stopping = False
        self._unsettled = 0
        self._nothing_left = asyncio.Event()
        self._warned: dict[str, float] = {}
        #: "host:port" that is listened on; "" before that.
        self.address = ""

    async def run(self, intake: Intake, stopping: asyncio.Event, ready: asyncio.Event) -> None:
        """See `shipper.sources.Source`; cancelled, it cuts all connections."""
        loop = asyncio.get_running_loop()
        listener = await bind(self.name, self.settings.host, self.settings.port, socket.SOCK_STREAM)
        server = await loop.create_server(lambda: self._make(self, intake), sock=listener, backlog=512)
        try:
            self.address = endpoint(listener.getsockname())
            ready.set()
            await stopping.wait()
            self.stopping = True
            server.close()
            for connection in list(self.connections):
                connection.finish("stopping")
            self._look_whether_done()
            await self._nothing_left.wait()
        finally:
            self.stopping = True
            server.close()
            for connection in list(self.connections):
                connection.cut()

    def receipt(self, count: int, settled: Callable[[], None] | None = None) -> Receipt:
        """Return a receipt for `count` records, which a stop waits for; `settled` is called when they are."""

        def on_settled() -> None:
            self._unsettled -= 1
            if settled is not None:
                settled()
            self._look_whether_done()

        self._unsettled += 1
        return Receipt(count, on_settled)

    def gone(self, connection: Listened) -> None:
        """Forget a connection that is closed."""
        self.connections.discard(connection)
        CONNECTIONS.labels(self.name).dec()
        self._look_whether_done()

    def closed(self, reason: str, peer: str, why: str = "") -> None:
        """Count a connection that we close; warn, but not each time."""
        CONNECTIONS_CLOSED.labels(self.name, reason).inc()
        now = time.monotonic()
        if reason in ("stopping", "idle") or now - self._warned.get(reason, -_WARNING_SECONDS) < _WARNING_SECONDS:
            return
        self._warned[reason] = now
        _log.warning("connection closed", extra={"source": self.name, "reason": reason, "peer": peer, "why": why})

    def _look_whether_done(self) -> None:
        if self.stopping and not self.connections and not self._unsettled:
            self._nothing_left.set()


MakeConnection = Callable[[TcpSource, Intake], asyncio.BaseProtocol]
