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
#: Clocks that are kept right agree within so much.
_AGREED_NS: Final = 20_000_000
#: A call and what is called may disagree by so much: times are rounded.
ROUNDED_NS: Final = 5_000_000
#: A clock that is further behind may as well be a queue that was waiting.
_FURTHEST_BEHIND_NS: Final = 10 * _SECOND
#: No clock is moved further.
MOST_SHIFT_NS: Final = 300 * _SECOND
#: So many of the least delays must be about the same, or a host's records have waited.
_AGREEING: Final = 3


#: How much more the called host's clock must be moved than the caller's, at least and at most; None is no bound.
_Bound: TypeAlias = tuple[int | None, int | None]
#: By caller's and called host.
_Bounds: TypeAlias = dict[tuple[str, str], _Bound]


@dataclass(frozen=True, slots=True)
class Within:
    """Something on one host that happened within something on another: [began, ended] by the clock of each."""

    caller_host: str
    caller: tuple[int, int]
    host: str
    called: tuple[int, int]
    #: Whether a log says when the caller's began and when both ended; else it is when they wrote.
    exact_began: bool
    exact_ended: bool


def delays_of(lines: Iterable[Line]) -> dict[str, list[int]]:
    """Return by host how long after the host the shipper read each record, in nanoseconds, sorted."""
    found: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        if line.host and line.created and line.received:
            found[line.host].append(line.received - line.created)
    return {host: sorted(delays) for host, delays in found.items()}


def doubtful(delays: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the hosts whose least delay is none that a right clock has, the worst first."""
    way = _way(delays)
    least = {host: found[0] for host, found in delays.items() if found}
    wrong = {host: abs(found) for host, found in least.items() if not -_AGREED_NS <= found <= way + WAY_NS}
    return sorted(wrong, key=lambda host: -wrong[host])


def by_delays(delays: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the shift of each host whose delays say that its clock is wrong."""
    way = _way(delays)
    shifts = {}
    for host in doubtful(delays):
        found = delays[host]
        least = found[0]
        if least > 0 and (least > _FURTHEST_BEHIND_NS or not _agree(found)):
            continue  # its records have waited; whether its clock is wrong, too, cannot be known
        shifts[host] = _bounded(least - way)
    return {host: shift for host, shift in shifts.items() if shift}


def _way(delays: Mapping[str, Sequence[int]]) -> int:
    """Return how long the way to the shipper takes at least: when it is slow, it is for all of them."""
    return min((found[0] for found in delays.values() if found and 0 <= found[0] <= _FURTHEST_BEHIND_NS), default=0)


def _agree(delays: Sequence[int]) -> bool:
    """Whether several records took the least way."""
    return len(delays) >= _AGREEING and delays[_AGREEING - 1] - delays[0] <= WAY_NS


def by_calls(shifts: Mapping[str, int], calls: Iterable[Within]) -> dict[str, int]:
    """Return the shifts, changed where what is called would else lie outside of its call.

    Clocks that are known to be wrong are moved first, so that right ones stay where they are. A right one moves only
    for calls whose time a log states.
    """
    exact, loose = _bounds(calls)
    found = dict(shifts)
    pairs = _callers_first(loose)
    right = {host for pair in loose for host in pair if host not in shifts}
    for host in dict.fromkeys(host for pair in pairs for host in pair):
        if host not in right:
            fitted = _fitted(host, found, loose, right)
            if abs(fitted - found[host]) > WAY_NS:  # too far for what was not stated
                fitted = _fitted(host, found, exact, right)
            found[host] = fitted
            right.add(host)
    for caller, host in pairs:
        noise = 0 if caller in shifts or host in shifts else ROUNDED_NS
        apart = found.get(host, 0) - found.get(caller, 0)
        moved = _moved(apart, exact.get((caller, host), (None, None)), noise)
        if moved != apart:
            found[host] = _bounded(found.get(caller, 0) + moved)
    return {host: shift for host, shift in found.items() if shift}


def _bounds(calls: Iterable[Within]) -> tuple[_Bounds, _Bounds]:
    """Return the bounds that logs state, and those with what only seems so."""
    exact: _Bounds = {}
    loose: _Bounds = {}
    for call in calls:
        if call.host and call.caller_host and call.host != call.caller_host:
            pair = call.caller_host, call.host
            low, high = call.caller[0] - call.called[0], call.caller[1] - call.called[1]
            most = high if high >= low else None  # else it went on when its caller had ended
            loose[pair] = _narrower(loose.get(pair), (low, most))
            stated = low if call.exact_began else None, most if call.exact_ended else None
            exact[pair] = _narrower(exact.get(pair), stated)
    return exact, loose


def _narrower(one: _Bound | None, other: _Bound) -> _Bound:
    if one is None:
        return other
    lows = [low for low in (one[0], other[0]) if low is not None]
    highs = [high for high in (one[1], other[1]) if high is not None]
    return max(lows, default=None), min(highs, default=None)


def _moved(value: int, bound: _Bound, noise: int) -> int:
    """Return a value that a bound holds for: its middle, when the value is outside by more than the noise."""
    low, high = bound
    if (low is None or value >= low - noise) and (high is None or value <= high + noise):
        return value
    if low is None or high is None:
        return high if low is None and high is not None else low if low is not None else value
    return (low + high) // 2


def _fitted(host: str, shifts: Mapping[str, int], bounds: _Bounds, right: Collection[str]) -> int:
    """Return the shift of a host, moved to where it agrees with the hosts whose clocks are right, if it can."""
    fitting: _Bound = (None, None)
    for (caller, called), (low, high) in bounds.items():
        if called == host and caller in right:
            base = shifts.get(caller, 0)
            fitting = _narrower(fitting, (None if low is None else base + low, None if high is None else base + high))
        elif caller == host and called in right:
            base = shifts.get(called, 0)
            fitting = _narrower(fitting, (None if high is None else base - high, None if low is None else base - low))
    if None not in fitting and fitting[0] > fitting[1]:  # type: ignore[operator]  # mypy does not narrow by `in`
        return shifts[host]
    return _bounded(_moved(shifts[host], fitting, 0))


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
