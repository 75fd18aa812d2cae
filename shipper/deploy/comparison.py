"""Whether a canary does as well as the instances beside it: figures in, a verdict out; no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import Final, Self

#: Fewer records than this say nothing.
FEWEST_RECORDS: Final = 50
#: Shares of records up to this are no reason, however well the old ones do.
_ALLOWED_SHARE: Final = 0.001
#: A batch may take this many times as long as the old ones' do, and so many seconds more.
_SLOWER: Final = 2.0
_SLOWER_SECONDS: Final = 0.1
#: How much smaller the settled share of what came may be than the old ones'.
_UNSETTLED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Figures:
    """Counters of one instance, or the sum of several: since their start, or in a time."""

    received: float = 0
    #: Records with a final fate, whichever.
    settled: float = 0
    stored: float = 0
    dead: float = 0
    bugs: float = 0
    batches: float = 0
    batch_seconds: float = 0

    @classmethod
    def sum(cls, several: Iterable[Self]) -> "Figures":
        """Return the figures of several instances together."""
        listed = list(several)
        return cls(*(sum(getattr(figures, one.name) for figures in listed) for one in fields(cls)))

    def since(self, before: Self) -> "Figures | None":
        """Return what was counted after `before`; None when a counter is smaller now: the process is another one."""
        found = [getattr(self, one.name) - getattr(before, one.name) for one in fields(self)]
        return None if min(found) < 0 else Figures(*found)

    @property
    def delay(self) -> float | None:
        """Seconds that the store took for a batch, on average; None without batches."""
        return self.batch_seconds / self.batches if self.batches else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the canary takes over, and why not."""

    promoted: bool
    reasons: tuple[str, ...]


def judge(canary: Figures, old: Sequence[Figures]) -> Verdict:
    """Return the verdict; too little traffic to tell is no success, and is said."""
    others = Figures.sum(old)
    reasons = _too_little(canary, others) or [
        *_more("dead letters", canary.dead, others.dead, canary, others),
        *_more("parser bugs", canary.bugs, others.bugs, canary, others),
        *_unsettled(canary, others),
        *_slower(canary, others),
    ]
    return Verdict(not reasons, tuple(reasons))


def _too_little(canary: Figures, others: Figures) -> list[str]:
    if not canary.received:
        return ["no traffic: no record reached the canary, so nothing was shown"]
    if canary.received < FEWEST_RECORDS:
        return [f"too little traffic: {canary.received:.0f} records reached the canary, {FEWEST_RECORDS} are needed"]
    if others.received < FEWEST_RECORDS:
        return ["nothing to compare with: the old instances had too few records"]
    return []


def _more(what: str, count: float, others_count: float, canary: Figures, others: Figures) -> list[str]:
    """More than three standard deviations above what the old ones' share lets expect are too many."""
    expected = max(others_count / others.received, _ALLOWED_SHARE) * canary.received
    if count <= expected + 3 * sqrt(expected):
        return []
    return [f"{count:.0f} {what} of {canary.received:.0f} records, where the old ones let expect {expected:.1f}"]


def _unsettled(canary: Figures, others: Figures) -> list[str]:
    share, usual = canary.settled / canary.received, min(1.0, others.settled / others.received)
    if share >= usual - _UNSETTLED:
        return []
    return [f"only {share:.0%} of its records are settled, of the old ones' {usual:.0%}"]


def _slower(canary: Figures, others: Figures) -> list[str]:
    if canary.delay is None or others.delay is None:
        return []
    limit = others.delay * _SLOWER + _SLOWER_SECONDS
    if canary.delay <= limit:
        return []
    return [f"a batch takes {canary.delay:.3f} s, the old ones' {others.delay:.3f} s (at most {limit:.3f} s)"]


def table(canary: Figures, old: Sequence[Figures]) -> list[str]:
    """Return the figures as lines."""
    lines = [f"{'':<9} {'instances':>9} {'received':>10} {'stored':>10} {'dead':>7} {'bugs':>6} {'s/batch':>8}"]
    for name, count, one in (("canary", 1, canary), ("old", len(old), Figures.sum(old))):
        delay = "-" if one.delay is None else f"{one.delay:.3f}"
        numbers = f"{one.received:>10.0f} {one.stored:>10.0f} {one.dead:>7.0f} {one.bugs:>6.0f} {delay:>8}"
        lines.append(f"{name:<9} {count:>9} {numbers}")
    return lines
