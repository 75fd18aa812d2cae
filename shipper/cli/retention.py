"""`shipper retention`: deletes what is older than the operator, or the label of its app, says."""

import argparse
import asyncio
import getpass
import math
import os
import signal
import socket
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from shipper.cli.config_options import add_config

if TYPE_CHECKING:
    from shipper.cli.retention_shown import Lines
    from shipper.config import Config
    from shipper.search.retention import Removal, Retention, StoredDay
    from shipper.search.retention_window import Window
    from shipper.stores import Keeper

_LATE_HOURS: Final = 2.0
_MOST_HISTORY: Final = 1000
_DESCRIPTION: Final = """\
Delete days that are older than so many days, and dead letters, reports and series of the ledger with them. An app may
ask for fewer days or for more by its label SHIPPER_RETENTION_DAYS, which is asked of Marathon when the configuration
names it; a kind of log (event.dataset) is kept for fewer days by store.retention_datasets. Then single records are
deleted, in small requests and no faster than store.retention_records_per_second, and nothing is when Marathon does not
answer. Days that still get records stay, and it is said which and why. While a full disk makes Elasticsearch read-only,
whole days can be deleted and single records wait for the next run. With SQLite a running shipper deletes by itself,
every hour; this command does it only while none runs, and --dry-run and --history always.
"""
_EPILOG: Final = """\
examples:
  shipper retention --config shipper.yaml --dry-run    what would go, and how long that takes
  shipper retention --config shipper.yaml --days 30    daily, by Chronos or cron
  shipper retention --between 01:00-05:00 --zone Europe/Berlin    single records only at night
  shipper retention --history                          what was deleted, when, by whom and why
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
    add_config(parser)
    add("--days", type=_days, metavar="N", help="days to keep, today not counted (default: store.retention_days)")
    add("--between", metavar="HH:MM-HH:MM", help="delete single records only at this time of day; whole days always")
    add("--zone", default="UTC", help="time zone of --between (default: UTC)")
    add(
        "--late", type=_hours, default=_LATE_HOURS, metavar="HOURS",
        help="leave a day alone that got a record within so many hours (default 2; 0: delete it all the same)",
    )  # fmt: skip
    add("--dry-run", action="store_true", help="say what would be deleted, delete nothing")
    add("--history", action="store_true", help="say what was deleted before, newest first, and do nothing")
    add("--json", action="store_true", help="one JSON object per line")
    parser.set_defaults(function=_retention)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"not a number of days from 1 to 99999: {text!r}")
    return int(text)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 <= hours <= 10_000:
        raise argparse.ArgumentTypeError(f"not a number of hours from 0 to 10000: {text!r}")
    return hours


def _retention(options: argparse.Namespace) -> int:
    from shipper import config
    from shipper.search.retention_window import Window

    window = None if options.between is None else Window.parse(options.between, options.zone)
    loaded = config.load(options.config)
    return asyncio.run(_tell(loaded, options) if options.history else _run(loaded, options, window))


async def _tell(loaded: "Config", options: argparse.Namespace) -> int:
    from shipper.cli.retention_shown import history_lines, say

    async with loaded.store.keeper(loaded.cluster) as keeper:
        for line in history_lines(await keeper.history(_MOST_HISTORY), as_json=options.json):
            say(line)
    return 0


async def _run(loaded: "Config", options: argparse.Namespace, window: "Window | None") -> int:
    from shipper.cli.retention_shown import Lines
    from shipper.errors import ConfigError, StoreFull
    from shipper.search.retention import Retention, plan

    datasets = dict(loaded.store.retention_datasets)
    wanted = Retention(options.days or loaded.store.retention_days, await _wishes(loaded), datasets)
    if not (wanted.days or wanted.apps or wanted.datasets):
        raise ConfigError("nothing says how long to keep records: give --days, or set store.retention_days")
    now = time.time_ns()
    # Stopped by Chronos or systemd it ends as with Ctrl-C: what was deleted so far is kept for --history.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    async with loaded.store.keeper(loaded.cluster) as keeper:
        days = {found.day: found for found in await keeper.days()}
        show = Lines(wanted, keeper.records_per_second, dry_run=options.dry_run, as_json=options.json)
        work = _Work(keeper, wanted, window, options.late, show)
        for removal in plan(days, wanted, now):
            await work.do(removal, days[removal.day])
        if wanted.days and not options.dry_run:
            try:
                await keeper.forget(now - wanted.days * 86_400 * 10**9)
            except StoreFull as full:
                show.warn(f"the ledger and reports are as they were: {full}")
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


class _Work:
    """Deletes, or counts what would be; says why something stays, and keeps what it did in the store."""

    def __init__(
        self, keeper: "Keeper", wanted: "Retention", window: "Window | None", late_hours: float, show: "Lines"
    ) -> None:
        self._keeper, self._wanted, self._window, self._late_hours = keeper, wanted, window, late_hours
        self._show = show

    async def do(self, removal: "Removal", day: "StoredDay") -> None:
        """Make one removal; one day that cannot be read now does not keep the others. StoreBusy when none can."""
        from shipper.errors import StoreBusy

        try:
            await self._do(removal, day)
        except StoreBusy as busy:
            await self._keeper.days()
            self._show.kept(removal, f"not now: {busy}")

    async def _do(self, removal: "Removal", day: "StoredDay") -> None:
        """Make it; nothing is said of a day that has nothing to delete."""
        from shipper.search.retention import still_written

        kept = still_written(await self._keeper.written_at(removal.day), time.time_ns(), self._late_hours)
        if kept is not None:
            self._show.kept(removal, f"{kept} (--late)")
            return
        size = day.bytes if removal.whole else None
        if not self._show.dry_run:
            await self._delete(removal, size)
            return
        count = day.records if removal.whole else await self._keeper.count(removal)
        if count or removal.whole:
            self._show.removal(removal, count, size)

    async def _delete(self, removal: "Removal", size: int | None) -> None:
        from shipper.errors import StoreFull

        steps: list[int] = []
        try:
            await self._remove(removal, steps)
        except StoreFull as full:
            self._show.kept(removal, f"single records have to wait: {full}")
        finally:  # a part of it too, when it is stopped
            if sum(steps) or (removal.whole and steps):
                self._show.removal(removal, sum(steps), size)
                await self._note(removal, sum(steps), size or 0)

    async def _remove(self, removal: "Removal", done: list[int]) -> None:
        """Delete, and add the number of records of each step to `done`."""
        count = 0
        if self._closed(removal, count):
            return
        async with aclosing(self._keeper.remove(removal)) as steps:
            async for step in steps:
                done.append(step)
                count += step
                self._show.progress(removal, count)
                if self._closed(removal, count):
                    break

    def _closed(self, removal: "Removal", count: int) -> bool:
        """Whether it is not the time of day for single records; that is said."""
        if removal.whole or self._window is None or self._window.holds(time.time_ns()):
            return False
        left = "the rest waits" if count else "single records wait"
        self._show.kept(removal, f"{left} for {self._window} (--between)")
        return True

    async def _note(self, removal: "Removal", count: int, size: int) -> None:
        from shipper.errors import StoreBusy, StoreRejected
        from shipper.search.retention import Deletion, reason_of

        reason = reason_of(removal, self._wanted)
        try:
            await self._keeper.note(Deletion(time.time_ns(), _who(), removal, count, size, reason))
        except (StoreBusy, StoreRejected) as error:
            self._show.warn(f"{removal.day} was deleted, but that is not kept for --history: {error}")


def _who() -> str:
    """Return user and host: for people, as good as it can be known."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # in an image that does not know the user's number
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
