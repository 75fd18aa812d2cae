"""Who called whom in a request, as far as it can be known: by trace spans, by HTTP logs, else by times."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.search.story_clocks import ROUNDED_NS, WAY_NS, Within
from shipper.search.story_usual import Entry
from shipper.search.story_visits import Call, Visit, Visits, retried

#: Of a request with more visits, only the first ones are drawn as hops.
MOST_VISITS: Final = 300


@dataclass(frozen=True, slots=True)
class Hop:
    """One service called another; a retry is a hop of its own."""

    caller: str
    to: str
    #: "span", "http" or "time".
    how: str
    offset_ns: int
    duration_ns: int
    status: int | None


@dataclass(frozen=True, slots=True)
class Link:
    """A visit and where it came from; a call that nobody heard of has no visit."""

    caller: Visit
    called: Visit | None
    how: str
    call: Call | None = None


def known_links(found: Visits, shifts: Mapping[str, int]) -> list[Link]:
    """Return the links that spans and HTTP logs tell of; `shifts` are those known so far, by host."""
    visits = sorted(found.visits, key=lambda visit: visit.began + shifts.get(visit.host, 0))[:MOST_VISITS]
    links = _by_parents(visits)
    linked = {link.called for link in links}
    calls = sorted(found.calls, key=lambda call: call.began + shifts.get(call.caller.host, 0))[:MOST_VISITS]
    calls = [call for call in calls if not _spanned(call, links)]
    links += _by_calls([visit for visit in visits if visit not in linked], calls)
    linked = {link.called for link in links}
    waiting = [visit for visit in visits if visit not in linked]
    links += _by_shared_spans(waiting, visits)
    linked |= {link.called for link in links}
    links += _by_proxies([visit for visit in waiting if visit not in linked], visits, shifts)
    return _without_circles(links)


def within(links: Iterable[Link]) -> list[Within]:
    """Return what links say of the clocks of their hosts."""
    found = []
    for link in links:
        if link.called is not None:
            caller, called = link.call or link.caller, link.called
            caller_ended = caller.ended if isinstance(caller, Call) else caller.answered or caller.ended
            times = (caller.began, caller_ended), (called.began, called.answered or called.ended)
            stated = caller.exchange is not None and caller.exchange.duration > 0
            ends = stated and called.answered > 0
            found.append(Within(link.caller.host, times[0], called.host, times[1], stated, ends))
    return found


def _by_parents(visits: Sequence[Visit]) -> list[Link]:
    first = sorted(visits, key=lambda visit: bool(visit.parents))  # a span is of who says where it came from
    owner = {span: visit for visit in first for span in visit.spans}
    found = []
    for visit in visits:
        callers = [owner[span] for span in visit.parents if span in owner and owner[span].service != visit.service]
        if callers:
            found.append(Link(callers[0], visit, "span"))
    return found


def _spanned(call: Call, links: Iterable[Link]) -> bool:
    """Whether a call is one that a span tells of already."""
    return any(
        link.caller is call.caller
        and link.called is not None
        and (link.called.service == call.service or _key(link.called) == call.exchange.key)
        for link in links
    )


def _key(visit: Visit) -> object:
    return visit.exchange.key if visit.exchange is not None else None


def _by_calls(visits: Sequence[Visit], calls: Sequence[Call]) -> list[Link]:
    """Give each call the first visit that it can have made, those with the same status first; both are in order."""
    free = dict.fromkeys(visits)
    made: dict[Call, Visit] = {}
    for same_status in (True, False):
        for call in calls:
            if call in made:
                continue
            visit = next((visit for visit in free if _can_have_made(call, visit, same_status)), None)
            if visit is not None:
                made[call] = visit
                del free[visit]
    told = [call for call in calls if call in made or call.service]
    return [Link(call.caller, made.get(call), "http", call) for call in told]


def _can_have_made(call: Call, visit: Visit, same_status: bool) -> bool:
    if visit.service == call.caller.service or (call.service and visit.service != call.service):
        return False
    if visit.exchange is None:
        return bool(call.service)
    if not call.service and visit.exchange.key != call.exchange.key:
        return False
    return not same_status or visit.exchange.status == call.exchange.status


def _by_shared_spans(waiting: Sequence[Visit], visits: Sequence[Visit]) -> list[Link]:
    """Link two services that log the same span: the one that passed it on, and the one that was given it."""
    sharing: dict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        for span in visit.spans:
            sharing[span].append(visit)
    found, linked = [], set()
    for pair in sharing.values():
        if len(pair) == 2 and pair[0].service != pair[1].service and pair[1] in waiting and pair[1] not in linked:
            linked.add(pair[1])
            found.append(Link(pair[0], pair[1], "span"))
    return found


def _by_proxies(waiting: Sequence[Visit], visits: Sequence[Visit], shifts: Mapping[str, int]) -> list[Link]:
    """Link services that log the same exchange: the one whose log of it encloses the other's passed it on."""
    alike: dict[object, list[Visit]] = defaultdict(list)
    for visit in visits:
        if visit.exchange is not None and visit.exchange.path is not None:
            alike[_key(visit)].append(visit)
    found = []
    for visit in waiting:
        around = [one for one in alike.get(_key(visit), ()) if _passed_on(one, visit, shifts)]
        if around:
            nearest = min(around, key=lambda one: one.ended - one.began)
            found.append(Link(nearest, visit, "http"))
    return found


def _passed_on(one: Visit, other: Visit, shifts: Mapping[str, int]) -> bool:
    if one.service == other.service or (one.ended - one.began) <= (other.ended - other.began):
        return False
    slack = ROUNDED_NS if one.host == other.host else WAY_NS
    apart = shifts.get(one.host, 0) - shifts.get(other.host, 0)
    return one.began + apart <= other.began + slack and other.ended <= one.ended + apart + slack


def _without_circles(links: Iterable[Link]) -> list[Link]:
    above: dict[Visit, Visit] = {}
    found = []
    for link in links:
        if link.called is not None:
            if link.called in above or link.called in _chain(link.caller, above):
                continue
            above[link.called] = link.caller
        found.append(link)
    return found


def _chain(visit: Visit | None, above: Mapping[Visit, Visit]) -> set[Visit]:
    found = set()
    while visit is not None and visit not in found:
        found.add(visit)
        visit = above.get(visit)
    return found


def entry_of(found: Visits) -> tuple[Entry | None, str]:
    """Return where the request came in, and the service whose record says what was asked; lines are in their order."""
    visits = sorted(found.visits, key=_shown)
    if not visits:
        return None, ""
    told = next((visit for visit in visits if visit.exchange is not None and visit.exchange.path is not None), None)
    if told is None or told.exchange is None:
        return Entry(visits[0].service, None, None, _status(visits[0])), visits[0].service
    exchange, status = told.exchange, _status(visits[0])
    status = exchange.status if status is None else status
    return Entry(visits[0].service, exchange.method, exchange.path, status), told.service


def _status(visit: Visit) -> int | None:
    return visit.exchange.status if visit.exchange is not None else None


def statuses(found: Visits) -> dict[str, int]:
    """Return what each service answered last, by its own HTTP log."""
    last = sorted(found.visits, key=_end)
    return {visit.service: status for visit in last if (status := _status(visit)) is not None}


def all_links(found: Visits, known: Sequence[Link]) -> list[Link]:
    """Return the known links and, of visits that have none, those that times tell of; lines have their shown times."""
    above = {link.called: link.caller for link in known if link.called is not None}
    visits = sorted(found.visits, key=_shown)[:MOST_VISITS]
    timed = _by_times(visits, above)
    split = _split(visits, {called: caller for called, caller in timed.items() if called.vague})
    if len(split) > len(visits):
        visits = sorted(split, key=_shown)[:MOST_VISITS]
        timed = _by_times(visits, above)
    return [*known, *(Link(caller, called, "time") for called, caller in timed.items())]


def _split(visits: Sequence[Visit], timed: Mapping[Visit, Visit]) -> list[Visit]:
    wrote: dict[str, list[int]] = defaultdict(list)
    for visit in visits:
        wrote[visit.service] += (line.shown for line in visit.lines)
    for times in wrote.values():
        times.sort()
    found: list[Visit] = []
    for visit in visits:
        caller = timed.get(visit)
        times = [] if caller is None else wrote[caller.service]
        first = bisect_right(times, visit.lines[0].shown)
        found += retried(visit, times[first : bisect_left(times, visit.lines[-1].shown)])
    return found


def _by_times(visits: Sequence[Visit], known: Mapping[Visit, Visit]) -> dict[Visit, Visit]:
    """Return for each visit but the first, where nothing better is known, the shortest one that it lies within.

    What lies within none came of the one that began last before it and still ran, else of what ran last.
    """
    above = dict(known)
    callers = set(known.values())
    found: dict[Visit, Visit] = {}
    for place, visit in enumerate(visits):
        if place == 0 or visit in above:
            continue
        began, ended = _shown(visit)[0], _end(visit)
        before = [one for one in visits[:place] if one.service != visit.service]
        if visit in callers:
            before = [one for one in before if visit not in _chain(one, above)]
        around = [one for one in before if _end(one) >= ended]
        running = [one for one in before if _end(one) >= began]
        if around:
            caller = min(around, key=lambda one: _end(one) - _shown(one)[0])
        elif running:
            caller = running[-1]
        elif before:
            caller = max(before, key=_end)
        else:
            continue
        above[visit] = found[visit] = caller
    return found


def _shown(visit: Visit) -> tuple[int, int]:
    """When a visit began and minus its length, so that of two that began together the longer one is the first."""
    return min(visit.began + visit.shift, visit.lines[0].shown), -(visit.ended - visit.began)


def _end(visit: Visit) -> int:
    return max(visit.ended + visit.shift, visit.lines[-1].shown)


def hops_of(links: Iterable[Link], began: int) -> list[Hop]:
    """Return the links as hops, in order; `began` is when the story did, by the common clock."""
    found = [_hop(link, began) for link in links]
    return sorted(found, key=lambda hop: (hop.offset_ns, -hop.duration_ns, hop.caller, hop.to))


def _hop(link: Link, began: int) -> Hop:
    call, called = link.call, link.called
    at = length = 0
    to, status = "", None
    if called is not None:
        at, to, status = _shown(called)[0], called.service, called.exchange.status if called.exchange else None
        length = _end(called) - at
    elif call is not None:
        at, length, to = call.began + link.caller.shift, call.ended - call.began, call.service
    if status is None and call is not None:
        status = call.exchange.status
    return Hop(link.caller.service, to, link.how, max(0, at - began), max(0, length), status)
