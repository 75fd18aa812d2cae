"""Days that are closed: listed, deleted as a whole, and no error when single records should go out of them."""

from shipper.record.times import day, from_ns
from shipper.search.retention import Removal
from tests.contract.store_world import http
from tests.contract.test_stores import DAY_NS, NOON, put_all, record
from tests.integration.test_elasticsearch_store import settings


async def test_closed_days(elasticsearch_8: str) -> None:
    made = settings(elasticsearch_8)
    old, older = (record(number, at=NOON - number * DAY_NS) for number in (1, 2))
    async with made.build("closeddays") as store:
        await put_all(store, [old, older])
    for one in (old, older):
        http("POST", f"{elasticsearch_8}/logs-mesos.closeddays-{one.day}/_close")
    async with made.keeper("closeddays") as keeper:
        assert [found.day for found in await keeper.days()] == [older.day, old.day]
        assert [count async for count in keeper.remove(Removal(old.day, ("/a",)))] == [0]
        assert [count async for count in keeper.remove(Removal(older.day))] == [0]
        assert [found.day for found in await keeper.days()] == [day(from_ns(NOON - DAY_NS))]
        await anext(keeper.remove(Removal(old.day)))
        assert await keeper.days() == []
