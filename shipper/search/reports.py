"""What hosts say of themselves, read from the newest reports: starts and ends, events, drops, how full the queues are.

Reports come from the network: a figure that is not what it should be counts as not given, and every text is cut.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from shipper.record.times import to_ns, utc
from shipper.search.ledger import Report

#: The queues of a host, and the letters in which the series end that go through them.
QUEUES: Final = {"warning": "w", "normal": "nfj", "heartbeat": "h"}
#: Events kept of one host; a reader names the newest of its own.
MOST_EVENTS: Final = 100
#: Characters kept of an event, and of its detail.
_LONGEST: Final = 200
#: A sequence has ten digits in an id; no number of a series is higher.
_LAST_NUMBER: Final = 9_999_999_999
_MOST_COUNT: Final = 2**63 - 1
#: Names of starts begin with the time: of a reader (`shipper.record.ids.new_start`) in base 36, of rsyslogd
#: (`rsyslog/start`) in hexadecimal.
_READER_START: Final = re.compile(r"([0-9a-z]{7})[0-9a-z]{5}", re.ASCII)
_RSYSLOGD_START: Final = re.compile(r"([0-9a-f]{8})[0-9a-f]{8}", re.ASCII)
#: How a program says that it ended as it was asked to.
_CLEAN: Final = re.compile(r"(clean|exit(ed)?( code| with)? 0|signal 15|SIGTERM)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on a host, at nanoseconds since 1970 of its clock."""

    at: int
    event: str
    detail: str = ""

    @property
    def kill(self) -> bool:
        """Whether rsyslogd ended in a way that loses what it had only in memory."""
        return self.event == "rsyslogd ended" and _CLEAN.match(self.detail) is None

    @property
    def disk_full(self) -> bool:
        """Whether it says that a disk had no room."""
        said = f"{self.event} {self.detail}".lower()
        return "no space left" in said or "disk full" in said


@dataclass(frozen=True, slots=True)
class Numbered:
    """What a reader says of one series: the last number it gave out, and how many it dropped itself."""

    last: int
    dropped: int


@dataclass(frozen=True, slots=True)
class ReaderStart:
    """One start of a host's reader, as of its newest report."""

    start: str
    #: When it began, as its name says; None when the name says nothing.
    started_at: int | None
    #: Time of the report.
    at: int
    boot: str
    #: Whether this is its last word, and whether it was its own.
    ended: bool
    clean: bool
    series: Mapping[str, Numbered]
    events: tuple[Event, ...]
    #: Other figures that are counts: backlog_records, unresolved, queue_bytes, queue_limit_bytes, disk_free_bytes.
    figures: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class QueueStart:
    """One queue in one start of rsyslogd, memory and disk part together, as of its newest counters."""

    start: str
    queue: str
    started_at: int | None
    at: int
    #: Records in it, and how many of them wait on disk.
    size: int
    on_disk: int
    #: Records it dropped because it was full.
    dropped: int


@dataclass(frozen=True, slots=True)
class HostReports:
    """All that one host said of itself; oldest start first, newest event first."""

    host: str
    readers: tuple[ReaderStart, ...]
    queues: tuple[QueueStart, ...]
    events: tuple[Event, ...]

    def reader_of(self, series: str) -> ReaderStart | None:
        """Return the start of the reader that numbered a series; None when no report names it."""
        return next((one for one in self.readers if series in one.series), None)

    def after(self, reader: ReaderStart) -> ReaderStart | None:
        """Return the start that followed; None for the newest."""
        place = self.readers.index(reader) + 1
        return self.readers[place] if place < len(self.readers) else None

    def end(self, reader: ReaderStart) -> str:
        """Return how a start ended: "open" (not yet), "clean", "killed", or "gone" (without a word)."""
        if reader.ended:
            return "clean" if reader.clean else "killed"
        return "open" if self.after(reader) is None else "gone"


def queue_of(series: str) -> str:
    """Return the queue that a series goes through: "warning", "normal", "heartbeat", or "" for none on a host."""
    letter = series[-1:]
    return next((queue for queue, letters in QUEUES.items() if letter and letter in letters), "")


def hosts_of(reports: Iterable[Report]) -> dict[str, HostReports]:
    """Put the reports of each host together, by host."""
    by_host: dict[str, list[Report]] = {}
    for report in reports:
        by_host.setdefault(report.host, []).append(report)
    return {host: _host(host, found) for host, found in sorted(by_host.items())}


def last_numbers(hosts: Iterable[HostReports]) -> dict[tuple[str, str], int]:
    """Return the last number given out, by host and series."""
    return {
        (host.host, series): numbered.last
        for host in hosts
        for reader in host.readers
        for series, numbered in reader.series.items()
        if numbered.last
    }


def _host(host: str, reports: list[Report]) -> HostReports:
    readers = [_reader(report) for report in reports if report.name == "reader"]
    readers.sort(key=lambda one: (one.started_at or one.at, one.at))
    return HostReports(host, tuple(readers), _queues(reports), _events(readers))


def _reader(report: Report) -> ReaderStart:
    figures = report.figures
    return ReaderStart(
        start=report.start,
        started_at=started_at(report.start),
        at=report.updated_at,
        boot=str(figures.get("boot", ""))[:_LONGEST],
        ended=figures.get("ended") is True,
        clean=figures.get("clean") is not False,
        series=_series(figures.get("series")),
        events=tuple(_told(figures.get("events"))),
        figures={name: value for name, value in figures.items() if _count(value) is not None},
    )


def _series(given: Any) -> dict[str, Numbered]:
    found = {}
    for one in given if isinstance(given, list) else ():
        name = one.get("series") if isinstance(one, dict) else None
        last = _count(one.get("last")) if isinstance(name, str) else None
        if last is not None and last <= _LAST_NUMBER:
            found[str(name)] = Numbered(last, min(last, _count(one.get("dropped")) or 0))
    return found


def _told(given: Any) -> Iterable[Event]:
    for one in given[-MOST_EVENTS:] if isinstance(given, list) else ():
        at = utc(str(one.get("at", ""))) if isinstance(one, dict) else None
        if at is not None:
            yield Event(to_ns(at), str(one.get("event", ""))[:_LONGEST], str(one.get("detail", ""))[:_LONGEST])


def _queues(reports: list[Report]) -> tuple[QueueStart, ...]:
    found: dict[tuple[str, str], QueueStart] = {}
    for report in reports:
        name, part, rest = report.name.partition(" queue")
        if name not in QUEUES or not part or rest not in ("", "[DA]"):
            continue
        old = found.get((report.start, name)) or QueueStart(report.start, name, started_at(report.start), 0, 0, 0, 0)
        size, full, near = (_count(report.figures.get(key)) or 0 for key in ("size", "discarded.full", "discarded.nf"))
        found[report.start, name] = QueueStart(
            start=report.start,
            queue=name,
            started_at=old.started_at,
            at=max(old.at, report.updated_at),
            size=old.size + size,
            on_disk=old.on_disk + (size if rest else 0),
            dropped=old.dropped + full + near,
        )
    return tuple(sorted(found.values(), key=lambda one: (one.queue, one.started_at or one.at)))


def _events(readers: list[ReaderStart]) -> tuple[Event, ...]:
    """Return what the readers told, and what their starts and ends say themselves; newest first."""
    found = {event for reader in readers for event in reader.events}
    for reader in readers:
        if reader.started_at is not None:
            found.add(Event(reader.started_at, "reader started", reader.start[:_LONGEST]))
        if reader.ended and reader.clean:  # how another ended, its holder tells
            found.add(Event(reader.at, "reader ended", "clean"))
    for before, reader in pairwise(readers):
        again = reader.boot != before.boot and reader.boot and before.boot
        if again:
            found.add(Event(reader.started_at or reader.at, "host booted", reader.boot))
        if not before.ended:
            found.add(Event(before.at, "last report", "then the host was gone" if again else "the reader said no more"))
    return tuple(sorted(found, key=lambda one: (-one.at, one.event, one.detail))[:MOST_EVENTS])


def started_at(start: str) -> int | None:
    """Return the time in the name of a start, nanoseconds since 1970; None when the name has none."""
    for pattern, base in ((_READER_START, 36), (_RSYSLOGD_START, 16)):
        if found := pattern.fullmatch(start):
            return int(found[1], base) * 1_000_000_000
    return None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_COUNT else None
