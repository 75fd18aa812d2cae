"""Budgets: an app that writes more than it asked for has its debug and info records sampled, the others never.

What is measured is when records were *written*, by the host's time: a backlog that comes after an outage is no burst,
and a second delivery meets the second that the first one met. Within its budget is an app that wrote no more in five
seconds than its budget allows for five; beyond it one of N records is kept, N being how many times too much the
second has (this one so far, or the one before it), and stamped with N.

Which ones are kept is decided by the record's id: what is kept of every N is kept of every smaller number, too. So a
record that is sent again meets the same decision while the rate is the same. When it is not: stored at first and
discarded then, it stays stored, and the ledger counts it once, as stored; discarded at first, it may be stored then.
Nothing is promised beyond that, and each shipper measures what it receives itself; what is sent again counts again.
"""

from functools import lru_cache
from math import ceil
from typing import Final
from zlib import crc32

from shipper.record import Record
from shipper.record.times import to_ns

#: An app may write as much at once as its budget allows for so many seconds.
BURST_SECONDS: Final = 5
#: Reason of the records that are not kept.
REASON: Final = "budget"
#: Field that says how many records a kept one stands for.
SAMPLE_RATE: Final = "shipper.sample_rate"
#: Levels of which records may be left out; one without a level is none of them.
SAMPLED: Final = frozenset({"trace", "debug", "info"})
#: Apps that are measured, and seconds of each: backlogs of several hosts may interleave.
_MOST_APPS: Final = 5000
_MOST_SECONDS: Final = 64
_SECOND_NS: Final = 1_000_000_000
_END_OF_SECOND: Final = len("2026-11-22T12:48:34")
#: One above the largest number that `_chance` gives.
_CHANCES: Final = 2**32


class _Second:
    """What an app wrote in one second, and had written before it when its first record came."""

    __slots__ = ("before", "count", "pace")

    def __init__(self, before: int, pace: int) -> None:
        self.count = 0
        #: Records of the four seconds before, and of the last of them.
        self.before, self.pace = before, pace


class Budgets:
    """Knows what each app with a budget wrote lately. From memory only."""

    def __init__(self) -> None:
        self._apps: dict[str, dict[int, _Second]] = {}

    def decide(self, record: Record, app_id: str, budget: float) -> None:
        """Count a record of an app; beyond `budget` (records per second), stamp it or set `discarded`.

        To be called once for each record that has an id, after it was parsed.
        """
        if not record.series:
            return
        second = self._second(app_id, _written(record))
        second.count += 1
        if second.count + second.before <= budget * BURST_SECONDS:
            return
        if record.fields.get("log.level") not in SAMPLED:
            return
        rate = ceil(max(second.count, second.pace) / budget)
        if rate <= 1:
            return
        if _chance(record.id) * rate < _CHANCES:
            record.fields[SAMPLE_RATE] = rate
        else:
            record.discarded = REASON

    def _second(self, app_id: str, at: int) -> _Second:
        seconds = self._apps.get(app_id)
        if seconds is None:
            if len(self._apps) >= _MOST_APPS:
                del self._apps[next(iter(self._apps))]
            seconds = self._apps[app_id] = {}
        found = seconds.get(at)
        if found is None:
            counts = [seconds[before].count if before in seconds else 0 for before in range(at - BURST_SECONDS + 1, at)]
            if len(seconds) >= _MOST_SECONDS:
                del seconds[next(iter(seconds))]
            found = seconds[at] = _Second(sum(counts), counts[-1])
        return found


def _written(record: Record) -> int:
    """Return the second in which the host read a record, since 1970."""
    created = record.fields.get("event.created")
    if record.host_time and isinstance(created, str):
        return _seconds(created[:_END_OF_SECOND])
    return record.received_at // _SECOND_NS


@lru_cache(maxsize=256)
def _seconds(second: str) -> int:
    return to_ns(second + "Z") // _SECOND_NS


def _chance(id: str) -> int:
    """Return a number below `_CHANCES`, evenly spread and always the same for an id."""
    mixed = crc32(id.encode())
    mixed = ((mixed ^ mixed >> 16) * 0x85EBCA6B) % _CHANCES
    return mixed ^ mixed >> 13
