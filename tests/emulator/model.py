"""The world that the emulator keeps: agents, tasks, apps, deployments, one clock. It does no I/O and starts nothing.

Marathon's and Chronos's sides add tasks, `running.py` changes their state, Mesos's side only reads.
"""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.emulator.profiles import Profile

#: States in which a task has ended, for Mesos.
ENDED: Final = frozenset(
    {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_UNREACHABLE", "TASK_GONE"}
)
#: How many ended tasks are remembered, as Mesos's master forgets the oldest.
COMPLETED_LIMIT: Final = 1000

Definition = dict[str, Any]


class Clock:
    """The time that answers carry; a fault may let it jump. Waiting is done with the event loop's own clock."""

    def __init__(self) -> None:
        self.offset_seconds = 0.0
        self._last = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.offset_seconds

    def text(self, moment: float | None = None) -> str:
        """A moment (now) as Marathon writes it: `2026-11-23T06:56:56.123Z`."""
        when = datetime.fromtimestamp(self.now() if moment is None else moment, UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def version(self) -> str:
        """A version: the time now, and never the same twice in a row, for versions are told apart by it."""
        moment = self.now()
        if int(moment * 1000) == int(self._last * 1000):
            moment = self._last + 0.001
        self._last = moment
        return self.text(moment)


@dataclass(eq=False)
class Agent:
    """One fake host with a Mesos agent."""

    #: A loopback address, its host name for Mesos and Marathon.
    host: str
    #: Mesos's id of it: `<cluster id>-S<n>`.
    id: str
    #: Stands for the host's `/`: a volume's hostPath is looked up below it.
    root: Path
    attributes: Mapping[str, str] = field(default_factory=dict)
    alive: bool = True
    #: Of its own HTTP listener; 0 until it listens.
    port: int = 0
    registered_at: float = 0.0

    @property
    def work_dir(self) -> Path:
        """Mesos's work folder on this host, where the sandboxes are."""
        return self.root / "var/lib/mesos"


@dataclass(frozen=True)
class Framework:
    """Who starts tasks: Marathon, or Chronos."""

    id: str
    name: str
    registered_at: float


@dataclass(frozen=True)
class Volume:
    """A folder or file of the host (or of the sandbox, when the path is relative) that a task sees elsewhere."""

    container_path: str
    host_path: str
    read_only: bool


@dataclass(frozen=True)
class Docker:
    """What `docker run` is told besides."""

    image: str
    #: Whether the argument vector is a shell's, which then takes the place of the image's entry point.
    shell: bool
    #: `--label MESOS_TASK_ID=…`.
    label: bool
    parameters: tuple[tuple[str, str], ...] = ()
    #: `<host port>:<container port>/<protocol>`; none with the host's network.
    published: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """What a task runs: an argument vector, its environment (Mesos's own is added), its volumes and files."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    volumes: tuple[Volume, ...] = ()
    #: What it is as a Docker container, which has names of its own; None for a plain process.
    docker: Docker | None = None
    #: URIs to put into the sandbox first; archives are unpacked.
    fetch: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """One state of a task, from when on, and why."""

    state: str
    at: float
    message: str = ""


@dataclass
class Health:
    """What one health check found about one task; times in seconds since 1970."""

    consecutive_failures: int = 0
    first_success: float | None = None
    last_success: float | None = None
    last_failure: float | None = None
    last_cause: str = ""

    @property
    def alive(self) -> bool:
        """Whether its last success is later than its last failure."""
        return self.last_success is not None and self.last_success > (self.last_failure or 0.0)


@dataclass(eq=False)
class Task:
    """One run of an app or a job on an agent."""

    id: str
    #: Mesos's name of it: `api.shop` for the app `/shop/api`, `ChronosTask:<job>` for a job.
    name: str
    framework: Framework
    agent: Agent
    #: App id or job name.
    owner: str
    #: Version of the app; "" for a job.
    version: str = ""
    #: Marathon's instance; "" for a job.
    instance_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Host ports, in the order of the app's ports.
    ports: tuple[int, ...] = ()
    cpus: float = 0.1
    mem: float = 32.0
    disk: float = 0.0
    container_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    docker: bool = False
    statuses: list[Status] = field(default_factory=list)
    #: Of the task's own process, which leads its session and process group; 0 while there is none.
    pid: int = 0
    exit_code: int | None = None
    #: Asked to end; it does not count as an instance any more.
    killing: bool = False
    #: Whether its readiness check has passed, or there is none.
    ready: bool = True
    #: Between SIGTERM and SIGKILL; Mesos's default (executor_shutdown_grace_period).
    kill_grace_seconds: float = 5.0
    #: One entry for each health check of its app.
    health: list[Health] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> str:
        """Its last state: `TASK_STAGING` first."""
        return self.statuses[-1].state if self.statuses else "TASK_STAGING"

    @property
    def over(self) -> bool:
        """Whether it has ended for Mesos."""
        return self.state in ENDED

    @property
    def executor_id(self) -> str:
        """The agent's executor id; a command task's is the task's own (the master shows "")."""
        return self.id

    @property
    def sandbox(self) -> Path:
        """Its working folder, with `stdout` and `stderr`; the link `runs/latest` points to the last one."""
        return (
            self.agent.work_dir
            / f"slaves/{self.agent.id}/frameworks/{self.framework.id}/executors/{self.executor_id}"
            / f"runs/{self.container_id}"
        )

    def since(self, state: str) -> float | None:
        """When it came into this state first; None when it never was in it."""
        return next((status.at for status in self.statuses if status.state == state), None)


@dataclass(eq=False)
class App:
    """One app with all versions of its definition, which are normalised and in the form of Marathon 1.5 and later."""

    id: str
    versions: dict[str, Definition]
    version: str
    last_scaling_at: str
    #: By version, the one that last changed more than the number of instances: tasks of equal ones are the same.
    config_of: dict[str, str]
    #: Tasks wanted now, by such a version: two entries while an upgrade is going on.
    wanted: dict[str, int] = field(default_factory=dict)
    last_failure: dict[str, str] | None = None

    @property
    def definition(self) -> Definition:
        """The definition in force."""
        return self.versions[self.version]

    @property
    def last_config_at(self) -> str:
        """The version that last changed more than the number of instances."""
        return self.config_of[self.version]

    def newest_of(self, config: str) -> str:
        """The last version that differs from this one in the number of instances at most."""
        return next(version for version, same in reversed(self.config_of.items()) if same == config)

    @property
    def instances(self) -> int:
        """How many tasks it is to have."""
        return int(self.definition["instances"])


@dataclass(eq=False)
class Deployment:
    """A change of apps that is being carried out."""

    id: str
    version: str
    #: Each step holds pairs of an action ("StartApplication") and an app's id.
    steps: list[list[tuple[str, str]]]
    #: Definitions before and after, None for an app that was not there or is to go.
    original: dict[str, Definition | None]
    target: dict[str, Definition | None]
    current_step: int = 0
    running: "asyncio.Task[None] | None" = None

    @property
    def app_ids(self) -> list[str]:
        """The apps it locks."""
        return sorted({app_id for step in self.steps for _, app_id in step})


@dataclass(eq=False)
class World:
    """All of it."""

    profile: Profile
    work: Path
    agents: dict[str, Agent]
    marathon: Framework
    chronos: Framework
    clock: Clock = field(default_factory=Clock)
    #: Intervals of health checks and delays of the back-off take so many times as long; time-outs are real.
    time_scale: float = 1.0
    apps: dict[str, App] = field(default_factory=dict)
    #: Every task that has not ended, by id, in the order of their start.
    tasks: dict[str, Task] = field(default_factory=dict)
    #: Those that have, oldest first.
    completed: deque[Task] = field(default_factory=lambda: deque(maxlen=COMPLETED_LIMIT))
    deployments: dict[str, Deployment] = field(default_factory=dict)
    #: Called with the task after each change of its state.
    on_status: list[Callable[[Task], None]] = field(default_factory=list)

    @property
    def frameworks(self) -> tuple[Framework, Framework]:
        """Marathon and Chronos."""
        return self.marathon, self.chronos

    def tasks_of(self, framework: Framework, owner: str | None = None) -> list[Task]:
        """The tasks that run now, of one app or job, or of all."""
        return [
            task
            for task in self.tasks.values()
            if task.framework is framework and (owner is None or task.owner == owner)
        ]

    def find_task(self, task_id: str) -> Task | None:
        """A task that runs or has ended."""
        return self.tasks.get(task_id) or next((task for task in self.completed if task.id == task_id), None)

    def set_status(self, task: Task, state: str, message: str = "") -> None:
        """Give a task its next state and tell everybody; a task that has ended keeps its last one."""
        if task.over:
            return
        task.statuses.append(Status(state, self.clock.now(), message))
        if task.over:
            self.tasks.pop(task.id, None)
            self.completed.append(task)
            task.ended.set()
        else:
            self.tasks[task.id] = task
        for tell in self.on_status:
            tell(task)


def make_world(work: Path, profile: Profile, hosts: list[str], time_scale: float = 1.0) -> World:
    """A world with these agents and nothing running; each agent's root folder is made."""
    cluster = str(uuid.uuid4())
    clock = Clock()
    agents = {
        host: Agent(
            host,
            f"{cluster}-S{number}",
            work / "hosts" / host,
            {"rack_id": f"rack-{number % 2 + 1}", "os": "linux"},
            registered_at=clock.now(),
        )
        for number, host in enumerate(hosts)
    }
    for agent in agents.values():
        agent.work_dir.mkdir(parents=True, exist_ok=True)
    frameworks = [
        Framework(f"{cluster}-{number:04}", name, clock.now()) for number, name in enumerate(("marathon", "chronos"))
    ]
    return World(profile, work, agents, frameworks[0], frameworks[1], clock, time_scale)
