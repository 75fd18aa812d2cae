"""The picture of a request's story: a lane per service on one axis of time, drawn on the server.

Places are 0 to 1000 from left to right, whatever the story's length; of thousands of records only those are drawn that
stand at different places or differ in level.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.api.story_services import Service
from shipper.record.levels import LEVELS
from shipper.search.holes import Hole
from shipper.search.story_calls import Hop

WIDTH: Final = 1000
#: Height of a lane, as the page's rows have it.
LANE: Final = 26
#: Colours that services are told apart by; then they repeat.
STRIPES: Final = 10
MOST_LANES: Final = 40
MOST_HOPS: Final = 200
_TICK: Final = 3
_ERRORS: Final = frozenset(LEVELS[LEVELS.index("error") :])


@dataclass(frozen=True, slots=True)
class Mark:
    """One record: nanoseconds after the first, who wrote it, its level."""

    offset: int
    service: str
    level: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One service: where its bar is, and its ticks as (place, kind)."""

    stripe: int
    y: int
    x: int
    width: int
    ticks: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Arrow:
    """One hop: from a lane to a lane, at a place; `back` is where the answer came."""

    x: int
    y: int
    to_y: int
    back: int
    failed: bool
    hop: Hop


@dataclass(frozen=True, slots=True)
class Hatch:
    """A time on a lane in which records of its host are missing."""

    x: int
    width: int
    y: int
    hole: Hole


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it. Lanes have the services' order."""

    height: int
    lanes: dict[str, Lane]
    arrows: list[Arrow]
    hatches: list[Hatch]


def picture(
    services: Sequence[Service],
    marks: Iterable[Mark],
    hops: Sequence[Hop],
    holes: Sequence[Hole],
    began: int,
    duration: int,
) -> Picture:
    """Return a story as shapes; `began` is in nanoseconds since 1970."""
    scale = _Scale(max(1, duration))
    shown = services[:MOST_LANES]
    ticks = _ticks(marks, scale)
    lanes = {}
    for place, service in enumerate(shown):
        x = scale.place(service.offset_ns)
        width = max(_TICK, scale.place(service.offset_ns + service.duration_ns) - x)
        lanes[service.name] = Lane(place % STRIPES, place * LANE, x, width, ticks.get(service.name, []))
    arrows = [_arrow(hop, lanes, scale) for hop in hops if hop.caller in lanes and hop.to in lanes][:MOST_HOPS]
    hatches = [hatch for service in shown for hatch in _hatches(service, lanes[service.name].y, holes, began, scale)]
    return Picture(len(lanes) * LANE, lanes, arrows, hatches)


@dataclass(frozen=True, slots=True)
class _Scale:
    duration: int

    def place(self, offset: int) -> int:
        return max(0, min(WIDTH - _TICK, (WIDTH - _TICK) * offset // self.duration))


def _ticks(marks: Iterable[Mark], scale: _Scale) -> dict[str, list[tuple[int, str]]]:
    """Return the places of records by service, errors last so that nothing hides them."""
    found: dict[str, dict[tuple[int, str], None]] = {}
    for mark in marks:
        kind = "error" if mark.level in _ERRORS else "warn" if mark.level == "warn" else ""
        found.setdefault(mark.service, {})[scale.place(mark.offset), kind] = None
    order = ("", "warn", "error")
    return {name: sorted(ticks, key=lambda tick: (order.index(tick[1]), tick[0])) for name, ticks in found.items()}


def _arrow(hop: Hop, lanes: Mapping[str, Lane], scale: _Scale) -> Arrow:
    start, end = scale.place(hop.offset_ns), scale.place(hop.offset_ns + hop.duration_ns)
    y, to_y = (lanes[name].y + LANE // 2 for name in (hop.caller, hop.to))
    return Arrow(start + 1, y, to_y, end + 1, hop.status is not None and hop.status >= 500, hop)


def _hatches(service: Service, y: int, holes: Sequence[Hole], began: int, scale: _Scale) -> list[Hatch]:
    found: dict[tuple[int, int], Hatch] = {}
    for hole in holes:
        if hole.host not in service.hosts:
            continue
        x = 0 if hole.since is None else scale.place(hole.since - began)
        end = WIDTH if hole.until - began >= scale.duration else scale.place(hole.until - began)
        found.setdefault((x, end), Hatch(x, max(2 * _TICK, end - x), y, hole))
    return list(found.values())
