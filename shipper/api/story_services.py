"""One lane for each service of a story: when it wrote, how much, how bad, where, and what it answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shipper.api.shown import duration, level_rank
from shipper.record.levels import LEVELS
from shipper.record.times import from_ns
from shipper.search.story_told import Told

ERROR_RANK: Final = LEVELS.index("error")
#: Of a service on more hosts only so many are named.
_MOST_HOSTS: Final = 50


@dataclass(slots=True)
class Service:
    """One app's part in a request; times are those of the story's common clock."""

    name: str
    first: str
    last: str
    lane: int
    offset_ns: int
    duration_ns: int = 0
    count: int = 0
    errors: int = 0
    worst_level: str | None = None
    hosts: list[str] = field(default_factory=list)
    #: What it answered last, as its own HTTP log says.
    status: int | None = None
    #: What was added to its times; of several hosts, the most.
    clock_shift_ns: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """A host whose clock was wrong by more than the noise, and the same in words."""

    host: str
    shift_ns: int
    told: str


def services(told: Told) -> list[Service]:
    """Return who took part, in order of first appearance."""
    found: dict[str, Service] = {}
    began = told.lines[0].shown if told.lines else 0
    last: dict[str, int] = {}
    ranks: dict[str, int] = {}
    for line in told.lines:
        service = found.get(line.service)
        if service is None:
            text = from_ns(line.shown)
            service = Service(line.service, text, text, len(found), line.shown - began)
            service.status = told.statuses.get(line.service)
            found[line.service] = service
        last[line.service] = line.shown
        service.count += 1
        rank = level_rank(line.record)
        service.errors += rank >= ERROR_RANK
        ranks[line.service] = max(rank, ranks.get(line.service, -1))
        if line.host and line.host not in service.hosts and len(service.hosts) < _MOST_HOSTS:
            service.hosts.append(line.host)
    for name, service in found.items():
        service.last, service.duration_ns = from_ns(last[name]), last[name] - began - service.offset_ns
        service.worst_level = LEVELS[ranks[name]] if ranks[name] >= 0 else None
        service.clock_shift_ns = max((told.shifts.get(host, 0) for host in service.hosts), key=abs, default=0)
    return list(found.values())


def failed(lanes: Sequence[Service]) -> list[str]:
    """Return the services that answered an error or, where no status is known, logged one; the last to begin first."""
    bad = [one for one in lanes if (one.status >= 500 if one.status is not None else one.errors > 0)]
    return [one.name for one in reversed(bad)]


def clocks(shifts: Mapping[str, int]) -> list[Clock]:
    """Return the clocks that were wrong, the worst first."""
    found = []
    for host, shift in sorted(shifts.items(), key=lambda item: -abs(item[1])):
        by = duration(abs(shift))
        ahead, earlier = ("ahead", "earlier") if shift < 0 else ("behind", "later")
        found.append(Clock(host, shift, f"the clock of host {host} was {by} {ahead}: it is shown {by} {earlier}"))
    return found
