"""How long "everything about this request id" takes among a million records."""

import asyncio
import time
from pathlib import Path

from shipper.config import component
from shipper.parsers import chain
from shipper.record import Record
from shipper.search.query import Query
from tests.bench import corpus

BATCH = 2000


def measure_lookup(folder: Path, count: int) -> str:
    """Fill a SQLite store with `count` records and ask for 200 request ids."""
    return asyncio.run(_measure(folder, count))


async def _measure(folder: Path, count: int) -> str:
    config = component("stores", "sqlite").Config(path=str(folder))
    read = chain([component("parsers", name).parse for name in ("host_json", "rfc3164", "json_body", "plain")])
    enrich = component("enrichers", "request_id").Config().build().enrich
    now = int(time.time()) - 3600
    ids: list[str] = []
    async with config.build("bench") as store:
        batch: list[Record] = []
        for payload in corpus.host_json(count, f"{now:08x}0001n", now):
            record = Record(payload, time.time_ns())
            read(record)
            enrich(record)
            batch.append(record)
            if len(batch) == BATCH:
                await store.put(batch)
                ids.append(batch[0].fields["http.request.id"])
                batch = []
        if batch:
            await store.put(batch)
        async with config.reader("bench") as reader:
            return await _ask(reader, ids[:: max(1, len(ids) // 200)], count)


async def _ask(reader: object, ids: list[str], count: int) -> str:
    taken = []
    records = 0
    for request_id in ids:
        started = time.perf_counter()
        page = await reader.search(Query(request_id=request_id, newest_first=False, limit=1000))  # type: ignore[attr-defined]
        taken.append((time.perf_counter() - started) * 1000)
        records += len(page.records)
    taken.sort()
    return (
        f"median {taken[len(taken) // 2]:.1f} ms, worst {taken[-1]:.1f} ms among {count:,} records "
        f"({len(ids)} requests of {records / len(ids):.0f} records)"
    )
