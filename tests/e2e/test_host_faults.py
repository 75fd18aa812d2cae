"""What a host promises under faults: a short selection of `make chaos`, and that its checks do find what is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.scenarios import SCENARIOS, Scenario, broken
from tests.chaos.world import Account, World

SHORT = ("3", "11", "14", "15", "16b")
_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.alone
@pytest.mark.parametrize("name", SHORT)
def test_every_record_is_stored_once_or_named_as_missing(name: str, rsyslogd: str, run_dir: Path) -> None:
    scenario = _BY_NAME[name]
    with World(rsyslogd, run_dir, **scenario.world) as world:
        scenario.run(world)
        account = world.account()
    print(account)
    assert broken(scenario, account) == []


KEPT = Account(
    sent=100, stored=90, doubled=0, lost=10, lost_warnings=0, dropped_warnings=0, missing=10, kinds={}, dropped=10,
    asleep=0, refused=0, longest_seconds=0.01, seconds=1.0, long_calls=0,
)  # fmt: skip
STRICT = Scenario("", "", lambda _: None, most=10, flood=True, counted=True)


@pytest.mark.parametrize(
    "account",
    [
        replace(KEPT, doubled=1),
        replace(KEPT, missing=9, dropped=9),
        replace(KEPT, missing=11, dropped=11),
        replace(KEPT, lost=11, missing=11, dropped=11),
        replace(KEPT, dropped=9),
        replace(KEPT, asleep=1),
        replace(KEPT, refused=1),
        replace(KEPT, seconds=11.0),
        replace(KEPT, long_calls=1),
        replace(KEPT, dropped_warnings=1),
        replace(KEPT, lost_warnings=1),
    ],
    ids=str,
)
def test_each_broken_promise_is_noticed(account: Account) -> None:
    assert broken(STRICT, KEPT) == []
    assert len(broken(STRICT, account)) == 1
