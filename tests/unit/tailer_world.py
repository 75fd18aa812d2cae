"""A host with sandboxes and a tailer whose clock the test moves."""

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from shipper.host.tailer import Tailer

RUN = "0c5e1a3c-9c1f-4c59-9d5d-0123456789a{}"


@dataclass
class Settings:
    sandboxes: str
    work_directory: str
    files: tuple[str, ...] = ()
    host_name: str = "web-3"
    queue_limit_bytes: int = 2**30


def sandbox(root: Path, task: str = "shop.1", run: int = 0) -> Path:
    """Make the folder of a run, with `latest` beside it, as the agent does."""
    runs = root / "slaves/S0/frameworks/F0/executors" / task / "runs"
    folder = runs / RUN.format(run)
    folder.mkdir(parents=True)
    latest = runs / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(folder)
    return folder


@dataclass
class World:
    folder: Path
    files: tuple[str, ...] = ()
    queue_limit_bytes: int = 2**30
    datagrams: list[bytes] = field(default_factory=list)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.root = self.folder / "mesos"
        self.work = self.folder / "work"
        self.root.mkdir(exist_ok=True)
        self.work.mkdir(exist_ok=True)
        self.stopping = threading.Event()
        self.take: Callable[[bytes], None] = self.datagrams.append
        self.start()

    def start(self) -> None:
        """Start a tailer; one that was there before is left as a kill leaves it."""
        settings = Settings(str(self.root), str(self.work), self.files, queue_limit_bytes=self.queue_limit_bytes)
        self.tailer = Tailer(settings, lambda datagram: self.take(datagram), self.stopping)

    def stop(self) -> None:
        """Stop cleanly."""
        self.stopping.set()
        self.tailer.run()
        self.stopping.clear()

    def seconds(self, seconds: float = 1.25) -> None:
        """Let that much time pass for the tailer, a turn each quarter of a second."""
        end = self.now + seconds
        while self.now < end:
            while self.tailer.turn(self.now):
                pass
            self.now += 0.25

    @property
    def records(self) -> list[dict[str, Any]]:
        assert all(datagram.startswith(b"<14>{") for datagram in self.datagrams)
        return [orjson.loads(datagram[4:]) for datagram in self.datagrams]

    @property
    def messages(self) -> list[str]:
        return [record["message"] for record in self.records]

    def stored(self) -> dict[str, list[str]]:
        """Messages by series, each id once; an id with two contents and a hole in the numbers are failures."""
        seen: dict[tuple[str, int], dict[str, Any]] = {}
        for record in self.records:
            key = record["series"], int(record["sequence"])
            assert seen.setdefault(key, record) == record
        found: dict[str, list[str]] = defaultdict(list)
        for (series, sequence), record in sorted(seen.items()):
            found[series].append(record["message"])
            assert len(found[series]) == sequence, "numbers have a hole"
        return dict(found)
