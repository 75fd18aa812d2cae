"""Prints what the product costs on this machine: rate, CPU, memory, time to searchable, request look-up."""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench import corpus
from tests.bench.cost import Cost, send
from tests.bench.host import measure_host
from tests.bench.latency import Latency, measure_latency
from tests.bench.lookup import measure_lookup
from tests.bench.questions import RECORDS, STORES, measure_questions
from tests.bench.tails import TAILS, measure_tails
from tests.servers import elasticsearch
from tests.shipper_process import ShipperProcess

_HEAD = f"{'store':14} {'records':12} {'records/s':>10} {'CPU-s/M':>8} {'peak MB':>8} {'ack ms':>7} {'p99':>7}"


def _write(path: Path, payloads: Iterator[bytes]) -> Path:
    with path.open("wb") as file:
        file.writelines(payloads)
    return path


def _row(store: str, kind: str, cost: Cost) -> None:
    print(
        f"{store:14} {kind:12} {cost.rate:10,.0f} {cost.cpu_per_million:8.2f} {cost.peak_mb:8.0f} "
        f"{cost.answer_ms:7.1f} {cost.answer_p99_ms:7.1f}",
        flush=True,
    )


@contextlib.contextmanager
def _sink() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def _elasticsearch(stack: contextlib.ExitStack) -> str | None:
    reason = elasticsearch.missing("9.2.0")
    if reason:
        print(f"{'Elasticsearch':14} not measured: {reason}")
        return None
    return stack.enter_context(elasticsearch.running("9.2.0", java_options=elasticsearch.MEASURED)).url


def _stores(stack: contextlib.ExitStack, folder: Path, wanted: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "sink" in wanted:
        yield "HTTP sink", {"type": "elasticsearch", "urls": [stack.enter_context(_sink())]}
    if "sqlite" in wanted:
        yield "SQLite", {"type": "sqlite", "path": str(folder / "sqlite")}
    if "elasticsearch" in wanted:
        url = _elasticsearch(stack)
        if url:
            yield "Elasticsearch", {"type": "elasticsearch", "urls": [url]}


def _throughput(folder: Path, wanted: list[str], scale: float) -> float:
    """Print one row per store and kind of record; return the rate of SQLite with rsyslog's JSON."""
    now = int(time.time()) - 600
    sqlite_rate = 0.0
    with contextlib.ExitStack() as stack:
        print(_HEAD)
        for store, settings in _stores(stack, folder, wanted):
            count = int((400_000 if store == "HTTP sink" else 100_000) * scale)
            kinds = {
                "rsyslog JSON": corpus.host_json(count, f"{now:08x}beefn", now),
                "RFC 5424": corpus.rfc5424(count, now),
            }
            for kind, payloads in kinds.items():
                file = _write(folder / "corpus", payloads)
                with ShipperProcess(folder / "run", settings) as shipper:
                    cost = send(shipper, file)
                    _row(store, kind, cost)
                if store == "SQLite" and kind == "rsyslog JSON":
                    sqlite_rate = cost.rate
    return sqlite_rate


def _searchable(folder: Path, rate: float, scale: float) -> Latency:
    now = int(time.time()) - 600
    file = _write(folder / "corpus", corpus.host_json(int(20 * rate * scale) + 1000, f"{now:08x}feedn", now))
    with ShipperProcess(folder / "latency", {"type": "sqlite", "path": str(folder / "latency-data")}) as shipper:
        load = threading.Thread(target=send, args=(shipper, file, rate))
        load.start()
        latency = measure_latency(shipper, load.is_alive)
        load.join()
    return latency


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["questions"], help="only how fast questions are answered")
    parser.add_argument("--store", action="append", choices=["sink", "sqlite", "elasticsearch"])
    parser.add_argument("--host", action="store_true", help="only what a host costs")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of records")
    parser.add_argument("--records", type=int, default=RECORDS, help="records of the day that is asked about")
    options = parser.parse_args()
    wanted = options.store or ["sink", "sqlite", "elasticsearch"]
    asked = tuple(store for store in STORES if store in wanted)
    if options.what == "questions":
        measure_questions(options.records, asked)
        return
    if options.host:
        measure_host()
        return
    with tempfile.TemporaryDirectory(prefix="shipper-bench-") as name:
        folder = Path(name)
        rate = _throughput(folder, wanted, options.scale)
        if "sqlite" in wanted:
            print(
                "\nwrite to searchable, SQLite, at half the rate above:", _searchable(folder, rate / 2, options.scale)
            )
            print("request look-up, SQLite:", measure_lookup(folder / "lookup", int(1_000_000 * options.scale)))
            print(f"{TAILS} live tails, server on one core:", measure_tails(folder / "tails", 10 * options.scale))
            print()
        measure_questions(int(options.records * options.scale), asked)
    if options.store is None:
        measure_host()


if __name__ == "__main__":
    main()
