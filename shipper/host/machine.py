"""What the kernel and the disk say of this host."""

import os
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def boot() -> str:
    """Return the kernel's random id of this boot; "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def folder_bytes(folder: str) -> int:
    """Return the size of all files in a folder; 0 when it cannot be read."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
                except FileNotFoundError:
                    continue  # rsyslogd has just removed it
    except OSError:
        return 0
    return total


def free_bytes(folder: str) -> int:
    """Return what is free on the disk of a folder; 0 when it cannot be asked."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return 0
    return state.f_bavail * state.f_frsize
