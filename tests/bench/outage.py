"""Elasticsearch away for ten minutes under real traffic: nothing lost or doubled, stories meanwhile, the way back.

`make outage` or `python -m tests.bench.outage --seconds 600 --rate 2000`. Ends with 1 when a promise was broken.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.bench.outage_writer import request_of
from tests.e2e.delivery import messages_in_elasticsearch, tally
from tests.e2e.peers import metric
from tests.integration.host import Host
from tests.servers import debian
from tests.servers.elasticsearch import MEASURED, Elasticsearch, missing
from tests.servers.process import free_port
from tests.shipper_process import ShipperProcess

VERSION = "9.2.0"
#: Promises: a story within this, in milliseconds, and the way back at this many times the rate.
STORY_MS, FACTOR = 200.0, 3.0
#: Traffic before Elasticsearch is killed: at least and at most so long, and so many records are stored.
_BEFORE_SECONDS, _PATIENT_SECONDS, _ENOUGH = 15.0, 300.0, 2000
#: How long the way back may take, in outages.
_PATIENCE = 2.0
_CLUSTER = "outage"


class Traffic:
    """The writer; use it in a `with`."""

    def __init__(self, path: Path, rate: float) -> None:
        argv = [sys.executable, "-m", "tests.bench.outage_writer", str(path), str(rate)]
        self._program = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        #: How many records it has written, as of a second ago.
        self.written = 0
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            self.written = int(line)

    def end(self) -> int:
        """Let it end; how many it has written."""
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._reading.join(60)
        return self.written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()
        self._reading.join(60)
        with self._program:
            pass


@dataclass
class Figures:
    """What was measured."""

    down_at: int = 0
    stored_before: int = 0
    up_at: int = 0
    story_ms: list[float] = field(default_factory=list)
    unmarked: int = 0
    told_records: Counter[int] = field(default_factory=Counter)
    verdict: str = ""
    start_seconds: float = 0
    back_seconds: float = 0
    back_records: int = 0
    peak_mb: float = 0
    host_mb: dict[str, float] = field(default_factory=dict)


def say(text: str) -> None:
    """Print with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _wait(seconds: float, each: float = 1.0) -> Iterator[float]:
    """Yield what has passed, until `seconds` are over."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        yield passed
        time.sleep(each)


def _stories(shipper: ShipperProcess, figures: Figures, seconds: float, traffic: Traffic) -> None:
    """Ask for requests of before the outage; of its own time hosts send only their windows, and keep the rest."""
    for passed in _wait(seconds, 2.0):
        wanted = request_of(100 + 10 * (len(figures.story_ms) % 100))
        began = time.perf_counter()
        told = shipper.get(f"/api/v1/requests/{wanted}")
        figures.story_ms.append((time.perf_counter() - began) * 1000)
        figures.unmarked += told["source"] != "recent"
        figures.told_records[len(told["records"])] += 1
        figures.verdict = f"{told['verdict']['state']}: {'; '.join(told['verdict']['reasons'])}"
        if int(passed) % 60 < 2:
            say(
                f"away for {passed:.0f} s: {traffic.written:,} written, shipper {shipper.memory_mb():.0f} MB, "
                f"story {figures.story_ms[-1]:.0f} ms"
            )


def _end(server: Elasticsearch) -> None:
    if server.process.running:
        server.stop()


def _back(shipper: ShipperProcess, figures: Figures, seconds: float, traffic: Traffic) -> bool:
    """Wait until what waited is stored; whether it was in time."""
    stored, began = figures.stored_before, time.monotonic()
    for passed in _wait(seconds * _PATIENCE + 60):
        now = tally(shipper).stored
        if int(passed) % 20 == 0:
            say(f"back for {passed:.0f} s: {now:,} of {traffic.written:,} stored")
        figures.back_seconds, figures.back_records = time.monotonic() - began, now - stored
        if now >= traffic.written * 0.995:
            return True
    return False


def run(
    rsyslogd: str, folder: Path, seconds: float, rate: float
) -> tuple[Figures, int, list[int], list[dict[str, Any]]]:
    """Return the figures, how many were written, the numbers that are stored, and the holes of the ledger."""
    figures, port = Figures(), free_port()
    server = Elasticsearch(VERSION, folder / "elasticsearch", java_options=MEASURED)
    server.start()
    store = {"type": "elasticsearch", "urls": [server.url], "replicas": 0}
    recent = {"recent": {"directory": str(folder / "recent")}}
    with contextlib.ExitStack() as stack:
        stack.callback(_end, server)
        shipper = stack.enter_context(
            ShipperProcess(folder / "shipper", store, port=port, cluster=_CLUSTER, pipeline=recent)
        )
        host = stack.enter_context(Host(rsyslogd, folder / "host", port))
        traffic = stack.enter_context(Traffic(host.socket, rate))
        for passed in _wait(_PATIENT_SECONDS):
            if passed > _BEFORE_SECONDS and tally(shipper).stored >= _ENOUGH:
                break
        figures.down_at, figures.stored_before = traffic.written, tally(shipper).stored
        server.process.kill9()
        say(f"Elasticsearch is killed after {figures.down_at:,} records")
        _stories(shipper, figures, seconds, traffic)
        figures.up_at = traffic.written
        began = time.monotonic()
        server.start()
        figures.start_seconds = time.monotonic() - began
        say(f"Elasticsearch answers again after {figures.start_seconds:.0f} s; {traffic.written:,} are written")
        _back(shipper, figures, seconds, traffic)
        sent = traffic.end()
        say(f"the writer has ended after {sent:,} records")
        for passed in _wait(240):
            stored = tally(shipper).stored
            if stored >= sent or passed > 230:
                break
        figures.peak_mb, figures.host_mb = shipper.peak_mb(), host.memory_mb()
        say(f"recent copy: {metric(shipper, 'shipper_recent_bytes') / 2**20:.0f} MB on disk")
        stored_numbers = sorted(
            int(text.split()[1])
            for text in messages_in_elasticsearch(server.url, _CLUSTER)
            if text.startswith("record ")
        )
        series = [
            one for one in shipper.get("/api/v1/ledger")["series"] if one["missing"] and one["series"][-1] in "wns"
        ]
        return figures, sent, stored_numbers, series


def report(figures: Figures, sent: int, stored: list[int], series: list[dict[str, Any]], rate: float) -> bool:
    """Print what was measured; whether all promises were kept."""
    lost = sorted(set(range(1, sent + 1)) - set(stored))
    doubled = len(stored) - len(set(stored))
    factor = figures.back_records / figures.back_seconds / rate if figures.back_seconds else 0.0
    times = sorted(figures.story_ms)
    median, p99 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
    print(f"written {sent:,}, stored {len(stored):,}, lost {len(lost):,}, doubled {doubled:,}")
    for first, last in _runs(lost)[:20]:
        print(f"  lost: {first:,} to {last:,} ({last - first + 1:,})")
    for one in series:
        print(f"  the ledger misses {one['missing']:,} of series {one['series']}: {one['holes'][:5]}")
    print(
        f"stories while it was away: {len(times)}, median {median:.0f} ms, p99 {p99:.0f} ms, worst {times[-1]:.0f} ms"
    )
    print(f"  not marked {figures.unmarked}, records told {dict(figures.told_records)}; {figures.verdict}")
    print(
        f"way back: {figures.back_records:,} records in {figures.back_seconds:.0f} s, {factor:.1f} times real time "
        f"(Elasticsearch took {figures.start_seconds:.0f} s to start)"
    )
    host = ", ".join(f"{name} {mb:.0f}" for name, mb in figures.host_mb.items())
    print(f"memory in MB: shipper's peak {figures.peak_mb:.0f}; host now: {host}")
    return not lost and not doubled and p99 <= STORY_MS and not figures.unmarked and factor >= FACTOR


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long Elasticsearch is away")
    parser.add_argument("--rate", type=float, default=2000, help="records a second")
    parser.add_argument("--folder", type=Path, default=None, help="where all data goes; default: a temporary one")
    options = parser.parse_args()
    rsyslogd = shutil.which("rsyslogd", path=debian.search_path())
    if rsyslogd is None or missing(VERSION):
        print(missing(VERSION) or "rsyslogd is missing: make servers")
        return 1
    with tempfile.TemporaryDirectory(prefix="outage-", dir=options.folder, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("elasticsearch", "host"):
            (folder / part).mkdir()
        figures, sent, stored, series = run(rsyslogd, folder, options.seconds, options.rate)
    kept = report(figures, sent, stored, series, options.rate)
    print("all promises were kept" if kept else "a promise was broken")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
