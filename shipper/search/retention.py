"""How long records are kept: so many days, and other numbers of days for apps that ask. What goes, and no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from shipper.record.times import day, from_ns

_DAY_NS: Final = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that records are kept, today not counted: in general, and by the id of the app; 0 keeps them for ever."""

    days: int
    apps: Mapping[str, int] = field(default_factory=dict)


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

    @property
    def whole(self) -> bool:
        """Whether the day goes with all that is in it."""
        return self.others and not self.apps


def first_day(now: int, days: int) -> str:
    """Return the oldest day that is kept at `now` (nanoseconds since 1970); "" when all are."""
    return day(from_ns(max(0, now - days * _DAY_NS))) if days else ""


def plan(days: Iterable[str], retention: Retention, now: int) -> list[Removal]:
    """Return what is to be deleted of these days, the oldest first."""
    first = first_day(now, retention.days)
    firsts = {app: first_day(now, wish) for app, wish in sorted(retention.apps.items())}
    removals = []
    for name in sorted(days):
        if name < first:
            removals.append(Removal(name, tuple(app for app, own in firsts.items() if name >= own)))
        elif expired := tuple(app for app, own in firsts.items() if name < own):
            removals.append(Removal(name, expired, others=False))
    return removals
