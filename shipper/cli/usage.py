"""`shipper usage`: what logging costs, by app, dataset, host or level, and how long the disk lasts."""

import argparse
import asyncio
import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shipper.cli.config_options import add_config

if TYPE_CHECKING:
    from shipper.config import Config
    from shipper.search.retention import StoredDay
    from shipper.search.usage import DayUsage, Disk
    from shipper.stores import Reader

#: What is counted apart, and the field that says it.
FIELDS: Final = {"app": "service.name", "dataset": "event.dataset", "host": "host.name", "level": "log.level"}
_DAY_NS: Final = 86_400 * 10**9
#: Records whose lengths are looked at: so many at so many moments of each day.
_SAMPLE, _MOMENTS = 200, 4
#: Questions asked of the store at the same time.
_AT_ONCE: Final = 4
_DESCRIPTION: Final = """\
Say how many records and bytes each app wrote per day, its part of the cost, whether it grows (the last 7 complete days
against the 7 before) and, from the free disk, in how many days it is full. No store can say how many bytes of its files
are an app's: bytes are estimated from the lengths of a sample, and add up to the size of the files or indices.
"""
_EPILOG: Final = """\
examples:
  shipper usage --config shipper.yaml         by app, the largest first, and how long the disk lasts
  shipper usage --by dataset --days 30        which kind of log it is
  shipper usage --csv > usage.csv             a line per day and app, for a spreadsheet
  shipper usage --json | jq .disk.full_in_days
exit code: 0 told, 1 nothing is stored, 2 error
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of the store."""

    by: str
    rows: "list[DayUsage]"
    #: The days looked at; the two below are of all days that there are.
    stored: "list[StoredDay]"
    all_bytes: int
    all_days: int
    disk: "Disk | None"
    #: Records whose lengths were looked at.
    sampled: int
    notes: tuple[str, ...]
    today: str
    retention_days: int


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "usage",
        help="what logging costs by app, and how long the disk lasts",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_config(parser)
    add("--by", choices=tuple(FIELDS), default="app", help="what is counted apart (default: app)")
    add("--days", type=_days, default=14, metavar="N", help="days that are looked at, today too (default 14)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object with all of it")
    form.add_argument("--csv", action="store_true", help="day, name, records, bytes: a line each")
    parser.set_defaults(function=_usage)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 0 < int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"not a number of days from 1 to 1000: {text!r}")
    return int(text)


def _usage(options: argparse.Namespace) -> int:
    from shipper import config
    from shipper.cli import usage_shown
    from shipper.cli.terminal import style_of
    from shipper.deploy.lines import write

    found = asyncio.run(look(config.load(options.config), options.by, options.days, time.time_ns()))
    if options.json:
        write(sys.stdout, f"{json.dumps(usage_shown.document(found))}\n")
    elif options.csv:
        usage_shown.write_csv(found, rows := io.StringIO())
        write(sys.stdout, rows.getvalue())
    else:
        for line in usage_shown.lines(found, style_of(sys.stdout)):
            write(sys.stdout, f"{line}\n")
    return 0 if found.stored else 1


async def look(loaded: "Config", by: str, days: int, now: int) -> Found:
    """Read the store: sizes of days, counts by day and name, lengths of a sample, the disk."""
    from shipper.record.times import day, from_ns
    from shipper.search.query import Buckets, Query
    from shipper.search.usage import left_over, share_out

    field = FIELDS[by]
    end = (now // _DAY_NS + 1) * _DAY_NS
    first = day(from_ns(max(0, end - days * _DAY_NS)))
    async with loaded.store.keeper(loaded.cluster) as keeper, loaded.store.reader(loaded.cluster) as reader:
        everything = await keeper.days()
        stored = [one for one in everything if one.day >= first]
        disk = await keeper.disk()
        starts = [_start(one.day) for one in stored]
        lengths, sampled = await _lengths(reader, field, [start for start in starts if start < end])
        rows, notes = [], ()
        if stored:
            counted = await reader.counts(Query(), Buckets(starts[0], max(end, starts[-1] + _DAY_NS), _DAY_NS), field)
            notes = counted.incomplete
            counts = {(day(from_ns(start)), name): count for (start, name), count in counted.counts.items()}
            counts |= left_over({one.day: one.records for one in stored}, counts)
            rows = share_out(counts, lengths, {one.day: one.bytes for one in stored})
    return Found(
        by=by,
        rows=rows,
        stored=stored,
        all_bytes=sum(one.bytes for one in everything),
        all_days=len(everything),
        disk=disk,
        sampled=sampled,
        notes=notes,
        today=day(from_ns(now)),
        retention_days=loaded.store.retention_days,
    )


def _start(day: str) -> int:
    from shipper.record.times import to_ns

    return to_ns(f"{day.replace('.', '-')}T00:00:00Z")


async def _lengths(reader: "Reader", field: str, starts: Sequence[int]) -> tuple[dict[str, float], int]:
    """Return the mean length of documents by the value of a field, and how many were looked at."""
    import orjson

    from shipper.search.query import Query

    part = _DAY_NS // _MOMENTS
    free = asyncio.Semaphore(_AT_ONCE)
    found: dict[str, list[int]] = {}

    async def sample(start: int) -> None:
        async with free:
            page = await reader.search(Query(start=start, end=start + part, limit=_SAMPLE))
        for one in page.records:
            value = one.get(field)
            found.setdefault(value if isinstance(value, str) else "", []).append(len(orjson.dumps(one)))

    await asyncio.gather(*(sample(start + n * part) for start in starts for n in range(_MOMENTS)))
    means = {name: sum(lengths) / len(lengths) for name, lengths in found.items()}
    return means, sum(map(len, found.values()))
