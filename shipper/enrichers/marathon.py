"""Adds what Marathon says about the task that wrote a record: app, version, labels, host, ports, owner.

Which task that is was stamped by the host. All is known beforehand, by a registry that a follower keeps true beside
the records; a record is never delayed. One whose task is not known is repaired in the store when it becomes known.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from shipper import telemetry
from shipper.cluster.model import App
from shipper.cluster.registry import Registry
from shipper.cluster.registry_file import load
from shipper.cluster.settings import ClusterSettings
from shipper.enrichers._budget import Budgets
from shipper.enrichers._joins import Join
from shipper.enrichers._task_fields import Found, find
from shipper.enrichers._waiting import Unknown, WaitingRoom
from shipper.record import NOTHING_SHARED, Record, Repair, Shared

EXAMPLE: Final[dict[str, Any]] = {"type": "marathon", "marathon_urls": ["http://127.0.0.1:8080"]}

#: As many as parsers keep of what hosts say, twice: with and without a syslog tag.
_MOST_JOINS: Final = 8192
_COUNT_SECONDS: Final = 1.0

#: Task, container, app or job.
_Stamp = tuple[str, str, str]


class Config(ClusterSettings):
    """Where Marathon answers, and how much is remembered."""

    type: Literal["marathon"] = "marathon"
    registry_file: Path | None = Field(
        default=Path("data/registry.json"), description="file that keeps known tasks over a restart; null: none"
    )
    most_tasks: int = Field(default=20_000, ge=1, le=1_000_000, description="tasks known, those that ended included")
    registry_bytes: int = Field(default=64 * 2**20, ge=2**20, description="byte limit of what is known of tasks")
    repair_seconds: float = Field(
        default=120, ge=0, le=3600, description="how long a stored record waits for its task to become known"
    )
    repair_records: int = Field(default=20_000, ge=0, le=1_000_000, description="most records that wait so")

    def build(self) -> "Marathon":
        """Make the enricher, with what was known before a restart."""
        registry = Registry(most_tasks=self.most_tasks, most_bytes=self.registry_bytes)
        if self.registry_file is not None:
            load(self.registry_file, registry)
        return Marathon(registry, WaitingRoom(self.repair_records, self.repair_seconds), self)


class Marathon:
    """Joins records with a registry of tasks."""

    def __init__(self, registry: Registry, waiting: WaitingRoom, settings: Config) -> None:
        self.registry = registry
        self._waiting = waiting
        self._settings = settings
        #: By what a record shares; by the host's stamp for records that share nothing.
        self._joins: dict[Shared | _Stamp, Join] = {}
        self._counts: Counter[str] = Counter()
        self._budgets = Budgets()
        self._watcher: Callable[[Sequence[App]], object] = len

    def enrich(self, record: Record) -> None:
        """Add what is known of the task; remember the record when its task is not known yet."""
        shared = record.shared
        join = self._joins.get(shared if shared is not NOTHING_SHARED else _stamp(record.fields))
        if join is None or join.revision != self.registry.revision:
            join = self._join(record, join)
        join.records += 1
        if record.fields.keys().isdisjoint(join.claims):
            record.shared = join.shared
            said = join.said
        else:
            said = join.apply(record)
        if not record.series and record.shared is not NOTHING_SHARED:
            record.unshare()  # what has no series cannot be sealed with a share of others
        elif join.unknown is not None:
            self._waiting.remember(record, join.unknown, said)
        if join.budget:
            self._budgets.decide(record, join.app_id, join.budget)

    def watch_apps(self, watcher: Callable[[Sequence[App]], object]) -> None:
        """Call `watcher` with all apps, each time that they were read."""
        self._watcher = watcher

    def take_repairs(self, most: int, in_flight: Callable[[str, int], bool]) -> list[Repair]:
        """Hand over records whose task has become known since they were stored."""
        return self._waiting.take(self._find, most, in_flight)

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow Marathon, if it is known where it is, and count joins."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._count(stopping))
            if self._settings.marathon_urls:
                # Imported here: a process without Marathon does not pay for its client.
                from shipper.cluster.follow import Follower

                follower = Follower(self._settings, self.registry, self._settings.registry_file, self._watcher)
                group.create_task(follower.run(stopping))

    def _join(self, record: Record, before: Join | None) -> Join:
        """Return the join of what a record shares (or alone has) as the registry is now."""
        shared = record.shared
        key = shared if shared is not NOTHING_SHARED else _stamp(record.fields)
        task_id, container, work = _stamp(record.content())
        found = self._find(task_id, container)
        revision = self.registry.revision
        if before is not None:
            if before.found.known is found.known and before.found.open == found.open:
                before.revision = revision
                return before
            self._counts[before.by] += before.records
        elif len(self._joins) >= _MOST_JOINS:
            self._tally()
            self._joins.clear()
        join = Join(shared, found, self._place(task_id, container, found), revision, work)
        self._joins[key] = join
        return join

    def _find(self, task_id: str, container: str) -> Found:
        """Return what is known of a task; a container's task is known from records that name both."""
        if task_id and container:
            self.registry.learn_container(container, task_id)
        return find(self.registry.find(task_id, container), task_id or self.registry.task_of(container))

    def _place(self, task_id: str, container: str, found: Found) -> Unknown | None:
        """Return where records of a task wait; None when nothing more will be known."""
        if not found.open or not self._settings.marathon_urls or not (task_id or container):
            return None
        return self._waiting.unknown(task_id, container)

    async def _count(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_COUNT_SECONDS):
                    await stopping.wait()
            self._tally()

    def _tally(self) -> None:
        for join in self._joins.values():
            self._counts[join.by] += join.records
            join.records = 0
        for by, count in self._counts.items():
            if by:
                telemetry.RECORDS_JOINED.labels(by).inc(count)
        self._counts.clear()


def _stamp(fields: Mapping[str, Any]) -> _Stamp:
    """Return the task, the container and the app or job that the host named; "" for none."""
    get = fields.get
    return get("orchestrator.resource.id", ""), get("container.id", ""), get("orchestrator.resource.name", "")
