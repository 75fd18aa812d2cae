"""A store that holds one day of records, for the time of a benchmark; it and its data are gone afterwards."""

import asyncio
import contextlib
import json
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from shipper.config import component
from shipper.record import STORED, Record
from shipper.stores import Reader, Store
from shipper.stores._elasticsearch_templates import TemplateSettings, templates
from tests.bench.questions_corpus import Day
from tests.servers import elasticsearch

VERSION = "9.2.0"
CLUSTER = "bench"
_BATCH = 5000
_IN_FLIGHT = 4
#: More records than this are given to a server with the heap of a small production node.
_LARGE = 1_000_000


@contextlib.contextmanager
def settings(store: str, records: int) -> Iterator[dict[str, Any]]:
    """Settings of a store of that kind that is empty; LookupError with the reason when there is none here."""
    with tempfile.TemporaryDirectory(prefix="shipper-questions-", ignore_cleanup_errors=True) as name:
        if store == "sqlite":
            yield {"type": "sqlite", "path": str(Path(name) / "data")}
            return
        reason = elasticsearch.missing(VERSION)
        if reason:
            raise LookupError(reason)
        java_options = elasticsearch.MEASURED_LARGE if records > _LARGE else elasticsearch.MEASURED
        with elasticsearch.running(VERSION, java_options=java_options) as server:
            yield {"type": "elasticsearch", "urls": [server.url], "replicas": 0, "request_seconds": 120}


@contextlib.asynccontextmanager
async def reader(found: dict[str, Any], wanted: Day) -> AsyncIterator[Reader]:
    """Load a day into a store, say how fast, and return what answers questions about it."""
    config = component("stores", found["type"]).Config(**found)
    started = time.perf_counter()
    if found["type"] == "elasticsearch":
        await asyncio.to_thread(_open_index, found["urls"][0], wanted)
    async with config.build(CLUSTER) as store:
        await _load(store, wanted)
        await store.put_ledger(wanted.ledger())
    if found["type"] == "elasticsearch":
        await asyncio.to_thread(_show_all, found["urls"][0])
    seconds = time.perf_counter() - started
    print(f"{found['type']}: {wanted.count:,} records loaded in {seconds:.0f} s ({wanted.count / seconds:,.0f}/s)")
    async with config.reader(CLUSTER) as opened:
        yield opened


async def _load(store: Store, wanted: Day) -> None:
    """Put every record, several batches at a time."""
    batches = wanted.batches(_BATCH)

    async def work() -> None:
        for batch in batches:
            await _put(store, batch)

    async with asyncio.TaskGroup() as workers:
        for _ in range(_IN_FLIGHT):
            workers.create_task(work())


async def _put(store: Store, batch: list[Record]) -> None:
    outcomes = await store.put(batch)
    assert all(outcome == STORED for outcome in outcomes), next(one for one in outcomes if one != STORED)


def _open_index(url: str, wanted: Day) -> None:
    """Make the day's index as the product would, but show nothing of it until it is loaded."""
    for name, template in templates(CLUSTER, TemplateSettings(replicas=0)).items():
        _http("PUT", f"{url}/_index_template/{name}", template)
    (day,) = {record.day for record in next(wanted.batches(1))}
    _http("PUT", f"{url}/logs-mesos.{CLUSTER}-{day}", {"settings": {"index": {"refresh_interval": "-1"}}})


def _show_all(url: str) -> None:
    _http("PUT", f"{url}/logs-mesos.{CLUSTER}-*/_settings", {"index": {"refresh_interval": "1s"}})
    _http("POST", f"{url}/*.{CLUSTER}*/_flush")
    _http("POST", f"{url}/*.{CLUSTER}*/_refresh")


def _http(method: str, url: str, body: Any = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=600) as answer:
        answer.read()
