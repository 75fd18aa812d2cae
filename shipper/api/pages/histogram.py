"""Records over time as bars that are links: drawn on the server, so that it is there without script."""

from collections import Counter
from dataclasses import dataclass

from shipper.api.counting import Histogram
from shipper.api.pages.asked import Typed
from shipper.api.question import Question
from shipper.api.shown import duration
from shipper.record.levels import LEVELS
from shipper.record.times import from_ns

#: Bars of a histogram at most (and one more).
MOST_BARS = 60
#: Size of the drawing; the page stretches it.
STEP, HEIGHT = 10, 100
#: What is there is seen, be it one error among a million.
_LEAST = 3
#: Levels that are drawn as one, from the ground up.
_KINDS = ("fatal", "error", "warn", "info", "debug", "none")
_KIND_OF = {
    "": "none", "trace": "debug", "debug": "debug", "info": "info", "notice": "info", "warn": "warn", "error": "error",
    "critical": "fatal", "alert": "fatal", "emergency": "fatal",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One bucket that has records."""

    x: int
    start: str
    end: str
    count: int
    #: "12 error, 3 warn".
    told: str
    url: str
    #: Kind, top and height of each part.
    parts: list[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class Chart:
    """All bars of a histogram and what stands at its axes."""

    width: int
    bars: list[Bar]
    start: str
    end: str
    #: Length of one bucket, in words.
    step: str
    highest: int
    total: int
    #: Level → records, the most important first.
    levels: dict[str, int]


def chart(found: Histogram, typed: Typed, asked: Question) -> Chart:
    """Return a histogram ready to be drawn."""
    highest = max((sum(values.values()) for values in found.counts.values()), default=0)
    bars = []
    for place, (at, values) in enumerate(sorted(found.counts.items())):
        if not values:
            continue
        start, end = from_ns(at), from_ns(at + found.buckets.step)
        told = ", ".join(f"{count:,} {level or 'without level'}" for level, count in _ordered(values).items())
        url = typed.url(asked, start=start, end=end)
        bars.append(Bar(place * STEP, start, end, sum(values.values()), told, url, _parts(values, highest)))
    totals: Counter[str] = Counter()
    for values in found.counts.values():
        totals.update(values)
    ends = from_ns(found.buckets.start), from_ns(found.buckets.end)
    width = STEP * max(1, len(found.counts))
    return Chart(width, bars, *ends, _told(found.buckets.step), highest, found.total, _ordered(totals))


def _told(step: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if step % (size * 1_000_000_000) == 0:
            return f"{step // (size * 1_000_000_000)} {unit}"
    return duration(step)


def _ordered(counts: dict[str, int]) -> dict[str, int]:
    """The most important level first; those that are no level of ours last."""
    rank = {level: place for place, level in enumerate(LEVELS)}
    return dict(sorted(counts.items(), key=lambda item: -rank.get(item[0], -1)))


def _parts(values: dict[str, int], highest: int) -> list[tuple[str, int, int]]:
    kinds: Counter[str] = Counter()
    for level, count in values.items():
        kinds[_KIND_OF.get(level, "none")] += count
    found = []
    top = HEIGHT
    for kind in _KINDS:
        if kinds[kind]:
            height = min(top, max(_LEAST, round(HEIGHT * kinds[kind] / highest)))
            top -= height
            found.append((kind, top, height))
    return found
