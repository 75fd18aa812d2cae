"""Runs the faults, each a few times, and prints what each cost; ends with 1 when a promise was broken."""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.scenarios import SCENARIOS, Scenario, broken
from tests.chaos.world import Account, World
from tests.servers import debian

_HEAD = (
    f"{'':4} {'sent':>6}  {'stored':>15}  {'lost':>13}  {'doubled':>7}  {'missing':>13}  {'longest send ms':>15}  why"
)


def run(scenario: Scenario, rsyslogd: str) -> Account:
    """Run one fault once, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="shipper-chaos-", dir="/tmp") as folder:
        with World(rsyslogd, Path(folder), **scenario.world) as world:
            scenario.run(world)
            return world.account()


def _row(scenario: Scenario, accounts: list[Account]) -> str:
    kinds: dict[str, list[int]] = {}
    for account in accounts:
        for kind in account.kinds:
            kinds[kind] = [other.kinds.get(kind, 0) for other in accounts]
    why = ", ".join(f"{kind} {_two(counts)}" for kind, counts in kinds.items())
    longest = [round(account.longest_seconds * 1000) for account in accounts]
    return (
        f"{scenario.name:4} {accounts[0].sent:6,}  {_two([a.stored for a in accounts], worst=min):>15}  "
        f"{_two([a.lost for a in accounts]):>13}  {max(a.doubled for a in accounts):7}  "
        f"{_two([a.missing for a in accounts]):>13}  {_two(longest):>15}  {why}"
    )


def _two(counts: list[int], worst: object = max) -> str:
    """The median, and the worst where it differs."""
    middle, end = round(statistics.median(counts)), (min if worst is min else max)(counts)
    return f"{middle:,}" if middle == end else f"{middle:,} / {end:,}"


def _chosen(names: list[str]) -> Iterator[Scenario]:
    for scenario in SCENARIOS:
        number = scenario.name.rstrip("abc")
        if not names or scenario.name in names or number in names:
            yield scenario


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="S", help="4, 4a, …; default: all")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    rsyslogd = shutil.which("rsyslogd", path=debian.search_path())
    if rsyslogd is None:
        print("rsyslogd is missing: make servers")
        return 1
    print(f"median / worst of {options.times} runs each\n{_HEAD}", flush=True)
    failed, began = False, time.monotonic()
    for scenario in _chosen(options.names):
        if reason := scenario.unable():
            print(f"{scenario.name:4} skipped: {reason}")
            continue
        accounts = [run(scenario, rsyslogd) for _ in range(options.times)]
        print(f"{_row(scenario, accounts)}\n     {scenario.title}", flush=True)
        for number, account in enumerate(accounts, 1):
            for promise in broken(scenario, account):
                failed = True
                print(f"     BROKEN in run {number}: {promise}", flush=True)
    print(f"{'a promise was broken' if failed else 'all promises were kept'}; {time.monotonic() - began:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
