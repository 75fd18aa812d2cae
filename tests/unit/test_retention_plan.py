"""What goes, by the days that the operator and the apps ask for."""

from shipper.record import times
from shipper.search.retention import Removal, Retention, first_day, plan

NOW = times.to_ns("2026-11-23T12:00:00Z")
DAYS = ["2026.11.23", "2026.11.22", "2026.11.16", "2026.11.15", "2026.10.24", "2026.10.23", "2025.01.01"]


def test_the_oldest_day_that_is_kept() -> None:
    assert first_day(NOW, 1) == "2026.11.22"
    assert first_day(NOW, 30) == "2026.10.24"
    assert first_day(NOW, 0) == ""
    assert first_day(NOW, 10**6) == "1970.01.01"


def test_days_go_the_oldest_first() -> None:
    assert plan(DAYS, Retention(30), NOW) == [Removal("2025.01.01"), Removal("2026.10.23")]
    assert plan(DAYS, Retention(0), NOW) == []


def test_an_app_that_asks_for_fewer_days_goes_out_of_those_that_are_kept() -> None:
    found = plan(DAYS, Retention(30, {"/b": 7, "/a": 8, "/c": 30}), NOW)
    assert found == [
        Removal("2025.01.01"),
        Removal("2026.10.23"),
        Removal("2026.10.24", ("/a", "/b"), others=False),
        Removal("2026.11.15", ("/b",), others=False),
    ]


def test_for_an_app_that_asks_for_more_the_others_go() -> None:
    found = plan(DAYS, Retention(30, {"/long": 31, "/longer": 3650, "/short": 1}), NOW)
    assert found[0] == Removal("2025.01.01", ("/longer",))
    assert found[1] == Removal("2026.10.23", ("/long", "/longer"))
    assert [removal.whole for removal in found] == [False] * len(found)


def test_an_app_may_ask_where_all_is_kept_for_ever() -> None:
    assert plan(DAYS, Retention(0, {"/a": 300}), NOW) == [Removal("2025.01.01", ("/a",), others=False)]
