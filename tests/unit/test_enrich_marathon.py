"""The enricher `marathon`: what records get from the registry, what they keep, and late joins."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from shipper import telemetry
from shipper.cluster.model import App, Task
from shipper.enrichers._waiting import WaitingRoom
from shipper.enrichers.marathon import Config, Marathon
from shipper.record import Record, Repair, Shared, said_by_host
from tests.bench import enrich as bench
from tests.contract.parsing import everything, parsed, stamped

VERSION = "2026-01-01T00:00:00.001Z"
T1 = "shop_api.instance-b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6._app.1"
T2 = "shop_api.instance-b6ff5fa5-7714-11e7-a55c-5ecf1c4671f7._app.1"
JOB = "ct:1420843781398:0:nightly-report:"
LABELS = {
    "SHIPPER_SERVICE": "shop", "SHIPPER_DATASET": "shop.access", "SHIPPER_OWNER": "team-shop@example.com",
    "SHIPPER_ENVIRONMENT": "prod", "team": "a", "HAPROXY_0_AUTH": "secret",
}  # fmt: skip


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def enricher(clock: Clock | None = None, records: int = 1000, url: str = "http://127.0.0.1:1") -> Marathon:
    settings = Config.model_validate({"registry_file": None, "marathon_urls": [url] if url else []})
    built = settings.build()
    return Marathon(built.registry, WaitingRoom(records, 120, clock or Clock()), settings)


def know(built: Marathon, *names: str, labels: Mapping[str, str] | None = None, version: str = VERSION) -> None:
    tasks = tuple(Task(name, "/shop/api", "10.0.0.1", (31001, 31002), "TASK_RUNNING", version) for name in names)
    built.registry.read([App("/shop/api", version, labels or {}, 1, (), tasks, (), {})])


def enriched(built: Marathon, message: str = "hello", **stamp: str) -> dict[str, Any]:
    record = one(built, message, **stamp)
    sealed = orjson.loads(record.document)
    assert len(sealed) == record.document.count(b'":') - _inner(sealed), "a name twice"
    return record.content()


def _inner(fields: dict[str, Any]) -> int:
    """Members below the top, and `":` in texts."""
    flat = {name: value for name, value in fields.items() if not isinstance(value, str)}
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    return orjson.dumps(fields).count(b'":') - len(flat) - len(texts)


def one(built: Marathon, message: str = "hello", **stamp: str) -> Record:
    record = parsed(stamped(message, **stamp))
    before = said_by_host(record.content())
    built.enrich(record)
    assert said_by_host(everything(record)) == before
    return record


def none_in_flight(series: str, sequence: int) -> bool:
    return False


def repairs(built: Marathon, most: int = 100) -> list[Repair]:
    return built.take_repairs(most, none_in_flight)


def given_up() -> float:
    return telemetry.REGISTRY.get_sample_value("shipper_repairs_total", {"result": "given_up"}) or 0


def test_a_record_of_a_known_task_gets_all_that_is_known() -> None:
    built = enricher()
    know(built, T1, labels=LABELS)
    fields = enriched(built, task=T1)
    assert fields["orchestrator.resource.id"] == T1
    assert fields["orchestrator.resource.name"] == "/shop/api"
    assert fields["orchestrator.resource.type"] == "task"
    assert fields["marathon.app.version"] == VERSION
    assert fields["marathon.app.owner"] == "team-shop@example.com"
    assert fields["marathon.labels"] == {"team": "a"}
    assert (fields["marathon.task.host"], fields["marathon.task.ports"]) == ("10.0.0.1", [31001, 31002])
    assert (fields["service.name"], fields["event.dataset"]) == ("shop", "shop.access")
    assert (fields["service.environment"], fields["shipper.enriched_by"]) == ("prod", "registry")
    assert fields["message"] == "hello"


def test_the_host_knows_better_which_app_it_was() -> None:
    built = enricher()
    know(built, T1, labels=LABELS)
    fields = enriched(built, task=T1, app="/shop/other", app_version="v7")
    assert (fields["orchestrator.resource.name"], fields["marathon.app.version"]) == ("/shop/other", "v7")
    assert fields["service.name"] == "shop"


OWN = {
    "its own service": ('{"service":"mine","msg":"x"}', "mine"),
    "what its app is called": ('{"service":"shop-api","msg":"x"}', "shop"),
    "a syslog tag": ("Nov 22 23:48:34 nginx[7]: x", "shop"),
    "nothing": ("x", "shop"),
}


@pytest.mark.parametrize(("message", "service"), OWN.values(), ids=OWN.keys())
@pytest.mark.parametrize("stamp", [{"task": T1}, {"task": T1, "app": "/shop/api"}], ids=["task", "task and app"])
def test_which_name_of_a_service_wins(message: str, service: str, stamp: dict[str, str]) -> None:
    built = enricher()
    know(built, T1, labels=LABELS)
    if message.startswith("{") and service == "shop" and "app" not in stamp:
        service = "shop-api"  # nobody else said so: it is the record's own word
    for _ in range(2):
        assert enriched(built, message, **stamp)["service.name"] == service


def test_what_a_record_says_of_itself_stays() -> None:
    built = enricher()
    know(built, T1, labels=LABELS)
    fields = enriched(built, '{"env":"test","event.dataset":"mine","msg":"x"}', task=T1)
    assert (fields["service.environment"], fields["event.dataset"]) == ("test", "mine")
    assert (fields["service.name"], fields["shipper.enriched_by"]) == ("shop", "registry")
    assert enriched(built, "plain", task=T1)["service.environment"] == "prod"


def test_a_job_of_chronos_is_known_by_its_id() -> None:
    built = enricher()
    fields = enriched(built, task=JOB)
    assert (fields["orchestrator.resource.type"], fields["orchestrator.resource.name"]) == ("job", "nightly-report")
    assert (fields["service.name"], fields["shipper.enriched_by"]) == ("nightly-report", "task_id")
    assert repairs(built) == []


def test_an_unknown_task_says_its_app_by_its_id() -> None:
    fields = enriched(enricher(), task=T1)
    assert (fields["orchestrator.resource.name"], fields["shipper.enriched_by"]) == ("/shop/api", "task_id")
    assert "marathon.labels" not in fields


def test_a_task_of_another_framework_keeps_what_the_host_said() -> None:
    built = enricher()
    assert "shipper.enriched_by" not in enriched(built, task="jenkins-7")
    fields = enriched(built, task="jenkins-7", app="/shop/api")
    assert (fields["shipper.enriched_by"], fields["service.name"]) == ("host", "shop-api")


@pytest.mark.parametrize("payload", [b"<14>1 2026-11-22T12:48:34Z h a - - - x", b"hello", stamped("x"), stamped("{}")])
def test_a_record_of_no_task_is_left_alone(payload: bytes) -> None:
    built, record = enricher(), parsed(payload)
    before = record.content()
    built.enrich(record)
    assert record.content() == before
    assert repairs(built) == []


def test_a_record_whose_stamp_is_not_valid_can_still_be_written() -> None:
    built = enricher()
    know(built, T1, labels=LABELS)
    record = parsed(stamped("x", task=T1, sequence="none"))
    built.enrich(record)
    assert record.content()["service.name"] == "shop"
    record.series, record.sequence = "0t8k2l4abcdes", 1
    record.seal()
    assert orjson.loads(record.document)["shipper.series"] == "0t8k2l4abcdes"


def test_a_change_of_labels_is_seen_by_the_next_record() -> None:
    built = enricher()
    know(built, T1, labels={"SHIPPER_SERVICE": "one"})
    assert enriched(built, task=T1)["service.name"] == "one"
    know(built, T1, labels={"SHIPPER_SERVICE": "two"}, version="2026-01-02T00:00:00.001Z")
    assert enriched(built, task=T1)["service.name"] == "two"
    know(built)
    assert enriched(built, task=T1)["service.name"] == "two"


def test_a_joined_record_shares_what_others_share() -> None:
    built = enricher()
    know(built, T1, labels=LABELS)
    shared: list[Shared] = [one(built, task=T1).shared for _ in range(3)]
    assert shared[0] is shared[1] is shared[2]
    mine: list[Shared] = [one(built, '{"service":"mine","msg":"x"}', task=T1, app="/shop/api").shared for _ in range(3)]
    assert mine[0] is mine[1] is mine[2]


def test_a_stored_record_is_repaired_when_its_task_becomes_known() -> None:
    built = enricher()
    first = one(built, '{"env":"test","msg":"x"}', task=T1, app="/shop/api", app_version="v1")
    assert repairs(built) == []
    know(built, T1, labels=LABELS)
    (repair,) = repairs(built)
    assert (repair.id, repair.day) == (first.id, first.day)
    assert repair.fields == {
        "service.name": "shop", "event.dataset": "shop.access", "marathon.app.owner": "team-shop@example.com",
        "marathon.labels": {"team": "a"}, "marathon.task.host": "10.0.0.1", "marathon.task.ports": [31001, 31002],
        "shipper.enriched_by": "late",
    }  # fmt: skip
    assert repairs(built) == []
    assert enriched(built, task=T1, app="/shop/api", app_version="v1")["shipper.enriched_by"] == "registry"


def test_records_in_flight_are_repaired_later_and_each_only_once() -> None:
    built = enricher()
    for number in range(1, 6):
        one(built, task=T1, sequence=str(number))
    know(built, T1)
    assert [one.sequence for one in built.take_repairs(2, lambda _, number: number < 3)] == [3, 4]
    assert [one.sequence for one in built.take_repairs(9, lambda _, number: number < 3)] == [5]
    assert [one.sequence for one in repairs(built)] == [1, 2]
    assert repairs(built) == []


def test_a_container_becomes_known_by_a_record_that_names_its_task() -> None:
    built = enricher()
    know(built, T1, labels=LABELS)
    assert "shipper.enriched_by" not in enriched(built, container="c1")
    assert repairs(built) == []
    enriched(built, container="c1", task=T1)
    (repair,) = repairs(built)
    assert (repair.fields["orchestrator.resource.id"], repair.fields["service.name"]) == (T1, "shop")
    fields = enriched(built, container="c1")
    assert (fields["orchestrator.resource.id"], fields["shipper.enriched_by"]) == (T1, "registry")


def test_what_stays_unknown_is_given_up_and_not_remembered_again() -> None:
    clock = Clock()
    built, before = enricher(clock), given_up()
    for number in range(1, 4):
        one(built, task=T1, sequence=str(number))
    clock.now = 121
    assert repairs(built) == []
    assert given_up() - before == 3
    one(built, task=T1, sequence="4")
    know(built, T1)
    assert repairs(built) == []
    assert enriched(built, task=T1)["shipper.enriched_by"] == "registry"


def test_only_so_many_records_wait() -> None:
    built, before = enricher(records=2), given_up()
    for number in range(1, 6):
        one(built, task=T1, sequence=str(number))
    assert given_up() - before == 3
    know(built, T1)
    assert [one.sequence for one in repairs(built)] == [1, 2]
    one(built, task=T2, sequence="6")
    know(built, T2)
    assert [one.sequence for one in repairs(built)] == [6]


def test_only_so_many_tasks_wait() -> None:
    built, before = enricher(records=10**6), given_up()
    for number in range(5000):
        one(built, task=f"{T1}{number}")
    assert given_up() - before == 5000 - 4096
    assert repairs(built) == []


def test_nothing_waits_where_no_marathon_will_ever_tell() -> None:
    built = enricher(url="")
    one(built, task=T1)
    know(built, T1)
    assert repairs(built) == []


def test_it_costs_little_per_record() -> None:
    """Under 1 µs on average (0.4 to 0.6 here); the bound is wide, as this machine is not alone."""
    built = bench.enricher()
    bench.microseconds(built, bench.records(100, 100, "hello"))
    best = min(bench.microseconds(built, bench.records(5_000, 100, "hello")) for _ in range(3))
    assert best < 5
