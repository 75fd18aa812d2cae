"""How long records are kept, and what goes: so many days, others for apps that ask, fewer for kinds of logs. No I/O."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from shipper.record.times import day, from_ns

_DAY_NS: Final = 86_400 * 10**9
_DAY: Final = re.compile(r"\d{4}\.\d\d\.\d\d", re.ASCII)
#: The last second of the year 9999, in nanoseconds since 1970: no calendar here goes further.
_LAST: Final = 253_402_300_799 * 10**9
#: A question that starts this long ago or later asks for no day that retention may have deleted.
YOUNG_NS: Final = _DAY_NS


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that records are kept, today not counted: in general, and by the id of the app; 0 keeps them for ever.

    A dataset (`event.dataset`) can only make it fewer, whatever app its records are of.
    """

    days: int
    apps: Mapping[str, int] = field(default_factory=dict)
    datasets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredDay:
    """One day of a store ("2026.11.22"), its records and its size in bytes."""

    day: str
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be deleted of one day."""

    day: str
    #: Ids of apps, sorted.
    apps: tuple[str, ...] = ()
    #: Whether it is the records of all others that go; False: theirs.
    others: bool = True
    #: Datasets whose records go too, of whatever app; sorted.
    datasets: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the day goes with all that is in it."""
        return self.others and not self.apps


def is_day(text: str) -> bool:
    """Whether it is a day as stores name theirs ("2026.11.22"); a copy that people made is named otherwise."""
    if _DAY.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text.replace(".", "-"))
    except ValueError:
        return False
    return True


def first_day(now: int, days: int) -> str:
    """Return the oldest day that is kept at `now` (nanoseconds since 1970); "" when all are."""
    return day(from_ns(max(0, now - days * _DAY_NS))) if days else ""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted once of one day, as a store remembers it."""

    #: Nanoseconds since 1970 (UTC) at which it was done.
    at: int
    #: Who did it: user and host, or the shipper that deletes by itself.
    by: str
    removal: Removal
    records: int
    #: Size of the day when it went as a whole, else 0: what single records took is not known.
    bytes: int
    #: Which setting or label asked for it, in words.
    reason: str


def plan(days: Iterable[str], retention: Retention, now: int) -> list[Removal]:
    """Return what is to be deleted of these days: whole days first, as they give room at once; the oldest first."""
    first = first_day(now, retention.days)
    apps = {app: first_day(now, wish) for app, wish in sorted(retention.apps.items())}
    datasets = {name: first_day(now, wish) for name, wish in sorted(retention.datasets.items())}
    removals = []
    for name in sorted(days):
        expired = tuple(dataset for dataset, own in datasets.items() if name < own)
        if name < first:
            kept = tuple(app for app, own in apps.items() if name >= own)
            removals.append(Removal(name, kept, datasets=expired if kept else ()))
        elif (gone := tuple(app for app, own in apps.items() if name < own)) or expired:
            removals.append(Removal(name, gone, others=False, datasets=expired))
    return sorted(removals, key=lambda removal: not removal.whole)


def reason_of(removal: Removal, retention: Retention) -> str:
    """Say which settings and labels ask for a removal."""
    asked = [f"{retention.days} days are kept"] if removal.others else []
    if removal.apps:
        asked.append("SHIPPER_RETENTION_DAYS of " + ("the others" if removal.others else "apps"))
    if removal.datasets:
        asked.append("retention_datasets")
    return ", ".join(asked)


def still_written(written_at: int, now: int, hours: float) -> str | None:
    """Say why a day is not to be touched: it got records within so many hours; None when it did not.

    `written_at`: when its newest record was stored, nanoseconds since 1970; 0 when that is not known.
    """
    age = (now - written_at) / (3600 * 10**9)
    if not written_at or age >= hours:
        return None
    if age < 0:
        return "its newest record was stored later than our clock says it is: one of the clocks is wrong"
    ago = f"{age:.1f} h" if age >= 1 else f"{age * 60:.0f} min"
    return f"still written: its newest record was stored {ago} ago, less than {hours:g} h"


def _day_of(at: int) -> str:
    """Return the day of a time, however far people ask: the first or the last that a calendar knows."""
    return day(from_ns(min(max(at, 0), _LAST)))


def deleted_note(deletions: Iterable[Deletion], start: int | None, end: int | None) -> str | None:
    """Say that days a question asks for were deleted as a whole; None when none were, or it names no start."""
    if start is None:
        return None
    first, last = _day_of(start), "9" if end is None else _day_of(max(start, end - 1))
    gone = [one for one in deletions if one.removal.whole and first <= one.removal.day <= last]
    if not gone:
        return None
    newest = max(gone, key=lambda one: one.removal.day)
    return f"records up to {newest.removal.day} were deleted by retention, last on {from_ns(newest.at)[:10]}"
