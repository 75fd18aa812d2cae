"""What `shipper usage` says: a line per app, the sum, and how long the disk lasts; as JSON and as CSV too."""

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TextIO

from shipper.cli.ledger import bytes_in_words
from shipper.cli.terminal import BOLD, DIM, RED, Style, cells, count, fit, one_line
from shipper.search.usage import OTHER, Usage, lasts, sum_up

if TYPE_CHECKING:
    from shipper.cli.usage import Found
    from shipper.search.usage import Disk

#: Without a retention the forecast is of so many days.
_FORECAST_DAYS: Final = 30
#: A disk that is full sooner is shown in red.
_SOON_DAYS: Final = 14
_WIDEST_NAME: Final = 60


def usages(found: "Found") -> list[Usage]:
    """Return what each app (or host, …) costs, the largest first."""
    past = sorted((one.day for one in found.stored if one.day < found.today), reverse=True)
    return sum_up(found.rows, found.today, past)


def document(found: "Found") -> dict[str, Any]:
    """Return all of it as JSON values."""
    told = usages(found)
    days = _forecast_days(found)
    rate = sum(one.bytes_per_day for one in told)
    return {
        "by": found.by,
        "usage": [
            {
                "name": one.name,
                "records": one.records,
                "bytes": one.bytes,
                "share": round(one.share, 4),
                "bytes_per_day": round(one.bytes_per_day),
                "growth_percent": None if one.growth is None else round(one.growth, 1),
                "forecast_bytes": round(one.bytes_per_day * days),
            }
            for one in told
        ],
        "days": [{"day": one.day, "name": one.name, "records": one.records, "bytes": one.bytes} for one in found.rows],
        "stored": [{"day": one.day, "records": one.records, "bytes": one.bytes} for one in found.stored],
        "bytes_per_day": round(rate),
        "forecast_days": days,
        "disk": _disk(found, rate),
        "estimated_from_records": found.sampled,
        "notes": list(found.notes),
    }


def _disk(found: "Found", rate: float) -> dict[str, Any] | None:
    if found.disk is None:
        return None
    left = _lasts(found, found.disk, rate)
    return {
        "total_bytes": found.disk.total,
        "free_bytes": found.disk.free,
        "room_bytes": found.disk.room,
        "full_in_days": None if left is None else round(left, 1),
    }


def write_csv(found: "Found", out: TextIO) -> None:
    """Write a line per day and name; a name that a spreadsheet would take for a formula gets an apostrophe."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("day", found.by, "records", "bytes"))
    for one in found.rows:
        name = one_line(one.name)
        rows.writerow((one.day, f"'{name}" if name[:1] in "=+-@" and name else name, one.records, one.bytes))


def lines(found: "Found", style: Style) -> Iterator[str]:
    """Return the lines for people."""
    if not found.stored:
        yield "nothing is stored in these days"
        return
    told = usages(found)
    rate = sum(one.bytes_per_day for one in told)
    days = _forecast_days(found)
    head = (found.by.upper(), "RECORDS", "BYTES", "SHARE", "A DAY", "GROWTH", f"IN {days} DAYS")
    rows = [head, *(_row(one, days) for one in told)]
    widths = [max(cells(row[place]) for row in rows) for place in range(len(head))]
    for row in rows:
        numbers = (" " * (width - cells(cell)) + cell for cell, width in zip(row[1:], widths[1:], strict=True))
        yield style.paint("  ".join((fit(row[0], widths[0]), *numbers)), BOLD if row is head else "")
    yield ""
    size = sum(one.bytes for one in found.stored)
    records = count(sum(one.records for one in found.stored), "record")
    yield f"{records} in {count(len(found.stored), 'day')}, {bytes_in_words(size)}, {bytes_in_words(round(rate))} a day"
    yield from _disk_lines(found, rate, style)
    yield style.paint(f"bytes by {found.by} are an estimate, from {count(found.sampled, 'sampled record')}", DIM)
    if any(one.name == OTHER for one in told):
        text = f"{OTHER}: records whose own time lies outside these days (a wrong clock?), or of too many at once"
        yield style.paint(text, DIM)
    yield from (f"incomplete: {one_line(note)}" for note in found.notes)


def _row(one: Usage, days: int) -> tuple[str, ...]:
    growth = "" if one.growth is None else f"{round(one.growth):+,} %"
    name = one_line(one.name) or "(none)"
    return (
        name if cells(name) <= _WIDEST_NAME else fit(name, _WIDEST_NAME),
        f"{one.records:,}",
        bytes_in_words(one.bytes),
        f"{one.share:.1%}".replace("%", " %"),
        bytes_in_words(round(one.bytes_per_day)),
        growth,
        bytes_in_words(round(one.bytes_per_day * days)),
    )


def _disk_lines(found: "Found", rate: float, style: Style) -> Iterator[str]:
    if found.disk is None:
        yield "how much disk is free is not known: these credentials may not ask Elasticsearch (privilege monitor)"
        return
    disk = found.disk
    mark = f", {bytes_in_words(disk.kept_free)} of it kept free (watermark)" if disk.kept_free else ""
    left = _lasts(found, disk, rate)
    if left is None:
        kept = count(found.retention_days, "day")
        how = f"never full, as {kept} are kept" if rate else "nobody knows when it is full, as nothing was written"
    else:
        how = f"full in {left:,.0f} days" if left >= 1 else "full within a day"
    text = f"disk: {bytes_in_words(disk.free)} of {bytes_in_words(disk.total)} free{mark}; at this rate {how}"
    yield style.paint(text, RED if left is not None and left < _SOON_DAYS else "")


def _lasts(found: "Found", disk: "Disk", rate: float) -> float | None:
    return lasts(disk.room, found.all_bytes, rate, found.retention_days, found.all_days)


def _forecast_days(found: "Found") -> int:
    return found.retention_days + 1 if found.retention_days else _FORECAST_DAYS
