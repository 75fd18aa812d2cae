"""Whether what a process writes to its /dev/log is read: the file it finds there, seen with its own root folder.

A container that has mounted the socket's file keeps that file for good. When somebody makes a new socket, the path in
the container still leads to the old one and every write is refused: the container is deaf, and nothing in it says so.
A mounted directory shows the new socket.
"""

import errno
import os
import socket
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_MOST_LINKS: Final = 16
_LONGEST_TABLE: Final = 2**20


class Hearing(StrEnum):
    """What a container's /dev/log is."""

    #: The socket of this host that `shipper host` reads.
    LIVE = "live"
    #: A socket that nobody reads and nobody ever will.
    DEAF = "deaf"
    #: Something that another program reads, or no socket at all.
    OTHER = "other"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Way:
    """How a process reaches a socket: the path it has there, and whether the socket's file itself is mounted."""

    hearing: Hearing
    path: str = ""
    by_file: bool = False


#: Device and inode of a file.
Identity = tuple[int, int]


def identity(path: str) -> Identity | None:
    """Return which file a socket's path leads to; None when there is no socket."""
    try:
        found = os.stat(path)  # noqa: PTH116  as the paths of /proc below
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def way_of(pid: int, paths: tuple[str, ...], live: Identity | None) -> Way:
    """Return what a process has at the first of these paths that is there; OSError when it may not be looked at."""
    root = f"/proc/{pid}/root"
    for path in paths:
        inner = resolve(root, path)
        if inner is None:
            continue
        hearing = _hearing(root + inner, live)
        if hearing is not Hearing.NONE:
            return Way(hearing, inner, by_file=inner in _mount_points(pid))
    return Way(Hearing.NONE)


def resolve(root: str, path: str) -> str | None:
    """Follow links as a process with this root folder would; None when nothing is there.

    The kernel would follow an absolute link inside /proc/PID/root from *our* root.
    """
    left, done, links = path.split("/")[::-1], list[str](), 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            del done[-1:]
            continue
        try:
            target = os.readlink("/".join((root, *done, name)))  # noqa: PTH115
        except PermissionError:
            raise
        except OSError as error:
            if error.errno != errno.EINVAL:
                return None
            done.append(name)  # no link
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        if target.startswith("/"):
            done = []
        left += target.split("/")[::-1]
    return "/" + "/".join(done)


def connected(path: str, live: Identity | None = None) -> socket.socket | int:
    """Return a socket connected to the file at a path, or the errno that says why not.

    Nobody can exchange the file meanwhile: it is held first, and with `live` it must be that very file (else ESTALE).
    """
    try:
        held = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        raise
    except OSError as error:
        return error.errno or errno.EIO
    try:
        found = os.fstat(held)
        if not stat.S_ISSOCK(found.st_mode):
            return errno.ENOTSOCK
        if live is not None and (found.st_dev, found.st_ino) != live:
            return errno.ESTALE
        writer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        writer.setblocking(False)
        refused = writer.connect_ex(f"/proc/self/fd/{held}")
        if refused:
            writer.close()
            return refused
        return writer
    finally:
        os.close(held)


def _hearing(path: str, live: Identity | None) -> Hearing:
    if live is not None and identity(path) == live:
        return Hearing.LIVE
    found = connected(path)
    if isinstance(found, socket.socket):
        found.close()
        return Hearing.OTHER
    if found == errno.ECONNREFUSED:
        return Hearing.DEAF
    return Hearing.NONE if found in (errno.ENOENT, errno.ENOTDIR) else Hearing.OTHER


def _mount_points(pid: int) -> set[str]:
    """Return where something is mounted, as the process sees it; none when that cannot be read."""
    try:
        with open(f"/proc/{pid}/mountinfo", errors="replace") as table:  # noqa: PTH123
            lines = table.read(_LONGEST_TABLE).splitlines()
    except OSError:
        return set()
    return {fields[4] for fields in (line.split(" ", 5) for line in lines) if len(fields) > 5}
