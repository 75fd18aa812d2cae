"""All of it together, counted: apps log on three hosts while shippers, apps and a host's agent come and go.

One minute; `make cluster` takes ten, SECONDS=n as many as you like.
"""

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.cluster_lines import FIELDS, Balance, Written, balance, writer, written
from tests.e2e.cluster_world import AGENTS, SHIPPER, Cluster, Definition, Machine, Servers, wait_for
from tests.servers.docker import Docker
from tests.servers.process import wait_until

SECONDS = float(os.environ.get("SECONDS", "60"))
#: Longest that anything may take to be as it should be.
PATIENCE = 120.0
#: Without any progress for so long nothing more will come: rsyslogd wakes a queue that sleeps after 60 s.
QUIET_SECONDS = 75.0
#: How long the ledger may be behind what is stored: hosts report every second, and their other records go on.
LEDGER_SECONDS = 20.0
#: What the ends of shippers may cost a queue of a host: sessions whose frames were read and not answered, and which
#: rsyslogd closed at that moment, are not sent again. Ten seconds of lines, and less than a queue's `relp_window`.
MOST_LOST = 300

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
        holes = holes_of(cluster, found.missing.total())
    say(found, holes, ready - began, ended - ready, time.monotonic() - ended)
    assert len(tasks) > 3 + 6 + 2, "tasks of all three apps wrote, and others after the agent was lost"
    assert {task.host for task in tasks.values()} == set(AGENTS)
    assert (found.doubles, found.strange[:3], found.wrong[:3]) == (0, [], [])
    assert found.told_by["registry"] > 0.95 * found.stored
    named = Counter[tuple[str, str]]()
    for hole in holes:
        named[hole["host"], hole["series"][-1]] += hole["missing"]
    for series, lines in found.missing.items():
        assert lines <= named[series] <= MOST_LOST, f"{series}: {lines} lines missing, the ledger names {holes}"


def everything_happens(cluster: Cluster, start: float) -> None:
    """A rolling deploy, kills, scaling and the loss of an agent, spread over the time."""
    cluster.update(SHIPPER, cluster.shipper(SHIPPER_PIPELINE__DRAIN_SECONDS="15"))
    cluster.wait_deployed(PATIENCE)
    wait_for(start + 0.3 * SECONDS)
    kill9_of_the_shipper(cluster, cluster.machines[0])
    cluster.update(SCALED, {"instances": 6})
    cluster.wait_deployed(PATIENCE)
    wait_for(start + 0.5 * SECONDS)
    kill9_of_the_shipper(cluster, cluster.machines[1])
    wait_for(start + 0.65 * SECONDS)
    cluster.emulator.fault("lose_agent", agent=AGENTS[-1], kill=True)
    wait_for(start + 0.8 * SECONDS)
    cluster.update(SCALED, {"instances": 2})
    cluster.wait_deployed(PATIENCE)
    wait_for(start + SECONDS)


def kill9_of_the_shipper(cluster: Cluster, machine: Machine) -> None:
    """Kill the shipper that gets a host's records, and wait until another one has come."""
    wait_until(lambda: len(cluster.shippers()) == len(AGENTS), PATIENCE, "all shippers are healthy")
    wait_until(lambda: machine.shipper() in cluster.shippers().values(), PATIENCE, "the host's shipper is one of them")
    address = machine.shipper()
    victim = next(task for task, listening in cluster.shippers().items() if listening == address)
    cluster.emulator.fault("kill9", task=victim)

    def replaced() -> bool:
        now = cluster.shippers()
        return len(now) == len(AGENTS) and victim not in now

    wait_until(replaced, PATIENCE, "another shipper has come")


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


def holes_of(cluster: Cluster, expected: int) -> list[Definition]:
    """The holes that the ledger names, once it has heard of all or some time has passed."""
    deadline = time.monotonic() + LEDGER_SECONDS
    while True:
        series = [one for one in cluster.ledger()["series"] if one["series"][-1] in "wnf"]
        if sum(one["missing"] for one in series) <= expected or time.monotonic() > deadline:
            return [hole for one in series for hole in one["holes"]]
        time.sleep(0.5)


def say(found: Balance, holes: list[Definition], start: float, run: float, settle: float) -> None:
    """The figures, for who runs it with -s."""
    print(
        f"\nwritten {found.written}, stored {found.stored}, missing {found.missing.total()} {dict(found.missing)}, "
        f"doubles {found.doubles}, wrong {len(found.wrong)}; told by {dict(found.told_by)}; "
        f"start {start:.0f} s, run {run:.0f} s, settle {settle:.0f} s"
    )
    for hole in holes:
        print(f"hole: {hole['host']} {hole['series']} {hole['first']}-{hole['last']}: {hole['reason']}")


def test_the_count_sees_what_is_wrong() -> None:
    tasks = {
        "a.1": Written("/a", "v1", "h1", last=17, socket=True),
        "b.1": Written("/b", "v1", "h2", last=1, socket=False),
    }
    right = {
        "host": {"name": "h1"}, "marathon.app.version": "v1", "orchestrator.resource": {"id": "a.1", "name": "/a"},
    }  # fmt: skip

    def record(number: int, task: str = "a.1", **more: str) -> dict[str, object]:
        return {"message": f"numbered line {number} of {task}", **right, **more}

    stored = [record(number) for number in (*range(1, 15), 18)]
    found = balance(tasks, [*stored, record(3), record(19), record(1, "c.1"), record(2, **{"host.name": "h2"})])
    assert found.doubles == 2
    assert len(found.strange) == 2
    assert found.wrong == ["numbered line 2 of a.1: host.name is 'h2', not 'h1'"]
    assert found.missing == {("h1", "n"): 2, ("h1", "w"): 1, ("h2", "f"): 1}
