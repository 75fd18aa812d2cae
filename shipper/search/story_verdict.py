"""One verdict on a request: complete, possibly incomplete, or incomplete because of what is known to be missing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shipper.search.holes import Hole
from shipper.search.story_lines import Line
from shipper.search.story_usual import Silent


@dataclass(frozen=True, slots=True)
class Verdict:
    """Its state is "complete", "possibly incomplete" or "incomplete"; the reasons are words, none when complete."""

    state: str
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class Findings:
    """What may be missing from a story that was told."""

    #: Why the answer itself is not whole: it was cut, or a part of the store could not be read.
    unread: Sequence[str]
    #: What the ledger could not say.
    unknown: Sequence[str]
    holes: Sequence[Hole]
    silent: Sequence[Silent]
    #: Hosts on which silent services run.
    homes: Mapping[str, Sequence[str]]


def judge(lines: Sequence[Line], found: Findings) -> Verdict:
    """Weigh what was found.

    Sure are: an answer that is not whole, numbers missing between two records of this request, and a silent service
    with a hole on a host where it runs, at about that time.
    """
    ends = _ends(lines)
    first = min((line.shown for line in lines), default=0)
    last = max((line.shown for line in lines), default=0)
    sure, possible = list(found.unread), []
    for hole in found.holes:
        silent = [one.service for one in found.silent if hole.host in found.homes.get(one.service, ())]
        lowest, highest = ends.get(hole.series, (0, 0))
        if lowest < hole.first and hole.last < highest:
            sure.append(f"{hole.told}, between records of this request")
        elif silent and hole.fits(first, last):
            sure.append(f"{hole.told}, where {' and '.join(silent)} runs, which is silent here")
        else:
            possible.append(hole.told)
    possible += found.unknown
    possible += [one.why for one in found.silent if not one.explained]
    if sure:
        return Verdict("incomplete", sure + possible)
    return Verdict("possibly incomplete" if possible else "complete", possible)


def _ends(lines: Iterable[Line]) -> dict[str, tuple[int, int]]:
    """Return the first and the last number that a request has in each series."""
    found: dict[str, tuple[int, int]] = {}
    for line in lines:
        if line.sequence >= 0:
            first, last = found.get(line.series, (line.sequence, line.sequence))
            found[line.series] = min(first, line.sequence), max(last, line.sequence)
    return found
