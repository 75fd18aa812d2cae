"""What goes, by the days that the operator and the apps ask for."""

import pytest

from shipper.errors import ConfigError
from shipper.record import times
from shipper.search.retention import (
    Deletion,
    Removal,
    Retention,
    deleted_note,
    first_day,
    plan,
    reason_of,
    still_written,
)
from shipper.search.retention_window import Window

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


def test_a_kind_of_log_goes_earlier_whatever_its_app_asks_for() -> None:
    assert plan(DAYS, Retention(30, {"/long": 31}, {"access": 8, "debug": 7}), NOW) == [
        Removal("2025.01.01"),
        Removal("2026.10.23", ("/long",), datasets=("access", "debug")),
        Removal("2026.10.24", others=False, datasets=("access", "debug")),
        Removal("2026.11.15", others=False, datasets=("debug",)),
    ]


def test_whole_days_go_first_as_they_give_room() -> None:
    found = plan(DAYS, Retention(30, {"/long": 31}), NOW)
    assert [removal.day for removal in found] == ["2025.01.01", "2026.10.23"]
    assert [removal.whole for removal in found] == [True, False]


def test_why_it_goes() -> None:
    wanted = Retention(30, {"/long": 31}, {"access": 7})
    reasons = [reason_of(removal, wanted) for removal in plan(DAYS, wanted, NOW)]
    assert reasons == [
        "30 days are kept",
        "30 days are kept, SHIPPER_RETENTION_DAYS of the others, retention_datasets",
        "retention_datasets",
        "retention_datasets",
    ]


HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("age", "hours", "said"),
    [
        (0, 2, "0 min ago, less than 2 h"),
        (90 * 60 * 10**9, 2, "1.5 h ago, less than 2 h"),
        (2 * HOUR, 2, None),
        (0, 0, None),
        (-HOUR, 2, "one of the clocks is wrong"),
    ],
)
def test_what_is_still_written_stays(age: int, hours: float, said: str | None) -> None:
    found = still_written(NOW - age, NOW, hours)
    assert found is None if said is None else said in str(found)
    assert still_written(0, NOW, hours) is None


def test_an_answer_says_what_retention_deleted() -> None:
    gone = [
        Deletion(NOW, "me", Removal("2026.10.23"), 5, 9, ""),
        Deletion(NOW, "me", Removal("2026.11.20", ("/a",), others=False), 5, 0, ""),
    ]
    october, november = times.to_ns("2026-10-20T00:00:00Z"), times.to_ns("2026-11-01T00:00:00Z")
    said = "records up to 2026.10.23 were deleted by retention, last on 2026-11-23"
    assert deleted_note(gone, october, None) == said
    assert deleted_note(gone, october, november) == said
    assert deleted_note(gone, november, None) is None
    assert deleted_note(gone, None, None) is None
    assert deleted_note(gone, october, times.to_ns("2026-10-23T00:00:00Z")) is None


@pytest.mark.parametrize(
    ("text", "zone", "at", "holds"),
    [
        ("01:00-05:00", "UTC", "2026-11-23T01:00:00Z", True),
        ("01:00-05:00", "UTC", "2026-11-23T05:00:00Z", False),
        ("01:00-05:00", "Europe/Berlin", "2026-11-23T00:30:00Z", True),
        ("01:00-05:00", "Europe/Berlin", "2026-07-23T23:30:00Z", True),
        ("22:00-02:00", "UTC", "2026-11-23T23:59:59Z", True),
        ("22:00-02:00", "UTC", "2026-11-23T12:00:00Z", False),
    ],
)
def test_the_time_of_day_for_single_records(text: str, zone: str, at: str, *, holds: bool) -> None:
    assert Window.parse(text, zone).holds(times.to_ns(at)) is holds


@pytest.mark.parametrize(
    ("text", "zone"), [("1-5", "UTC"), ("25:00-05:00", "UTC"), ("01:00-01:00", "UTC"), ("01:00-05:00", "../etc/passwd")]
)
def test_a_time_of_day_that_is_none(text: str, zone: str) -> None:
    with pytest.raises(ConfigError, match=r"--between|--zone"):
        Window.parse(text, zone)
