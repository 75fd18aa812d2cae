"""Bytes and processor time per record in Elasticsearch: our template, and the same records as Logstash's default one.

`make bench-index` for 1,000,000 records, `make bench-index RECORDS=100000` for fewer. Sizes are those of one shard
merged into one segment. Processor time is the server's, with refreshes and merges; each side is warmed up first. The
server's data lies below TMPDIR: TMPDIR=/dev/shm keeps a slow disk out of it.
"""

import argparse
import itertools
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psutil

from shipper.record import Record
from shipper.record.times import from_ns
from shipper.stores._elasticsearch_bulk import Batch
from shipper.stores._elasticsearch_templates import IndexMode, TemplateSettings, templates
from tests.bench import index_logstash
from tests.bench.index_records import RATE, records
from tests.servers import elasticsearch

VERSION = "9.2.0"
DEFAULT_RECORDS = 100_000
CLUSTER = "bench"
MOST = 0.32
AIM = 0.28
_BATCH = 2000
_WARM_UP = 20_000
_SHOWN_FIELDS = 24

Body = Callable[[Sequence[Record], str], bytes]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one side costs: bytes per record, seconds of the server's processor time per million records."""

    size: float
    indexing: float
    merging: float
    fields: Mapping[str, float]


def measure(url: str, server: psutil.Process, count: int, mode: IndexMode = "standard") -> tuple[Cost, Cost]:
    """Return what the same records cost under our template and under Logstash's."""
    ours = templates(CLUSTER, TemplateSettings(replicas=0, index_mode=mode, seq_no_index=False))[
        f"logs-mesos.{CLUSTER}"
    ]
    _ask("PUT", f"{url}/_index_template/ours", ours)
    _ask("PUT", f"{url}/_index_template/logstash", index_logstash.TEMPLATE)
    sides: tuple[tuple[str, Body], ...] = (
        (f"logs-mesos.{CLUSTER}-*", lambda batch, ingested: Batch(CLUSTER, batch, ingested).body),
        (index_logstash.INDEX, lambda batch, ingested: index_logstash.body(index_logstash.INDEX, batch, ingested)),
    )
    for index, body in sides:
        _index(url, server, index, body, min(count, _WARM_UP))
        _delete(url, index)
    first, second = (_index(url, server, index, body, count) for index, body in sides)
    return first, second


def _index(url: str, server: psutil.Process, index: str, body: Body, count: int) -> Cost:
    """Store all records, merge, measure."""
    began = _cpu(server)
    for batch in _batches(count):
        answer = _ask("POST", f"{url}/_bulk?filter_path=errors,items.*.error", body(batch, _ingested(batch)))
        assert not answer["errors"], answer["items"][0]
    _ask("POST", f"{url}/{index}/_refresh")
    stored = _cpu(server)
    _ask("POST", f"{url}/{index}/_forcemerge?max_num_segments=1&flush=true")
    merged = _cpu(server)
    _ask("POST", f"{url}/{index}/_refresh")
    told = _ask("GET", f"{url}/{index}/_stats/store,docs,segments")["_all"]["primaries"]
    assert told["docs"]["count"] == count, told["docs"]
    assert told["segments"]["count"] == 1, told["segments"]
    return Cost(
        told["store"]["size_in_bytes"] / count,
        (stored - began) / count * 1e6,
        (merged - stored) / count * 1e6,
        _fields(url, index, count),
    )


def _batches(count: int) -> Iterator[list[Record]]:
    made = records(count)
    while batch := list(itertools.islice(made, _BATCH)):
        yield batch


def _ingested(batch: Sequence[Record]) -> str:
    """Return when a batch would have been handed to the store: soon after its last record was read."""
    return from_ns(batch[-1].received_at + 10**9 // RATE)


def _fields(url: str, index: str, count: int) -> dict[str, float]:
    """Return the bytes per record of each field, as Elasticsearch estimates them, the largest first."""
    told = _ask("POST", f"{url}/{index}/_disk_usage?run_expensive_tasks=true")
    (usage,) = (value for name, value in told.items() if name != "_shards")
    sizes = {name: field["total_in_bytes"] / count for name, field in usage["fields"].items()}
    return dict(sorted(sizes.items(), key=lambda size: -size[1]))


def _delete(url: str, index: str) -> None:
    for name in _ask("GET", f"{url}/{index}/_settings"):
        _ask("DELETE", f"{url}/{name}")


def _ask(method: str, url: str, question: Any = None) -> Any:
    body = question if isinstance(question, bytes) else None if question is None else orjson.dumps(question)
    kind = "application/x-ndjson" if isinstance(question, bytes) else "application/json"
    request = urllib.request.Request(url, body, {"content-type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=1800) as answer:
        return orjson.loads(answer.read())


def _cpu(server: psutil.Process) -> float:
    """Processor seconds of the server so far: what was started is a script, whose child it is."""
    return sum(sum(process.cpu_times()[:2]) for process in (server, *server.children(recursive=True)))


def _show(name: str, cost: Cost) -> None:
    print(f"{name:10} {cost.size:14.1f} {cost.indexing:16.1f} {cost.merging:14.1f}", flush=True)


def _show_fields(cost: Cost) -> None:
    shown = itertools.islice(cost.fields.items(), _SHOWN_FIELDS)
    print("of it:", ", ".join(f"{name} {size:.1f}" for name, size in shown))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-index", description=__doc__)
    parser.add_argument("--records", type=int, default=DEFAULT_RECORDS, help="default: %(default)s")
    parser.add_argument("--logsdb", action="store_true", help="ours with index.mode logsdb")
    parser.add_argument("--fields", action="store_true", help="bytes of each field too")
    options = parser.parse_args()
    if reason := elasticsearch.missing(VERSION):
        parser.error(reason)
    print(f"{options.records:,} records, Elasticsearch {VERSION}, data below {tempfile.gettempdir()}", flush=True)
    began = time.perf_counter()
    with elasticsearch.running(VERSION, java_options=elasticsearch.MEASURED) as server:
        process = psutil.Process(server.process.pid)
        ours, theirs = measure(server.url, process, options.records, "logsdb" if options.logsdb else "standard")
    print(f"{'':10} {'bytes/record':>14} {'indexing CPU-s/M':>16} {'merging':>14}")
    for name, cost in (("ours", ours), ("Logstash", theirs)):
        _show(name, cost)
        if options.fields:
            _show_fields(cost)
    share = ours.size / theirs.size
    print(f"ours is {share:.3f} of Logstash's (at most {MOST}, aim {AIM}); {time.perf_counter() - began:.0f} s")
    if share > MOST:
        raise SystemExit(f"error: ours is {share:.3f} of Logstash's, more than {MOST}")


if __name__ == "__main__":
    main()
