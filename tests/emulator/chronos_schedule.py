"""When a Chronos job is due: "R[n]/<start>/<period>", repeating intervals of ISO 8601 (Chronos, Iso8601Expressions)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.relativedelta import relativedelta

_EXPRESSION = re.compile(r"R(?P<times>[0-9]{0,9})/(?P<start>[^/]*)/(?P<period>P[^/]+)")
_PERIOD = re.compile(
    r"P(?=.)(?:(?P<years>\d{1,2})Y)?(?:(?P<months>\d{1,3})M)?(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,3})?)S)?)?"
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is left of it: when it is due next, and how often from then on."""

    due: datetime
    period: str
    #: None = for ever; 0 = never again.
    times: int | None

    def __str__(self) -> str:
        due = self.due.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"R{'' if self.times is None else self.times}/{due}/{self.period}"

    def after(self, steps: int) -> "Schedule":
        """What is left after so many times, which count whether they were used or not."""
        times = None if self.times is None else max(self.times - steps, 0)
        return Schedule(self.due + steps * period(self.period), self.period, times)

    def not_before(self, moment: datetime) -> "Schedule":
        """What is left when all that was due before `moment` is skipped (JobUtils.skipForward)."""
        length = period(self.period)
        if length.years or length.months:
            steps = next(step for step in count() if self.due + step * length >= moment)
        else:
            steps = max(0, -((self.due - moment) // (self.due + length - self.due)))
        return self.after(steps)


def parse(text: str, zone: str, now: datetime) -> Schedule:
    """Read the expression; an empty start is a second ago. ValueError says what is wrong."""
    found = _EXPRESSION.fullmatch(text)
    if not found:
        raise ValueError(f"Cannot parse schedule '{text}'")
    try:
        start = _start(found["start"], zone) if found["start"] else now - timedelta(seconds=1)
        if start + period(found["period"]) <= start:
            raise ValueError("the period is empty")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"Cannot parse schedule '{text}': {error}") from None
    return Schedule(start, found["period"], int(found["times"]) if found["times"] else None)


def period(text: str) -> relativedelta:
    """Read an ISO 8601 period of at most a few hundred years."""
    found = _PERIOD.fullmatch(text)
    if not found:
        raise ValueError(f"no ISO 8601 period: {text}")
    return relativedelta(
        years=int(found["years"] or 0),
        months=int(found["months"] or 0),
        weeks=int(found["weeks"] or 0),
        days=int(found["days"] or 0),
        hours=int(found["hours"] or 0),
        minutes=int(found["minutes"] or 0),
        microseconds=round(float(found["seconds"] or 0) * 1e6),
    )


def _start(text: str, zone: str) -> datetime:
    """A zone takes the place of the offset that is written: the fields stay (withZoneRetainFields)."""
    start = datetime.fromisoformat(text)
    if zone:
        return start.replace(tzinfo=_zone(zone))
    return start if start.tzinfo else start.replace(tzinfo=UTC)


def _zone(name: str) -> ZoneInfo:
    """An unknown zone is GMT, as java.util.TimeZone has it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
