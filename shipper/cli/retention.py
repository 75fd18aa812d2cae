"""`shipper retention`: deletes what is older than the operator, or the label of its app, says."""

import argparse
import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from shipper.config import Config
    from shipper.search.retention import Removal, Retention, StoredDay
    from shipper.stores import Keeper

#: Seconds after which a removal says how far it is.
_PROGRESS_SECONDS: Final = 2.0
#: Apps that a line names.
_MOST_NAMED: Final = 3
_DESCRIPTION: Final = """\
Delete days that are older than so many days, and dead letters, reports and series of the ledger with them. An app may
ask for fewer days or for more by its label SHIPPER_RETENTION_DAYS, which is asked of Marathon when the configuration
names it; then single records are deleted, and nothing is when Marathon does not answer. With SQLite a running shipper
deletes by itself, every hour; this command does it only while none runs, and --dry-run always.
"""
_EPILOG: Final = """\
examples:
  shipper retention --config shipper.yaml --dry-run    what would go
  shipper retention --config shipper.yaml --days 30    daily, by Chronos or cron
exit code: 0 done, 2 error
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "retention",
        help="delete what is too old",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--config", metavar="FILE", default=os.environ.get("SHIPPER_CONFIG"), help="YAML file (default $SHIPPER_CONFIG)"
    )
    add("--days", type=_days, metavar="N", help="days to keep, today not counted (default: store.retention_days)")
    add("--dry-run", action="store_true", help="say what would be deleted, delete nothing")
    add("--json", action="store_true", help="one JSON object per line")
    parser.set_defaults(function=_retention)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"not a number of days from 1 to 99999: {text!r}")
    return int(text)


def _retention(options: argparse.Namespace) -> int:
    from shipper import config

    return asyncio.run(_run(config.load(options.config), options))


async def _run(loaded: "Config", options: argparse.Namespace) -> int:
    from shipper.errors import ConfigError
    from shipper.search.retention import Retention, plan

    wanted = Retention(options.days or loaded.store.retention_days, await _wishes(loaded))
    if not wanted.days and not wanted.apps:
        raise ConfigError("nothing says how long to keep records: give --days, or set store.retention_days")
    now = time.time_ns()
    async with loaded.store.keeper(loaded.cluster) as keeper:
        days = {found.day: found for found in await keeper.days()}
        show = _Lines(wanted, options)
        for removal in plan(days, wanted, now):
            await _remove(keeper, removal, days[removal.day], show)
        if wanted.days and not options.dry_run:
            await keeper.forget(now - wanted.days * 86_400 * 10**9)
        show.end(len(days))
    return 0


async def _wishes(loaded: "Config") -> dict[str, int]:
    """Return the days that apps ask for, by id; none when the configuration does not name Marathon."""
    from shipper.cluster import labels, settings
    from shipper.errors import ClusterBusy

    where = settings.of(loaded)
    if not where.marathon_urls:
        return {}
    from shipper.cluster.marathon import Marathon

    async with Marathon(where) as marathon:
        apps = await marathon.apps()
    if not apps:
        raise ClusterBusy("Marathon knows no app at all, so nobody knows what apps ask for: nothing was deleted")
    wishes = {app.id: labels.read(app.labels).retention_days for app in apps}
    return {app_id: days for app_id, days in wishes.items() if days}


async def _remove(keeper: "Keeper", removal: "Removal", day: "StoredDay", show: "_Lines") -> None:
    """Delete, or count what would be; nothing is said of a day that has nothing to delete."""
    count = 0
    if show.dry_run:
        count = day.records if removal.whole else await keeper.count(removal)
    else:
        async for step in keeper.remove(removal):
            count += step
            show.progress(removal, count)
    if count or removal.whole:
        show.removal(removal, count, day.bytes if removal.whole else None)


class _Lines:
    """What is told: a line per removal as soon as it is done, and the sum."""

    def __init__(self, retention: "Retention", options: argparse.Namespace) -> None:
        self.dry_run: bool = options.dry_run
        self._retention = retention
        self._json: bool = options.json
        self._records = self._days = self._bytes = 0
        self._told_at = time.monotonic()

    def progress(self, removal: "Removal", count: int) -> None:
        """Say on a terminal how far a long removal is."""
        if time.monotonic() - self._told_at > _PROGRESS_SECONDS and sys.stderr.isatty():
            self._told_at = time.monotonic()
            print(f"{removal.day}  {count:,} records deleted so far", file=sys.stderr)

    def removal(self, removal: "Removal", count: int, size: int | None) -> None:
        """Tell of one removal; `size` in bytes, None when it is not known."""
        self._told_at = time.monotonic()
        self._records += count
        self._days += removal.whole
        self._bytes += size or 0
        if self._json:
            self._print_json(
                day=removal.day, apps=removal.apps, others=removal.others, records=count, bytes=size,
                deleted=not self.dry_run,
            )  # fmt: skip
            return
        from shipper.cli.ledger import bytes_in_words
        from shipper.cli.terminal import count as counted

        done = "would go" if self.dry_run else "deleted"
        known = "" if size is None else f", {bytes_in_words(size)}"
        print(f"{removal.day}  {done}: {_what(removal)}, {counted(count, 'record')}{known}", flush=True)

    def end(self, days: int) -> None:
        """Tell the sum."""
        if self._json:
            return
        from shipper.cli.ledger import bytes_in_words
        from shipper.cli.terminal import count

        kept = f"{count(self._retention.days, 'day')} kept" if self._retention.days else "all days kept"
        other = f", {count(len(self._retention.apps), 'app')} with days of their own" if self._retention.apps else ""
        done = "would be deleted" if self.dry_run else "deleted"
        whole = f"{self._days} of {count(days, 'day')} ({bytes_in_words(self._bytes)})"
        print(f"{kept}{other}; {count(self._records, 'record')} {done}, with them {whole}")

    def _print_json(self, **values: Any) -> None:
        print(json.dumps(values), flush=True)


def _what(removal: "Removal") -> str:
    from shipper.cli.terminal import one_line

    if removal.whole:
        return "all"
    names = ", ".join(one_line(app) for app in removal.apps[:_MOST_NAMED])
    more = f" and {len(removal.apps) - _MOST_NAMED} more" if len(removal.apps) > _MOST_NAMED else ""
    return f"all but {names}{more}" if removal.others else f"{names}{more}"
