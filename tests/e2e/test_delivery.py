"""The promise that counts: what a real rsyslogd was given is stored once, or the ledger names it as missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.delivery import burst, messages_in_elasticsearch, messages_in_sqlite, numbers, tally, wait_settled
from tests.integration.host import Host
from tests.servers.process import free_port, wait_until
from tests.shipper_process import ShipperProcess

RECORDS = 100_000


class StoreUnderTest:
    """Settings for the shipper and a way to read what it stored that does not go through the shipper."""

    def __init__(self, settings: dict[str, Any], messages: Callable[[], list[str]]) -> None:
        self.settings = settings
        self.messages = messages


def cluster_of(folder: Path) -> str:
    """A cluster, and so indices, of this test's own."""
    return folder.name.lower().replace("-", "_")


@pytest.fixture(params=["sqlite", "elasticsearch_9", "elasticsearch_8"])
def store(request: pytest.FixtureRequest, run_dir: Path) -> StoreUnderTest:
    if request.param == "sqlite":
        folder = run_dir / "data"
        return StoreUnderTest({"type": "sqlite", "path": str(folder)}, lambda: messages_in_sqlite(folder))
    url = request.getfixturevalue(request.param)
    return StoreUnderTest(
        {"type": "elasticsearch", "urls": [url]}, lambda: messages_in_elasticsearch(url, cluster_of(run_dir))
    )


def test_every_record_of_a_burst_is_stored_once(store: StoreUnderTest, rsyslogd: str, run_dir: Path) -> None:
    port = free_port()
    shipper = ShipperProcess(run_dir / "shipper", store.settings, port=port, cluster=cluster_of(run_dir))
    with shipper, Host(rsyslogd, run_dir, port) as host:
        burst(host, 1, RECORDS)
        settled = wait_settled(shipper, RECORDS)
        assert (settled.stored, settled.missing, settled.rejected) == (RECORDS, 0, 0)
        assert numbers(store.messages()) == list(range(1, RECORDS + 1))


def test_a_shipper_killed_three_times_loses_and_doubles_nothing(rsyslogd: str, run_dir: Path) -> None:
    port, data = free_port(), run_dir / "data"
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(data)}, port=port)
    with shipper, Host(rsyslogd, run_dir, port) as host:
        for part in range(4):
            first = part * RECORDS // 4
            burst(host, first + 1, first + RECORDS // 4)
            if part < 3:
                goal = first + RECORDS // 8
                _wait_stored(shipper, goal)
                shipper.process.kill9()
                shipper.start()
        settled = wait_settled(shipper, RECORDS)
        found = numbers(messages_in_sqlite(data))
    assert len(found) == len(set(found)), "a record was stored twice"
    # rsyslog may close a session unanswered just then and never send those frames again: the ledger has to name them.
    assert len(found) + settled.missing == RECORDS
    assert settled.stored == len(found)


def _wait_stored(shipper: ShipperProcess, goal: int) -> None:
    wait_until(lambda: tally(shipper).stored >= goal, 60, f"{goal} stored")


def test_a_stop_is_clean_and_a_start_goes_on(rsyslogd: str, run_dir: Path) -> None:
    port, data = free_port(), run_dir / "data"
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(data)}, port=port)
    with shipper, Host(rsyslogd, run_dir, port) as host:
        burst(host, 1, 10_000)
        _wait_stored(shipper, 1000)
        assert shipper.process.stop(30) == 0
        burst(host, 10_001, 20_000)
        shipper.start()
        settled = wait_settled(shipper, 20_000)
        assert (settled.stored, settled.missing) == (20_000, 0)
    assert numbers(messages_in_sqlite(data)) == list(range(1, 20_001))
