"""What is done to a host, and what it promises then. One function per fault, in the order of docs/faults.md."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shipper.search.reasons import MOST_AT_RISK, MOST_UNANSWERED
from tests.chaos.small_disk import no_small_disk
from tests.chaos.world import Account, World
from tests.servers.process import wait_until

RECORDS = 20_000
FLOOD = 50_000
#: Aim of a flood, in seconds.
_FLOOD_SECONDS = 10.0
#: What one kill of rsyslogd may cost: two queues, warnings and the rest.
_KILL = 2 * MOST_AT_RISK
#: What a stop of rsyslogd may cost while nobody answers.
_UNANSWERED = 2 * MOST_UNANSWERED


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault."""

    name: str
    title: str
    run: Callable[[World], None]
    #: How often rsyslogd, or all of the host, is killed.
    kills: int = 0
    #: The most records that may be lost; None: as many as the limits of backlog and queues say.
    most: int | None = 0
    #: Whether all calls are to be quick, and no warning is to be dropped for a lesser record.
    flood: bool = False
    #: Whether rsyslogd can write: on a full disk the warnings' queue has no place of its own.
    disk: bool = True
    #: Whether the counters of drops are to be as many as are missing: they die with rsyslogd.
    counted: bool = False
    #: How the world differs.
    world: dict[str, Any] = field(default_factory=dict)
    #: Says why it cannot be had on this machine; "": it can.
    unable: Callable[[], str] = lambda: ""


def broken(scenario: Scenario, account: Account) -> list[str]:
    """Name the promises that one run has broken."""
    found = []
    if account.doubled:
        found.append(f"{account.doubled:,} stored twice")
    if account.missing != account.lost:
        found.append(f"{account.lost:,} lost, the ledger says {account.missing:,}")
    if scenario.most is not None and account.lost > scenario.most:
        found.append(f"{account.lost:,} lost, {scenario.most:,} at most")
    if scenario.counted and account.dropped != account.missing:
        found.append(f"{account.missing:,} missing, {account.dropped:,} counted as dropped")
    if account.asleep:
        found.append(f"{account.asleep:,} lay in a queue until rsyslogd was started anew")
    if account.refused:
        found.append(f"{account.refused:,} calls refused")
    return found + (_broken_by_flood(scenario, account) if scenario.flood else [])


def _broken_by_flood(scenario: Scenario, account: Account) -> list[str]:
    found = []
    if account.seconds > _FLOOD_SECONDS:
        found.append(f"the calls took {account.seconds:.1f} s")
    if account.long_calls:
        found.append(f"{account.long_calls} calls took up to {account.longest_seconds:.2f} s")
    if account.dropped_warnings and scenario.disk:
        found.append(f"{account.dropped_warnings:,} warnings dropped while lesser records were kept")
    if account.lost_warnings > scenario.kills * MOST_AT_RISK and scenario.disk:
        found.append(f"{account.lost_warnings:,} warnings lost")
    return found


def nothing(world: World) -> None:
    world.write(RECORDS).done()


def shipper_killed(world: World) -> None:
    writer = world.write(RECORDS)
    for part in (1, 2, 3):
        writer.reach(part * RECORDS // 4)
        world.shipper.process.kill9()
        world.shipper.start()
    writer.done()


def rsyslogd_ended(kill: bool) -> Callable[[World], None]:
    def run(world: World) -> None:
        writer = world.write(RECORDS)
        for part in (1, 2, 3):
            writer.reach(part * RECORDS // 4)
            world.end_rsyslogd(kill=kill)
        writer.done()

    return run


def outage_and_kills(world: World) -> None:
    """The shipper is away for 2 s of writing; rsyslogd is killed meanwhile, and once more afterwards."""
    writer = world.write(RECORDS)
    writer.reach(5000)
    world.shipper.process.kill9()
    writer.reach(7500)
    world.end_rsyslogd(kill=True)
    writer.reach(10_000)
    world.shipper.start()
    writer.reach(17_500)
    world.end_rsyslogd(kill=True)
    writer.done()


def unanswered(kill: bool) -> Callable[[World], None]:
    def run(world: World) -> None:
        with world.store_down():
            world.written(10_000)
            world.taken()
            world.end_rsyslogd(kill=kill)

    return run


def shipper_down(kill: bool, connected: bool) -> Callable[[World], None]:
    """`connected`: rsyslogd had a session with it, into which it sends what nobody will answer."""

    def run(world: World) -> None:
        if connected:
            world.written(1)
        world.shipper.process.kill9()
        world.written(8000)
        world.taken()
        world.end_rsyslogd(kill=kill)
        world.shipper.start()

    return run


def suspended(world: World) -> None:
    writer = world.write(RECORDS)
    writer.reach(2500)
    world.host.suspend_rsyslogd()
    writer.reach(15_000)  # 5 s later
    world.host.resume_rsyslogd()
    writer.done()


def rsyslogd_away(world: World) -> None:
    """Its configuration is broken, so that it does not come back, for 10 s at least."""
    config = world.host.rsyslog_config
    text = config.read_text()
    config.write_text("broken by hand\n" + text)
    killed = world.host.rsyslogd()
    world.host.stop_rsyslogd()
    wait_until(lambda: world.host.rsyslogd() != killed, 60, "rsyslogd has ended")
    idle = world.write(100, 10)  # they take 10 s
    world.write(FLOOD, 0).done()
    idle.done()
    config.write_text(text)
    world.taken()


def store_away(end: str) -> Callable[[World], None]:
    def run(world: World) -> None:
        with world.store_down():
            writer = world.write(FLOOD, 0)
            if end:
                writer.reach(FLOOD // 2)
                world.end_rsyslogd(kill=end == "kill")
            writer.done()
            world.taken()

    return run


def disk_full(world: World) -> None:
    with world.store_down():
        world.write(FLOOD, 0).done()
        world.taken()


def reader_killed(world: World) -> None:
    writer = world.write(RECORDS)
    for part in (1, 2, 3):
        writer.reach(part * RECORDS // 4)
        before = world.host.reader()
        world.host.kill9_reader()
        world.another("reader", before)
    writer.done()


def host_killed(world: World) -> None:
    writer = world.write(RECORDS)
    writer.reach(RECORDS // 2)
    world.host.kill9()
    world.start_host()
    writer.done()


def container(kill: bool) -> Callable[[World], None]:
    def run(world: World) -> None:
        writer = world.write(100, 20)
        writer.reach(50)
        world.end_rsyslogd(kill=kill)
        writer.done()

    return run


_SMALL = {"settings": {"hold": "8 MB"}}
SCENARIOS = (
    Scenario("1", "no fault", nothing),
    Scenario("2", "shipper kill -9, three times", shipper_killed),
    Scenario("3", "rsyslogd SIGTERM, three times", rsyslogd_ended(kill=False)),
    Scenario(
        "4a", "rsyslogd kill -9, three times; answers after 50 ms", rsyslogd_ended(kill=True),
        kills=3, most=3 * _KILL, world={"answer_seconds": 0.05},
    ),
    Scenario(
        "4b", "rsyslogd kill -9, three times; answers after 5 ms", rsyslogd_ended(kill=True),
        kills=3, most=3 * _KILL, world={"answer_seconds": 0.005},
    ),
    Scenario(
        "5", "shipper kill -9, away for 2 s; rsyslogd kill -9 in it and after it", outage_and_kills,
        kills=2, most=2 * _KILL,
    ),
    Scenario("6", "store down, 10,000 unanswered, rsyslogd SIGTERM (it crashes), store up", unanswered(kill=False),
             kills=1, most=_KILL),
    Scenario("7", "the same with kill -9", unanswered(kill=True), kills=1, most=_KILL),
    Scenario("8a", "shipper away, 8,000 waiting, rsyslogd SIGTERM, shipper back",
             shipper_down(kill=False, connected=False)),
    Scenario("8b", "the same, there was a session with the shipper",
             shipper_down(kill=False, connected=True), most=_UNANSWERED),
    Scenario("9", "the same with kill -9", shipper_down(kill=True, connected=True), kills=1, most=_KILL),
    Scenario("10", "rsyslogd SIGSTOP for 5 s", suspended),
    Scenario("11", "no rsyslogd for 10 s, 50,000 calls", rsyslogd_away, most=None, flood=True, counted=True),
    Scenario("12a", "store down, queues of 8 MB, 50,000 calls", store_away(""), most=None, flood=True, counted=True,
             world=_SMALL),
    Scenario("12b", "the same, rsyslogd SIGTERM meanwhile (it crashes)", store_away("stop"), kills=1, most=None,
             flood=True, world=_SMALL),
    Scenario("12c", "the same, rsyslogd kill -9 meanwhile", store_away("kill"), kills=1, most=None, flood=True,
             world=_SMALL),
    Scenario("13", "store down, the queues' disk of 3 MB full, 50,000 calls", disk_full, most=None, flood=True,
             disk=False, world={"disk_megabytes": 3}, unable=no_small_disk),
    Scenario("14", "reader kill -9, three times", reader_killed, most=300),
    Scenario("15", "all of the host kill -9, started again; the socket is systemd's", host_killed, kills=1, most=_KILL,
             world={"systemd": True}),
    Scenario("16a", "a container of 20 lines/s, rsyslogd SIGTERM", container(kill=False)),
    Scenario("16b", "a container of 20 lines/s, rsyslogd kill -9", container(kill=True), kills=1, most=1),
)  # fmt: skip
