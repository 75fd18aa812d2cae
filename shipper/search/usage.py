"""What logging costs: records and bytes by app, host, dataset or level and day, growth, and how long the disk lasts.

No store can say how many bytes of its files are an app's. It is estimated: the records of each day are counted, their
lengths are sampled, and the size of the day's file or index is shared out by count times length. No I/O.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

#: Days that are compared with as many before them.
GROWTH_DAYS: Final = 7
_PERCENT: Final = 100.0
#: Stands for records that were counted under no name.
OTHER: Final = "(other)"


@dataclass(frozen=True, slots=True)
class Disk:
    """The room of a store, in bytes: all of it, what is free, and what must stay free (or it becomes read-only)."""

    total: int
    free: int
    kept_free: int = 0

    @property
    def room(self) -> int:
        """Bytes that can still be stored."""
        return max(0, self.free - self.kept_free)


@dataclass(frozen=True, slots=True)
class DayUsage:
    """What one app (or host, …) wrote on one day ("2026.11.22"); bytes are an estimate."""

    day: str
    name: str
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What one app (or host, …) costs over all days looked at."""

    name: str
    records: int
    bytes: int
    #: Its part of all bytes, 0 to 1.
    share: float
    #: Bytes a day, over the last days that are complete.
    bytes_per_day: float
    #: Per cent by which it wrote more in the last seven days than in the seven before; None: no records before.
    growth: float | None


def left_over(stored: Mapping[str, int], counts: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Return the records of each day that are counted nowhere, as counts of `OTHER`.

    Records are counted by their own time and stored by their host's: one with a wrong clock lies in no day looked at.
    What only moved to the next day is no rest, so the days together have no more of it than is missing in the sum.
    """
    missing = dict(stored)
    for (day, _), count in counts.items():
        missing[day] = missing.get(day, 0) - count
    short = {day: count for day, count in missing.items() if count > 0}
    share = max(0, sum(missing.values())) / (sum(short.values()) or 1)
    return {(day, OTHER): rest for day, count in short.items() if (rest := round(count * share))}


def share_out(
    counts: Mapping[tuple[str, str], int], lengths: Mapping[str, float], sizes: Mapping[str, int]
) -> list[DayUsage]:
    """Share the size of each day out among those that wrote, by their records and the mean length of these.

    `counts` by day and name; a name without a sampled length counts as the mean of the others.
    """
    mean = sum(lengths.values()) / len(lengths) if lengths else 1.0
    weights = {key: count * lengths.get(key[1], mean) for key, count in counts.items()}
    totals: dict[str, float] = {}
    for (day, _), weight in weights.items():
        totals[day] = totals.get(day, 0.0) + weight
    return [
        DayUsage(day, name, counts[day, name], round(sizes.get(day, 0) * weight / (totals[day] or 1.0)))
        for (day, name), weight in sorted(weights.items())
    ]


def sum_up(days: Iterable[DayUsage], today: str, past: Iterable[str]) -> list[Usage]:
    """Add up by name, the largest first. `past` are the complete days before `today`, the newest first."""
    before = list(past)
    recent, earlier = set(before[:GROWTH_DAYS]), set(before[GROWTH_DAYS : 2 * GROWTH_DAYS])
    by_name: dict[str, list[DayUsage]] = {}
    for one in days:
        by_name.setdefault(one.name, []).append(one)
    everything = sum(one.bytes for each in by_name.values() for one in each)
    found = []
    for name, each in by_name.items():
        size = sum(one.bytes for one in each)
        rate = _per_day(each, recent, today)
        found.append(
            Usage(
                name,
                sum(one.records for one in each),
                size,
                size / everything if everything else 0.0,
                rate,
                _growth(each, recent, earlier),
            )
        )
    return sorted(found, key=lambda usage: (-usage.bytes, usage.name))


def _per_day(days: Iterable[DayUsage], recent: set[str], today: str) -> float:
    """Return bytes a day of the last complete days; where there is none, what today has so far."""
    if recent:
        return sum(one.bytes for one in days if one.day in recent) / len(recent)
    return float(sum(one.bytes for one in days if one.day == today))


def _growth(days: Iterable[DayUsage], recent: set[str], earlier: set[str]) -> float | None:
    sums = [0.0, 0.0]
    for one in days:
        if one.day in recent:
            sums[0] += one.bytes / len(recent)
        elif one.day in earlier:
            sums[1] += one.bytes / len(earlier)
    return (sums[0] / sums[1] - 1) * _PERCENT if sums[1] else None


def lasts(room: int, stored: int, per_day: float, kept_days: int, stored_days: int) -> float | None:
    """Return in how many days the room is full at this rate; None when it never is.

    `kept_days`: retention, 0 for ever: once so many days are stored, each new one takes the place of an old one.
    """
    if per_day <= 0:
        return None
    days = room / per_day
    if kept_days:
        # What will be stored at most, today and `kept_days` before it, against what is there and still fits.
        if per_day * (kept_days + 1) <= stored + room:
            return None
        if stored_days > kept_days:  # what goes each day is less than what comes: the difference fills the disk
            difference = per_day - stored / stored_days
            return room / difference if difference > 0 else None
    return days
