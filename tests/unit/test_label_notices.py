"""Owners are told of mistakes in their labels, once, in their app's own log."""

import asyncio

import orjson
import pytest

from shipper.cluster.label_report import HOST, report
from shipper.cluster.labels import NO_WISHES, Wishes, read
from shipper.config import PipelineSettings
from shipper.enrichers.request_id import RequestId
from shipper.pipeline.buffer import Buffer
from shipper.pipeline.deliver import Delivery
from shipper.pipeline.intake import Intake
from shipper.pipeline.notices import READ, SOURCE, Notices
from shipper.record import Received, Record, times
from shipper.search.ledger import summarise
from tests.fake_store import FakeStore

WRONG = read({"SHIPPER_BUDGET": "much", "SHIPPER_SERVCE": "shop"})
NOON = times.to_ns("2026-11-23T12:00:00Z")


def taken(payload: bytes, received_at: int = NOON) -> Record:
    record = Record(payload, received_at)
    READ(record)
    record.seal()
    return record


def test_the_record_names_label_value_and_what_is_allowed() -> None:
    found = taken(report("/shop/api", "2026-11-23T11:59:58.123Z", WRONG, NOON))
    fields = found.content()
    assert fields["message"].startswith('labels without effect: SHIPPER_BUDGET: "much" is not allowed: must be records')
    assert 'unknown label "SHIPPER_SERVCE": did you mean SHIPPER_SERVICE?' in fields["message"]
    assert (fields["log.level"], fields["service.name"]) == ("warn", "shop-api")
    assert fields["orchestrator.resource.name"] == "/shop/api"
    assert fields["@timestamp"] == fields["event.created"] == "2026-11-23T11:59:58.123Z"
    assert (found.day, found.host) == ("2026.11.23", HOST)


def test_it_is_in_the_log_that_the_app_asked_for() -> None:
    wishes = read({"SHIPPER_SERVICE": "checkout", "SHIPPER_BUDGET": "much"})
    assert taken(report("/shop/api", "", wishes, NOON)).content()["service.name"] == "checkout"


def test_every_shipper_makes_the_same_record() -> None:
    one, two = (taken(report("/a", "2026-11-23T11:00:00.000Z", WRONG, NOON), NOON + n) for n in range(2))
    assert one.id == two.id
    assert one.is_twin(two)


def test_another_version_or_mistake_is_another_record() -> None:
    ids = {
        taken(report(app, version, wishes, NOON)).id
        for app, version, wishes in (
            ("/a", "2026-11-23T11:00:00.000Z", WRONG),
            ("/b", "2026-11-23T11:00:00.000Z", WRONG),
            ("/a", "2026-11-23T11:00:01.000Z", WRONG),
            ("/a", "2026-11-23T11:00:00.000Z", Wishes(problems=("x",))),
        )
    }
    assert len(ids) == 4


@pytest.mark.parametrize("version", ["2024-01-01T00:00:00.000Z", "2099-01-01T00:00:00Z", "", "\ud800", "x" * 1000])
def test_an_old_version_or_one_without_a_time_is_told_today(version: str) -> None:
    found = taken(report("/a\ud800", version, WRONG, NOON))
    assert found.content()["@timestamp"] == "2026-11-23T00:00:00.000000Z"


def test_an_app_is_told_once_of_the_same_mistakes() -> None:
    told: list[Received] = []
    notices = Notices(told.append, clock=lambda: NOON)
    good, wrong = ("/good", "1", NO_WISHES), ("/a", "1", WRONG)
    for apps in ([], [good], [good, wrong], [wrong], [("/a", "2", WRONG)]):  # the last one was only scaled
        notices.look(apps)
    assert [len(received.payloads) for received in told] == [1]
    notices.look([("/a", "3", Wishes(problems=("other",)))])
    notices.look([("/a", "4", NO_WISHES)])
    notices.look([("/a", "5", WRONG), ("/b", "1", WRONG)])
    assert [len(received.payloads) for received in told] == [1, 1, 2]
    notices.look([(f"/{number}", "1", WRONG) for number in range(100_000)])
    assert len(told[-1].payloads) == 1000


async def test_two_shippers_tell_and_one_record_is_stored_and_accounted_for() -> None:
    store = FakeStore()
    for shipper in ("a", "b"):
        buffer = Buffer()
        intake = Intake(
            {SOURCE: READ}, [RequestId()], buffer, memory_bytes=10**6, series=f"0000000000{shipper}fs", host="here"
        )
        delivery = Delivery(store, buffer, intake, PipelineSettings(), shipper)
        Notices(intake.submit, clock=lambda: NOON).look([("/shop/api", "1", WRONG)])
        buffer.close()
        async with asyncio.timeout(30):
            await delivery.run()
        assert intake.in_flight == 0
    (stored,) = store.records.values()
    assert orjson.loads(stored.document)["log.level"] == "warn"
    assert not store.letters
    (line,) = summarise(store.entries.values())
    assert (line.host, line.settled, line.duplicates, line.missing) == (HOST, {"stored": 1}, 1, 0)
