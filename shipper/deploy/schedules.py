"""Schedules of Chronos jobs, "R[n]/<start>/<ISO period>": whether two mean the same runs, and when the next one is."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SCHEDULE: Final = re.compile(r"R(\d*)/([^/]*)/(P.*)")
_PERIOD: Final = re.compile(r"P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?")
_PERIOD_SECONDS: Final = (604_800, 86_400, 3600, 60, 1)
_DAY: Final = 86_400


def same(wanted: str, current: str) -> bool:
    """Whether both mean the same runs: Chronos moves the start on by whole periods, and counts repetitions down."""
    mine, theirs = _SCHEDULE.fullmatch(wanted), _SCHEDULE.fullmatch(current)
    if mine is None or theirs is None:
        return wanted == current
    if bool(mine[1]) != bool(theirs[1]) or mine[3] != theirs[3]:
        return False
    starts, period = (_start(mine[2]), _start(theirs[2])), _seconds(mine[3])
    if starts[0] is None or starts[1] is None:
        return not mine[2] or mine[2] == theirs[2]  # an empty start means now
    began, goes_on = _aware(starts[0], UTC).timestamp(), _aware(starts[1], UTC).timestamp()
    return began == goes_on or (bool(period) and (goes_on - began) % period == 0)


def upcoming(schedule: str, now: datetime, zone: str = "") -> str:
    """Return the schedule with a start that is past moved on to its first run after `now`: the same runs from then on.

    Chronos 3 refuses a new job whose start is more than a year past. `zone` is the job's scheduleTimeZone. Left as they
    are: a counted schedule, since its repetitions count from its start, and a period of months or years.
    """
    found = _SCHEDULE.fullmatch(schedule)
    start, seconds = (_start(found[2]), _seconds(found[3])) if found else (None, 0)
    if found is None or found[1] or start is None or not seconds:
        return schedule
    try:
        moved = _first_after(now, start, seconds, zone)
    except OverflowError:
        return schedule  # no calendar has that day
    return f"R/{moved.isoformat().replace('+00:00', 'Z')}/{found[3]}" if moved > start else schedule


def _first_after(now: datetime, start: datetime, seconds: int, zone: str) -> datetime:
    """A zone takes the place of the written offset, but not of the time of day; whole days keep that in summer, too."""
    place = _zone(zone) if zone else start.tzinfo or UTC
    began, present = start.replace(tzinfo=place), now.astimezone(place)
    if seconds % _DAY:
        began, present = began.astimezone(UTC), now.astimezone(UTC)
    period = timedelta(seconds=seconds)
    times = max(0, (present.replace(tzinfo=None) - began.replace(tzinfo=None)) // period + 1)
    return (began + times * period).astimezone(place).replace(tzinfo=start.tzinfo)


def _start(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _aware(moment: datetime, zone: tzinfo) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _zone(name: str) -> tzinfo:
    """An unknown zone is UTC, as Chronos has it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _seconds(period: str) -> int:
    """Return the length of a period; 0 when it has months or years, which differ."""
    found = _PERIOD.fullmatch(period)
    numbers = found.groups() if found else ()
    return sum(int(number) * length for number, length in zip(numbers, _PERIOD_SECONDS, strict=False) if number)
