"""Why numbers are missing: every hole gets its reason, and the reasons of a host add up to what is missing there.

Counters are exact but name no number, events have a time but no count. So counters are spent first, on the holes that
fit them best; then what may still come; then events, up to what they can have cost. What is left is unexplained.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shipper.record.times import from_ns
from shipper.search.holes import DELAY_NS, LATE_NS, SILENT_NS, Hole, Kind, Presence
from shipper.search.reports import HostReports, QueueStart, queue_of

#: In a queue whose disk part is empty no record is older: rsyslogd waits 90 s for an answer, then sends again.
IN_FLIGHT_NS: Final = 120 * 1_000_000_000
#: What one kill of rsyslogd can cost per queue: queue.size and, for each worker, a batch and a window.
MOST_AT_RISK: Final = 20_000 + 2 * (256 + 512)
#: What a stop of rsyslogd while no shipper answers can cost per queue: a window and a batch of each of its two workers.
#: What was sent and not answered is in the session alone, and a shipper that has ended, too, has it no more; a batch
#: whose connection broke in the middle rsyslogd counts as sent.
MOST_UNANSWERED: Final = 2 * (256 + 512)
#: A queue writes files of so many bytes: with less free its disk is full.
DISK_FULL_BYTES: Final = 16 * 2**20
_SENTENCES: Final = {
    Kind.LATE: "may still come: {}",
    Kind.READER: "dropped at the host: the reader's backlog was full while rsyslogd was away or busy",
    Kind.QUEUE: "dropped at the host: rsyslogd's queue was full",
    Kind.DISK: "dropped at the host: the disk of rsyslogd's queue was full",
    Kind.RSYSLOGD: "lost with rsyslogd, {}",
    Kind.TAIL: "lost with the {}",
    Kind.UNEXPLAINED: "unexplained: {}",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """The holes of one host with their reasons, and what its counters say beyond what is missing."""

    #: In the order in which they were given.
    holes: list[Hole]
    #: By series: dropped by the reader, and yet not missing.
    reader_surplus: dict[str, int]
    #: By queue: dropped by it, and yet not missing.
    queue_surplus: dict[str, int]


def explain(holes: Sequence[Hole], host: HostReports | None, there: Presence) -> Explained:
    """Give every hole of one host its reasons. `host` is None when it never sent a report."""
    book = _Book(holes, there)
    if host is None:
        book.late_without_reports()
        return Explained(book.done(None), {}, {})
    dropped = {series: one.dropped for reader in host.readers for series, one in reader.series.items() if one.dropped}
    reader_surplus = {series: book.dropped_by_reader(series, count, host) for series, count in dropped.items()}
    queue_surplus: dict[str, int] = {}
    for start in host.queues:
        surplus = book.dropped_by_queue(start, host)
        queue_surplus[start.queue] = queue_surplus.get(start.queue, 0) + surplus
    if host.readers:
        book.late(host)
    else:
        book.late_without_reports()
    book.tails(host)
    book.killed(host)
    book.disk_full(host)
    book.stopped(host)
    return Explained(
        book.done(host),
        {series: count for series, count in reader_surplus.items() if count},
        {queue: count for queue, count in queue_surplus.items() if count},
    )


class _Line:
    """A hole, how many of its numbers have no reason yet, and what the others were given for one."""

    __slots__ = ("at", "hole", "kinds", "left")

    def __init__(self, hole: Hole) -> None:
        self.hole, self.left = hole, hole.missing
        self.kinds: dict[Kind, int] = {}
        #: What the sentence of a kind says the time of.
        self.at: dict[Kind, str] = {}

    def take(self, kind: Kind, most: int | None, at: str = "") -> int:
        """Explain up to `most` of it (None: all that is left); return how many."""
        taken = self.left if most is None else min(most, self.left)
        if taken:
            self.kinds[kind] = self.kinds.get(kind, 0) + taken
            self.at.setdefault(kind, at)
            self.left -= taken
        return taken


class _Book:
    """The holes of one host while their reasons are found."""

    def __init__(self, holes: Sequence[Hole], there: Presence) -> None:
        self._lines = [_Line(hole) for hole in holes]
        self._there = there
        #: What can be known: a silent host said nothing of what came later.
        self._as_of = there.heard_at if there.state == "silent" else there.now
        #: The queues that holes are of.
        self._queues = sorted({queue_of(hole.series) for hole in holes} - {""})

    def dropped_by_reader(self, series: str, count: int, host: HostReports) -> int:
        """Spend what the reader dropped of a series, first where rsyslogd was away; return what is left of it."""
        away = [event.at for event in host.events if event.event.startswith("rsyslogd ")]
        lines = [line for line in self._lines if line.hole.series == series]
        lines.sort(key=lambda line: (not any(line.hole.fits(at, at) for at in away), -line.left))
        return _spend(lines, Kind.READER, count)

    def dropped_by_queue(self, start: QueueStart, host: HostReports) -> int:
        """Spend what a queue dropped on the largest holes of its time; return what is left of it."""
        later = [one.started_at or one.at for one in host.queues if one.queue == start.queue and one.at > start.at]
        first, last = start.started_at or 0, min(later, default=start.at + DELAY_NS)
        lines = [line for line in self._of(start.queue) if line.hole.concerns(first, last)]
        lines.sort(key=lambda line: (not line.hole.fits(first, last), -line.left))
        return _spend(lines, Kind.QUEUE, start.dropped)

    def late_without_reports(self) -> None:
        """Without a host's word, age is all there is to go by."""
        self._young(self._lines)

    def late(self, host: HostReports) -> None:
        """Take out what may still come: what is young, and as much as waits in the host's queues."""
        self._young(self._of(""))
        for queue in self._queues:
            lines, text = self._of(queue), self._wait(host, queue)
            for line in lines:
                if self._as_of - _age_from(line.hole) < IN_FLIGHT_NS:
                    line.take(Kind.LATE, None, text)
            waiting, on_disk = _waiting(host, queue)
            # What waits in memory is newer than all that was settled; what waits on disk may be older.
            lines.sort(key=lambda line: -line.hole.until)
            _spend([line for line in lines if line.hole.open], Kind.LATE, waiting, text)
            _spend(lines, Kind.LATE, on_disk, text)

    def tails(self, host: HostReports) -> None:
        """Explain what was lost with a reader, or with the whole host."""
        for reader in host.readers:
            after = host.after(reader)
            if (reader.ended and reader.clean) or (after is None and not reader.ended):
                continue
            last = reader.at if reader.ended or after is None else after.started_at or after.at
            lines = [line for line in self._lines if line.hole.series in reader.series]
            lines = [line for line in lines if line.hole.fits(reader.at, last)]
            # A killed reader leaves its backlog and the record in its hand; of a host that is gone nobody knows.
            backlog = reader.figures.get("backlog_records") if reader.ended else None
            most = None if backlog is None else backlog + 1
            _spend(lines, Kind.TAIL, most, _gone(reader.at, killed=reader.ended))

    def killed(self, host: HostReports) -> None:
        """Explain what was lost with a killed rsyslogd, up to what it can have held."""
        for event in (event for event in host.events if event.kill):
            text = f"killed at {_moment(event.at)} (at risk: its queue in memory, one batch and one window)"
            for queue in self._queues:
                _spend(self._fitting(queue, event.at), Kind.RSYSLOGD, MOST_AT_RISK, text)

    def stopped(self, host: HostReports) -> None:
        """Explain what rsyslogd had sent when it was stopped, and nobody has answered."""
        for event in (event for event in host.events if event.event == "rsyslogd ended" and not event.kill):
            text = f"stopped at {_moment(event.at)} (at risk: what it had sent and no shipper had answered)"
            for queue in self._queues:
                _spend(self._fitting(queue, event.at), Kind.RSYSLOGD, MOST_UNANSWERED, text)

    def disk_full(self, host: HostReports) -> None:
        """Explain what no counter of rsyslogd names: records that its disk had no room for."""
        times = [event.at for event in host.events if event.disk_full]
        if host.readers and host.readers[-1].figures.get("disk_free_bytes", DISK_FULL_BYTES) < DISK_FULL_BYTES:
            times.append(host.readers[-1].at)
        for line in self._lines:
            if queue_of(line.hole.series) and any(line.hole.fits(at, at) for at in times):
                line.take(Kind.DISK, None)

    def done(self, host: HostReports | None) -> list[Hole]:
        """Return the holes with their reasons; what nothing explained is unexplained."""
        silent = host is None or not host.readers
        why = "the host sends no reports" if silent else "no counter and no event of the host says why"
        for line in self._lines:
            line.take(Kind.UNEXPLAINED, None, why)
        return [replace(line.hole, kinds=line.kinds, reason=_reason(line)) for line in self._lines]

    def _young(self, lines: Iterable[_Line]) -> None:
        for line in lines:
            if self._there.now - line.hole.until < LATE_NS:
                line.take(Kind.LATE, None, "it may be on its way")

    def _fitting(self, queue: str, at: int) -> list[_Line]:
        """Holes of a queue that something at that time is likely to have made, the largest first."""
        lines = [line for line in self._of(queue) if line.hole.fits(at, at)]
        return sorted(lines, key=lambda line: -line.left)

    def _of(self, queue: str) -> list[_Line]:
        return [line for line in self._lines if queue_of(line.hole.series) == queue]

    def _wait(self, host: HostReports, queue: str) -> str:
        if self._there.state == "silent":
            return f"the host has been silent for {self._there.silence}"
        counted = _newest(host, queue)
        if counted is not None and counted.size:
            return f"{counted.size:,} records wait in the host's queue"
        return (
            "the host's queue is not empty" if host.readers[-1].figures.get("queue_bytes") else "it may be on its way"
        )


def _spend(lines: Iterable[_Line], kind: Kind, budget: int | None, at: str = "") -> int:
    """Explain holes in order until the budget is spent (None: without limit); return what is left of it."""
    left = budget
    for line in lines:
        taken = line.take(kind, left, at)
        left = None if left is None else left - taken
    return left or 0


def _newest(host: HostReports, queue: str) -> QueueStart | None:
    return max((one for one in host.queues if one.queue == queue), key=lambda one: one.at, default=None)


def _age_from(hole: Hole) -> int:
    """From when a hole is known: a series that goes on is reported again and again, so its end looks new for ever."""
    return hole.since if hole.open and hole.since is not None else hole.until


def _waiting(host: HostReports, queue: str) -> tuple[int | None, int | None]:
    """Return how many records wait in a queue, and how many of them on disk; None: some, nobody counts them."""
    counted, newest = _newest(host, queue), host.readers[-1]
    if counted is not None and counted.at >= newest.at - SILENT_NS:
        return counted.size, counted.on_disk
    return (None, None) if newest.figures.get("queue_bytes") else (0, 0)


def _reason(line: _Line) -> str:
    told = [(count, _SENTENCES[kind].format(line.at[kind])) for kind, count in line.kinds.items()]
    return told[0][1] if len(told) == 1 else "; ".join(f"{count:,} {sentence}" for count, sentence in told)


def _gone(at: int, *, killed: bool) -> str:
    return f"reader, killed at about {_moment(at)}" if killed else f"host or its reader, last heard of at {_moment(at)}"


def _moment(at: int) -> str:
    return from_ns(at)[:19].replace("T", " ")
