"""A canary of the shipper: one instance of the new version beside the old ones, compared with them for some minutes.

It is an app of its own with the same service ports, so HAProxy gives it its share of the hosts' connections.
"""

import asyncio
from dataclasses import replace
from typing import Final

from shipper.cluster.marathon import Marathon
from shipper.cluster.model import App, Task
from shipper.deploy import metrics
from shipper.deploy.asking import Limits, patiently
from shipper.deploy.comparison import Figures, judge, table
from shipper.deploy.files import ROLE, WantedApp
from shipper.deploy.outcome import Outcome, State
from shipper.deploy.plan import Step
from shipper.deploy.progress import Progress
from shipper.deploy.rollout import NotHealthy, Rollout
from shipper.errors import ClusterError

#: Role of the apps that can have a canary.
ROLE_WITH_CANARY: Final = "shipper"
_SUFFIX: Final = "-canary"
#: Seconds between two readings of the counters.
_READ_EVERY: Final = 5.0


class Canary:
    """Tries the new version of an app before it is rolled out."""

    def __init__(
        self, marathon: Marathon, rollout: Rollout, progress: Progress, limits: Limits, *, seconds: float
    ) -> None:
        """`seconds`: how long it is compared."""
        self._marathon = marathon
        self._rollout = rollout
        self._progress = progress
        self._limits = limits
        self._seconds = seconds

    async def carry_out(self, step: Step) -> Outcome:
        """Change an app if its canary does as well as the old instances; the outcome says what became of both."""
        if step.current is None:
            self._progress.say(f"no canary    {step.wanted.id}  there is no old instance to compare it with")
            return await self._rollout.carry_out(step)
        canary = canary_of(step.wanted)
        try:
            await self._make_room(canary)
        except ClusterError as error:
            return Outcome(step.wanted.id, State.REFUSED, f"not changed: {error}")
        try:
            reason = await self._tried(canary, step.current)
            outcome = Outcome(step.wanted.id, State.WITHDRAWN, f"not changed; the canary was withdrawn: {reason}")
            outcome = outcome if reason else await self._rollout.carry_out(step)
        except ClusterError as error:
            outcome = Outcome(step.wanted.id, State.REFUSED, f"not changed; its canary could not be tried: {error}")
        except asyncio.CancelledError:
            self._progress.say(f"interrupted  {canary.id}  {await self._removed(canary.id) or 'it is removed again'}")
            raise
        if left := await self._removed(canary.id):
            return replace(outcome, state=State.UNFINISHED, detail=f"{outcome.detail}; {left}")
        return outcome

    async def _app(self, app_id: str) -> App | None:
        return await patiently(
            lambda: self._marathon.app(app_id), self._limits, lambda text: self._progress.update(app_id, text)
        )

    async def _make_room(self, canary: WantedApp) -> None:
        """Remove what an interrupted trial left; an app of somebody else's is not touched."""
        left = await self._app(canary.id)
        if left is None:
            return
        if left.labels.get(ROLE) != ROLE_WITH_CANARY:
            raise ClusterError(f"there is an app {canary.id} that is not a canary (label {ROLE}); rename or remove it")
        if problem := await self._removed(canary.id):
            raise ClusterError(problem)

    async def _removed(self, app_id: str) -> str:
        """Remove the canary; "" when it is gone, else what must be done by hand."""
        try:
            await self._rollout.remove(app_id)
        except (ClusterError, NotHealthy) as error:
            return f"the canary {app_id} is still there, remove it: {error}"
        return ""

    async def _tried(self, canary: WantedApp, old: App) -> str:
        """Start a canary and compare it; return why it must not take over, "" when it may."""
        started = await self._rollout.carry_out(Step(canary, None, ()))
        if not started.good:
            return started.detail
        app = await self._app(canary.id)
        task = next(iter(app.tasks), None) if app else None
        if app is None or task is None:
            return "it is gone"
        before = await metrics.read_all(old.definition, old.tasks)
        if problem := await self._watched(app, task):
            return problem
        return await self._compared(app, task, old, before)

    async def _watched(self, canary: App, task: Task) -> str:
        """Let the time pass; return what ends it early."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (passed := loop.time() - began) < self._seconds:
            text = f"compared for {passed / 60:.1f} of {self._seconds / 60:.1f} minutes"
            if found := await metrics.read(canary.definition, task):
                text += f", {found.received:.0f} records received, {found.stored:.0f} stored, {found.dead:.0f} dead"
            self._progress.update(canary.id, text)
            await asyncio.sleep(min(_READ_EVERY, self._seconds - passed))
            now = await self._app(canary.id)
            same = [one for one in now.tasks if one.id == task.id] if now else []
            if not same:
                return "its task ended"
            if same[0].healthy is False:
                return "its health check fails"
        return ""

    async def _compared(self, canary: App, task: Task, old: App, before: dict[str, Figures]) -> str:
        new = await metrics.read(canary.definition, task)
        if new is None:
            return "it gives no figures (GET /metrics on its HTTP port)"
        now = await metrics.read_all(old.definition, old.tasks)
        others = in_the_meantime(before, now)
        for line in table(new, others):
            self._progress.say(line)
        return "; ".join(judge(new, others).reasons)


def canary_of(app: WantedApp) -> WantedApp:
    """Return the app that is one instance of another, beside it."""
    app_id = f"{app.id}{_SUFFIX}"
    return replace(app, id=app_id, definition={**app.definition, "id": app_id, "instances": 1})


def in_the_meantime(before: dict[str, Figures], now: dict[str, Figures]) -> list[Figures]:
    """Return what each old instance counted meanwhile; when that is nothing at all, all that they ever counted.

    On a small cluster the canary can take every connection; how the old ones did before is then the measure.
    """
    counted = {task: now[task].since(figures) for task, figures in before.items() if task in now}
    meanwhile = {task: figures for task, figures in counted.items() if figures is not None}
    if any(figures.received for figures in meanwhile.values()):
        return list(meanwhile.values())
    return [now[task] for task in meanwhile]
