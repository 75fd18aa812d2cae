"""What the kernel and the disk say of this host."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

_QUEUE_FILE: Final = re.compile(r"([a-z]+)\.[0-9]{8,}")
_NOTED_RECORDS: Final = re.compile(rb"\+iQueueSize:[0-9]+:[0-9]+:([0-9]+):")
_LONGEST_NOTE: Final = 16_384


@lru_cache(maxsize=1)
def boot() -> str:
    """Return the kernel's random id of this boot; "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def queue_bytes(folder: str) -> int:
    """Return the size of rsyslogd's queue files with records in them; 0 when the folder cannot be read.

    rsyslogd keeps the last file of a queue that is empty until it writes the next; how many records a queue has on disk
    it notes in a file of its own (`normal.qi`), every 500 records and often when it has sent the last.
    """
    sizes: dict[str, int] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if found := _QUEUE_FILE.fullmatch(entry.name):
                    try:
                        sizes[found[1]] = sizes.get(found[1], 0) + entry.stat(follow_symlinks=False).st_size
                    except FileNotFoundError:
                        continue  # rsyslogd has just removed it
    except OSError:
        return 0
    return sum(size for name, size in sizes.items() if not _noted_empty(f"{folder}/{name}.qi"))


def _noted_empty(path: str) -> bool:
    try:
        with open(path, "rb") as note:  # noqa: PTH123  once a second; a Path costs more than the file
            found = _NOTED_RECORDS.search(note.read(_LONGEST_NOTE))
    except OSError:
        return False
    return found is not None and int(found[1]) == 0


def free_bytes(folder: str) -> int:
    """Return what is free on the disk of a folder; 0 when it cannot be asked."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return 0
    return state.f_bavail * state.f_frsize
