"""What runs on each host of the emulated cluster beside its tasks: `shipper host` with rsyslogd, and HAProxy."""

import asyncio
import shlex
import shutil
import sys
from pathlib import Path

from shipper.demo.cluster_process import Program
from shipper.demo.host import Host
from shipper.errors import ConfigError
from shipper.generate import localhost

_START_SECONDS = 30.0
#: Where the log socket is on a host: apps mount it as /dev/log.
LOG_SOCKET = "run/shipper/log"


class ClusterHost:
    """One host, its file system below a folder; its own address stands for its 127.0.0.1."""

    def __init__(self, root: Path, address: str, relp_port: int) -> None:
        self._root = root
        self._address = address
        self._relp_port = relp_port
        self._folder = root / "etc/haproxy"
        self._host: Host | None = None
        self._programs: list[Program] = []

    async def start(self, marathon: str) -> None:
        """Start all of it; ConfigError says in one line what is missing on this machine."""
        host = await asyncio.to_thread(self._make_host)
        haproxy = self._haproxy()
        discovery = self._discovery(marathon)
        self._host = host
        self._programs = [haproxy, discovery]
        await haproxy.start()
        await haproxy.until((self._folder / "haproxy.pid").exists, _START_SECONDS)
        await discovery.start()
        await host.__aenter__()

    async def watch(self) -> None:
        """Start `shipper host` again when it ends; ConfigError when another program does."""
        async with asyncio.TaskGroup() as group:
            for program in self._programs:
                group.create_task(program.watch())
            if self._host is not None:
                group.create_task(self._host.watch())

    async def stop(self) -> None:
        """Let rsyslogd send what it has, then end the way there."""
        if self._host is not None:
            await self._host.stop()
        for program in reversed(self._programs):
            await program.stop()

    def _make_host(self) -> Host:
        return Host(
            self._root / "etc/shipper",
            self._root / "run/shipper",
            self._relp_port,
            socket=str(self._root / LOG_SOCKET),
            host_name=self._address,
            shipper_host=self._address,
            stdout="sandbox",
            sandboxes=str(self._root / "var/lib/mesos"),
        )

    def _haproxy(self) -> Program:
        self._folder.mkdir(parents=True)
        settings = localhost.Settings(
            host_name=self._address,
            address=self._address,
            http_port=0,
            relp_port=self._relp_port,
            log_socket=str(self._root / LOG_SOCKET),
        )
        # It does not start without a file, and has nothing to serve yet.
        (self._folder / "apps.cfg").write_text(localhost.generate((), settings).text)
        argv: list[str | Path] = [
            haproxy_path(),
            "-W",
            "-p",
            self._folder / "haproxy.pid",
            "-f",
            self._folder / "apps.cfg",
        ]
        return Program(f"HAProxy of {self._address}", argv, self._folder / "haproxy.log")

    def _discovery(self, marathon: str) -> Program:
        argv: list[str | Path] = [
            sys.executable, "-m", "shipper", "haproxy",
            "--marathon", marathon, "--out", self._folder / "apps.cfg", "--pid-file", self._folder / "haproxy.pid",
            "--check-command", f"{shlex.quote(haproxy_path())} -c -f {{}}",
            "--host-name", self._address, "--address", self._address, "--http-port", "0",
            "--relp-port", str(self._relp_port), "--log-socket", self._root / LOG_SOCKET,
        ]  # fmt: skip
        return Program(f"shipper haproxy of {self._address}", argv, self._folder / "shipper.log")


def haproxy_path() -> str:
    """Return the path of HAProxy; ConfigError when there is none."""
    path = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/sbin")
    if path is None:
        raise ConfigError("HAProxy is not installed (package haproxy)")
    return path
