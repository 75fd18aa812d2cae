"""Budgets: who is sampled, how much is kept, and what a second delivery meets."""

from collections import Counter

import pytest

from shipper.enrichers._budget import BURST_SECONDS, Budgets
from shipper.record import Record, times

SERIES = "0t8k2l4abcden"
START = 1_800_000_000
APP = "/shop/api"


def record(sequence: int, second: float, level: str | None = "info", series: str = SERIES) -> Record:
    made = Record(b"x", 0)
    made.series, made.sequence = series, sequence
    made.host_time = "stamped"
    made.fields["event.created"] = times.from_ns(int((START + second) * 1e9))
    if level is not None:
        made.fields["log.level"] = level
    return made


def rate(found: Record) -> int:
    """How many records it stands for; 0 when it is not kept."""
    stands_for: int = found.fields.get("shipper.sample_rate", 1)
    return 0 if found.discarded else stands_for


def write(budgets: Budgets, budget: float, counts: list[int], first: int = 1) -> list[list[int]]:
    """Write so many records in each second; return what each stands for."""
    found = []
    for second, count in enumerate(counts):
        rates = []
        for number in range(count):
            one = record(first, second + number / count)
            first += 1
            budgets.decide(one, APP, budget)
            rates.append(rate(one))
        found.append(rates)
    return found


def test_within_its_budget_nothing_happens_to_an_app() -> None:
    assert write(Budgets(), 10, [10] * 20) == [[1] * 10] * 20


def test_a_burst_of_a_few_seconds_is_kept_whole() -> None:
    assert write(Budgets(), 10, [10 * BURST_SECONDS, 0, 0, 0, 0, 10]) == [[1] * 50, [], [], [], [], [1] * 10]


def test_beyond_its_budget_as_much_is_kept_as_the_budget_says_and_stands_for_the_rest() -> None:
    found = write(Budgets(), 100, [2000] * 30)
    settled = found[5:]  # after the burst
    kept = [sum(stands_for > 0 for stands_for in second) for second in settled]
    assert 80 < sum(kept) / len(kept) < 120
    assert {stands_for for second in settled for stands_for in second} == {0, 20}
    assert sum(map(sum, found)) == pytest.approx(2000 * 30, rel=0.1)


def test_the_first_second_of_a_flood_keeps_little_more_than_the_burst() -> None:
    ((*rates,),) = write(Budgets(), 100, [20_000])
    assert sum(stands_for > 0 for stands_for in rates) < 100 * BURST_SECONDS + 100 * 10
    assert sum(rates) == pytest.approx(20_000, rel=0.1)


def test_an_app_that_is_quiet_again_is_kept_again() -> None:
    found = write(Budgets(), 10, [200, 200, 10, 10, 10, 10, 10, 10])
    assert 0 in found[1]
    assert found[3:] == [[1] * 10] * 5


@pytest.mark.parametrize("level", ["notice", "warn", "error", "critical", "alert", "emergency", None])
def test_warnings_and_above_are_never_sampled(level: str | None) -> None:
    budgets = Budgets()
    found = [record(number, 0, level) for number in range(1, 1001)]
    for one in found:
        budgets.decide(one, APP, 1)
    assert [rate(one) for one in found] == [1] * 1000


@pytest.mark.parametrize("level", ["trace", "debug", "info"])
def test_what_is_less_than_a_notice_is(level: str) -> None:
    budgets = Budgets()
    found = [record(number, 0, level) for number in range(1, 1001)]
    for one in found:
        budgets.decide(one, APP, 1)
    assert Counter(one.discarded for one in found)["budget"] > 900


def test_a_backlog_after_an_outage_is_no_burst() -> None:
    """Ten minutes of two hosts within the budget, received at once and interleaved."""
    budgets = Budgets()
    for second in range(600):
        for series, age in ((SERIES, 0), ("0t8k2l4abcdfn", 3600)):
            for number in range(10):
                one = record(second * 10 + number + 1, second + age, series=series)
                budgets.decide(one, APP, 10)
                assert rate(one) == 1


def test_each_app_has_its_own() -> None:
    budgets = Budgets()
    write(budgets, 1, [1000])
    one = record(5000, 0.5)
    budgets.decide(one, "/other", 1)
    assert rate(one) == 1


def kept_at(rate: int, numbers: range) -> set[int]:
    """Which of these numbers are kept while an app with a budget of 1 a second writes `rate` a second."""
    budgets = Budgets()
    write(budgets, 1, [rate] * 6)
    kept = set()
    for number in numbers:
        budgets._apps[APP][START + 5].count = rate - 1  # as if it were the last one of its second
        one = record(number, 5.5)
        budgets.decide(one, APP, 1)
        if not one.discarded:
            assert one.fields["shipper.sample_rate"] == rate
            kept.add(one.sequence)
    return kept


def test_what_is_kept_of_many_is_kept_of_fewer() -> None:
    """So a second delivery at the same or a lower rate takes nothing away that the first one kept."""
    numbers = range(1, 3001)
    found = [kept_at(rate, numbers) for rate in (2, 3, 10, 250)]
    assert found[0] > found[1] > found[2] > found[3] > set()
    assert kept_at(10, numbers) == found[2]


@pytest.mark.parametrize("stride", [1, 2, 7, 8, 10, 64, 100, 1000])
def test_the_choice_is_even_whatever_numbers_an_app_gets(stride: int) -> None:
    """An app is one of many in a series, so its numbers may follow a pattern."""
    assert 190 < len(kept_at(16, range(stride, 4000 * stride + 1, stride))) < 310  # of 250 expected


def test_memory_is_bounded() -> None:
    budgets = Budgets()
    for number in range(6000):
        budgets.decide(record(1, number), f"/{number}", 1)
        budgets.decide(record(1, number), APP, 1)
    assert len(budgets._apps) == 5000
    assert max(map(len, budgets._apps.values())) == 64


def test_a_record_without_an_id_is_left_alone() -> None:
    budgets = Budgets()
    for _ in range(100):
        one = record(0, 0, series="")
        budgets.decide(one, APP, 1)
        assert rate(one) == 1
