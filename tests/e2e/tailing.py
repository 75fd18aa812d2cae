"""Live tails of real processes: a plain client of our own, and the command."""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.process import Process, wait_until


class PlainTail:
    """Reads Server-Sent Events and knows nothing of the product's own client."""

    def __init__(self, url: str, query: str = "", seconds: float = 30) -> None:
        self._seconds = seconds
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=seconds)
        self._connection.request("GET", f"/api/v1/tail{query}")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()
        assert self._answer.readline() == b"retry: 1000\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._answer.close()
        self._connection.close()

    def records(self) -> Iterator[dict[str, Any]]:
        """Each record, as soon as it is there; all of them within the seconds that were given."""
        name = b""
        deadline = time.monotonic() + self._seconds
        while line := self._answer.readline():
            assert time.monotonic() < deadline, "no record came, but heartbeats"
            key, _, value = line.partition(b": ")
            if key == b"event":
                name = value.strip()
            elif key == b"data" and name == b"record":
                yield json.loads(value)


class TailCommand:
    """`shipper tail --json` as a process, and what it has written."""

    def __init__(self, folder: Path, url: str, *arguments: str) -> None:
        argv = [sys.executable, "-m", "shipper", "tail", "--json", "--url", url, *arguments]
        self.log = folder / f"tail-{time.monotonic_ns()}"
        self.process = Process(argv, log=self.log, env={"PYTHONUNBUFFERED": "1"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.process.stop()

    def _lines(self) -> list[str]:
        return self.log.read_text().split("\n")[:-1]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records so far."""
        return [json.loads(line) for line in self._lines() if line.startswith("{")]

    @property
    def numbers(self) -> list[int]:
        """The sequences of the records so far, in the order in which they came."""
        return [record["event.sequence"] for record in self.records]

    @property
    def said(self) -> list[str]:
        """What it said beside them."""
        return [line for line in self._lines() if not line.startswith("{")]

    def until(self, count: int, seconds: float = 60) -> Self:
        """Wait until it has written so many records."""
        wait_until(lambda: len(self.numbers) >= count or not self.process.running, seconds, f"{count} records")
        assert len(self.numbers) >= count, self.said
        return self
