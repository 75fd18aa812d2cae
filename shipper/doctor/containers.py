"""The containers that run on this host, from /proc alone, and whether what they write to /dev/log is read."""

import os
import re
from dataclasses import dataclass
from typing import Final

from shipper.doctor.hearing import Hearing, Way, identity, way_of

#: Docker's id in a cgroup's path, /docker/ID or docker-ID.scope; Mesos' in /mesos/UUID. The first one in a path is the
#: container that this host runs: what is below was made inside it.
_ID: Final = re.compile(
    r"/(?:(?:[a-z]+-){0,4}([0-9a-f]{64})(?:\.scope)?|mesos/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))(?=/|\s|$)"
)
#: Variables that are taken from a container's first process; all else is secret.
_TASK: Final = {b"MESOS_TASK_ID": "task", b"MARATHON_APP_ID": "app"}
_LONGEST_NAME: Final = 128
_LONGEST_FILE: Final = 2**20
_MOST_PROCESSES: Final = 100_000
_SHOWN_ID: Final = 12


@dataclass(frozen=True, slots=True)
class Container:
    """One container, or one of its mount namespaces: its oldest process there, its task and its way to us."""

    id: str
    pid: int
    way: Way
    task: str = ""
    app: str = ""

    def described(self, names: "dict[str, str] | None" = None) -> str:
        """Return what people know it by: short id, Docker's name where given, task or app."""
        name = (names or {}).get(self.id, "")
        task = self.task or self.app
        return " ".join(part for part in (self.id[:_SHOWN_ID], name, f"(task {task})" if task else "") if part)


@dataclass(frozen=True, slots=True)
class Scan:
    """All containers found, and how many processes could not be looked at."""

    containers: tuple[Container, ...]
    hidden: int

    def of(self, hearing: Hearing) -> list[Container]:
        """Return those whose /dev/log is this."""
        return [each for each in self.containers if each.way.hearing is hearing]


def scan(socket: str) -> Scan:
    """Return the containers of this host and whether each reaches the socket at this path."""
    live, paths = identity(socket), ("/dev/log", socket)
    oldest, hidden = _oldest_processes()
    found = []
    for container, _, pid in sorted(oldest.values()):
        try:
            found.append(_container(container, pid, way_of(pid, paths, live)))
        except PermissionError:
            hidden += 1
        except OSError:
            continue  # it has just ended
    return Scan(tuple(found), hidden)


def deaf_containers(socket: str) -> list[Container]:
    """Return the containers whose /dev/log nobody reads, and nobody will until they are restarted."""
    return scan(socket).of(Hearing.DEAF)


def deaf_after_restart(socket: str) -> list[Container]:
    """Return the containers that would be deaf if this socket were made anew: they have mounted its file."""
    return [each for each in scan(socket).of(Hearing.LIVE) if each.way.by_file]


def _oldest_processes() -> tuple[dict[str, tuple[str, int, int]], int]:
    """Return container, start time and pid of the oldest process of each mount namespace that is a container's."""
    ours = os.readlink("/proc/self/ns/mnt")  # noqa: PTH115  a text, no path
    oldest: dict[str, tuple[str, int, int]] = {}
    hidden = 0
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    for pid in sorted(pids)[:_MOST_PROCESSES]:
        try:
            container = container_of(_read(f"/proc/{pid}/cgroup").decode(errors="replace"))
            if not container:
                continue
            name, _, rest = _read(f"/proc/{pid}/stat").rpartition(b")")
            if b"(runc:" in name:  # not yet in its own root folder
                continue
            space = os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115
            this = (container, int(rest.split()[19]), pid)
        except PermissionError:
            hidden += 1
            continue
        except (OSError, IndexError, ValueError):
            continue  # it has just ended
        if space != ours:
            oldest[space] = min(oldest.get(space, this), this, key=lambda one: one[1:])
    return oldest, hidden


def container_of(cgroups: str) -> str:
    """Return the id of the container that the lines of a /proc/PID/cgroup name; "" for a process of the host."""
    found = _ID.search(cgroups)
    return (found[1] or found[2]) if found else ""


def _container(container: str, pid: int, way: Way) -> Container:
    values: dict[str, str] = {}
    try:
        environment = _read(f"/proc/{pid}/environ")
    except OSError:
        environment = b""
    for text in environment.split(b"\0"):
        name, _, value = text.partition(b"=")
        if name in _TASK:
            values.setdefault(_TASK[name], value.decode(errors="replace")[:_LONGEST_NAME])
    return Container(container, pid, way, **values)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read(_LONGEST_FILE) or b""
