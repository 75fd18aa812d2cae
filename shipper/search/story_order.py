"""The records of a story in the order in which they were written, by one clock."""

from collections.abc import Iterable, Mapping

from shipper.search.story_lines import Line


def order(lines: Iterable[Line], shifts: Mapping[str, int]) -> list[Line]:
    """Set when each was written by the common clock, and return them in that order.

    Within a series their numbers are the order, whatever their times say: a record that claims an earlier time than
    the one before it is shown at the time of that one.
    """
    placed: list[tuple[tuple[int, int, str, int], Line]] = []
    latest: dict[str, tuple[int, int]] = {}
    for line in sorted(lines, key=lambda line: (line.series, line.sequence)):
        shift = shifts.get(line.host, 0)
        at, read = line.at + shift, line.created + shift
        if line.sequence >= 0:
            before = latest.get(line.series, (at, read))
            at, read = latest[line.series] = max(at, before[0]), max(read, before[1])
        line.shown = max(at, 0)
        placed.append(((line.shown, read, line.series, line.sequence), line))
    placed.sort(key=lambda pair: pair[0])
    return [line for _, line in placed]
