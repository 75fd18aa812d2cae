"""What is known of a task, as fields of its records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shipper.cluster import task_ids
from shipper.cluster.known import Known

#: Everything that may be added to a record; nothing of it has part in what `said_by_host` compares.
ADDED: Final = (
    "orchestrator.resource.id", "orchestrator.resource.name", "orchestrator.resource.type", "marathon.app.version",
    "marathon.app.owner", "marathon.labels", "marathon.task.host", "marathon.task.ports", "service.name",
    "service.environment", "event.dataset", "shipper.enriched_by",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the task that a record names."""

    fields: Mapping[str, Any]
    #: Who told: "registry", "task_id" (the id itself says it) or "host"; "" when nothing is known.
    by: str
    known: Known | None
    #: Whether more may become known later.
    open: bool


def find(known: Known | None, task_id: str) -> Found:
    """Return what is known: from the registry, else from the id of the task."""
    if known is not None:
        return Found(_of(known), "registry", known, open=False)
    read = task_ids.read(task_id) if task_id else None
    if read is None:
        return Found({}, "", None, open=True)
    work = read.job or read.app_id
    fields = {
        "orchestrator.resource.id": task_id,
        "orchestrator.resource.name": work,
        "orchestrator.resource.type": "job" if read.job else "task",
        "service.name": service_of(work),
        "shipper.enriched_by": "task_id",
    }
    return Found({name: value for name, value in fields.items() if value}, "task_id", None, open=not read.job)


def service_of(work: str) -> str:
    """Return the service's name that follows from an app's id or a job's name ("/shop/api": "shop-api")."""
    return work.removeprefix("/").replace("/", "-")


def _of(known: Known) -> dict[str, Any]:
    """Return the fields of a task of the registry; what is not known of it is left out."""
    definition = known.definition
    fields: dict[str, Any] = {
        "orchestrator.resource.id": known.id,
        "orchestrator.resource.name": known.app_id,
        "orchestrator.resource.type": "task",
        "marathon.app.version": known.version,
        "marathon.task.host": known.host,
        "marathon.task.ports": list(known.ports),
        "service.name": service_of(known.app_id),
    }
    if definition is not None:
        wishes = definition.wishes
        fields["marathon.app.version"] = known.version or definition.version
        fields["marathon.labels"] = definition.shown
        fields["marathon.app.owner"] = wishes.owner
        fields["service.environment"] = wishes.environment
        fields["event.dataset"] = wishes.dataset
        fields["service.name"] = wishes.service or fields["service.name"]
    return {name: value for name, value in fields.items() if value} | {"shipper.enriched_by": "registry"}
