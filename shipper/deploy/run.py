"""The two halves of a deploy: look and plan, then carry out; a person may decide between them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shipper.cluster.chronos import Chronos
from shipper.cluster.marathon import Marathon
from shipper.cluster.settings import ClusterSettings
from shipper.deploy import jobs as chronos_jobs
from shipper.deploy.asking import Limits, patiently
from shipper.deploy.canary import ROLE_WITH_CANARY, Canary
from shipper.deploy.files import Wanted
from shipper.deploy.outcome import Outcome, State
from shipper.deploy.plan import Step, plan, strangers
from shipper.deploy.progress import Progress
from shipper.deploy.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a deploy will do, in order: apps, then jobs."""

    steps: Sequence[Step]
    jobs: Sequence[chronos_jobs.JobStep]

    @property
    def all(self) -> list[Step | chronos_jobs.JobStep]:
        """Everything, in order."""
        return [*self.steps, *self.jobs]

    @property
    def strangers(self) -> list[tuple[str, str]]:
        """Names of what somebody else made and this would change, each with how that is known."""
        found = [(step.wanted.id, reason) for step, reason in strangers(self.steps)]
        return found + [(job.wanted.name, job.stranger) for job in self.jobs if job.stranger]

    @property
    def work(self) -> bool:
        """Whether anything is not as wanted."""
        return any(step.kind != "unchanged" for step in self.all)


@dataclass(frozen=True, slots=True)
class Way:
    """How a plan is carried out."""

    limits: Limits
    #: Override other deployments instead of waiting for them.
    force: bool = False
    #: Seconds that a canary of the shipper is compared; None: no canary.
    canary_seconds: float | None = None


async def survey(wanted: Wanted, settings: ClusterSettings, limits: Limits, progress: Progress) -> Plan:
    """Return what must be done to make the cluster as wanted; nothing is changed."""
    steps: list[Step] = []
    if wanted.apps:
        async with Marathon(settings) as marathon:
            progress.update("Marathon", "reading its apps")
            apps = await patiently(marathon.apps, limits, lambda text: progress.update("Marathon", text))
        steps = plan(wanted.apps, apps)
    found: Sequence[chronos_jobs.JobStep] = ()
    if wanted.jobs and settings.chronos_urls:
        async with Chronos(settings) as chronos:
            progress.update("Chronos", "reading its jobs")
            existing = await patiently(chronos.jobs, limits, lambda text: progress.update("Chronos", text))
        found = chronos_jobs.plan(wanted.jobs, existing)
    elif wanted.jobs:
        found = [chronos_jobs.JobStep(job, None, (), reachable=False) for job in wanted.jobs]
    return Plan(steps, found)


async def carry_out(
    planned: Plan, settings: ClusterSettings, way: Way, progress: Progress, tell: Callable[[Outcome], None]
) -> None:
    """Do what was planned; `tell` hears of every app and job once, whatever happens, also when this is cancelled.

    After the first that does not become as wanted nothing more is begun.
    """
    waiting = [*(step.wanted.id for step in planned.steps), *(step.wanted.name for step in planned.jobs)]

    def told(outcome: Outcome) -> bool:
        progress.clear()
        waiting.remove(outcome.name)
        tell(outcome)
        return outcome.good

    try:
        if await _apps(planned.steps, settings, way, progress, told):
            await _jobs(planned.jobs, settings, way, progress, told)
    except asyncio.CancelledError:
        progress.clear()
        tell(Outcome(waiting.pop(0), State.UNFINISHED, "interrupted; what was begun goes on in Marathon"))
        raise
    finally:
        for name in waiting:
            tell(Outcome(name, State.NOT_BEGUN))


async def _apps(
    steps: Sequence[Step], settings: ClusterSettings, way: Way, progress: Progress, told: Callable[[Outcome], bool]
) -> bool:
    if not steps:
        return True
    async with Marathon(settings) as marathon:
        rollout = Rollout(marathon, progress, way.limits, force=way.force)
        for step in steps:
            doer: Rollout | Canary = rollout
            if way.canary_seconds is not None and step.kind != "unchanged" and step.wanted.role == ROLE_WITH_CANARY:
                doer = Canary(marathon, rollout, progress, way.limits, seconds=way.canary_seconds)
            if not told(await doer.carry_out(step)):
                return False
    return True


async def _jobs(
    steps: Sequence[chronos_jobs.JobStep],
    settings: ClusterSettings,
    way: Way,
    progress: Progress,
    told: Callable[[Outcome], bool],
) -> None:
    if not any(step.reachable for step in steps):
        for step in steps:
            told(Outcome(step.wanted.name, State.SKIPPED, "a Chronos job, and chronos_urls names no Chronos"))
        return
    async with Chronos(settings) as chronos:
        for step in steps:
            if not told(await chronos_jobs.carry_out(step, chronos, way.limits, progress)):
                return
