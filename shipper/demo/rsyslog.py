"""The demo's own rsyslogd: the real one, unprivileged, on the generated configuration; watched and stopped."""

import asyncio
import contextlib
import ctypes
import logging
import signal
import socket
from pathlib import Path
from typing import Self

from shipper.errors import ConfigError
from shipper.generate import rsyslog, write

log = logging.getLogger("shipper.demo")

_START_SECONDS = 10.0
#: A stop takes about 6 s when nobody answers, and then saves what it has.
_STOP_SECONDS = 15.0
_RESTART_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _end_with_us() -> None:
    """In the child: be told when the demo is killed, for nobody would stop us then."""
    with contextlib.suppress(AttributeError):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Rsyslogd:
    """One rsyslogd below a directory, started again when it ends by itself. `async with` starts and stops it."""

    def __init__(self, directory: Path, socket_path: Path, shipper_port: int) -> None:
        """ConfigError says in one line why there can be none on this machine."""
        program = rsyslog.find()
        if program is None:
            raise ConfigError("rsyslogd is not installed")
        work = directory / "rsyslog/work"
        self.program = program
        self.socket_path = socket_path
        self._output = directory / "rsyslog/rsyslogd.log"
        settings = rsyslog.read(
            {"socket": str(socket_path), "work_directory": str(work), "shipper_port": shipper_port}
            | {"queue_disk_bytes": 64 * 2**20}
        )
        work.mkdir(parents=True, exist_ok=True)
        refusal = rsyslog.check(settings, program)
        if refusal is not None:
            raise ConfigError(refusal)
        self._config, self._start = write(rsyslog.generate(settings), directory)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start it and wait until its socket is read; ConfigError when it is not."""
        await self._spawn()
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not self._listening():
                    if self._process is not None and self._process.returncode is not None:
                        raise ConfigError(f"rsyslogd ended, see {self._output}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self.stop()
            raise ConfigError(f"rsyslogd did not read its socket in {_START_SECONDS:g} s") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop it."""
        await self.stop()

    async def watch(self) -> None:
        """Start it again whenever it ends; runs until cancelled."""
        while self._process is not None:
            code = await self._process.wait()
            log.warning("rsyslogd ended and is started again", extra={"code": code})
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
            log.warning("rsyslogd did not end in time and was killed")
            process.kill()
            await process.wait()

    async def _spawn(self) -> None:
        with self._output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                self._start, "-r", self.program,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=_end_with_us,
            )  # fmt: skip

    def _listening(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            return probe.connect_ex(str(self.socket_path)) == 0
