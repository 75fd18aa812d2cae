"""Files that others own: opened without following links, recognised again by inode and by what was read of them."""

import errno
import os
import re
import stat
from collections.abc import Callable, Container
from contextlib import suppress
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple

#: Bytes from the start of a file, and before the place that was read to, by which it is known again.
HEAD_BYTES: Final = 256
TAIL_BYTES: Final = 64
#: Entries of a folder that are looked through for a renamed file; a task can put any number into its sandbox.
_MOST_ENTRIES: Final = 10_000
#: What stands behind the name of a rotated file: ".1", "-20261123", ".2026-11-23".
_ROTATED: Final = re.compile(rb"[.-][0-9][0-9._-]*")


class Mark(NamedTuple):
    """What a file must look like if it was read up to `offset`: digests of its first and its last bytes before that."""

    offset: int
    head: str
    tail: str


def mark(offset: int, head: bytes, tail: bytes) -> Mark:
    """Return the mark of a place whose head and tail are known."""
    return Mark(offset, _digest(head), _digest(tail))


def edges(descriptor: int, offset: int) -> tuple[bytes, bytes]:
    """Read head and tail of the first `offset` bytes; shorter than they should be when the file is. Raises OSError."""
    tail = min(TAIL_BYTES, offset)
    return os.pread(descriptor, min(HEAD_BYTES, offset), 0), os.pread(descriptor, tail, offset - tail)


def fits(descriptor: int, expected: Mark) -> bool:
    """Say whether the file still begins with what was read of it. Raises OSError."""
    return mark(expected.offset, *edges(descriptor, expected.offset)) == expected


def open_regular(path: bytes) -> int:
    """Open a regular file for reading and never anything else. Raises OSError: ELOOP for a link, EINVAL for a device.

    The owner of the folder can put there what it likes at any moment: looked at before, as opening a device can do
    something, and after.
    """
    _refuse_others(os.lstat(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _refuse_others(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def find_beside(path: bytes, accept: Callable[[bytes, int], bool], wanted: Callable[[int], bool]) -> int | None:
    """Open the first file beside `path`, not `path` itself, that is wanted; None when there is none.

    `accept` chooses by name and inode which files are opened, `wanted` looks at the open file.
    """
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder) as entries:
            found = list(islice(entries, _MOST_ENTRIES))
    except OSError:
        return None
    for entry in found:
        if entry.name == name or not accept(entry.name, entry.inode()):
            continue
        with suppress(OSError):
            descriptor = open_regular(entry.path)
            if _is_wanted(descriptor, wanted):
                return descriptor
            os.close(descriptor)
    return None


def rotated_since(path: bytes, since: int, known: Container[tuple[int, int]]) -> list[bytes]:
    """Return files beside `path` that were rotated away unseen, the oldest first.

    They are named like it with a number or date behind, were last written at or after `since` (nanoseconds), and are
    not known by device and inode.
    """
    folder, name = os.path.split(path)
    found: list[tuple[int, bytes]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, _MOST_ENTRIES):
            if entry.name.startswith(name) and _ROTATED.fullmatch(entry.name, len(name)):
                status = entry.stat(follow_symlinks=False)
                unseen = stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in known
                if unseen and status.st_mtime_ns >= since:
                    found.append((status.st_mtime_ns, entry.path))
    return [path for _, path in sorted(found)]


def _is_wanted(descriptor: int, wanted: Callable[[int], bool]) -> bool:
    try:
        return wanted(descriptor)
    except OSError:
        return False


def _refuse_others(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "is a symbolic link, which is never followed")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is no regular file")


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
