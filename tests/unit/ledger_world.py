"""A host for tests of the ledger: what its reader and its rsyslogd report."""

from typing import Any

from shipper.record.times import from_ns, to_ns
from shipper.search.ledger import Report

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
#: What the clock of these tests says.
NOW = to_ns("2026-11-22T14:30:00Z")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def start_at(at: int, chance: str = "aaaaa") -> str:
    """Name of a start at a time."""
    number, digits = at // SECOND, ""
    for _ in range(7):
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits + chance


#: One start of the reader, and one of rsyslogd.
READER = start_at(NOW - 5 * HOUR)
RSYSLOGD = f"{(NOW - 5 * HOUR) // SECOND:08x}54981e7c"


def event(at: int, name: str, detail: str = "") -> dict[str, Any]:
    """One event of a reader's report."""
    return {"at": from_ns(at), "event": name, "detail": detail}


def reader_report(
    *series: tuple[str, int, int], at: int = NOW - 5 * SECOND, start: str = READER, host: str = "web-3", **figures: Any
) -> Report:
    """Newest report of one start of a reader: (letter, last, dropped) of its series, and other figures."""
    numbered = [{"series": start + letter, "last": last, "dropped": dropped} for letter, last, dropped in series]
    told = {
        "report": "reader", "start": start, "boot": "b1", "at": from_ns(at), "ended": False, "series": numbered,
        "backlog_records": 0, "unresolved": 0, "queue_bytes": 0, "queue_limit_bytes": 2**30, "disk_free_bytes": 2**34,
        "events": [], **figures,
    }  # fmt: skip
    return Report(f"{start}/reader", host, start, "reader", at, told)


def queue_report(
    name: str, *, size: int = 0, full: int = 0, near: int = 0, at: int = NOW - 5 * SECOND, start: str = RSYSLOGD
) -> Report:
    """Newest counters of one queue ("normal queue", "normal queue[DA]")."""
    figures = {"size": size, "enqueued": 10, "full": 0, "discarded.full": full, "discarded.nf": near, "maxqsize": 10}
    return Report(f"{start}/{name}", "web-3", start, name, at, figures)
