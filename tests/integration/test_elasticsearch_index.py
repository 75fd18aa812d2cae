"""The index as hostile and noisy apps meet it: what can be kept is kept, and nobody else notices."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shipper.errors import StoreUnusable
from shipper.record import STORED, Outcome, Record
from shipper.search.query import Query
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


@pytest.mark.alone
async def test_rate_and_delay_of_other_apps_beside_a_noisy_one(
    elasticsearch_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for cluster, loud in (("warm", False), ("calm", False), ("loud", True)):
        rate, delays, outcomes = await _beside(elasticsearch_url, cluster, loud)
        assert outcomes == [STORED] * len(outcomes)
        delays.sort()
        shown.append((cluster, rate, delays[len(delays) // 2], delays[-1]))
    with capsys.disabled():
        print()
        for cluster, rate, middle, worst in shown[1:]:
            print(
                f"  {cluster}: {rate:6.0f} records/s, stored after {middle * 1e3:.0f} ms, at most {worst * 1e3:.0f} ms"
            )
    (_, calm, _, _), (_, beside, _, worst) = shown[1:]
    # Dynamic mappings made a batch wait for minutes; what is left is the work of more records.
    assert beside > calm / 10
    assert worst < 30


async def _beside(url: str, cluster: str, loud: bool) -> tuple[float, list[float], list[Outcome]]:
    """Store records of a quiet app, with as many of a noisy one in the same batches; rate and delays of the quiet."""
    delays: list[float] = []
    outcomes: list[Outcome] = []
    async with settings(url).build(cluster) as store:
        began = time.perf_counter()
        for turn in range(ROUNDS):
            batch = [made(turn * QUIET_OF_A_ROUND + number, "quiet") for number in range(1, QUIET_OF_A_ROUND + 1)]
            sent = time.perf_counter()
            outcomes += await store.put([*batch, *noisy(1 + turn * NOISY)] if loud else batch)
            delays.append(time.perf_counter() - sent)
        seconds = time.perf_counter() - began
    await asyncio.to_thread(http, "DELETE", f"{url}/{index(cluster, batch[0])}")
    return ROUNDS * QUIET_OF_A_ROUND / seconds, delays, outcomes
