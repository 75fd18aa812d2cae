"""A story put together from its records: their order, whose clock was wrong, where it came in and who called whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shipper.search.story_calls import Hop, all_links, entry_of, hops_of, known_links, statuses, within
from shipper.search.story_clocks import by_calls, by_delays
from shipper.search.story_lines import Line
from shipper.search.story_order import order
from shipper.search.story_usual import Entry
from shipper.search.story_visits import visits_of


@dataclass(frozen=True, slots=True)
class Told:
    """What the records of one request say together."""

    #: In order; each has its shown time.
    lines: list[Line]
    #: By host, nanoseconds; only of clocks that were wrong.
    shifts: dict[str, int]
    entry: Entry | None
    #: The service whose record says what was asked.
    asked: str
    hops: list[Hop]
    #: What each service answered last.
    statuses: dict[str, int]
    #: Services that were called, as their callers say, and have no record; with the caller.
    unheard: dict[str, str]


def put_together(lines: Sequence[Line], delays: Mapping[str, Sequence[int]]) -> Told:
    """Put the records of a request together; `delays` are those of its hosts (see `story_clocks.delays_of`)."""
    rough = by_delays(delays)
    visits = visits_of(lines)
    known = known_links(visits, rough)
    shifts = by_calls(rough, within(known))
    ordered = order(lines, shifts)
    entry, asked = entry_of(visits)
    links = all_links(visits, known)
    hops = hops_of(links, ordered[0].shown if ordered else 0)
    present = {line.service for line in lines}
    unheard = {
        link.call.service: link.caller.service
        for link in links
        if link.called is None and link.call is not None and link.call.service not in present
    }
    return Told(ordered, shifts, entry, asked, hops, statuses(visits), unheard)
