"""What the API answers of the ledger: every series with its holes and why, every host with what it reports."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, Field

from shipper.api.accounts import Account, Books, HostAccount
from shipper.record.times import from_ns
from shipper.search.holes import Hole, Kind, tally
from shipper.search.reports import HostReports, ReaderStart

#: Holes listed of one series; the count of missing numbers is always of all.
MOST_HOLES = 100
#: Newest events and newest starts listed of one host; their counts are always of all.
MOST_EVENTS = 20
MOST_STARTS = 10
_KINDS = (
    "missing numbers by reason: late, dropped_by_reader, dropped_by_queue, queue_disk_full, lost_with_rsyslogd, tail "
    "(lost with its reader or host), unexplained; they add up to missing"
)

Document = dict[str, Any]


class HoleAnswer(BaseModel):
    """Numbers of a series that were never settled."""

    host: str
    series: str
    first: int
    last: int
    missing: int = Field(description="how many records that is")
    since: str | None = Field(description="when the number before was settled; null at the start of the series")
    until: str = Field(description="when a number after it was settled first, or the end of the series was reported")
    kind: str = Field(description="the reason of most of it")
    kinds: dict[str, int] = Field(description="its numbers by reason")
    reason: str = Field(description="the same in words")
    late: bool = Field(description="all of it may still come")


class SeriesAnswer(BaseModel):
    """One series of a host: one start of what numbers its records, one class of importance."""

    host: str
    series: str
    importance: str = Field(description='"warning and above", "below warning", …, or "" when no host stamped it')
    queue: str = Field(description='queue of the host that it goes through; "" for none')
    end: str = Field(description='"open", "clean", "killed", "gone" (without a word), or "" when no report names it')
    last: int = Field(description="highest number known, settled or reported; numbers start at 1")
    settled: dict[str, int] = Field(description="numbers by fate: stored, rejected (dead letters), discarded:<reason>")
    duplicates: int
    missing: int
    kinds: dict[str, int] = Field(description=_KINDS)
    counted_not_missing: int = Field(description="numbers that the reader says it dropped, and that are not missing")
    holes: list[HoleAnswer]
    updated_at: str
    alarm: bool = Field(description="something is missing that nothing explains")


class QueueAnswer(BaseModel):
    """One queue of a host's rsyslogd, and the balance of the series that go through it."""

    queue: str = Field(description="warning, normal or heartbeat")
    missing: int
    kinds: dict[str, int] = Field(description=_KINDS)
    dropped: int = Field(description="records that the queue itself counted as dropped, over all starts of rsyslogd")
    counted_not_missing: int = Field(description="how many of those are not missing")
    records: int | None = Field(description="records that wait in it, as last reported; null: nobody says")
    records_on_disk: int | None


class StartAnswer(BaseModel):
    """One start of a host's reader or of its rsyslogd."""

    start: str
    started_at: str | None
    last_report: str
    end: str = Field(description='of a reader: "open", "clean", "killed" or "gone"; "" for rsyslogd, see events')


class EventAnswer(BaseModel):
    """Something that happened on a host."""

    at: str
    event: str
    detail: str


class HostAnswer(BaseModel):
    """One host, as its newest reports describe it; null where it reports nothing."""

    host: str
    state: str = Field(
        description='"reporting", "silent" (no report for 30 s), "stopped" or "unknown" (no report ever)'
    )
    silent_since: str | None
    last_report: str | None = Field(description="host time of its newest report")
    last_report_age_seconds: float | None
    clock_difference_seconds: float | None = Field(description="our time minus the host's, when that report came")
    boot: str | None
    reader_starts: int
    clean_ends: int = Field(description="starts of the reader that ended with a goodbye")
    rsyslogd_starts: int
    readers: list[StartAnswer] = Field(description=f"newest first, at most {MOST_STARTS}")
    rsyslogds: list[StartAnswer] = Field(description=f"newest first, at most {MOST_STARTS}")
    backlog_records: int | None = Field(description="records that the reader holds while rsyslogd is away")
    unresolved: int | None = Field(description="records whose container or task was not found")
    queue_bytes: int | None
    queue_limit_bytes: int | None
    queue_percent: float | None
    disk_free_bytes: int | None
    queues: list[QueueAnswer]
    events: list[EventAnswer] = Field(description=f"newest first, at most {MOST_EVENTS}")
    missing: int
    kinds: dict[str, int] = Field(description=_KINDS)
    alarm: bool = Field(description="silent for 5 minutes, or something is missing that nothing explains")


class Totals(BaseModel):
    """Sums over all series."""

    hosts: int
    series: int
    settled: int
    rejected: int
    duplicates: int
    missing: int
    kinds: dict[str, int] = Field(description=_KINDS)


class LedgerAnswer(BaseModel):
    """What every host sent and what became of it."""

    series: list[SeriesAnswer]
    hosts: list[HostAnswer]
    totals: Totals
    alarm: bool
    incomplete: list[str]


def ledger_answer(found: Books) -> Document:
    """Return a `LedgerAnswer`."""
    return {
        "series": [_series(account) for account in found.accounts],
        "hosts": [host_answer(host) for host in found.hosts],
        "totals": totals(found),
        "alarm": found.alarm,
        "incomplete": found.notes,
    }


def hole_answer(hole: Hole) -> Document:
    """Return a `HoleAnswer`."""
    return {
        "host": hole.host,
        "series": hole.series,
        "first": hole.first,
        "last": hole.last,
        "missing": hole.missing,
        "since": None if hole.since is None else from_ns(hole.since),
        "until": from_ns(hole.until),
        "kind": hole.kind.value,
        "kinds": by_name(hole.kinds),
        "reason": hole.reason,
        "late": hole.late,
    }


def totals(found: Books) -> Document:
    """Return `Totals`."""
    accounts = found.accounts
    return {
        "hosts": len(found.hosts),
        "series": len(accounts),
        "settled": sum(account.settled for account in accounts),
        "rejected": sum(account.rejected for account in accounts),
        "duplicates": sum(account.ledger.duplicates for account in accounts),
        **_missing(accounts),
    }


def by_name(kinds: Mapping[Kind, int]) -> dict[str, int]:
    """Return reasons by the names that people see; orjson takes no other keys."""
    return {kind.value: count for kind, count in kinds.items()}


def _missing(accounts: Iterable[Account]) -> Document:
    kinds = tally(hole for account in accounts for hole in account.holes)
    return {"missing": sum(kinds.values()), "kinds": by_name(kinds)}


def _series(account: Account) -> Document:
    line = account.ledger
    return {
        "host": line.host,
        "series": line.series,
        "importance": account.importance,
        "queue": account.queue,
        "end": account.end,
        "last": line.last,
        "settled": line.settled,
        "duplicates": line.duplicates,
        "missing": line.missing,
        "kinds": by_name(account.kinds),
        "counted_not_missing": account.surplus,
        "holes": [hole_answer(hole) for hole in account.holes[:MOST_HOLES]],
        "updated_at": from_ns(line.updated_at),
        "alarm": account.alarm,
    }


def host_answer(host: HostAccount) -> Document:
    """Return a `HostAnswer`."""
    reader, reports = host.reader, host.reports
    readers = reports.readers if reports is not None else ()
    events = reports.events[:MOST_EVENTS] if reports is not None else ()
    silent = host.there.state == "silent"
    return {
        "host": host.host,
        "state": host.there.state,
        "silent_since": from_ns(host.there.heard_at) if silent else None,
        "last_report": None if reader is None else from_ns(reader.at),
        "last_report_age_seconds": None if reader is None else _seconds(host.there.now - host.there.heard_at),
        "clock_difference_seconds": None if host.clock_difference is None else _seconds(host.clock_difference),
        "boot": None if reader is None else reader.boot,
        "reader_starts": len(readers),
        "clean_ends": sum(one.ended and one.clean for one in readers),
        **_rsyslogds(host),
        "readers": _readers(reports),
        **_figures(reader),
        "queues": _queues(host),
        "events": [{"at": from_ns(one.at), "event": one.event, "detail": one.detail} for one in events],
        **_missing(host.accounts),
        "alarm": host.alarm,
    }


def _figures(reader: ReaderStart | None) -> Document:
    names = ("backlog_records", "unresolved", "queue_bytes", "queue_limit_bytes", "disk_free_bytes")
    given = {name: None if reader is None else reader.figures.get(name) for name in names}
    used, limit = given["queue_bytes"], given["queue_limit_bytes"]
    return {**given, "queue_percent": round(100 * used / limit, 1) if used is not None and limit else None}


def _readers(reports: HostReports | None) -> list[Document]:
    if reports is None:
        return []
    return [
        {
            "start": one.start,
            "started_at": _time(one.started_at),
            "last_report": from_ns(one.at),
            "end": reports.end(one),
        }
        for one in reports.readers[: -MOST_STARTS - 1 : -1]
    ]


def _rsyslogds(host: HostAccount) -> Document:
    newest: dict[str, tuple[int, int | None]] = {}
    for one in host.reports.queues if host.reports is not None else ():
        newest[one.start] = max(newest.get(one.start, (0, None))[0], one.at), one.started_at
    starts = sorted(newest.items(), key=lambda item: -item[1][0])
    told = [
        {"start": start, "started_at": _time(began), "last_report": from_ns(at), "end": ""}
        for start, (at, began) in starts[:MOST_STARTS]
    ]
    return {"rsyslogd_starts": len(starts), "rsyslogds": told}


def _queues(host: HostAccount) -> list[Document]:
    found = []
    by_queue: dict[str, list[Account]] = {}
    for account in host.accounts:
        if account.queue:
            by_queue.setdefault(account.queue, []).append(account)
    counted = host.reports.queues if host.reports is not None else ()
    for queue in sorted({*by_queue, *(one.queue for one in counted)}):
        starts = [one for one in counted if one.queue == queue]
        newest = max(starts, key=lambda one: one.at, default=None)
        found.append(
            {
                "queue": queue,
                **_missing(by_queue.get(queue, [])),
                "dropped": sum(one.dropped for one in starts),
                "counted_not_missing": host.queue_surplus.get(queue, 0),
                "records": None if newest is None else newest.size,
                "records_on_disk": None if newest is None else newest.on_disk,
            }
        )
    return found


def _time(at: int | None) -> str | None:
    return None if at is None else from_ns(at)


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e9, 1)
