"""Control groups: which container a cgroup belongs to, and which processes a container has. No container is asked."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

#: /docker/ID, docker-ID.scope (systemd), cri-containerd-ID.scope. The first in a path is the container the host runs:
#: what is below it was made by the container's own processes, who may write there any name they like.
_BY_ID: Final = re.compile(r".*?/(?:[a-z]+-){0,4}([0-9a-f]{64})(?:\.scope)?(?=/|$)")
_ID: Final = re.compile(r"[0-9a-f]{64}")
#: /mesos/UUID, and /mesos/UUID/mesos/UUID for a container in a container: the first is the executor's.
_BY_MESOS: Final = re.compile(r".*?/mesos/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=/|$)")

#: Where containers are before one has been seen elsewhere, as what comes before and after the id; and how many such
#: places are watched at most.
_HOMES: Final = (("/docker/", ""), ("/system.slice/docker-", ".scope"), ("/mesos/", ""))
_MOST_HOMES: Final = 64
#: Entries of one folder that are looked at, and cgroup ids that are remembered, at most.
_MOST_ENTRIES: Final = 4096
_MOST_IDS: Final = 16384
#: Unknown ids for which all is read again, at most, from one second to the next.
_MOST_LOOKS: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container is: its id (Docker's 64 digits or Mesos' UUID), and its own cgroup's path."""

    container: str
    path: str


def is_id(text: str) -> bool:
    """Whether this is the id of a Docker container."""
    return _ID.fullmatch(text) is not None


def place(path: str) -> Place | None:
    """The container that a cgroup is, or is in; None for the host's own."""
    found = _BY_ID.match(path) or _BY_MESOS.match(path)
    return Place(found[1], found[0]) if found else None


def places(text: str) -> set[Place]:
    """The containers of a process, from the lines of its /proc/PID/cgroup: of one container, as a rule."""
    # "4:memory:/docker/ID", "0::/docker/ID"; a removed cgroup's path ends in " (deleted)".
    paths = {line.split(":", 2)[-1].removesuffix(" (deleted)") for line in text.splitlines()}
    return {found for path in paths if (found := place(path))}


class Cgroups:
    """The hierarchies mounted below one folder: version 2 alone, version 1, or both ("unified" beside the others)."""

    def __init__(self, root: str) -> None:
        self._alone = Path(root, "cgroup.controllers").exists()
        if self._alone:
            self._mounts = [root]
        else:
            names = sorted((name for name, _ in _entries(root)), key=lambda name: (name != "unified", name))
            self._mounts = [f"{root}/{name}" for name in names]
        self._homes = dict.fromkeys(_HOMES)
        self._ids: dict[int, str] = {}
        self._unknown: set[int] = set()  # looked for since the last tick

    def learn(self, found: Place) -> None:
        """Remember where this container is: others will be beside it."""
        before, _, after = found.path.rpartition(found.container)
        home = (before, after)
        if home in self._homes:
            return
        if len(self._homes) >= _MOST_HOMES:
            del self._homes[next(islice(self._homes, len(_HOMES), None))]  # the oldest that was learnt
        self._homes[home] = None
        self._unknown.clear()

    def folder(self, container: str) -> str | None:
        """The folder of a container that lives, in any hierarchy; None when there is none."""
        for mount in self._mounts:
            for before, after in self._homes:
                if os.access(folder := f"{mount}{before}{container}{after}", os.F_OK):
                    return folder
        return None

    def owner(self, cgroup_id: int) -> str | None:
        """The container with this version 2 cgroup id, "" for the host's own; None when it is not known.

        Beside version 1 a cgroup that is no container's says nothing: its processes may be in one by version 1 only.
        """
        if cgroup_id not in self._ids and cgroup_id not in self._unknown and len(self._unknown) < _MOST_LOOKS:
            self._unknown.add(cgroup_id)
            self._look()
        return self._ids.get(cgroup_id)

    def tick(self) -> None:
        """Look once for new containers; ids are never used again before the next boot, so old ones are kept a while."""
        self._unknown.clear()
        self._look()

    def _look(self) -> None:
        mount = self._mounts[0] if self._mounts else ""
        if not (self._alone or mount.endswith("/unified")):
            return
        for parent in {before.rpartition("/")[0] for before, _ in self._homes}:
            for name, cgroup_id in _entries(f"{mount}{parent}"):
                found = place(f"{parent}/{name}")
                if found or self._alone:
                    self._ids.pop(cgroup_id, None)  # to the young end
                    self._ids[cgroup_id] = found.container if found else ""
        for old in list(islice(self._ids, max(0, len(self._ids) - _MOST_IDS))):
            del self._ids[old]


def _entries(folder: str) -> Iterator[tuple[str, int]]:
    """Names of folders in a folder and their inode numbers, which for cgroups are the cgroups' ids."""
    try:
        with os.scandir(folder) as entries:
            yield from ((entry.name, entry.inode()) for entry in islice(entries, _MOST_ENTRIES) if entry.is_dir())
    except OSError:
        return
