"""What `shipper retention` says: a line per removal as soon as it is done, what stays and why, the sum, the history."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from shipper.cli.ledger import bytes_in_words
from shipper.cli.terminal import count as counted
from shipper.cli.terminal import one_line
from shipper.deploy.lines import write
from shipper.record.times import from_ns
from shipper.search.retention import Deletion, Removal, Retention

#: Seconds after which a removal says how far it is.
_PROGRESS_SECONDS: Final = 2.0
#: Apps or datasets that a line names.
_MOST_NAMED: Final = 3


class Lines:
    """What is told while it works."""

    def __init__(self, retention: Retention, records_per_second: int, *, dry_run: bool, as_json: bool) -> None:
        self.dry_run = dry_run
        self._retention = retention
        self._rate = records_per_second
        self._json = as_json
        self._records = self._single = self._days = self._bytes = self._kept = 0
        self._told_at = time.monotonic()

    def progress(self, removal: Removal, count: int) -> None:
        """Say on a terminal how far a long removal is."""
        if time.monotonic() - self._told_at > _PROGRESS_SECONDS and sys.stderr.isatty():
            self._told_at = time.monotonic()
            print(f"{removal.day}  {count:,} records deleted so far", file=sys.stderr)

    def removal(self, removal: Removal, count: int, size: int | None) -> None:
        """Tell of one removal; `size` in bytes, None when it is not known."""
        self._told_at = time.monotonic()
        self._records += count
        self._single += 0 if removal.whole else count
        self._days += removal.whole
        self._bytes += size or 0
        if self._json:
            self._print_json(removal, records=count, bytes=size, deleted=not self.dry_run)
            return
        done = "would go" if self.dry_run else "deleted"
        known = "" if size is None else f", {bytes_in_words(size)}"
        takes = "" if removal.whole or not self.dry_run else self._takes(count)
        say(f"{removal.day}  {done}: {_what(removal)}, {counted(count, 'record')}{known}{takes}")

    def kept(self, removal: Removal, why: str) -> None:
        """Tell what stays although it is old, and why."""
        self._kept += 1
        if self._json:
            self._print_json(removal, records=0, bytes=None, deleted=False, kept=why)
        else:
            say(f"{removal.day}  kept: {_what(removal)}: {one_line(why)}")

    def warn(self, text: str) -> None:
        """Tell what went wrong and is no reason to stop."""
        print(f"warning: {one_line(text)}", file=sys.stderr, flush=True)

    def end(self, days: int) -> None:
        """Tell the sum."""
        if self._json:
            return
        wanted = self._retention
        kept = f"{counted(wanted.days, 'day')} kept" if wanted.days else "all days kept"
        own = [counted(len(them), name) for them, name in ((wanted.apps, "app"), (wanted.datasets, "dataset")) if them]
        other = f", {' and '.join(own)} with days of their own" if own else ""
        done = "would be deleted" if self.dry_run else "deleted"
        whole = f"{self._days} of {counted(days, 'day')} ({bytes_in_words(self._bytes)})"
        takes = self._takes(self._single) if self.dry_run else ""
        stays = f"; {counted(self._kept, 'removal')} put off" if self._kept else ""
        say(f"{kept}{other}; {counted(self._records, 'record')} {done}, with them {whole}{takes}{stays}")

    def _takes(self, records: int) -> str:
        """Say how long single records take at the rate that is set."""
        if not self._rate or not records:
            return ""
        minutes = -(-records // (60 * self._rate))
        return f", about {minutes:,} min at {self._rate:,} records a second"

    def _print_json(self, removal: Removal, **values: Any) -> None:
        say(json.dumps(_named(removal) | values))


def say(text: str) -> None:
    """Tell a line. That nobody reads any more (`| head`) ends no deletion."""
    write(sys.stdout, f"{text}\n")


def history_lines(deletions: Iterable[Deletion], *, as_json: bool) -> Iterator[str]:
    """Return a line for each deletion, and one when there is none."""
    none = True
    for one in deletions:
        none = False
        if as_json:
            told = {"at": from_ns(one.at), "by": one.by, **_named(one.removal), "records": one.records}
            yield json.dumps({**told, "bytes": one.bytes or None, "reason": one.reason})
            continue
        size = f", {bytes_in_words(one.bytes)}" if one.bytes else ""
        done = f"{_what(one.removal)}, {counted(one.records, 'record')}{size}"
        yield f"{from_ns(one.at)[:19]}  {one.removal.day}  {done}  {one_line(one.reason)}  by {one_line(one.by)}"
    if none and not as_json:
        yield "retention has deleted nothing yet"


def _named(removal: Removal) -> dict[str, Any]:
    return {"day": removal.day, "apps": removal.apps, "others": removal.others, "datasets": removal.datasets}


def _what(removal: Removal) -> str:
    if removal.whole:
        return "all"
    apps, datasets = _some(removal.apps), _some(removal.datasets)
    parts = [f"all but {apps}" if removal.others else apps, f"dataset {datasets}" if datasets else ""]
    return " and ".join(part for part in parts if part)


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(one_line(name) for name in names[:_MOST_NAMED]) + more
