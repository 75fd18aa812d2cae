"""When a Chronos job is due: "R[n]/<start>/<period>", repeating intervals of ISO 8601 (Chronos, Iso8601Expressions)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
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
    """A start, a period, and how often."""

    start: datetime
    period: relativedelta
    #: None = for ever.
    times: int | None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Its due times from `moment` on, in order; those before are skipped, and count (JobUtils.skipForward)."""
        first = self._steps_before(moment)
        steps = count(first) if self.times is None else range(first, self.times)
        return (due for step in steps if (due := self.start + step * self.period) >= moment)

    def _steps_before(self, moment: datetime) -> int:
        """How many are surely over at `moment`, without counting them one by one where all are of one length."""
        if self.period.years or self.period.months:
            return 0
        return max(0, (moment - self.start) // (self.start + self.period - self.start))


def parse(text: str, zone: str, now: datetime) -> Schedule:
    """Read the expression; an empty start is now. ValueError says what it is not."""
    found = _EXPRESSION.fullmatch(text)
    if not found:
        raise ValueError(f"Cannot parse schedule '{text}'")
    start = _start(found["start"], zone) if found["start"] else now
    period = _period(found["period"])
    try:
        if start + period <= start:
            raise ValueError(f"Cannot parse schedule '{text}': the period is empty")
    except OverflowError as error:
        raise ValueError(f"Cannot parse schedule '{text}': {error}") from None
    return Schedule(start, period, int(found["times"]) if found["times"] else None)


def _start(text: str, zone: str) -> datetime:
    try:
        start = datetime.fromisoformat(text)
        return start if start.tzinfo else start.replace(tzinfo=ZoneInfo(zone) if zone else UTC)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"Cannot parse start '{text}' ({zone or 'UTC'}): {error}") from None


def _period(text: str) -> relativedelta:
    found = _PERIOD.fullmatch(text)
    if not found:
        raise ValueError(f"Cannot parse period '{text}'")
    return relativedelta(
        years=int(found["years"] or 0),
        months=int(found["months"] or 0),
        weeks=int(found["weeks"] or 0),
        days=int(found["days"] or 0),
        hours=int(found["hours"] or 0),
        minutes=int(found["minutes"] or 0),
        microseconds=round(float(found["seconds"] or 0) * 1e6),
    )
