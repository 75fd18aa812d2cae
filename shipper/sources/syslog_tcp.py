"""Syslog over TCP (RFC 6587), octet counted or newline. Nobody answers: what a crash loses is lost."""

from typing import Literal

from pydantic import Field

from shipper.errors import WireError
from shipper.sources import Intake
from shipper.sources._connection import Connection
from shipper.sources._listening import TcpSettings, TcpSource
from shipper.telemetry import RECORDS_TRUNCATED
from shipper.wire.framing import SyslogFraming

EXAMPLE = {"type": "syslog_tcp", "host": "127.0.0.1", "port": 5514}


class Config(TcpSettings):
    """Settings of a source for syslog over TCP."""

    type: Literal["syslog_tcp"] = "syslog_tcp"
    port: int = Field(5514, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    first_byte_seconds: float = Field(
        60,
        gt=0,
        description="seconds that a peer may take for TLS and its first byte; some connect long before they log",
    )

    def build(self) -> TcpSource:
        """Return the source."""
        return TcpSource(self.type, self, lambda source, intake: _Stream(source, intake, self))


class _Stream(Connection):
    """One peer that sends syslog."""

    def __init__(self, source: TcpSource, intake: Intake, settings: Config) -> None:
        super().__init__(source, intake)
        self.first_seconds = settings.first_byte_seconds
        self._framing = SyslogFraming(settings.max_frame_bytes)

    def _receive(self, data: bytes) -> WireError | None:
        self._starts()
        self._take(self._framing.receive_data(data))
        return self._framing.error

    def _partial(self) -> int:
        return self._framing.partial

    def _end(self) -> None:
        self._take(self._framing.receive_eof())

    def _take(self, messages: list[bytes]) -> None:
        if self._framing.truncated:
            RECORDS_TRUNCATED.labels(self._source.name).inc(self._framing.truncated)
            self._framing.truncated = 0
        if messages:
            self._submit(messages)
