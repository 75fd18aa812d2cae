"""The demo's own host: `shipper host run` with the real rsyslogd, unprivileged, on the generated files."""

import asyncio
import contextlib
import ctypes
import logging
import signal
import sys
from pathlib import Path
from typing import Any, Self

from shipper.errors import ConfigError
from shipper.generate import rsyslog, write
from shipper.host import status

log = logging.getLogger("shipper.demo")

_START_SECONDS = 60.0
#: rsyslogd takes about 6 s when nobody answers, and then saves what it has.
_STOP_SECONDS = 30.0
_RESTART_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def end_with_us() -> None:
    """In the child: be told when the demo is killed, for nobody would stop us then."""
    with contextlib.suppress(AttributeError):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Host:
    """One host below a directory, started again when it ends by itself. `async with` starts and stops it."""

    def __init__(self, directory: Path, sockets: Path, shipper_port: int, **more: str) -> None:
        """ConfigError says in one line why there can be none on this machine; `more` are settings of the host."""
        program = rsyslog.find()
        if program is None:
            raise ConfigError("rsyslogd is not installed")
        self.program = program
        self._output = directory / "rsyslog/host.log"
        settings = rsyslog.read(
            {
                "socket": str(sockets / "host.log"),
                "relay_socket": str(sockets / "host.relay"),
                "status_socket": str(sockets / "host.status"),
                "work_directory": str(directory / "rsyslog/work"),
                "shipper_port": shipper_port,
                "hold": "100 MB",
                "heartbeat_seconds": 5,
                **more,
            }
        )
        self.socket_path = Path(settings.socket)
        self._status = settings.status_socket
        refusal = rsyslog.check(settings, program)
        if refusal is not None:
            raise ConfigError(refusal)
        write(rsyslog.generate(settings), directory)
        self._config = directory / "rsyslog/host.json"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start it and wait until rsyslogd runs; ConfigError when it does not."""
        await self._spawn()
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await asyncio.to_thread(self._ready):
                    if self._process is not None and self._process.returncode is not None:
                        raise ConfigError(f"shipper host ended, see {self._output}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self.stop()
            raise ConfigError(f"rsyslogd did not start in {_START_SECONDS:g} s, see {self._output}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop it."""
        await self.stop()

    async def watch(self) -> None:
        """Start it again whenever it ends; runs until cancelled."""
        while self._process is not None:
            code = await self._process.wait()
            log.warning("shipper host ended and is started again", extra={"code": code})
            await asyncio.sleep(_RESTART_SECONDS)
            await self._spawn()

    async def stop(self) -> None:
        """Ask it to send what it has and end."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            log.warning("shipper host did not end in time and was killed")
            process.kill()
            await process.wait()

    async def _spawn(self) -> None:
        with self._output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "shipper", "host", "run", "--config", self._config,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=end_with_us,
            )  # fmt: skip

    def _ready(self) -> bool:
        state: dict[str, Any] = {}
        with contextlib.suppress(ConfigError):
            state = status.ask(self._status)
        return any(event["event"] == "rsyslogd started" for event in state.get("events", ()))
