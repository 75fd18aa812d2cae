"""`shipper host run` with a real rsyslogd, in a directory of its own."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from shipper.generate import write
from shipper.generate.rsyslog import Settings, generate, read
from shipper.host import status
from tests.integration.rsyslog import unread
from tests.servers.process import Process, wait_until


class Host:
    """One host: holder, reader and rsyslogd, sending to a shipper's port; stopped at the end of a `with`.

    When the receiver runs in the test's own event loop, use `async with` and `asyncio.to_thread(host.stop)`: a stop
    waits for the receiver. `settings` are those of `shipper.generate.rsyslog` and of host.json.
    """

    def __init__(self, binary: str | Path, directory: Path, port: int, **settings: object) -> None:
        self.directory = directory
        self.work = directory / "work"
        self.socket = directory / "log"
        self.log = directory / "host.log"
        self.settings: dict[str, Any] = {
            "socket": str(self.socket),
            "relay_socket": str(directory / "relay"),
            "status_socket": str(directory / "status"),
            "work_directory": str(self.work),
            "shipper_port": port,
            "heartbeat_seconds": 1,
            **settings,
        }
        generated = {name: value for name, value in self.settings.items() if name in Settings.model_fields}
        self.rsyslog_config, _, self.config = write(generate(read(generated)), directory)
        only_host = {name: value for name, value in self.settings.items() if name not in generated}
        values = json.loads(self.config.read_text()) | only_host | {"rsyslogd": str(binary)}
        self.config.write_text(json.dumps(values))
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
        self.process.wait_until(self.ready, 180, "the host is ready")

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
        return status.ask(str(self.directory / "status"))

    @property
    def series(self) -> str:
        """The base of the reader's series: its records carry it with `w` or `n` at the end."""
        return str(self.status()["series"]["w"]["name"])[:-1]

    def rsyslogd(self) -> int:
        """The pid of rsyslogd; 0 while it does not run."""
        return int(self.status()["rsyslogd"]["pid"] or 0)

    def reader(self) -> int:
        """The pid of the reader."""
        return int(self.status()["reader"]["pid"])

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM: all in order. Its exit code."""
        return self.running.stop(seconds)

    def restart(self) -> None:
        """Stop all in order and start it with new series."""
        self.stop()
        self.start()

    def kill9(self) -> int:
        """SIGKILL to all of it: rsyslogd is in a process group of its own."""
        self.running.signal(signal.SIGSTOP)  # else it would start another rsyslogd
        children = psutil.Process(self.running.pid).children()
        for child in children:
            child.kill()
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

    @contextlib.asynccontextmanager
    async def stopping(self) -> AsyncIterator[None]:
        """Stop at the end what has been started by other means than `start`."""
        try:
            yield
        finally:
            await asyncio.to_thread(self.close)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)  # in a thread: the receiver in this loop is to answer meanwhile

    def close(self) -> None:
        """Stop it if it runs."""
        if self.process is not None and self.process.running:
            with contextlib.suppress(Exception):
                self.resume_rsyslogd()
            self.stop()
