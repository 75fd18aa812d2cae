"""The emulator as a process of a test."""

import json
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers import ROOT
from tests.servers.process import Process


class Emulator:
    """Runs inside a `with`; all its tasks end with it.

    Its options are those of the program, with `_` for `-`: `Emulator(folder, profile="0.9.1", time_scale=0.01)`.
    """

    marathon: str
    mesos: str
    chronos: str
    #: URL of the Marathon that does not lead; "" unless `follower=True`.
    follower: str
    #: URL of each agent, by host.
    agents: dict[str, str]

    def __init__(self, directory: Path, **options: object) -> None:
        """`directory` gets the sandboxes (`work/`), the hosts' files and the program's output."""
        self.work = (directory / "work").resolve()
        self._directory = directory
        self._options = options

    def root(self, agent: str) -> Path:
        """The folder that stands for the `/` of an agent's host."""
        return self.work / "hosts" / agent

    def fault(self, name: str, **arguments: Any) -> None:
        """Make something go wrong; the names are in faults.py."""
        body = json.dumps({"fault": name, **arguments}).encode()
        request = urllib.request.Request(f"{self.marathon}/emulator/faults", body, method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def tasks(self) -> list[dict[str, Any]]:
        """Every task, also ended ones: id, owner, agent, pid, state, sandbox."""
        with urllib.request.urlopen(f"{self.marathon}/emulator/tasks", timeout=30) as answer:
            shown: list[dict[str, Any]] = json.load(answer)
        return shown

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        log = self._directory / "emulator.log"
        argv: list[str | Path] = [
            sys.executable,
            "-m",
            "tests.emulator",
            "--work",
            self.work,
            *_switches(self._options),
        ]
        self.process = Process(argv, log=log, cwd=ROOT)
        try:
            self.process.wait_until(lambda: _said(log), 30, "the line that says where it listens")
        except BaseException:
            self.process.stop()
            raise
        said = json.loads(_said(log))
        self.marathon, self.mesos, self.chronos = said["marathon"], said["mesos"], said["chronos"]
        self.follower, self.agents = said.get("follower", ""), said["agents"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()


def _switches(options: dict[str, object]) -> list[str]:
    switches = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is True]
    named = {name.replace("_", "-"): value for name, value in options.items() if not isinstance(value, bool)}
    return switches + [f"--{name}={value}" for name, value in named.items()]


def _said(log: Path) -> str:
    lines = log.read_text().splitlines(keepends=True)
    return next((line for line in lines if '"marathon"' in line and line.endswith("\n")), "")
