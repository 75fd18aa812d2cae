"""`shipper host run` with a real rsyslogd, in a directory of its own."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from shipper.host import status
from tests.integration.rsyslog import unread
from tests.servers.process import Process, wait_until

_CONFIG = """
global(workDirectory="{work}" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off"
       processInternalMessages="on")
module(load="imuxsock" SysSock.Use="off")
module(load="omrelp")
template(name="relayed" type="string" string="%rawmsg-after-pri%")
input(type="imuxsock" Socket="{relay}" RateLimit.Interval="0" UseSpecialParser="off" ParseHostname="off"
      ruleset="sort")
ruleset(name="sort" queue.type="Direct") {{
  if $syslogfacility == 23 then {{
{heartbeat}
  }} else if $syslogseverity <= 4 then {{
{warning}
  }} else {{
{normal}
  }}
}}
"""
_SEND = """action(name="{name}" type="omrelp" target="127.0.0.1" port="{port}" template="relayed" windowSize="512"
  timeout="90" action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="LinkedList"
  queue.filename="{name}" queue.size="10000" queue.timeoutEnqueue="0" queue.highWatermark="200"
  queue.lowWatermark="50" queue.dequeueBatchSize="128" queue.maxDiskSpace="1g" queue.saveOnShutdown="on"
  queue.timeoutShutdown="5000")"""
_START = """#!/bin/sh
while getopts f:r: option; do case $option in f) config=$OPTARG;; r) rsyslogd=$OPTARG;; esac; done
mkdir -p '{work}'
said=$("$rsyslogd" -N1 -f "$config" 2>&1) || {{
  echo "start: $config is refused: $(printf '%s\\n' "$said" | grep -v 'config validation run' | head -n 1)" >&2
  exit 1
}}
exec "$rsyslogd" -n -iNONE -f "$config"
"""


class Host:
    """One host: holder, reader and rsyslogd, sending to a shipper's port; stopped at the end of a `with`.

    When the receiver runs in the test's own event loop, use `async with` and `asyncio.to_thread(host.stop)`: a stop
    waits for the receiver. `settings` are those of host.json.
    """

    def __init__(self, binary: str | Path, directory: Path, port: int, **settings: object) -> None:
        self.directory = directory
        self.work = directory / "work"
        self.socket = directory / "log"
        self.log = directory / "host.log"
        self.config = directory / "host.json"
        self.settings: dict[str, Any] = {
            "socket": str(self.socket),
            "relay_socket": str(directory / "relay"),
            "status_socket": str(directory / "status"),
            "work_directory": str(self.work),
            "rsyslogd": str(binary),
            "heartbeat_seconds": 1,
            **settings,
        }
        self.config.write_text(json.dumps(self.settings))
        sends = {name: _SEND.format(name=name, port=port) for name in ("warning", "normal", "heartbeat")}
        self.rsyslog_config = directory / "shipper.conf"
        self.rsyslog_config.write_text(_CONFIG.format(work=self.work, relay=self.settings["relay_socket"], **sends))
        launcher = directory / "start"
        launcher.write_text(_START.format(work=self.work))
        launcher.chmod(0o755)
        self.process: Process | None = None

    @property
    def argv(self) -> list[str]:
        """Its command line."""
        return [sys.executable, "-m", "shipper", "host", "run", "--config", str(self.config)]

    @property
    def running(self) -> Process:
        """The process of the last start."""
        assert self.process is not None, "not started"
        return self.process

    def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start it and wait until rsyslogd runs and the reader reads."""
        self.process = Process(self.argv, log=self.log, env=env)
        self.process.wait_until(self.ready, 60, "the host is ready")

    def ready(self) -> bool:
        """Whether reader and rsyslogd do their work."""
        try:
            state = self.status()
        except Exception:  # noqa: BLE001  not there yet
            return False
        events = [event["event"] for event in state["events"]]
        return bool(state["series"]["w"]["name"]) and "rsyslogd started" in events

    def status(self) -> dict[str, Any]:
        """Its state, as `shipper host status --json` gives it."""
        return status.ask(self.settings["status_socket"])

    @property
    def series(self) -> str:
        """The base of the reader's series: its records carry it with `w` or `n` at the end."""
        return str(self.status()["series"]["w"]["name"])[:-1]

    def rsyslogd(self) -> int:
        """The pid of rsyslogd."""
        return int(self.status()["rsyslogd"]["pid"])

    def reader(self) -> int:
        """The pid of the reader."""
        return int(self.status()["reader"]["pid"])

    def stop(self, seconds: float = 40) -> int:
        """SIGTERM: all in order. Its exit code."""
        return self.running.stop(seconds)

    def kill9(self) -> int:
        """SIGKILL to all of it."""
        return self.running.kill9()

    def stop_rsyslogd(self) -> None:
        """SIGTERM to rsyslogd alone: the holder starts it again."""
        self._signal_rsyslogd(signal.SIGTERM)

    def kill9_rsyslogd(self) -> None:
        """SIGKILL to rsyslogd alone."""
        self._signal_rsyslogd(signal.SIGKILL)

    def kill9_reader(self) -> None:
        """SIGKILL to the reader."""
        os.kill(self.reader(), signal.SIGKILL)

    def suspend_rsyslogd(self) -> None:
        """SIGSTOP: it reads nothing."""
        self._signal_rsyslogd(signal.SIGSTOP)

    def resume_rsyslogd(self) -> None:
        """SIGCONT."""
        self._signal_rsyslogd(signal.SIGCONT)

    def _signal_rsyslogd(self, number: signal.Signals) -> None:
        os.kill(self.rsyslogd(), number)

    def memory_mb(self) -> dict[str, float]:
        """RSS of each of its processes, by name."""
        holder = psutil.Process(self.running.pid)
        state = self.status()
        names = {state[name]["pid"]: name for name in ("reader", "rsyslogd", "tailer") if state[name]}
        processes = {"holder": holder, **{names.get(child.pid, "?"): child for child in holder.children()}}
        return {name: process.memory_info().rss / 2**20 for name, process in processes.items()}

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
        """Write records, each with its PRI ("<14>text"); returns when the reader has read them."""
        with self.writer() as writer:
            for message in messages:
                writer.send(message)
            wait_until(lambda: unread(writer) == 0, what=f"{self.socket} is read empty")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)  # in a thread: the receiver in this loop is to answer meanwhile

    def close(self) -> None:
        """Stop it if it runs."""
        if self.process is not None and self.process.running:
            with contextlib.suppress(Exception):
                self.resume_rsyslogd()
            self.stop()
