"""The report of a reader: what it has numbered, forwarded and dropped, and what happened. DESIGN.md, "Reports"."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shipper.host import machine
from shipper.host.settings import Settings
from shipper.host.shared import SERIES, Cell, Snapshot
from shipper.host.stamp import Clock

Event = Mapping[str, str]


def now(nanoseconds: int) -> str:
    """Spell a time as reports and events do."""
    return Clock().spell(nanoseconds).decode()


def compose(
    snapshot: Snapshot, settings: Settings, at: str, events: Iterable[Event], *, ended: bool, clean: bool = True
) -> bytes:
    """Return the message of a report; `clean` is False for a reader that was killed: its successor reports it."""
    figures: dict[str, Any] = {
        "report": "reader",
        "start": snapshot.start,
        "boot": snapshot.boot,
        "at": at,
        "ended": ended,
        "clean": clean,
        "series": [
            {"series": snapshot.start + letter, "last": snapshot[last], "dropped": snapshot[dropped]}
            for letter, (last, dropped) in SERIES.items()
            if letter != "h"  # the report's own number is the last of that one
        ],
        **{cell.name.lower(): snapshot[cell] for cell in _FIGURES},
        "queue_bytes": machine.queue_bytes(settings.work_directory),
        "queue_limit_bytes": settings.queue_limit_bytes,
        "disk_free_bytes": machine.free_bytes(settings.work_directory),
        "events": list(events),
    }
    return orjson.dumps(figures)


_FIGURES = (
    Cell.RECEIVED,
    Cell.FORWARDED,
    Cell.EMPTY,
    Cell.TRUNCATED,
    Cell.RESOLVED,
    Cell.UNRESOLVED,
    Cell.BUGS,
    Cell.BACKLOG_RECORDS,
    Cell.BACKLOG_BYTES,
)
