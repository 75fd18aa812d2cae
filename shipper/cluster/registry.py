"""Which task is of which app: all tasks that are known, alive or dead, within limits of memory. No I/O.

A full read is the truth about who lives; an event adds what is between two reads, so that a task that lives for a
second is known too. A task that died stays known, the oldest are forgotten first. What an app's definition says is
kept once per version and shared by its tasks. Everything here comes from strangers and has a limit.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from shipper.cluster.known import Definition, Known, bounded, ports_of, text
from shipper.cluster.model import LIVE, App
from shipper.record import times

#: Containers whose task a record told.
_MOST_CONTAINERS: Final = 20_000
#: A task of an app that no read shows is taken as it is after this long: a read may be older than the event.
_SETTLED_SECONDS: Final = 5.0


class Registry:
    """Tasks by id. `revision` grows whenever an answer of `find` may have changed."""

    def __init__(
        self, *, most_tasks: int = 20_000, most_bytes: int = 64 * 2**20, clock: Callable[[], float] = time.time
    ) -> None:
        self._most_tasks = most_tasks
        self._half_bytes = most_bytes // 2
        self._clock = clock
        self._tasks: dict[str, Known] = {}
        #: Those that ended, in the order in which they did.
        self._dead: dict[str, None] = {}
        #: Those whose app's definition is not known yet: they are not found.
        self._unsettled: dict[str, None] = {}
        #: By app and version.
        self._definitions: dict[str, dict[str, Definition]] = {}
        #: Version in force, by app.
        self._current: dict[str, str] = {}
        self._containers: dict[str, str] = {}
        self.revision = 0
        #: Tasks that were dropped, or never kept, because of the limits.
        self.forgotten = 0
        #: Bytes that tasks and definitions are counted with; each has half of the limit.
        self._task_bytes = self._definition_bytes = 0

    def __len__(self) -> int:
        """Return how many tasks are known."""
        return len(self._tasks)

    @property
    def bytes(self) -> int:
        """Memory that all of it is counted with."""
        return self._task_bytes + self._definition_bytes

    @property
    def alive(self) -> int:
        """How many of them have not ended."""
        return len(self._tasks) - len(self._dead)

    def __iter__(self) -> Iterator[Known]:
        """Give every task with a definition, those that ended first and the oldest of them at the beginning."""
        yield from (self._tasks[task_id] for task_id in self._dead if task_id not in self._unsettled)
        yield from (known for known in self._tasks.values() if known.until is None and known.definition is not None)

    def find(self, task_id: str, container: str = "") -> Known | None:
        """Return what is known of a task, or of the task that runs in a container; None when it is not known (yet)."""
        known = self._tasks.get(task_id or self._containers.get(container, ""))
        return None if known is None or known.definition is None else known

    def task_of(self, container: str) -> str:
        """Return the id of the task that runs in a container; "" when nobody told."""
        return self._containers.get(container, "")

    def learn_container(self, container: str, task_id: str) -> None:
        """Remember which task runs in a container, as a host said it."""
        if self._containers.get(container) == task_id:
            return
        if len(self._containers) >= _MOST_CONTAINERS:
            del self._containers[next(iter(self._containers))]
        self._containers[container] = task_id
        self.revision += 1

    def read(self, apps: Sequence[App]) -> None:
        """Take a full read: these tasks live, all others have ended."""
        now = self._clock()
        seen = set()
        for app in apps:
            self._define(app)
            for task in app.tasks:
                seen.add(task.id)
                since = _seconds(task.started_at) or _seconds(task.staged_at) or now
                version = task.version or app.version
                self._see(task.id, app.id, version, task.host, ports_of(task.ports), since, task.state)
        for task_id in [task_id for task_id in self._tasks if task_id not in seen and task_id not in self._dead]:
            self._end(task_id, now)
        self._current = {app.id: app.version for app in apps}
        self._settle(now)
        self._drop_definitions()

    def status(self, fields: Mapping[str, Any]) -> None:
        """Take a `status_update_event`; one that lacks a task or an app says nothing."""
        task_id, app_id = text(fields.get("taskId")), text(fields.get("appId"))
        if not task_id or not app_id:
            return
        now = self._clock()
        known = self._tasks.get(task_id)
        version = text(fields.get("version")) or (known.version if known else "")
        host = text(fields.get("host")) or (known.host if known else "")
        ports = ports_of(fields.get("ports")) or (known.ports if known else ())
        self._see(task_id, app_id, version, host, ports, now, text(fields.get("taskStatus")))

    def restore(self, tasks: Iterable[Known]) -> None:
        """Take tasks that were known before a restart; those known now stay as they are."""
        for known in tasks:
            definition = known.definition
            if known.id in self._tasks or definition is None or not self._make_room(known.cost):
                continue
            self._definitions.setdefault(definition.app_id, {}).setdefault(definition.version, definition)
            self._put(known)
        self._count_definitions()

    def _see(
        self, task_id: str, app_id: str, version: str, host: str, ports: tuple[int, ...], since: float, state: str
    ) -> None:
        """Note what somebody says of a task; one that ended keeps the time at which it did."""
        if not text(task_id) or not text(app_id):
            return
        before = self._tasks.get(task_id)
        definition = self._definitions.get(app_id, {}).get(version)
        if definition is None and before is not None and before.version == version:
            definition = before.definition
        since = before.since if before else since
        until = None if state in LIVE else (before and before.until) or self._clock()
        known = Known(task_id, app_id, text(version), text(host), ports, definition, since, until)
        if known != before and self._make_room(known.cost if before is None else 0):
            self._put(known)

    def _end(self, task_id: str, now: float) -> None:
        known = self._tasks.get(task_id)
        if known is not None and known.until is None:
            self._put(known.ended(now))

    def _put(self, known: Known) -> None:
        before = self._tasks.get(known.id)
        self._task_bytes += known.cost - (before.cost if before else 0)
        self._tasks[known.id] = known
        for among, names in ((known.until is not None, self._dead), (known.definition is None, self._unsettled)):
            if among:
                names.setdefault(known.id)
            else:
                names.pop(known.id, None)
        self.revision += 1

    def _make_room(self, cost: int) -> bool:
        """Forget the tasks that ended first, until there is room for one more; False when all that are left live."""
        while cost and (len(self._tasks) >= self._most_tasks or self._task_bytes + cost > self._half_bytes):
            self.forgotten += 1
            oldest = next(iter(self._dead), None)
            if oldest is None:
                return False
            del self._dead[oldest]
            self._unsettled.pop(oldest, None)
            self._task_bytes -= self._tasks.pop(oldest).cost
            self.revision += 1
        return True

    def _define(self, app: App) -> None:
        """Keep what this version of an app says; an app that was only scaled shares the labels of before."""
        versions = self._definitions.setdefault(app.id, {})
        if app.version in versions:
            return
        definition = Definition(app.id, app.version, bounded(app.labels, self._half_bytes - self._definition_bytes))
        same = next((other for other in versions.values() if other.labels == definition.labels), None)
        versions[app.version] = definition if same is None else same.renamed(app.version)
        self._definition_bytes += versions[app.version].cost

    def _settle(self, now: float) -> None:
        """Give the tasks that only events told of the nearest definition, when there is none of their own version."""
        for task_id in list(self._unsettled):
            known = self._tasks[task_id]
            definition = self._nearest(known.app_id, known.version)
            if definition is None and now - known.since > _SETTLED_SECONDS:
                definition = Definition(known.app_id, known.version, {})
            if definition is not None:
                self._put(known.of(definition))

    def _nearest(self, app_id: str, version: str) -> Definition | None:
        """Return the definition in force at a version: itself, else the one before it, else the oldest there is."""
        versions = self._definitions.get(app_id)
        if not versions:
            return None
        earlier = [name for name in versions if name <= version]
        return versions[max(earlier) if earlier else min(versions)]

    def _drop_definitions(self) -> None:
        """Forget versions that are neither in force nor those of a task."""
        used = {
            (known.definition.app_id, known.definition.version) for known in self._tasks.values() if known.definition
        }
        used |= self._current.items()
        for app_id, versions in list(self._definitions.items()):
            for version in [version for version in versions if (app_id, version) not in used]:
                del versions[version]
            if not versions:
                del self._definitions[app_id]
        self._count_definitions()

    def _count_definitions(self) -> None:
        definitions = (one for versions in self._definitions.values() for one in versions.values())
        self._definition_bytes = sum(one.cost for one in definitions)


def _seconds(at: str) -> float:
    """Return an RFC 3339 time in seconds since 1970; 0 when it is none."""
    moved = times.utc(at) if at else None
    return times.to_ns(moved) / 1e9 if moved else 0.0
