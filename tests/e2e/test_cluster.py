"""All of it together, counted: apps log on three hosts while shippers, apps and a host's agent come and go.

One minute; `make cluster` takes ten, SECONDS=n as many as you like.
"""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster_lines import FIELDS, Balance, Written, balance, writer, written
from tests.e2e.cluster_world import AGENTS, SHIPPER, Cluster, Servers, wait_for
from tests.servers.docker import Docker
from tests.servers.process import wait_until

SECONDS = float(os.environ.get("SECONDS", "60"))
#: Longest that anything may take to be as it should be.
PATIENCE = 120.0
#: Without any progress for so long nothing more will come: rsyslogd wakes a queue that sleeps after 20 s.
QUIET_SECONDS = 35.0
#: The most that kill -9 of one shipper may cost one host: what its connections were waiting for, one for each queue.
MOST_PER_KILL = 100

SCALED = "/shop/orders"
APPS = {
    "/shop/gateway": writer("/shop/gateway", 3, 0.08, socket=True),
    SCALED: writer(SCALED, 3, 0.1, socket=True),
    "/shop/clicks": writer("/shop/clicks", 2, 0.08, socket=False),
}


@pytest.fixture
def servers(rsyslogd: str, haproxy: str, docker: Docker, elasticsearch_9: str) -> Servers:
    return Servers(rsyslogd, haproxy, docker, elasticsearch_9)


def test_every_line_is_stored_once_and_says_whose_it_is(servers: Servers, run_dir: Path) -> None:
    began = time.monotonic()
    with Cluster(servers, run_dir) as cluster:
        for definition in APPS.values():
            cluster.create(definition)
        cluster.wait_deployed()
        ready = time.monotonic()
        everything_happens(cluster, ready)
        ended = time.monotonic()
        tasks = stop_writing(cluster)
        found = settled(cluster, tasks)
        holes = holes_by_host(cluster.ledger())
    say(found, holes, ready - began, ended - ready, time.monotonic() - ended)
    assert len(tasks) >= 3 + 6 + 2, "tasks of all three apps wrote"
    assert (found.doubles, found.strange[:3], found.wrong[:3]) == (0, [], [])
    for host, lines in found.missing.items():
        assert lines <= holes[host] <= 3 * MOST_PER_KILL, f"{host}: {lines} lines missing, the ledger names {holes}"


def everything_happens(cluster: Cluster, start: float) -> None:
    """A rolling deploy, kills, scaling and the loss of an agent, spread over the time."""
    cluster.update(SHIPPER, cluster.shipper(SHIPPER_PIPELINE__DRAIN_SECONDS="15"))
    cluster.wait_deployed(PATIENCE)
    wait_for(start + 0.3 * SECONDS)
    kill9_of_a_shipper(cluster)
    cluster.update(SCALED, {"instances": 6})
    cluster.wait_deployed(PATIENCE)
    wait_for(start + 0.5 * SECONDS)
    kill9_of_a_shipper(cluster)
    wait_for(start + 0.65 * SECONDS)
    cluster.emulator.fault("lose_agent", agent=AGENTS[-1], kill=True)
    wait_for(start + 0.8 * SECONDS)
    cluster.update(SCALED, {"instances": 2})
    cluster.wait_deployed(PATIENCE)
    wait_for(start + SECONDS)


def kill9_of_a_shipper(cluster: Cluster) -> None:
    """Kill one of the shippers that have connections, and wait until another one has come."""
    wait_until(lambda: len(cluster.shippers()) == len(AGENTS), PATIENCE, "all shippers are healthy")
    before = cluster.shippers()
    cluster.emulator.fault("kill9", task=min(before))
    wait_until(
        lambda: len(now := cluster.shippers()) == len(AGENTS) and min(before) not in now, PATIENCE, "there is another"
    )


def stop_writing(cluster: Cluster) -> dict[str, Written]:
    """End all writers and return what they wrote."""
    for app in APPS:
        cluster.update(app, {"instances": 0})
    wait_until(lambda: not any(cluster.tasks(app) for app in APPS), PATIENCE, "all writers have ended")
    return written(cluster, APPS)


def settled(cluster: Cluster, tasks: dict[str, Written]) -> Balance:
    """Wait until all is stored and said, or nothing changes any more."""
    latest, changed = balance(tasks, cluster.documents(FIELDS)), time.monotonic()
    while latest.missing.total() or latest.wrong:
        if time.monotonic() - changed > QUIET_SECONDS:
            break
        time.sleep(0.5)
        now = balance(tasks, cluster.documents(FIELDS))
        if now != latest:
            latest, changed = now, time.monotonic()
    return latest


def holes_by_host(ledger: Any) -> Counter[str]:
    """How many numbers the ledger misses of each host, in the series that lines go through."""
    holes = Counter[str]()
    for series in ledger["series"]:
        if series["series"][-1] in "wnf":
            holes[series["host"]] += series["missing"]
    return holes


def say(found: Balance, holes: Counter[str], start: float, run: float, settle: float) -> None:
    """The figures, for who runs it with -s."""
    print(
        f"written {found.written}, stored {found.stored}, missing {found.missing.total()}, doubles {found.doubles}, "
        f"wrong {len(found.wrong)}; told by {dict(found.told_by)}; the ledger misses {dict(holes)}; "
        f"start {start:.0f} s, run {run:.0f} s, settle {settle:.0f} s"
    )
