"""What short ids save: the same documents in Elasticsearch under `series-sequence` and under random 32-digit ids.

Run by hand: .venv/bin/python -m tests.bench.ids --records 300000
"""

import argparse
import itertools
import random
import re
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
import psutil

from shipper.config import component
from shipper.parsers import chain
from shipper.record import Record
from shipper.record.ids import new_start
from shipper.stores._elasticsearch_bulk import Batch
from shipper.stores._elasticsearch_templates import TemplateSettings, templates
from tests.bench import corpus
from tests.servers import elasticsearch

BATCH = 2000
HOSTS = 20
#: Records of one host that come in a row.
IN_A_ROW = 50
_ID = re.compile(rb'"_id":"[^"]+"')


def _records(count: int) -> Iterator[Record]:
    """Records of 20 hosts by turns, as the product stores them."""
    read = chain([component("parsers", name).parse for name in ("host_json", "rfc3164", "json_body", "plain")])
    enrich = component("enrichers", "request_id").Config().build().enrich
    now = int(time.time()) // 86_400 * 86_400
    hosts = [corpus.host_json(count // HOSTS, f"{new_start(now)}n", now, seed) for seed in range(HOSTS)]
    for host in itertools.cycle(hosts):
        payloads = list(itertools.islice(host, IN_A_ROW))
        if not payloads:
            return
        for payload in payloads:
            record = Record(payload, time.time_ns())
            read(record)
            enrich(record)
            record.seal()
            yield record


def _bodies(cluster: str, count: int) -> Iterator[bytes]:
    records = _records(count)
    while batch := list(itertools.islice(records, BATCH)):
        yield Batch(cluster, batch, "2026-01-01T00:00:00.000000Z").body


def _randomised(bodies: Iterable[bytes]) -> Iterator[bytes]:
    chance = random.Random(1)
    for body in bodies:
        yield _ID.sub(lambda _: b'"_id":"%032x"' % chance.getrandbits(128), body)


def _ask(url: str, body: bytes | None = None, method: str = "POST") -> Any:
    headers = {"Content-Type": "application/x-ndjson" if url.endswith("_bulk") else "application/json"}
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return orjson.loads(answer.read())


def _measure(url: str, server: psutil.Process, cluster: str, bodies: list[bytes], count: int) -> str:
    """Index all of it into an index of its own; bytes per document, and seconds per million."""
    template = templates(cluster, TemplateSettings(replicas=0))[f"logs-mesos.{cluster}"]
    _ask(f"{url}/_index_template/{cluster}", orjson.dumps(template), "PUT")
    cpu, started = _cpu(server), time.perf_counter()
    for body in bodies:
        assert not _ask(f"{url}/_bulk", body)["errors"]
    seconds, cpu = time.perf_counter() - started, _cpu(server) - cpu
    index = f"{url}/logs-mesos.{cluster}-*"
    _ask(f"{index}/_refresh")
    _ask(f"{index}/_forcemerge?max_num_segments=1&flush=true")
    figures = _ask(f"{index}/_stats/store,docs,indexing", method="GET")["_all"]["primaries"]
    assert figures["docs"]["count"] == count
    size = figures["store"]["size_in_bytes"] / count
    return f"{size:7.1f} bytes/document {seconds / count * 1e6:7.1f} s/M {cpu / count * 1e6:7.1f} CPU-s/M"


def _cpu(server: psutil.Process) -> float:
    """CPU seconds of the server so far: what was started is a script, whose child it is."""
    return sum(sum(process.cpu_times()[:2]) for process in (server, *server.children(recursive=True)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ids", description=__doc__)
    parser.add_argument("--records", type=int, default=300_000)
    count = parser.parse_args().records // HOSTS // IN_A_ROW * HOSTS * IN_A_ROW
    kinds: dict[str, Callable[[Iterable[bytes]], Iterator[bytes]]] = {"short": iter, "random": _randomised}
    with elasticsearch.running("9.2.0", java_options=elasticsearch.MEASURED) as server:
        process = psutil.Process(server.process.pid)
        for turn in ("warm-up", "first", "second"):
            for kind, change in kinds.items():
                cluster = f"{kind}_{turn}".replace("-", "")
                bodies = list(change(_bodies(cluster, count)))
                print(f"{kind:6} {turn:8} {_measure(server.url, process, cluster, bodies, count)}", flush=True)


if __name__ == "__main__":
    main()
