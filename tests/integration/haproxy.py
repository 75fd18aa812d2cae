"""A real HAProxy as it stands between hosts and shippers: mode tcp, health checks, killed and started again."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.process import Process, accepts

_CONFIG = """
global
  maxconn 500
  log stdout format raw local0
defaults
  mode tcp
  log global
  option tcplog
  option redispatch
  timeout connect 1s
  timeout client 1h
  timeout server 1h
listen relp
  bind 127.0.0.1:{port}
  balance leastconn
{servers}
"""
_SERVER = "  server s{number} 127.0.0.1:{port} check inter 100ms fall 2 rise 1 on-marked-down shutdown-sessions\n"


class HAProxy:
    """One HAProxy in front of RELP ports, on a port of its own; the same port after each `start`."""

    def __init__(self, binary: str | Path, directory: Path, port: int, backends: Sequence[int]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.binary, self.port = binary, port
        self.log = directory / "haproxy.log"
        self.config = directory / "haproxy.cfg"
        servers = "".join(_SERVER.format(number=number, port=backend) for number, backend in enumerate(backends, 1))
        self.config.write_text(_CONFIG.format(port=port, servers=servers))

    def start(self) -> None:
        """Start it in the foreground and wait until it listens."""
        self.process = Process([self.binary, "-db", "-f", self.config], log=self.log)
        self.process.wait_until(lambda: accepts(self.port), what=f"port {self.port} accepts")

    def refused(self) -> int:
        """How many connections found no server that is up."""
        return self.log.read_text(errors="replace").count("<NOSRV>")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()
