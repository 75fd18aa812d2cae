"""Which files there are to read: stdout and stderr of every run in Mesos sandboxes, and what patterns match.

Folders are listed again only when they have changed, so a look at two thousand sandboxes is two thousand stat calls.
"""

import glob
import os
import re
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from shipper.host.lines import Origin

_UUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SANDBOX_FILE: Final = re.compile(
    rb"/[^/]+/frameworks/[^/]+/executors/([^/]+)/runs/" + _UUID.pattern + rb"/(stdout|stderr)"
)
_STREAMS: Final = ("stdout", "stderr")
#: A folder that changed this recently is listed again: its time stamp is coarse, a second change may not show in it.
_COARSE_NANOSECONDS: Final = 2 * 10**9
#: Files that one pattern may match.
_MOST_MATCHES: Final = 10_000


class Sandboxes:
    """The runs below a Mesos agent's work_dir. A run is the folder `…/executors/<task>/runs/<uuid>`."""

    def __init__(self, work_dir: str) -> None:
        self._root = os.path.abspath(os.fsencode(work_dir)) + b"/slaves"  # noqa: PTH100  bytes: names may be any
        self._listed: dict[bytes, tuple[int, list[bytes]]] = {}
        self._seen: set[bytes] = set()

    def runs(self) -> dict[bytes, str]:
        """Return the folder of every run, with its task; `latest`, a link to one of them, is none."""
        self._seen = set()
        found: dict[bytes, str] = {}
        for agent in self._folders(self._root):
            for framework in self._folders(agent + b"/frameworks"):
                for executor in self._folders(framework + b"/executors"):
                    task = executor[executor.rindex(b"/") + 1 :].decode(errors="replace")
                    for run in self._folders(executor + b"/runs"):
                        if _UUID.fullmatch(run, run.rindex(b"/") + 1):
                            found[run] = task
        for gone in self._listed.keys() - self._seen:
            del self._listed[gone]
        return found

    def origin(self, path: bytes) -> Origin | None:
        """Return task and stream of a path that `runs` and `streams` once led to; None for any other path."""
        found = _SANDBOX_FILE.fullmatch(path.removeprefix(self._root))
        if found is None or not path.startswith(self._root):
            return None
        return Origin(path, found[1].decode(errors="replace"), found[2].decode())

    def _folders(self, folder: bytes) -> list[bytes]:
        """Return the real folders in a folder, from memory when nothing has changed."""
        try:
            changed = os.lstat(folder).st_mtime_ns
            self._seen.add(folder)
            known = self._listed.get(folder)
            if known is not None and known[0] == changed:
                return known[1]
            with os.scandir(folder) as entries:
                found = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # not there yet, or removed at this moment
            return []
        settled = changed < time.time_ns() - _COARSE_NANOSECONDS
        self._listed[folder] = (changed if settled else -1, found)
        return found


def streams(run: bytes, task: str) -> Iterator[Origin]:
    """Yield the files of a run that are read."""
    for stream in _STREAMS:
        yield Origin(run + b"/" + stream.encode(), task, stream)


def matches(patterns: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the path of what patterns match; at most 10,000 for each pattern."""
    for pattern in patterns:
        yield from islice(glob.iglob(pattern), _MOST_MATCHES)  # noqa: PTH207  paths are bytes
