"""Does what is written leave this host: how much waits, for how long, how much was dropped, does it grow?"""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, many, ok, size, skipped, span, warning

_NAME: Final = "queue"
_DROPS: Final = "drops"
_LOOK_SECONDS: Final = 1.0
#: A part of the limit that is worth a look, and one that leaves hardly time for it.
_FULL, _ALMOST_FULL = 0.5, 0.9
_OLD_SECONDS: Final = 300.0
#: rsyslogd writes files of 16 MiB: with less free its disk is full.
_LEAST_FREE: Final = 64 * 2**20
#: A file of a queue, as rsyslogd names them: warning.00000001.
_QUEUE_FILE: Final = re.compile(r".+\.\d{8}")
#: How many records a queue has, in its file of notes: warning.qi.
_QUEUE_SIZE: Final = re.compile(rb"\+iQueueSize:\d+:\d+:(\d{1,18}):")
_LONGEST_NOTE: Final = 2**16
_TO_SHIPPER: Final = "see the check of the way to the shipper; while no shipper answers, records wait here"


def check(examination: Examination) -> Iterator[Finding]:
    """Look twice, a second apart."""
    if examination.no_state:
        yield skipped(_NAME, examination.no_state)
        return
    before = examination.state
    time.sleep(_LOOK_SECONDS)
    after = examination.ask()
    yield _waiting(examination, before, after)
    yield _dropped(before, after)


def _waiting(examination: Examination, before: Mapping[str, Any], after: Mapping[str, Any]) -> Finding:
    folder = examination.settings.work_directory
    used, limit = int(after["queue_bytes"]), int(after["queue_limit_bytes"])
    backlog, growth = int(after["backlog_records"]), used - int(before["queue_bytes"])
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    noted, age = _on_disk(Path(folder))
    records, in_memory = noted, backlog
    if figures := after.get("queue_records"):
        records, in_memory = int(figures["disk"]), backlog + int(figures["memory"])
        age *= records > 0
    oldest = f", oldest {span(age)}" if age else ""
    grows = f", {size(growth)} more than a second ago" if growth > 0 else ""
    found = (
        f"about {many(records, 'record')} on disk{oldest}, {many(in_memory, 'record')} in memory; "
        f"{size(used)} of {size(limit)} taken ({100 * used / limit:.0f} %){grows}, {size(free)} free in {folder}"
    )
    if free < _LEAST_FREE:
        return failed(_NAME, found, f"the disk is full: make room on the file system of {folder}")
    if used > _ALMOST_FULL * limit:
        return failed(_NAME, found, f"new records will be dropped soon: {_TO_SHIPPER}")
    if backlog and backlog > int(before["backlog_records"]):
        return warning(_NAME, found, "rsyslogd does not take what the reader has: `shipper host status` says why")
    if used > _FULL * limit or age > _OLD_SECONDS:
        return warning(_NAME, found, _TO_SHIPPER)
    if free < limit - used:
        return warning(_NAME, found, "the disk is full before the queue is: give it room, or generate with less `hold`")
    return ok(_NAME, found)


def _on_disk(folder: Path) -> tuple[int, float]:
    """Return how many records wait in files, as last noted there, and how many seconds ago the oldest was written.

    A queue that was emptied keeps its last file until rsyslogd writes the next, and a note of up to 500 records that
    are sent, so rsyslogd's own figures are better where there are any.
    """
    names = [path.name for path in folder.iterdir()]
    noted = {name.removesuffix(".qi"): _noted(folder / name) for name in names if name.endswith(".qi")}
    written = []
    for name in names:
        # rsyslogd appends to the newest file and reads the oldest. Files without a note are left of a kill.
        if _QUEUE_FILE.fullmatch(name) and noted.get(name.rpartition(".")[0], 1):
            with contextlib.suppress(FileNotFoundError):  # sent meanwhile
                written.append((folder / name).stat().st_mtime)
    return sum(noted.values()), max(0.0, time.time() - min(written)) if written else 0.0


def _noted(path: Path) -> int:
    """Return the records of a queue from the file in which rsyslogd notes it, every 500 records."""
    try:
        found = _QUEUE_SIZE.search(path.read_bytes()[:_LONGEST_NOTE])
    except FileNotFoundError:
        return 0
    return int(found[1]) if found else 0


def _dropped(before: Mapping[str, Any], after: Mapping[str, Any]) -> Finding:
    total, growth = int(after["dropped"]), int(after["dropped"]) - int(before["dropped"])
    if not total:
        return ok(_DROPS, "the reader has dropped nothing since it was started")
    by_series = ", ".join(
        f"{int(one['dropped']):,} of {one['name']}" for one in after["series"].values() if one["dropped"]
    )
    found = f"the reader has dropped {many(total, 'record')} since it was started ({by_series})"
    if growth > 0:
        return failed(
            _DROPS, f"{found}, {growth:,} in the last second", "rsyslogd is away or too slow: `shipper host status`"
        )
    return warning(_DROPS, f"{found}, none in the last second", "the ledger shows which: shipper ledger --host NAME")
