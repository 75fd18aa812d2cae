"""100 live tails that together match every record, with the server on one core: nothing skipped, CPU and delay.

Run as a program it is the reader of all tails, in a process of its own: URL TAILS TOTAL; it prints one JSON object.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shipper.record.times import from_ns, to_ns
from tests.bench.cost import send
from tests.shipper_process import ShipperProcess

TAILS = 100
RATE = 5000.0


@dataclass(frozen=True)
class Followed:
    """What became of the records that were written while tails were open."""

    written: int
    shown: int
    skipped: int
    seconds: float
    #: CPU seconds that the server used, of one core.
    cpu_seconds: float
    #: From the store's taking it to the reader's having it, in ms.
    delay_ms: float
    delay_p99_ms: float

    def __str__(self) -> str:
        return (
            f"{self.shown:,} of {self.written:,} records shown, {self.skipped:,} skipped, at "
            f"{self.written / self.seconds:,.0f} records/s; {self.cpu_seconds / self.seconds:.0%} of one core; "
            f"delay {self.delay_ms:.0f} ms, p99 {self.delay_p99_ms:.0f} ms"
        )


def corpus(count: int, tails: int) -> Iterator[bytes]:
    """Records of as many apps as there are tails, as a host sends them."""
    now = time.time_ns()
    series = f"{now // 10**9:08x}taiin"
    for number in range(1, count + 1):
        message = {"message": f"order {number} took {number % 97} ms", "service": f"app-{number % tails}"}
        yield json.dumps({
            "v": "1", "series": series, "sequence": str(number), "host_time": f"{from_ns(now)[:26]}+00:00",
            "host": "bench", "input": "socket", "pri": "14", "container": "", "message": json.dumps(message),
        }).encode() + b"\n"  # fmt: skip


def measure_tails(folder: Path, seconds: float, tails: int = TAILS, rate: float = RATE) -> Followed:
    """Follow so many apps while all of them write, the server on the last of our cores."""
    count = int(rate * seconds) // 200 * 200
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "corpus"
    written.write_bytes(b"".join(corpus(count, tails)))
    with ShipperProcess(folder / "run", {"type": "sqlite", "path": str(folder / "data")}) as shipper:
        core = max(os.sched_getaffinity(0))
        for thread in Path(f"/proc/{shipper.process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        argv = [sys.executable, "-m", "tests.bench.tails", shipper.url, str(tails), str(count)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "listening\n"
            kill = threading.Timer(6 * seconds + 60, reader.kill)
            kill.start()
            cost = send(shipper, written, rate)
            told = json.loads(reader.stdout.readline() or '{"delays": [0], "shown": 0, "skipped": 0}')
            kill.cancel()
    delays = sorted(told["delays"])
    return Followed(
        written=count,
        shown=told["shown"],
        skipped=told["skipped"],
        seconds=cost.seconds,
        cpu_seconds=cost.cpu_seconds,
        delay_ms=delays[len(delays) // 2],
        delay_p99_ms=delays[int(len(delays) * 0.99)],
    )


class _Readers:
    """All tails: what they were shown."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.shown = self.skipped = 0
        self.delays: list[float] = []
        self.done = asyncio.Event()

    async def follow(self, host: str, port: int, app: str, opened: asyncio.Barrier) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=2**24)
        writer.write(f"GET /api/v1/tail?app={app} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"retry: 1000\n")
        await opened.wait()
        name = b""
        while line := await reader.readline():
            if line.startswith(b"event: "):
                name = line[7:-1]
            elif line.startswith(b"data: "):
                self.take(name, line[6:])

    def take(self, name: bytes, data: bytes) -> None:
        if name == b"skipped":
            self.skipped += json.loads(data)["count"]
        elif name == b"record":
            self.shown += 1
            if self.shown % 50 == 0:  # a sample: the reader must not be what is measured
                self.delays.append((time.time_ns() - to_ns(json.loads(data)["event.ingested"])) / 1e6)
        if self.shown + self.skipped >= self.total:
            self.done.set()


async def _read(url: str, tails: int, total: int) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    readers = _Readers(total)
    opened = asyncio.Barrier(tails + 1)
    async with asyncio.TaskGroup() as group:
        following = [
            group.create_task(readers.follow(host, int(port), f"app-{number}", opened)) for number in range(tails)
        ]
        await opened.wait()
        print("listening", flush=True)
        await readers.done.wait()
        for task in following:
            task.cancel()
    print(json.dumps({"shown": readers.shown, "skipped": readers.skipped, "delays": readers.delays}), flush=True)


def main() -> None:
    """Measure for ten seconds; or, with arguments, be the reader of all tails."""
    if len(sys.argv) == 4:
        asyncio.run(_read(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
        return
    with tempfile.TemporaryDirectory(prefix="shipper-bench-") as name:
        print(f"{TAILS} live tails, server on one core: {measure_tails(Path(name), 10)}")


if __name__ == "__main__":
    main()
