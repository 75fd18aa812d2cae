"""Schedules of jobs as they are put: a start that is past becomes the next run, and nothing else changes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.deploy import jobs, schedules
from shipper.deploy.files import WantedJob

NOW = datetime(2027, 7, 15, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "zone", "moved"),
    [
        ("R/2026-01-01T03:17:00Z/P1D", "", "R/2027-07-16T03:17:00Z/P1D"),
        ("R/2026-01-01T13:17:00Z/P1D", "UTC", "R/2027-07-15T13:17:00Z/P1D"),
        ("R/2026-01-01T00:07:00Z/PT15M", "", "R/2027-07-15T12:07:00Z/PT15M"),
        ("R/2027-07-15T12:00:30Z/PT15M", "", "R/2027-07-15T12:15:30Z/PT15M"),
        ("R/2027-07-15T12:00:29.500Z/PT2S", "", "R/2027-07-15T12:00:31.500000Z/PT2S"),
        ("R/2026-01-01T03:17:00+02:00/P1W", "", "R/2027-07-22T03:17:00+02:00/P1W"),
        ("R/2026-01-01T03:17:00/P1D", "", "R/2027-07-16T03:17:00/P1D"),
        # A zone says what time of day is meant, whatever the offset says, in winter and in summer.
        ("R/2026-01-01T13:59:00Z/P1D", "Europe/Berlin", "R/2027-07-16T13:59:00Z/P1D"),
        ("R/2026-01-01T14:01:00Z/P1D", "Europe/Berlin", "R/2027-07-15T14:01:00Z/P1D"),
        ("R/2026-01-01T12:01:00Z/P1D", "Not/AZone", "R/2027-07-15T12:01:00Z/P1D"),
        # Hours are hours: from 01:00 in winter to 02:00 in summer.
        ("R/2026-01-01T01:00:00Z/PT12H", "Europe/Berlin", "R/2027-07-16T02:00:00Z/PT12H"),
    ],
)
def test_a_start_that_is_past_is_the_next_run(schedule: str, zone: str, moved: str) -> None:
    assert schedules.upcoming(schedule, NOW, zone) == moved


@pytest.mark.parametrize(
    "schedule",
    [
        "R/2027-07-15T12:00:31Z/P1D",
        "R/2099-01-01T00:00:00Z/P1D",
        "R//PT1H",
        "R3/2026-01-01T03:17:00Z/P1D",
        "R/2026-01-01T03:17:00Z/P1M",
        "R/2026-01-01T03:17:00Z/P0D",
        "R/2026-01-01T03:17:00Z/P999999999W",
        "R/2026-01-01T03:17:00Z/P" + "9" * 10_000 + "D",
        "R/0001-01-01T00:00:00Z/P40000D/",
        "every day",
        "",
    ],
)
def test_everything_else_stays(schedule: str) -> None:
    assert schedules.upcoming(schedule, NOW) == schedule


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),
    st.sampled_from([("PT15M", 900), ("PT7H", 25_200), ("P1D", 86_400), ("P2W", 1_209_600)]),
)
def test_it_means_the_same_runs_from_then_on(start: datetime, now: datetime, period: tuple[str, int]) -> None:
    schedule = f"R/{start.replace(microsecond=0).isoformat()}Z/{period[0]}"
    moved = schedules.upcoming(schedule, now.replace(tzinfo=UTC))
    assert schedules.same(schedule, moved)
    due = datetime.fromisoformat(moved.split("/")[1]).replace(tzinfo=None)
    assert due > now
    assert due == start.replace(microsecond=0) or due - now <= timedelta(seconds=period[1])


@pytest.mark.parametrize(
    ("keys", "put"),
    [
        ({"schedule": "R/2026-01-01T03:17:00Z/P1D", "scheduleTimeZone": "UTC"}, "R/2027-07-16T03:17:00Z/P1D"),
        ({"schedule": "R/2026-01-01T03:17:00Z/P1D", "scheduleTimeZone": 7}, "R/2027-07-16T03:17:00Z/P1D"),
        ({"parents": ["other"]}, None),
        ({"schedule": 7}, 7),
    ],
)
def test_a_job_is_put_with_it_and_then_is_unchanged(keys: dict[str, Any], put: object) -> None:
    wanted = WantedJob(Path("tidy.json"), "tidy", {"name": "tidy", "command": "true", **keys})
    (step,) = jobs.plan([wanted], [])
    given = jobs.definition(step, NOW)
    assert given.get("schedule") == put
    assert {**given, **keys} == wanted.definition
    (again,) = jobs.plan([wanted], [given])
    assert again.kind == "unchanged"
