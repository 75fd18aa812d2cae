"""Apps and tasks as the cluster tells of them, in one form for every version of Marathon from 0.9.1 to 1.11."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: States of a task that may still write (Mesos, include/mesos/mesos.proto, TaskState).
LIVE: Final = frozenset({"", "TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_UNREACHABLE"})


@dataclass(frozen=True, slots=True)
class Task:
    """One task of an app, as Marathon's answer names it."""

    id: str
    app_id: str
    #: The Mesos agent's host, as Marathon names it; an address or a name.
    host: str
    #: Host ports in the order of the app's ports.
    ports: tuple[int, ...] = ()
    #: "TASK_RUNNING"; "" in answers of old versions, which do not say.
    state: str = ""
    #: Version of the app's definition that it was started with; "" while it is not active.
    version: str = ""
    #: Mesos agent id (`slaveId`).
    agent_id: str = ""
    #: RFC 3339 times; "" when not said.
    staged_at: str = ""
    started_at: str = ""
    #: What its health checks say; None when there are none, or none has answered yet.
    healthy: bool | None = None


@dataclass(frozen=True, slots=True)
class App:
    """One Marathon app with its tasks."""

    id: str
    #: Time at which its definition was last changed: Marathon's name for a version.
    version: str
    labels: Mapping[str, str]
    instances: int
    #: Ports on which HAProxy serves it, in order; of container.portMappings, ports or portDefinitions.
    service_ports: tuple[int, ...]
    tasks: tuple[Task, ...]
    #: Ids of deployments that change it now.
    deployments: tuple[str, ...]
    #: The whole answer, as it came.
    definition: Mapping[str, Any]
