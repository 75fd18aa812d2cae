"""Many million records through one shipper and one RELP session, and what its memory does meanwhile.

Run by hand: .venv/bin/python -m tests.bench.soak --records 10000000
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import orjson

from shipper.record import times
from tests.bench import corpus
from tests.bench.relp_sender import CHUNK, Sender
from tests.shipper_process import ShipperProcess

STEP = 1_000_000
HOSTS = 50
#: Messages that are made before the first record is sent; they come again and again, each under a new number.
MESSAGES = 20_000


class Frames(Sequence[bytes]):
    """Frames made when they are asked for: 50 hosts by turns, each with a new series every million records."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._second = int(time.time()) - 60
        self._tails = [
            orjson.dumps({"input": "imuxsock", "pri": "14", "container": "", "message": f"{service}[7]: {text}"})[1:]
            for service, text in corpus.messages(MESSAGES, seed=1, json_share=0.4)
        ]

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, int):
            return self[place : place + 1][0]
        return [self._frame(number) for number in range(*place.indices(self._count))]

    def _frame(self, number: int) -> bytes:
        chunk = number // CHUNK
        host = chunk % HOSTS
        step, within = divmod(number, STEP)
        sequence = within // (CHUNK * HOSTS) * CHUNK + number % CHUNK + 1
        clock = times.from_ns((self._second + chunk // 100) * 10**9)[:19]
        payload = b'{"v":"1","series":"%08x%04xn","sequence":"%d","host_time":"%b.%06d+00:00","host":"host-%d",%b\n' % (
            self._second + step, host, sequence, clock.encode(), number % 10**6, host, self._tails[number % MESSAGES],
        )  # fmt: skip
        return b"%d syslog %d %b\n" % (number % 999_999_998 + 2, len(payload), payload)


@dataclass(frozen=True)
class Measured:
    """The shipper after so many answered records."""

    records: int
    memory_mb: float


async def _soak(shipper: ShipperProcess, records: int) -> list[Measured]:
    """Send and print a line for every million answers."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    _, sender = await loop.create_connection(lambda: Sender(Frames(records), 0, done), "127.0.0.1", shipper.port)
    measured: list[Measured] = []
    started, last, cpu = time.perf_counter(), time.perf_counter(), shipper.cpu()
    print(f"{'records':>12} {'records/s':>10} {'CPU-s/M':>8} {'memory MB':>10} {'peak MB':>8}")
    for goal in range(min(STEP, records), records + 1, STEP):
        while sender.answered < goal and not done.is_set():  # noqa: ASYNC110  a look now and then is enough
            await asyncio.sleep(0.05)
        now, used = time.perf_counter(), shipper.cpu()
        measured.append(Measured(goal, shipper.memory_mb()))
        print(
            f"{goal:12,} {min(STEP, records) / (now - last):10,.0f} {(used - cpu) / min(STEP, records) * 1e6:8.2f}"
            f" {measured[-1].memory_mb:10.1f} {shipper.peak_mb():8.1f}",
            flush=True,
        )
        last, cpu = now, used
    await done.wait()
    print(f"{records:,} records in {time.perf_counter() - started:.0f} s")
    return measured


def growth(measured: Sequence[Measured]) -> float:
    """Bytes of memory that a record leaves behind: the slope of a straight line through all but the first million."""
    points = [(point.records, point.memory_mb * 2**20) for point in measured[1:]]
    if len(points) < 2:
        return 0.0
    x = sum(point[0] for point in points) / len(points)
    y = sum(point[1] for point in points) / len(points)
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--records", type=int, default=10 * STEP)
    records = max(parser.parse_args().records // CHUNK, 1) * CHUNK
    with tempfile.TemporaryDirectory(prefix="shipper-soak-") as name:
        sink = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with sink:
            assert sink.stdout is not None
            store = {"type": "elasticsearch", "urls": [f"http://127.0.0.1:{sink.stdout.readline().strip()}"]}
            with ShipperProcess(Path(name), store) as shipper:
                import uvloop

                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    measured = runner.run(_soak(shipper, records))
                in_flight = [line for line in _metrics(shipper) if line.startswith("shipper_records_in_flight ")]
                print(f"growth: {growth(measured):+.2f} bytes per record after the first million; {in_flight[0]}")
            sink.terminate()


def _metrics(shipper: ShipperProcess) -> list[str]:
    import urllib.request

    with urllib.request.urlopen(shipper.url + "/metrics", timeout=30) as answer:
        return str(answer.read().decode()).splitlines()


if __name__ == "__main__":
    main()
