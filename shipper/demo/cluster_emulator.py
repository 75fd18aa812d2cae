"""The emulator of Mesos, Marathon and Chronos, which is a program of the tests: it comes with the source."""

import json
import sys
from pathlib import Path
from typing import Final

import shipper
from shipper.demo.cluster_process import Program
from shipper.errors import ConfigError

#: Loopback addresses that stand for three hosts.
HOSTS: Final = ("127.0.1.1", "127.0.1.2", "127.0.1.3")
_START_SECONDS: Final = 60.0


def source_folder() -> Path:
    """Return the folder of the source; ConfigError when the product was installed without it."""
    folder = Path(shipper.__file__).parent.parent
    if not (folder / "tests/emulator/__main__.py").is_file():
        raise ConfigError(
            "--cluster needs the source of shipper, as its tests have the emulator; without: shipper demo"
        )
    return folder


class Emulator(Program):
    """The emulator; `marathon`, `mesos` and `chronos` are its addresses once it has been started."""

    def __init__(self, work: Path, output: Path) -> None:
        """`work` gets a folder for each host and the sandboxes."""
        argv: list[str | Path] = [sys.executable, "-m", "tests.emulator", "--work", work, "--agents", ",".join(HOSTS)]
        super().__init__("the emulator", argv, output, cwd=source_folder())
        self._said = output
        self._work = work
        self.marathon = self.mesos = self.chronos = ""

    async def start(self) -> None:
        """Start it and wait for its addresses."""
        await super().start()
        await self.until(self._addresses, _START_SECONDS)
        addresses = json.loads(self._addresses())
        self.marathon, self.mesos, self.chronos = (addresses[name] for name in ("marathon", "mesos", "chronos"))

    def root(self, host: str) -> Path:
        """Return the folder that stands for the / of a host."""
        return self._work / "hosts" / host

    def _addresses(self) -> str:
        lines = self._said.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        return next((line for line in lines if line.startswith('{"marathon"') and line.endswith("\n")), "")
