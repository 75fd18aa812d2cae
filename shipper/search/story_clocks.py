"""Clocks of hosts that differ: one shift for each host, and only where the records themselves say that it is wrong.

Two kinds of evidence. A record is received after its host read it, by clocks that should agree; so the least of many
delays is the clock's difference and a short way. And what is called lies within its caller's call.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from shipper.search.story_lines import Line

_SECOND: Final = 1_000_000_000
#: A way from a host to its shipper may take so long without anybody's clock being wrong.
WAY_NS: Final = 300_000_000
#: A call and what is called may disagree by so much: times are rounded.
ROUNDED_NS: Final = 5_000_000
#: A clock that is further behind may as well be a queue that was waiting.
_FURTHEST_BEHIND_NS: Final = 10 * _SECOND
#: No clock is moved further.
MOST_SHIFT_NS: Final = 300 * _SECOND
#: So many of the least delays must be about the same, or a host's records have waited.
_AGREEING: Final = 3


#: By caller's and called host: how much more the called one's clock must be moved, at least and at most.
_Bounds: TypeAlias = dict[tuple[str, str], tuple[int, int | None]]


@dataclass(frozen=True, slots=True)
class Within:
    """Something on one host that happened within something on another: [began, ended] by the clock of each."""

    caller_host: str
    caller: tuple[int, int]
    host: str
    called: tuple[int, int]


def delays_of(lines: Iterable[Line]) -> dict[str, list[int]]:
    """Return by host how long after the host the shipper read each record, in nanoseconds, sorted."""
    found: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        if line.host and line.created and line.received:
            found[line.host].append(line.received - line.created)
    return {host: sorted(delays) for host, delays in found.items()}


def doubtful(delays: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the hosts whose least delay is none that a right clock has, the worst first."""
    wrong = {host: abs(found[0]) for host, found in delays.items() if found and not 0 <= found[0] <= WAY_NS}
    return sorted(wrong, key=lambda host: -wrong[host])


def by_delays(delays: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the shift of each host whose delays say that its clock is wrong."""
    wrong = doubtful(delays)
    fine = sorted(found[0] for host, found in delays.items() if found and host not in wrong)
    way = fine[len(fine) // 2] if fine else 0
    shifts = {}
    for host in wrong:
        found = delays[host]
        least = found[0]
        if least > 0 and (least > _FURTHEST_BEHIND_NS or not _agree(found)):
            continue  # its records have waited; whether its clock is wrong, too, cannot be known
        shifts[host] = _bounded(least - way)
    return {host: shift for host, shift in shifts.items() if shift}


def _agree(delays: Sequence[int]) -> bool:
    """Whether several records took the least way."""
    return len(delays) >= _AGREEING and delays[_AGREEING - 1] - delays[0] <= WAY_NS


def by_calls(shifts: Mapping[str, int], calls: Iterable[Within]) -> dict[str, int]:
    """Return the shifts, changed where what is called would else lie outside of its call.

    Clocks that are known to be wrong are moved first, so that right ones stay where they are.
    """
    bounds: _Bounds = {}
    for call in calls:
        if call.host and call.caller_host and call.host != call.caller_host:
            pair = call.caller_host, call.host
            bounds[pair] = _narrower(bounds.get(pair), _bound(call))
    found = dict(shifts)
    pairs = _callers_first(bounds)
    right = {host for pair in bounds for host in pair if host not in shifts}
    for host in dict.fromkeys(host for pair in pairs for host in pair):
        if host not in right:
            found[host] = _fitted(host, found, bounds, right)
            right.add(host)
    for caller, host in pairs:
        low, high = bounds[caller, host]
        noise = 0 if caller in shifts or host in shifts else ROUNDED_NS
        apart = found.get(host, 0) - found.get(caller, 0)
        if apart < low - noise or (high is not None and apart > high + noise):
            middle = low if high is None else (low + high) // 2
            found[host] = _bounded(found.get(caller, 0) + middle)
    return {host: shift for host, shift in found.items() if shift}


def _fitted(host: str, shifts: Mapping[str, int], bounds: _Bounds, right: Collection[str]) -> int:
    """Return the shift of a host, moved to where it agrees with the hosts whose clocks are right, if it can."""
    lows, highs = [], []
    for (caller, called), (low, high) in bounds.items():
        if called == host and caller in right:
            lows.append(shifts.get(caller, 0) + low)
            highs += [] if high is None else [shifts.get(caller, 0) + high]
        elif caller == host and called in right:
            highs.append(shifts.get(called, 0) - low)
            lows += [] if high is None else [shifts.get(called, 0) - high]
    shift = shifts[host]
    if lows and highs and max(lows) <= min(highs):
        inside = max(lows) <= shift <= min(highs)
        return shift if inside else _bounded((max(lows) + min(highs)) // 2)
    return shift


def _bound(call: Within) -> tuple[int, int | None]:
    """Return how much more the called host's clock must be moved than the caller's; no upper end: it went on longer."""
    low, high = call.caller[0] - call.called[0], call.caller[1] - call.called[1]
    return low, high if high >= low else None


def _narrower(one: tuple[int, int | None] | None, other: tuple[int, int | None]) -> tuple[int, int | None]:
    if one is None:
        return other
    highs = [high for high in (one[1], other[1]) if high is not None]
    return max(one[0], other[0]), min(highs) if highs else None


def _callers_first(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return each host but the first ones once, with one that calls it, so that a caller comes before what it calls."""
    calls: dict[str, list[str]] = defaultdict(list)
    called = set()
    for caller, host in pairs:
        calls[caller].append(host)
        called.add(host)
    starts = [host for host in calls if host not in called] or list(calls)[:1]
    found: list[tuple[str, str]] = []
    placed = set(starts)
    waiting = list(starts)
    for caller in waiting:
        for host in calls.get(caller, ()):
            if host not in placed:
                placed.add(host)
                waiting.append(host)
                found.append((caller, host))
    return found


def _bounded(shift: int) -> int:
    return max(-MOST_SHIFT_NS, min(MOST_SHIFT_NS, shift))
