"""Labels at work in the pipeline: budgets by the enricher `marathon`, mistakes told by records."""

import asyncio
import time

import orjson

from shipper.cluster.model import App, Task
from shipper.config import Config
from shipper.enrichers.marathon import Config as MarathonConfig
from shipper.enrichers.marathon import Marathon
from shipper.parsers import chain, host_json, plain
from shipper.pipeline.run import Pipeline
from shipper.record import Record, times
from tests.fake_store import FakeStore

TASK = "shop_api.6b03cc5d-6f18-11ee-9c2f-02420a000001"


def app(version: str = "2026-11-23T10:00:00.000Z", **labels: str) -> App:
    task = Task(id=TASK, app_id="/shop/api", host="web-3", state="TASK_RUNNING", version=version)
    return App("/shop/api", version, labels, 1, (), (task,), (), {})


def enricher(*apps: App) -> Marathon:
    made = MarathonConfig(registry_file=None).build()
    made.registry.read(apps)
    return made


def records(count: int, pri: int = 14) -> list[Record]:
    read = chain([host_json.parse, plain.parse])
    host_time = times.from_ns(time.time_ns())[:26] + "+00:00"
    found = []
    for sequence in range(1, count + 1):
        outer = {
            "v": "1", "series": "0t8k2l4abcden", "sequence": str(sequence), "host_time": host_time, "host": "web-3",
            "input": "socket", "pri": str(pri), "task": TASK, "message": "hello",
        }  # fmt: skip
        record = Record(orjson.dumps(outer), time.time_ns())
        read(record)
        found.append(record)
    return found


def test_an_app_beyond_its_budget_is_sampled() -> None:
    marathon = enricher(app(SHIPPER_BUDGET="10"))
    sent = records(1000)
    for record in sent:
        marathon.enrich(record)
    kept = [record for record in sent if not record.discarded]
    assert 50 <= len(kept) < 200
    assert all(record.discarded in ("", "budget") for record in sent)
    assert sum(record.fields.get("shipper.sample_rate", 1) for record in kept) > 500
    assert kept[-1].content()["service.name"] == "shop-api"


def test_its_warnings_and_other_apps_are_not() -> None:
    for marathon, pri in ((enricher(app(SHIPPER_BUDGET="10")), 12), (enricher(app()), 14), (enricher(), 14)):
        sent = records(1000, pri)
        for record in sent:
            marathon.enrich(record)
        assert not any(record.discarded or "shipper.sample_rate" in record.fields for record in sent)


def test_a_changed_budget_takes_effect_at_the_next_read() -> None:
    marathon = enricher(app(SHIPPER_BUDGET="1"))
    for record in records(1000):
        marathon.enrich(record)
    marathon.registry.read([app("2026-11-23T10:00:01.000Z", SHIPPER_BUDGET="1000000")])
    sent = records(1000)
    for record in sent:
        marathon.enrich(record)
    assert not any(record.discarded for record in sent)


async def test_a_mistake_in_a_label_is_in_the_log_of_its_app() -> None:
    store = FakeStore()
    settings = {"sources": [], "enrichers": [{"type": "marathon", "registry_file": None}]}
    pipeline = Pipeline(Config.model_validate(settings), store)
    (marathon,) = pipeline.enrichers
    assert isinstance(marathon, Marathon)
    stopping = asyncio.Event()

    def started() -> None:
        for _ in range(3):  # as at every poll
            marathon._watcher([app(SHIPPER_BUDGET="much", SHIPPER_SERVICE="checkout")])
        stopping.set()

    async with asyncio.timeout(30):
        await pipeline.run(stopping, started)
    (stored,) = store.records.values()
    fields = orjson.loads(stored.document)
    assert 'SHIPPER_BUDGET: "much" is not allowed: must be records per second' in fields["message"]
    assert (fields["service.name"], fields["log.level"]) == ("checkout", "warn")
    assert fields["orchestrator.resource.name"] == "/shop/api"
