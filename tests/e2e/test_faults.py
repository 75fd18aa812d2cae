"""Every hop between a host and the store is killed, stopped, closed or filled: stored = sent, and nothing twice."""

import contextlib
import os
import sqlite3
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.delivery import burst, messages_in_elasticsearch, messages_in_sqlite, numbers, tally, wait_settled
from tests.e2e.peers import RelpSession, day, metric, ready, stamped
from tests.integration.haproxy import HAProxy
from tests.integration.host import Host
from tests.servers.available import unavailable
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.process import START_SECONDS, free_port, wait_until
from tests.shipper_process import ShipperProcess

RECORDS = 20_000


def store_of(url: str) -> dict[str, Any]:
    return {"type": "elasticsearch", "urls": [url], "replicas": 0, "request_seconds": 5}


def ask(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        url, orjson.dumps(body) if body is not None else None, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return orjson.loads(answer.read())


def cluster_of(folder: Path) -> str:
    return folder.name.lower().replace("-", "_")


def stored_at_least(shipper: ShipperProcess, count: int) -> None:
    wait_until(lambda: tally(shipper).stored >= count, 60, f"{count} stored")


def letters_of(shipper: ShipperProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shipper.get("/api/v1/dead-letters?limit=1000")["dead_letters"]
    return found


def test_haproxy_and_one_of_three_shippers_killed(
    elasticsearch_9: str, haproxy: str, rsyslogd: str, run_dir: Path
) -> None:
    cluster, ports, port = cluster_of(run_dir), [free_port() for _ in range(3)], free_port()
    shippers = [
        ShipperProcess(run_dir / f"shipper{one}", store_of(elasticsearch_9), port=one, cluster=cluster) for one in ports
    ]
    hosts = [Host(rsyslogd, run_dir / name, port) for name in ("a", "b")]
    quarter = RECORDS // 8  # of each of the two hosts

    def write(part: int) -> None:
        for place, host in enumerate(hosts):
            first = place * RECORDS // 2 + part * quarter
            burst(host, first + 1, first + quarter)

    with contextlib.ExitStack() as stack:
        for shipper in shippers:
            stack.enter_context(shipper)
        proxy = stack.enter_context(HAProxy(haproxy, run_dir / "proxy", port, ports))
        for host in hosts:
            stack.enter_context(host)
        write(0)
        stored_at_least(shippers[0], 100)
        proxy.process.kill9()
        write(1)
        proxy.start()
        stored_at_least(shippers[0], 2 * quarter)
        # Each takes part: four queues, fewest connections first.
        assert all(metric(shipper, "shipper_records_received_total") for shipper in shippers)
        write(2)
        shippers[2].process.kill9()
        for shipper in shippers[:2]:
            assert shipper.process.stop(30) == 0
        refused = proxy.refused()
        write(3)
        wait_until(lambda: proxy.refused() >= refused + 4, 60, "connections without a server")
        for shipper in shippers[:2]:
            shipper.start()
        settled = wait_settled(shippers[0], RECORDS)
        # One record more of each series, so that a lost tail would be a hole.
        for host in hosts:
            host.write(b"<14>end", b"<12>end")
        settled = wait_settled(shippers[0], settled.stored + 4)
    found = numbers(messages_in_elasticsearch(elasticsearch_9, cluster))
    assert len(found) == len(set(found)), "a record was stored twice"
    # The shipper that was killed may have had frames of a session that rsyslogd itself had just closed.
    assert settled.stored == len(found) + 4
    assert len(found) + settled.missing == RECORDS
    assert settled.rejected == 0


def test_elasticsearch_killed_in_the_middle_of_a_burst(
    elasticsearch_9: str, killable: Callable[[str], Elasticsearch], rsyslogd: str, run_dir: Path
) -> None:
    cluster, port, server = cluster_of(run_dir), free_port(), killable(elasticsearch_9)
    shipper = ShipperProcess(run_dir / "shipper", store_of(server.url), port=port, cluster=cluster)
    with shipper, Host(rsyslogd, run_dir, port) as host:
        burst(host, 1, RECORDS // 2)
        stored_at_least(shipper, 100)
        burst(host, RECORDS // 2 + 1, RECORDS * 3 // 4)
        server.process.kill9()
        burst(host, RECORDS * 3 // 4 + 1, RECORDS)
        wait_until(lambda: ready(shipper), 60, "/ready says no")
        assert server.url in str(ready(shipper))
        server.start()
        wait_until(lambda: ready(shipper) is None, START_SECONDS, "/ready says yes")
        settled = wait_settled(shipper, RECORDS)
        assert (settled.stored, settled.missing, settled.rejected) == (RECORDS, 0, 0)
        assert "Traceback" not in shipper.log.read_text()
    assert numbers(messages_in_elasticsearch(server.url, cluster)) == list(range(1, RECORDS + 1))


def test_a_closed_day_is_given_up_and_holds_nobody_else(elasticsearch_9: str, run_dir: Path) -> None:
    cluster = cluster_of(run_dir)
    shipper = ShipperProcess(
        run_dir / "shipper", store_of(elasticsearch_9), cluster=cluster, pipeline={"refusal_seconds": 1}
    )
    with shipper, RelpSession(shipper.port) as old, RelpSession(shipper.port) as today:
        old.deliver(stamped(1, "before", days_ago=1))
        ask("POST", f"{elasticsearch_9}/logs-mesos.{cluster}-{day(1)}/_close")
        old.send(*[stamped(number, "closed", days_ago=1) for number in range(2, 102)])
        sequence = 200
        while old.answered < 101:
            sequence += 1
            today.deliver(stamped(sequence, "open"))
            if not old.silent():
                old.wait()
        assert sequence > 202, "today's records were answered while yesterday's waited"
        wait_until(lambda: len(letters_of(shipper)) == 100, 60, "100 dead letters can be read")
        assert {letter["sequence"] for letter in letters_of(shipper)} == set(range(2, 102))
        assert {letter["reason"] for letter in letters_of(shipper)} == {"refused"}
        assert metric(shipper, "shipper_records_in_flight") == 0
        assert ready(shipper) is None


def test_a_store_that_refuses_everything_is_waited_for(elasticsearch_9: str, run_dir: Path) -> None:
    cluster = cluster_of(run_dir)
    shipper = ShipperProcess(
        run_dir / "shipper", store_of(elasticsearch_9), cluster=cluster, pipeline={"refusal_seconds": 5}
    )
    days = [f"{elasticsearch_9}/logs-mesos.{cluster}-{day(ago)}/_settings" for ago in range(2)]
    with shipper, RelpSession(shipper.port) as session, RelpSession(shipper.port) as other:
        session.deliver(*[stamped(number, "before", days_ago=number % 2) for number in range(1, 11)])
        for url in days:
            ask("PUT", url, {"index.blocks.write": True})
        session.send(*[stamped(number, "blocked", days_ago=number % 2) for number in range(11, 111)])
        # Eight tries take at least 6.3 s, which is over the limit: 0.05 s and twice as long each time.
        wait_until(lambda: metric(shipper, "shipper_store_retries_total") >= 800, 60, "eight tries")
        assert session.silent()
        assert metric(shipper, "shipper_dead_letters_total") == 0
        # One day after the other: the second must not be given up as soon as the first one accepts.
        ask("PUT", days[0], {"index.blocks.write": None})
        other.deliver(stamped(200, "today is open"))
        wait_until(lambda: metric(shipper, "shipper_records_settled_total") >= 61, 60, "today's are stored")
        assert metric(shipper, "shipper_dead_letters_total") == 0
        ask("PUT", days[1], {"index.blocks.write": None})
        session.wait()
        assert metric(shipper, "shipper_dead_letters_total") == 0
        wait_until(lambda: tally(shipper).stored == 111, 60, "all stored")


@pytest.fixture
def small_disk(run_dir: Path) -> Iterator[Path]:
    """A disk of 32 MB."""
    mount = run_dir / "small"
    mount.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(mount)]
    if os.geteuid() or subprocess.run(argv, check=False, capture_output=True).returncode:
        unavailable("mounting a small disk needs root")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


def test_a_full_disk_is_waited_for(small_disk: Path, rsyslogd: str, run_dir: Path) -> None:
    port, filler = free_port(), small_disk / "filler"
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(small_disk / "data")}, port=port)
    with shipper, Host(rsyslogd, run_dir, port) as host, RelpSession(port) as session:
        filler.write_bytes(b"x" * 29 * 2**20)
        burst(host, 1, RECORDS)
        wait_until(lambda: "no space left on the disk" in str(ready(shipper)), 60, "/ready says why")
        session.send(stamped(1, "nobody answers this"))
        wait_until(lambda: metric(shipper, "shipper_store_retries_total") >= 3, 60, "three tries")
        assert session.silent()
        assert tally(shipper).stored < RECORDS
        assert shipper.peak_mb() < 250
        filler.unlink()
        session.wait()
        settled = wait_settled(shipper, RECORDS + 1)
        assert (settled.stored, settled.missing, settled.rejected) == (RECORDS + 1, 0, 0)
        assert ready(shipper) is None
        assert "Traceback" not in shipper.log.read_text()
    assert numbers(messages_in_sqlite(small_disk)) == list(range(1, RECORDS + 1))
    for path in small_disk.rglob("*.db"):
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
