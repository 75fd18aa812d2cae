"""Brings one app to the state that its file says, waits until it is healthy, and takes the change back if it is not.

Whatever happens, the outcome says in which state the app was left.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from shipper.cluster.marathon import Marathon
from shipper.cluster.model import App
from shipper.deploy.asking import Limits, Patience, patiently
from shipper.deploy.differences import changes
from shipper.deploy.forms import replacing, writable
from shipper.deploy.health import last_failure, look
from shipper.deploy.outcome import Outcome, State
from shipper.deploy.plan import Step
from shipper.deploy.progress import Progress
from shipper.errors import ClusterBusy, ClusterError, ClusterLocked, ClusterRefused


class NotHealthy(Exception):
    """An app did not become healthy in time; the text says how far it was."""


class Rollout:
    """Carries out steps, one at a time."""

    def __init__(self, marathon: Marathon, progress: Progress, limits: Limits, *, force: bool = False) -> None:
        """`force` overrides other deployments instead of waiting for them."""
        self._marathon = marathon
        self._progress = progress
        self._limits = limits
        self._force = force

    async def carry_out(self, step: Step) -> Outcome:
        """Do one step and return what became of it; no ClusterError is raised."""
        app_id = step.wanted.id
        if step.kind == "unchanged":
            return Outcome(app_id, State.UNCHANGED)
        try:
            deployment = await self._put(step)
        except ClusterBusy as error:
            return Outcome(app_id, State.UNFINISHED, f"asked for, but no answer says that it was done: {error}")
        except ClusterError as error:
            return Outcome(app_id, State.REFUSED, f"{step.wanted.path}: {error}")
        try:
            app = await self._until_healthy(app_id, deployment, self._limits.wait)
        except NotHealthy as error:
            return await self._roll_back(step, deployment, str(error))
        except ClusterError as error:
            doing = f"deployment {deployment or '(id unknown)'} was begun and goes on without being watched"
            return Outcome(app_id, State.UNFINISHED, f"{doing}: {error}")
        state = State.CREATED if step.kind == "create" else State.CHANGED
        return Outcome(app_id, state, f"{look(app).text}{self._left(step, app)}")

    def _left(self, step: Step, app: App) -> str:
        left = changes(step.wanted.definition, app.definition)
        return f"; Marathon keeps {', '.join(one.key for one in left[:5])} as it is" if left else ""

    async def _read(self, app_id: str) -> App | None:
        return await patiently(
            lambda: self._marathon.app(app_id), self._limits, lambda text: self._progress.update(app_id, text)
        )

    async def _put(self, step: Step) -> str:
        """Ask for the change until it is certain that it was taken, and return the deployment's id ("" unknown).

        A change whose answer was lost may have been made, so each attempt begins with a look.
        """
        app_id, patience = step.wanted.id, Patience(self._limits)
        while True:
            app = await self._read(app_id)
            if app is not None and not changes(step.wanted.definition, app.definition):
                return next(iter(app.deployments), "")
            self._same_as_planned(step, app)
            self._progress.update(app_id, "asking for it")
            try:
                return await self._ask_for(step, app)
            except ClusterLocked as error:
                await self._unlocked(app_id, error)
            except ClusterBusy as error:
                self._progress.update(app_id, f"trying again: {error}")
                await patience.bear(error)

    async def _ask_for(self, step: Step, app: App | None) -> str:
        if app is None:
            return next(iter((await self._marathon.create(step.wanted.definition)).deployments), "")
        definition = replacing(step.wanted.definition, app.definition)
        return await self._marathon.update(app.id, definition, force=self._force)

    def _same_as_planned(self, step: Step, app: App | None) -> None:
        planned = step.current.version if step.current else None
        found = app.version if app else None
        if planned != found:
            raise ClusterError(f"{step.wanted.id} was changed by someone else after the plan was shown; run it again")

    async def _unlocked(self, app_id: str, error: ClusterLocked) -> None:
        """Wait until the deployments that lock an app are over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.wait
        locks = set(error.deployments)
        while locks:
            self._progress.update(app_id, f"locked by deployment {', '.join(sorted(locks))}, waiting for it")
            if loop.time() >= deadline:
                raise ClusterError(
                    f"locked by deployment {', '.join(sorted(locks))} for more than {self._limits.wait:g} s; "
                    "wait for it, or override it with --force"
                )
            await asyncio.sleep(self._limits.look)
            locks &= await self._deployments(app_id)

    async def _deployments(self, app_id: str) -> set[str]:
        found = await patiently(
            self._marathon.deployments, self._limits, lambda text: self._progress.update(app_id, text)
        )
        return {deployment.id for deployment in found}

    async def _until_healthy(self, app_id: str, deployment: str, seconds: float) -> App:
        """Return the app once it is healthy; NotHealthy when the limit is over, or it is gone."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            open_deployments = {deployment} & await self._deployments(app_id)
            app = await self._read(app_id)
            if app is None:
                raise ClusterError("somebody removed it meanwhile")
            seen = look(app, open_deployments)
            if seen.done:
                return app
            failure = last_failure(app)
            self._progress.update(app_id, "; ".join(filter(None, (seen.text, failure))))
            if loop.time() >= deadline:
                why = failure or await self._waits_for_place(app_id)
                raise NotHealthy("; ".join(filter(None, (f"after {seconds:g} s: {seen.text}", why))))
            await asyncio.sleep(self._limits.look)

    async def _waits_for_place(self, app_id: str) -> str:
        try:
            waiting = [one for one in await self._marathon.queue() if one.app_id == app_id and one.count]
        except ClusterError:
            return ""  # only a hint
        return f"{waiting[0].count} find no agent with room or a matching constraint" if waiting else ""

    async def _roll_back(self, step: Step, deployment: str, reason: str) -> Outcome:
        app_id = step.wanted.id
        self._progress.say(f"not healthy  {app_id}  {reason}; rolling back")
        try:
            await self._cancel(app_id, deployment)
            detail = await (self.remove(app_id) if step.current is None else self._put_back(step.current))
        except (ClusterError, NotHealthy) as error:
            return Outcome(app_id, State.UNFINISHED, f"{reason}; the roll-back is not done: {error}")
        return Outcome(app_id, State.ROLLED_BACK, f"{reason}; {detail}")

    async def _cancel(self, app_id: str, deployment: str) -> None:
        """Have Marathon undo a deployment that still runs; where it will not, the caller puts things back itself."""
        if deployment not in await self._deployments(app_id):
            return
        patience = Patience(self._limits)
        while True:
            try:
                undoing = await self._marathon.cancel(deployment)
            except ClusterBusy as error:
                self._progress.update(app_id, f"cancelling: {error}")
                await patience.bear(error)
                if deployment not in await self._deployments(app_id):
                    return
            except (ClusterRefused, ClusterLocked):
                return
            else:
                await self._over(app_id, undoing)
                return

    async def _over(self, app_id: str, deployment: str) -> None:
        """Wait for a deployment until the limit; what is not over then is overridden by what follows."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.back
        while deployment in await self._deployments(app_id) and loop.time() < deadline:
            self._progress.update(app_id, "rolling back")
            await asyncio.sleep(self._limits.look)

    async def _put_back(self, before: App) -> str:
        """Make sure that an app has the definition it had, and say how it is then."""
        wanted: Mapping[str, Any] = writable(before.definition)
        patience, deployment = Patience(self._limits), ""
        while (app := await self._read(before.id)) is None or changes(wanted, app.definition):
            self._progress.update(before.id, "putting the previous definition back")
            try:
                if app is None:
                    deployment = next(iter((await self._marathon.create(wanted)).deployments), "")
                else:
                    deployment = await self._marathon.update(before.id, replacing(wanted, app.definition), force=True)
                break
            except ClusterBusy as error:
                await patience.bear(error)
        try:
            app = await self._until_healthy(before.id, deployment, self._limits.back)
        except NotHealthy as error:
            return f"the definition of {before.version} is back, and not healthy either: {error}"
        return f"the definition of {before.version} is back, {look(app).text}"

    async def remove(self, app_id: str) -> str:
        """Make sure that an app is gone, and say so."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.back
        patience, asked = Patience(self._limits), False
        while await self._read(app_id) is not None or (asked and await self._still_deleted(app_id)):
            self._progress.update(app_id, "removing it")
            if loop.time() >= deadline:
                raise NotHealthy(f"{app_id} is still there after {self._limits.back:g} s")
            try:
                if not asked:
                    await self._marathon.delete(app_id, force=True)
                    asked = True
            except ClusterBusy as error:
                await patience.bear(error)
            except ClusterRefused as error:
                if error.status != 404:
                    raise
            await asyncio.sleep(self._limits.look)
        return "it is removed again"

    async def _still_deleted(self, app_id: str) -> bool:
        """Whether a deployment still stops tasks of an app that is no longer listed."""
        found = await patiently(
            self._marathon.deployments, self._limits, lambda text: self._progress.update(app_id, text)
        )
        return any(app_id in deployment.app_ids for deployment in found)
