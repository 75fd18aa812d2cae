"""Elasticsearch killed under rsyslogd's traffic: stories from the recent copy meanwhile; in the end everything once.

The same for ten minutes, with figures: `make outage`.
"""

import statistics
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.outage_writer import request_of
from tests.e2e.delivery import messages_in_elasticsearch, numbers, tally, wait_settled
from tests.e2e.peers import ready
from tests.integration.host import Host
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.process import START_SECONDS, free_port, wait_until
from tests.shipper_process import ShipperProcess

#: Records before Elasticsearch is killed, and after it: fewer than rsyslogd sends ahead of the answers (its window).
PART, MORE = 1000, 200
#: The promise is 200 ms; a machine for tests may be busy with other things.
STORY_SECONDS = 1.0


def burst(host: Host, first: int, last: int) -> None:
    """Write numbered records, ten of a request."""
    stamp = time.strftime("%b %e %H:%M:%S")
    host.write(
        *(
            f"<14>{stamp} shop[7]: record {number} request_id={request_of(number)} of the burst".encode()
            for number in range(first, last + 1)
        )
    )


def asked(shipper: ShipperProcess, request_id: str) -> tuple[float, dict[str, Any]]:
    """How long the story of a request took, at the median of five, and the last one."""
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        told = shipper.get(f"/api/v1/requests/{request_id}")
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), told


def source(shipper: ShipperProcess, request_id: str) -> str:
    """Where a story comes from; "" while no record can be found: Elasticsearch shows it within a second."""
    try:
        return str(asked(shipper, request_id)[1]["source"])
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 404:
                raise
        return ""


@pytest.mark.alone
def test_elasticsearch_killed_and_asked_meanwhile(
    elasticsearch_9: str, killable: Callable[[str], Elasticsearch], rsyslogd: str, run_dir: Path
) -> None:
    cluster, port, server = run_dir.name.lower().replace("-", "_"), free_port(), killable(elasticsearch_9)
    store = {"type": "elasticsearch", "urls": [server.url], "replicas": 0, "request_seconds": 5}
    recent = {"recent": {"directory": str(run_dir / "recent")}}
    shipper = ShipperProcess(run_dir / "shipper", store, port=port, cluster=cluster, pipeline=recent)
    with shipper, Host(rsyslogd, run_dir, port) as host:
        burst(host, 1, PART)
        wait_until(lambda: tally(shipper).stored >= PART, 60, "all is stored")
        wait_until(lambda: source(shipper, request_of(500)) == "store", 30, "it can be found")
        server.process.kill9()
        burst(host, PART + 1, PART + MORE)
        last = request_of(PART + MORE - 10)
        wait_until(lambda: len(asked(shipper, last)[1]["records"]) == 10, 60, "the shipper has read the rest")
        wait_until(lambda: ready(shipper), 30, "/ready says no")
        for number in (500, PART + 100):  # stored, and not stored
            seconds, told = asked(shipper, request_of(number))
            assert seconds < STORY_SECONDS
            assert told["source"] == "recent"
            assert numbers([one["message"] for one in told["records"]]) == list(range(number, number + 10))
            assert told["verdict"]["state"] == "incomplete"
            assert "the store does not answer since" in told["verdict"]["reasons"][0]
            assert "waits in their queues" in " ".join(told["verdict"]["reasons"])
        found = shipper.get("/api/v1/records?limit=1000&order=oldest&query=request*")
        assert found["source"] == "recent"
        server.start()
        wait_until(lambda: ready(shipper) is None, START_SECONDS, "/ready says yes")
        settled = wait_settled(shipper, PART + MORE)
        assert (settled.stored, settled.missing, settled.rejected) == (PART + MORE, 0, 0)
        wait_until(lambda: source(shipper, request_of(500)) == "store", 30, "the store is asked")
        assert "Traceback" not in shipper.log.read_text()
    assert numbers(messages_in_elasticsearch(server.url, cluster)) == list(range(1, PART + MORE + 1))
