"""Runs Chronos's jobs when they are due, when a person says so, and after the jobs that they wait for."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any, Final

from tests.emulator import chronos_schedule
from tests.emulator.chronos_jobs import Job
from tests.emulator.model import Agent, Command, Docker, Task, Volume, World
from tests.emulator.running import Runner

#: Wait before a job that failed is tried again (Chronos's --failure_retry).
RETRY_SECONDS: Final = 60
#: How often an agent is looked for, for a job that has none.
OFFER_SECONDS: Final = 0.2
KILL_GRACE_SECONDS: Final = 5


class Runs:
    """All jobs and what runs of them."""

    def __init__(self, world: World, runner: Runner) -> None:
        self._world, self._runner = world, runner
        self.jobs: dict[str, Job] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._running: dict[asyncio.Task[None], str] = {}
        self._retrying: set[asyncio.Task[None]] = set()

    def now(self) -> datetime:
        """The time of the emulated cluster."""
        return datetime.fromtimestamp(self._world.clock.now(), UTC)

    def put(self, job: Job) -> None:
        """Take a new job, or another definition of one; what was left of the old one's schedule is forgotten."""
        self._forget(job.name)
        self.jobs[job.name] = job
        if job.schedule is not None and not job.definition["disabled"]:
            self._keeping[job.name] = asyncio.create_task(self._keep(job), name=f"job {job.name}")

    def delete(self, job: Job) -> None:
        """Take it away and end what runs of it; jobs that waited for it alone take its place."""
        self._forget(job.name)
        del self.jobs[job.name]
        self.kill(job)
        for child in [other for other in self.jobs.values() if job.name in other.parents]:
            child.parents = child.parents - {job.name} | job.parents
            if not child.parents:
                child.schedule = job.schedule
                self.put(child)

    def kill(self, job: Job) -> None:
        """End what runs of it."""
        for task in self._world.tasks_of(self._world.chronos, job.name):
            self._runner.kill(task, KILL_GRACE_SECONDS * self._world.time_scale)

    def run(self, job: Job, due: datetime, attempt: int = 0, arguments: str = "") -> None:
        """Run it now, unless it is disabled, or runs already and may not run twice."""
        if job.definition["disabled"] or (job.name in self._running.values() and not job.definition["concurrent"]):
            return
        running = asyncio.create_task(self._run(job, due, attempt, arguments), name=f"run of {job.name}")
        self._running[running] = job.name
        running.add_done_callback(self._running.pop)

    async def close(self) -> None:
        """Start nothing more; what runs is the runner's to end."""
        everything = [*self._keeping.values(), *self._running, *self._retrying]
        for one in everything:
            one.cancel()
        await asyncio.gather(*everything, return_exceptions=True)

    def _forget(self, name: str) -> None:
        if keeping := self._keeping.pop(name, None):
            keeping.cancel()

    async def _keep(self, job: Job) -> None:
        """Run it each time it is due; what was due longer ago than its epsilon is skipped."""
        epsilon = chronos_schedule.period(job.definition["epsilon"])
        while job.schedule is not None:
            job.schedule = job.schedule.not_before(self.now() - epsilon)
            if job.schedule.times == 0:
                return
            await asyncio.sleep(max(0.0, (job.schedule.due - self.now()).total_seconds()))
            due = job.schedule.due
            job.schedule = job.schedule.after(1)
            self.run(job, due)

    async def _run(self, job: Job, due: datetime, attempt: int, arguments: str) -> None:
        job.done.clear()
        said = arguments or " ".join(job.definition["arguments"])
        task_id = f"ct:{int(due.timestamp() * 1000)}:{attempt}:{job.name}:{said}"
        if (agent := await self._offer(job)) is None:
            return
        sizes = {key: job.definition[key] for key in ("cpus", "mem", "disk")}
        task = Task(task_id, f"ChronosTask:{job.name}", self._world.chronos, agent, job.name, **sizes)
        if "/" in task_id:
            self._world.set_status(task, "TASK_ERROR", f"TaskID '{task_id}' contains invalid characters")
        else:
            self._runner.launch(task, self._command(job, task, due, attempt, arguments))
            await task.ended.wait()
        self._ended(job, task, attempt)

    def _command(self, job: Job, task: Task, due: datetime, attempt: int, arguments: str) -> Command:
        container = job.definition.get("container")
        env = {
            "mesos_task_id": task.id,
            "CHRONOS_JOB_OWNER": job.definition["owner"],
            "CHRONOS_JOB_NAME": job.name,
            "HOST": task.agent.host,
            "CHRONOS_RESOURCE_CPU": str(task.cpus),
            "CHRONOS_RESOURCE_DISK": str(task.disk),
            "CHRONOS_RESOURCE_MEM": str(task.mem),
        }
        if self._world.profile.rich_env:  # Chronos 2.5.0 on; with Marathon 0.9.1 goes 2.3.4
            env["CHRONOS_JOB_RUN_TIME"] = str(int(due.timestamp() * 1000))
            env["CHRONOS_JOB_RUN_ATTEMPT"] = str(attempt)
        own = {one["name"]: one["value"] for one in job.definition["environmentVariables"]}
        return Command(
            job.argv(arguments),
            env | own,
            tuple(_volume(one) for one in container["volumes"]) if container else (),
            docker=_docker(container, shell=job.definition["shell"]) if container else None,
            fetch=(*job.definition["uris"], *(one["uri"] for one in job.definition["fetch"])),
        )

    def _ended(self, job: Job, task: Task, attempt: int) -> None:
        """Count it, try it again, or start the jobs that wait for it (Chronos, JobScheduler)."""
        stats, now = job.definition, self._world.clock.text()
        if task.state == "TASK_FINISHED":
            stats.update(successCount=stats["successCount"] + 1, errorsSinceLastSuccess=0, lastSuccess=now)
            self._start_children(job)
            if job.schedule is not None and job.schedule.times == 0:
                stats["disabled"] = True
        elif task.state != "TASK_KILLED":
            if attempt < stats["retries"] and stats["lastError"] <= stats["lastSuccess"]:
                retrying = asyncio.create_task(self._retry(job, attempt + 1), name=f"retry of {job.name}")
                self._retrying.add(retrying)
                retrying.add_done_callback(self._retrying.discard)
                return
            errors = stats["errorsSinceLastSuccess"] + 1
            stats.update(errorCount=stats["errorCount"] + 1, errorsSinceLastSuccess=errors, lastError=now)
            if stats["softError"]:
                self._start_children(job)

    async def _retry(self, job: Job, attempt: int) -> None:
        await asyncio.sleep(RETRY_SECONDS * self._world.time_scale)
        if self.jobs.get(job.name) is job:
            self.run(job, self.now(), attempt)

    def _start_children(self, job: Job) -> None:
        for child in self.jobs.values():
            if job.name in child.parents:
                child.done.add(job.name)
                if child.done >= child.parents:
                    self.run(child, self.now())

    async def _offer(self, job: Job) -> Agent | None:
        """The agent it goes to, the least busy of those that fit; None when the job is deleted before there is one."""
        while not (agents := self._fitting(job)):
            await asyncio.sleep(OFFER_SECONDS)  # an agent that comes back tells nobody
            if job.name not in self.jobs:
                return None
        return min(agents, key=self._load)

    def _fitting(self, job: Job) -> list[Agent]:
        wanted: list[list[str]] = job.definition["constraints"]
        agents = (agent for agent in self._world.agents.values() if agent.alive)
        return [agent for agent in agents if all(_fits(agent, one) for one in wanted)]

    def _load(self, agent: Agent) -> int:
        return sum(task.agent is agent for task in self._world.tasks.values())


def _fits(agent: Agent, constraint: list[str]) -> bool:
    name, operator, wanted = constraint
    value = agent.host if name == "hostname" else agent.attributes.get(name)
    if operator == "EQUALS":
        return value == wanted
    return (value is not None and re.fullmatch(wanted, value) is not None) == (operator == "LIKE")


def _docker(container: dict[str, Any], *, shell: bool) -> Docker:
    """Chronos puts no label of its own on a container, and publishes no ports."""
    parameters = tuple((one["key"], one["value"]) for one in container["parameters"])
    return Docker(container["image"], shell, label=False, parameters=parameters)


def _volume(given: dict[str, Any]) -> Volume:
    return Volume(given["containerPath"], given.get("hostPath", ""), given.get("mode", "RW") == "RO")
