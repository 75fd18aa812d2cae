"""The containers of this host and the task each one runs: a table of limited size, filled as containers write."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import orjson

from shipper.host import tasks
from shipper.host.cgroups import Cgroups
from shipper.host.processes import Processes

#: Looks at a container that does not say its task: some at once, then one a second. It may be starting.
_LOOKS_AT_ONCE: Final = 3
_MOST_LOOKS: Final = 10
#: How long a container that is gone is remembered: its last lines may come late.
_KEEP_SECONDS: Final = 300.0
_MOST_CONTAINERS: Final = 4096
#: Containers looked for per second.
_CHECKED: Final = 64


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a record: JSON members, each after a comma (b"" when there are none), and whether that is certain.

    `known` is true for a process on the host itself too, which has no members. `dockerd`: the Docker daemon wrote it.
    """

    json: bytes
    known: bool
    dockerd: bool


@dataclass(slots=True)
class _Container:
    origin: Origin
    complete: bool = False
    looks: int = 0
    next_look: float = 0.0
    folder: str | None = None
    alive_at: float = 0.0


class Containers:
    """A bounded table of containers. Nothing is raised; what cannot be read is not known."""

    def __init__(self, processes: Processes, cgroups: Cgroups, sandboxes: str, docker_data: str) -> None:
        """`sandboxes` is the work folder of the Mesos agent, `docker_data` Docker's folder; "" where there is none."""
        self._processes = processes
        self._cgroups = cgroups
        self._sandboxes = sandboxes.rstrip("/")
        self._docker_data = docker_data
        self._table: dict[str, _Container] = {}
        self._now = 0.0

    def origin(self, container: str) -> Origin:
        """Who a container is: its id, and its task when that can be found out."""
        found = self._table.get(container)
        if found is None:
            if len(self._table) >= _MOST_CONTAINERS:
                del self._table[next(iter(self._table))]  # the oldest: it is looked up again when it writes
            found = self._table[container] = _Container(_origin(container, {}), alive_at=self._now)
        if not found.complete and (found.looks < _LOOKS_AT_ONCE or self._now >= found.next_look):
            self._look(container, found)
        return found.origin

    def tick(self, now: float) -> None:
        """Forget containers that are long gone; a few are looked for at a time, so that this is always short."""
        self._now = now
        for container in list(islice(self._table, _CHECKED)):
            found = self._table.pop(container)
            if found.folder is not None and Path(found.folder).is_dir():
                found.alive_at = now
            if now - found.alive_at < _KEEP_SECONDS:
                self._table[container] = found  # to the young end

    def _look(self, container: str, found: _Container) -> None:
        found.looks += 1
        found.next_look = self._now + 1
        found.folder = found.folder or self._cgroups.folder(container)
        values = tasks.of_configuration(self._docker_data, container)
        certain = values is not None
        if values is None:
            pid = tasks.first_process(self._processes, found.folder) if found.folder else None
            values = tasks.of_process(self._processes, pid) if pid else {}
            working = tasks.working_folder(self._processes, pid) if pid else ""
            if executor := tasks.executor(self._sandboxes, container, working):
                values["task"] = executor
        if values:
            found.origin = _origin(container, values)
        found.complete = certain or "task" in values or found.looks >= _MOST_LOOKS


def _origin(container: str, values: Mapping[str, str]) -> Origin:
    return Origin(b"," + orjson.dumps({"container": container, **values})[1:-1], known=True, dockerd=False)
