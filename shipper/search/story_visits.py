"""The visits of a request: each time that a service was asked for its part, and whom it asked itself, from its log."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from shipper.search.story_lines import Exchange, Line

_CHANGING: Final = re.compile(r"[0-9A-Fa-f]*\d[0-9A-Fa-f]*", re.ASCII)


@dataclass(slots=True, eq=False)
class Visit:
    """One time that a service handled a part of the request, on one host. Times are by that host's clock."""

    service: str
    host: str
    lines: list[Line]
    began: int
    ended: int
    #: How it ended, by its own HTTP log.
    exchange: Exchange | None = None
    #: When it answered, by that log; 0 when it has none.
    answered: int = 0
    spans: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)
    #: Whether only time says where it begins and ends.
    vague: bool = False

    @property
    def shift(self) -> int:
        """What its clock was moved by."""
        return self.lines[0].shown - self.lines[0].at


@dataclass(slots=True, eq=False)
class Call:
    """One request to another service, as the caller's log tells of it."""

    caller: Visit
    #: The service that was called; "" when only the path tells.
    service: str
    exchange: Exchange
    began: int
    ended: int


@dataclass(frozen=True, slots=True)
class Visits:
    """All visits of a request, and all calls that their logs tell of."""

    visits: list[Visit]
    calls: list[Call]


def visits_of(lines: Iterable[Line]) -> Visits:
    """Cut what each service wrote into its visits."""
    groups: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.service, line.host, line.task].append(line)
    services = {service for service, _, _ in groups}
    found = Visits([], [])
    for group in groups.values():
        group.sort(key=lambda line: line.at)
        _cut(group, services, found)
    return found


def _cut(group: list[Line], services: Collection[str], found: Visits) -> None:
    calling = _outgoing(group, services)
    spanned = any(line.span and line.parent for line in group)
    visits = _by_span(group) if spanned else _by_answer(group, calling)
    found.visits.extend(visits)
    for visit in visits:
        for line in visit.lines:
            if line in calling and line.exchange is not None and line.exchange.status is not None:
                began = line.at - line.exchange.duration
                found.calls.append(Call(visit, calling[line], line.exchange, began, line.at))


def _outgoing(group: Sequence[Line], services: Collection[str]) -> dict[Line, str]:
    """Return the records that tell of a call to another service, and which; "" when only the path tells."""
    found: dict[Line, str] = {}
    own: list[tuple[int, int, Line]] = []
    for line in group:
        exchange = line.exchange
        if exchange is None:
            continue
        called = service_named(exchange, services)
        if called and called != line.service:
            found[line] = called
        elif exchange.status is not None:
            own.append((line.at - exchange.duration, line.at, line))
    own.sort(key=lambda one: (one[0], -one[1]))
    around: tuple[int, int, Line] | None = None
    for began, ended, line in own:
        if around is not None and ended <= around[1] and _key(line) != _key(around[2]):
            found[line] = ""  # within a longer exchange of the same program about something else: it asked for that
        elif around is None or ended > around[1]:
            around = began, ended, line
    return found


def _key(line: Line) -> object:
    return line.exchange.key if line.exchange is not None else None


def service_named(exchange: Exchange, services: Collection[str]) -> str:
    """Return the service that an exchange says it called: one of these, or one that is surely a service; "": none."""
    target = exchange.target
    if not target or target in services:
        return target
    first = target.partition(".")[0]
    if first in services:
        return first
    longer = [service for service in services if service.endswith(f"-{first}")]  # "payments" is what shop-payments is
    if len(longer) == 1:
        return longer[0]
    return target if exchange.sure else ""


def _by_span(group: Sequence[Line]) -> list[Visit]:
    """One visit for each span that comes from outside, with the spans below it."""
    above = {line.span: line.parent for line in group if line.span and line.parent}
    visits: dict[str, list[Line]] = {}
    last = next(_top(line.span, above) for line in group if line.span and line.parent)
    for line in group:
        last = _top(line.span, above) if line.span else last
        visits.setdefault(last, []).append(line)
    found = []
    for top, lines in visits.items():
        visit = _visit(lines)
        visit.spans = {line.span for line in lines if line.span}
        visit.parents = {above[top]} if top in above else set()
        found.append(visit)
    return found


def _top(span: str, above: dict[str, str]) -> str:
    seen = {span}
    while (parent := above.get(span, "")) in above and parent not in seen:
        seen.add(parent)
        span = parent
    return span


def _by_answer(group: Sequence[Line], calling: Collection[Line]) -> list[Visit]:
    """One visit for each answer in its HTTP log, else one for all."""
    found, lines = [], []
    for line in group:
        lines.append(line)
        exchange = line.exchange
        if exchange is not None and exchange.status is not None and line not in calling:
            found.append(_visit(lines, line))
            lines = []
    if lines and not found:
        vague = _visit(lines)
        vague.vague = True
        return [vague]
    if lines:
        found[-1].lines += lines  # written after the answer
        found[-1].ended = max(found[-1].ended, lines[-1].at)
    return found


def _visit(lines: list[Line], answer: Line | None = None) -> Visit:
    if answer is None:
        answers = [one for one in lines if one.exchange is not None and one.exchange.status is not None]
        own = [one for one in answers if one.exchange is not None and not one.exchange.target]
        answer = own[-1] if own else None
    exchange = answer.exchange if answer is not None else None
    began = lines[0].at
    if answer is not None and exchange is not None:
        began = min(began, answer.at - exchange.duration)
    spans = {line.span for line in lines if line.span}
    answered = answer.at if answer is not None else 0
    return Visit(lines[0].service, lines[0].host, list(lines), began, lines[-1].at, exchange, answered, spans)


def retried(visit: Visit, caller: Sequence[int]) -> list[Visit]:
    """Cut a visit that only time tells of where its first words come again and its caller wrote in between.

    `caller` is when its caller wrote, by the common clock, sorted.
    """
    opening = _words(visit.lines[0])
    parts: list[list[Line]] = [[]]
    for line in visit.lines:
        if parts[-1] and _words(line) == opening and _between(caller, parts[-1][-1].shown, line.shown):
            parts.append([])
        parts[-1].append(line)
    if len(parts) == 1:
        return [visit]
    cut = [_visit(lines) for lines in parts]
    for one in cut:
        one.vague = True
    return cut


def _between(times: Sequence[int], after: int, before: int) -> bool:
    place = bisect_right(times, after)
    return place < len(times) and times[place] < before


def _words(line: Line) -> str:
    message = line.record.get("message")
    return _CHANGING.sub("#", message[:80]) if isinstance(message, str) else ""
