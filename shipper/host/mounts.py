"""Who has the socket mounted: whoever would be deaf if there were a new one in its place."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shipper.host.children import command

_CONTAINER: Final = re.compile(r"[0-9a-f]{64}")
#: How many are named.
_MOST_NAMED: Final = 5


def deaf_without(path: str) -> str:
    """Name the containers in which this very socket is mounted; "" when there are none."""
    names = sorted(set(_mounting(path)))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _mounting(path: str) -> Iterator[str]:
    """Look into each mount namespace but our own."""
    try:
        wanted = os.stat(path)  # noqa: PTH116  compared with what is seen elsewhere
    except OSError:
        return
    seen = {_namespace(os.getpid())}
    for pid in [int(name) for name in os.listdir("/proc") if name.isdecimal()]:  # noqa: PTH208  names, not paths
        namespace = _namespace(pid)
        if namespace in seen:
            continue
        seen.add(namespace)
        if any(_is(f"/proc/{pid}/root{place}", wanted) for place in _places(pid)):
            yield _name(pid)


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115
    except OSError:
        return ""  # gone, or a thread of the kernel


def _places(pid: int) -> list[str]:
    """Where something smaller than a whole file system is mounted: proc(5), mountinfo, fields 4 and 5."""
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    fields = (line.split(" ", 5) for line in lines)
    return [found[4] for found in fields if found[3] != "/"]


def _is(place: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(place), wanted)  # noqa: PTH116
    except OSError:
        return False


def _name(pid: int) -> str:
    """The id of the container, as Docker shortens it, or what runs there."""
    try:
        found = _CONTAINER.search(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError:
        found = None
    return f"container {found[0][:12]}" if found else f"{command(pid)} (pid {pid})"
