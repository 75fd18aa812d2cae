"""A program that the demo starts beside itself: its output in a file, and it ends with the demo, however that ends."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from shipper.demo.host import end_with_us
from shipper.errors import ConfigError

_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.02


class Program:
    """One process; `start` and `stop` may be called in any state."""

    def __init__(self, name: str, argv: Sequence[str | Path], output: Path, cwd: Path | None = None) -> None:
        """`name` is what people are told; `output` gets what it prints."""
        self.name = name
        self._argv = argv
        self._output = output
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; ConfigError when there is no such program."""
        with self._output.open("ab") as output:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._argv, cwd=self._cwd, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True, preexec_fn=end_with_us,
                )  # fmt: skip
            except OSError as error:
                raise ConfigError(f"{self.name} cannot be started: {error.strerror}") from None

    async def until(self, condition: Callable[[], object], seconds: float) -> None:
        """Wait until a condition holds; ConfigError when the program ends before, or it takes so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    if self._process is None or self._process.returncode is not None:
                        raise ConfigError(f"{self.name} ended, see {self._output}")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise ConfigError(f"{self.name} was not ready in {seconds:g} s, see {self._output}") from None

    async def watch(self) -> None:
        """Raise ConfigError when it ends by itself."""
        if self._process is not None:
            await self._process.wait()
            raise ConfigError(f"{self.name} ended, see {self._output}")

    async def stop(self) -> None:
        """Ask it to end, and kill it when it does not."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
