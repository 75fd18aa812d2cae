"""The index as hostile and noisy apps meet it: what can be kept is kept, and nobody else notices."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shipper.errors import StoreUnusable
from shipper.record import STORED, Record
from shipper.search.query import Query
from shipper.stores import Store
from shipper.stores._elasticsearch_templates import VERSION
from tests.contract.store_world import http
from tests.contract.test_stores import record
from tests.integration.test_elasticsearch_store import index, settings

KEYS_OF_A_RECORD, NOISY = 50, 60
LONG = "x" * 40_000
#: Of an app that says something else in every record; "labels" are what parsers leave of unknown keys.
CONFLICTS: tuple[dict[str, Any], ...] = (
    {"labels": {"code": 1}},
    {"labels": {"code": "abc"}},
    {"labels": {"code": {"x": 1}}},
    {"labels": {"code": [1, "b", None, True]}},
    {"http.response.status_code": "abc"},
    {"http.response.status_code": 2**63 + 5},
    {"event.duration": "1.5 s"},
    {"client.ip": "unknown"},
    {"event.created": "yesterday"},
    {"user.id": LONG},
    {"url.path": LONG},
    {"labels": {"long": LONG}},
    {"error.message": LONG},
    {"event.original": LONG},
)


def made(number: int, app: str, **fields: Any) -> Record:
    one = record(number, f"line {number} of {app}", series=f"{app}00000n", service__name=app)
    one.fields |= fields
    return one


def noisy(first: int = 1) -> Iterator[Record]:
    """Yield 60 records with 50 keys that nobody has used before: 3,000."""
    for number in range(first, first + NOISY):
        keys = {f"k{(number - 1) * KEYS_OF_A_RECORD + key}": f"v{number}" for key in range(KEYS_OF_A_RECORD)}
        yield made(number, "noisy", labels=keys)


async def test_what_can_be_kept_is_kept_and_others_do_not_notice(elasticsearch_url: str) -> None:
    conflicts = [made(1000 + number, "noisy", **fields) for number, fields in enumerate(CONFLICTS)]
    loud = [*noisy(), *conflicts]
    quiet = [made(number, "quiet") for number in range(1, len(loud) + 1)]
    batch = [one for pair in zip(loud, quiet, strict=True) for one in pair]
    name = index("explosion", batch[0])
    async with settings(elasticsearch_url).build("explosion") as store:
        assert await store.put(batch) == [STORED] * len(batch)
        http("POST", f"{elasticsearch_url}/{name}/_refresh")
        before = http("GET", f"{elasticsearch_url}/{name}/_mapping")
        assert await store.put([made(5000, "noisy", labels={"one more": "x"})]) == [STORED]
        assert http("GET", f"{elasticsearch_url}/{name}/_mapping") == before
        http("POST", f"{elasticsearch_url}/{name}/_refresh")
        assert len((await store.search(Query(app="quiet", limit=500))).records) == len(quiet)
        (found,) = http("GET", f"{elasticsearch_url}/{name}/_search?q=labels.k2500:v51")["hits"]["hits"]
        assert found["_source"]["event.sequence"] == 51
        records = (await store.search(Query(app="noisy", limit=500))).records
    http("DELETE", f"{elasticsearch_url}/{name}")
    kept = {one["event.sequence"]: one for one in records}
    for number, fields in enumerate(CONFLICTS):
        assert fields.items() <= kept[1000 + number].items()
    marked = {number - 1000: one["shipper.ignored"] for number, one in kept.items() if "shipper.ignored" in one}
    assert marked == {
        4: ["http.response.status_code"],
        5: ["http.response.status_code"],
        6: ["event.duration"],
        7: ["client.ip"],
        8: ["event.created"],
        9: ["user.id"],
        10: ["url.path"],
    }  # a flattened field marks nothing


async def test_an_older_template_is_replaced_a_newer_one_and_another_programs_stay(elasticsearch_url: str) -> None:
    name = "shipper-reports.versions"
    url = f"{elasticsearch_url}/_index_template/{name}"
    template = {"index_patterns": [name], "priority": 500}
    found = []
    for meta in ({"managed_by": "shipper"}, {"managed_by": "shipper", "version": VERSION + 1}):
        http("PUT", url, template | {"_meta": meta})
        async with settings(elasticsearch_url).build("versions"):
            pass
        found.append(http("GET", url)["index_templates"][0]["index_template"]["_meta"]["version"])
    assert found == [VERSION, VERSION + 1]
    http("PUT", url, template)
    with pytest.raises(StoreUnusable, match=f"^template {name}: another program's"):
        async with settings(elasticsearch_url).build("versions"):
            pass
    assert "_meta" not in http("GET", url)["index_templates"][0]["index_template"]
    for kind in ("logs-mesos", "shipper-dead-letters", "shipper-ledger", "shipper-reports"):
        http("DELETE", f"{elasticsearch_url}/_index_template/{kind}.versions")


async def test_logsdb_gives_records_back_as_they_were(elasticsearch_url: str) -> None:
    one = made(1, "shop", labels={"b": {"c": 1}, "a": ["z", "y", "z"]}, tags=["truncated"])
    async with settings(elasticsearch_url, index_mode="logsdb").build("logsdb") as store:
        assert await store.put([one]) == [STORED]
        said = http("GET", f"{elasticsearch_url}/{index('logsdb', one)}/_settings")
        http("POST", f"{elasticsearch_url}/{index('logsdb', one)}/_refresh")
        (found,) = (await store.search(Query())).records
    http("DELETE", f"{elasticsearch_url}/{index('logsdb', one)}")
    assert said[index("logsdb", one)]["settings"]["index"]["mode"] == "logsdb"
    del found["event.ingested"]
    assert found == one.content()


ROUNDS, QUIET_OF_A_ROUND = 12, 100


async def test_rate_and_delay_of_other_apps_beside_a_noisy_one(elasticsearch_url: str) -> None:
    """Alone and beside it in turns: whatever else runs on the machine slows both alike. `pytest -s` shows it."""
    calm, loud = list[float](), list[float]()
    async with settings(elasticsearch_url).build("calm") as alone, settings(elasticsearch_url).build("loud") as beside:
        for turn in range(ROUNDS + 1):
            batch = [made(turn * QUIET_OF_A_ROUND + number, "quiet") for number in range(1, QUIET_OF_A_ROUND + 1)]
            calm.append(await _seconds(alone, batch))
            loud.append(await _seconds(beside, [*batch, *noisy(1 + turn * NOISY)]))
    for cluster in ("calm", "loud"):
        await asyncio.to_thread(http, "DELETE", f"{elasticsearch_url}/{index(cluster, batch[0])}")
    print(f"alone at most {max(calm) * 1e3:.0f} ms, beside a noisy one {max(loud) * 1e3:.0f} ms a batch")
    # Dynamic mappings made a batch wait for minutes; what is left is the work of more records.
    assert max(loud) < 30
    assert sum(loud[1:]) < 10 * sum(calm[1:])  # the first of each makes its index


async def _seconds(store: Store, batch: list[Record]) -> float:
    """How long a batch takes to be stored."""
    sent = time.perf_counter()
    assert await store.put(batch) == [STORED] * len(batch)
    return time.perf_counter() - sent
