"""`shipper run` as a process of its own: started, killed, stopped, asked."""

import os
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
import psutil
import yaml

from tests.servers.process import START_SECONDS, Process


class ShipperProcess:
    """A configuration with one store, a RELP source and the API on free ports, and the process that runs it."""

    def __init__(self, folder: Path, store: dict[str, Any], port: int = 0, **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = {"sources": [{"type": "relp", "port": port}], "store": store, "api": {"port": 0}, **settings}
        self.config = folder / "shipper.yaml"
        self.config.write_text(yaml.safe_dump(config))
        self.log = folder / "shipper.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.process.running:
            self.process.stop(60)

    def start(self) -> None:
        """Start it, with a log of its own, and wait until it listens."""
        self.log.unlink(missing_ok=True)
        hidden = {name: "" for name in os.environ if name.startswith("SHIPPER_")}
        assert not hidden, f"unset {', '.join(hidden)} for tests"
        argv = [sys.executable, "-m", "shipper", "run", "--config", str(self.config)]
        self.process = Process(argv, log=self.log)
        try:
            self.process.wait_until(lambda: self._started() is not None, START_SECONDS, "it listens")
        except BaseException:
            self.process.stop(60)
            raise
        started = self._started()
        assert started is not None
        self.port = int(started["relp"].rpartition(":")[2]) if "relp" in started else 0
        self.url = str(started["http"])

    def _started(self) -> dict[str, str] | None:
        for line in self.log.read_bytes().splitlines():
            if b'"message":"started"' in line:
                labels: dict[str, str] = orjson.loads(line)["labels"]
                return labels
        return None

    def cpu(self) -> float:
        """CPU seconds used so far, user and system."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def peak_mb(self) -> float:
        """The most memory it ever used (VmHWM)."""
        return self._status("VmHWM") / 1024

    def memory_mb(self) -> float:
        """The memory it uses now (VmRSS)."""
        return self._status("VmRSS") / 1024

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise AssertionError(name)

    def get(self, path: str) -> Any:
        """The answer of the API, read as JSON."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return orjson.loads(answer.read())
