"""Deployments: the steps of a change, their locks, rolling upgrades, cancelling and rolling back."""

import asyncio
import math
import uuid
from collections.abc import Collection, Mapping

from tests.emulator import answers, definitions
from tests.emulator.events import Events
from tests.emulator.health import is_ready
from tests.emulator.keeping import Keeper
from tests.emulator.model import App, Definition, Deployment, World
from tests.emulator.signalling import Changes


class Locked(Exception):
    """An app is being changed already; carries the deployments that do it."""

    def __init__(self, deployments: list[str]) -> None:
        super().__init__(", ".join(deployments))
        self.deployments = deployments


class Deployer:
    """Carries out changes of apps, each in a task of its own."""

    def __init__(self, world: World, keeper: Keeper, events: Events, changes: Changes) -> None:
        self._world = world
        self._keeper = keeper
        self._events = events
        self._changes = changes

    def change(
        self,
        target: Mapping[str, Definition | None],
        *,
        force: bool = False,
        restart: bool = False,
        back: bool = False,
    ) -> Deployment:
        """Start to turn these apps into what is asked, None for none; raises Locked unless `force` cancels others.

        `restart` replaces all tasks though nothing differs, `back` keeps those that were started with the same before.
        """
        if not force:
            self.check_unlocked(target)
        others = self._others(target)
        for one in others:
            self._stop(one)
        version = self._world.clock.version()
        original = {id_: app.definition if (app := self._world.apps.get(id_)) else None for id_ in target}
        deployment = Deployment(
            id=str(uuid.uuid4()),
            version=version,
            # What a cancelled deployment left half done is finished by a full step.
            steps=_steps(original, target, full=restart or bool(others)),
            original=original,
            target=dict(target),
        )
        for app_id, definition in target.items():
            self._accept(app_id, definition, version, restart=restart, back=back)
        self._events.publish("group_change_success", groupId="/", version=version)
        self._world.deployments[deployment.id] = deployment
        deployment.running = asyncio.create_task(self._run(deployment), name=deployment.id)
        return deployment

    def check_unlocked(self, target: Collection[str]) -> None:
        """Raise Locked when one of these apps is being changed."""
        if others := self._others(target):
            raise Locked([one.id for one in others])

    def _others(self, target: Collection[str]) -> list[Deployment]:
        return [one for one in self._world.deployments.values() if set(one.app_ids) & set(target)]

    def cancel(self, deployment: Deployment, *, force: bool) -> Deployment | None:
        """Stop a deployment and leave things as they are (`force`), or start another one that takes it back."""
        if force:
            self._stop(deployment)
            return None
        return self.change(deployment.original, force=True, back=True)

    async def close(self) -> None:
        """Stop all of them, silently."""
        running = [one.running for one in self._world.deployments.values() if one.running]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _stop(self, deployment: Deployment) -> None:
        del self._world.deployments[deployment.id]
        if deployment.running:
            deployment.running.cancel()
        self._events.publish(
            "deployment_failed", id=deployment.id, plan=answers.plan(self._world, deployment), reason="cancelled"
        )

    def _accept(self, app_id: str, definition: Definition | None, version: str, *, restart: bool, back: bool) -> None:
        """Make it the definition in force; tasks are changed by the steps."""
        app = self._world.apps.get(app_id)
        if definition is None:
            self._world.apps.pop(app_id, None)
        elif app is None:
            self._world.apps[app_id] = App(app_id, {version: definition}, version, version, {version: version})
        elif restart or definition != app.definition:
            app.config_of[version] = version if restart else _config(app, definition, version, back=back)
            if definition["instances"] != app.instances:
                app.last_scaling_at = version
            app.versions[version] = definition
            app.version = version
            self._keeper.reset_delay(app_id)

    async def _run(self, deployment: Deployment) -> None:
        for number, step in enumerate(deployment.steps, start=1):
            deployment.current_step = number
            self._publish("deployment_info", deployment)
            await asyncio.gather(*(self._do(action, app_id) for action, app_id in step))
            self._publish("deployment_step_success", deployment)
        del self._world.deployments[deployment.id]
        self._events.publish("deployment_success", id=deployment.id, plan=answers.plan(self._world, deployment))

    def _publish(self, kind: str, deployment: Deployment) -> None:
        plan, step = answers.plan(self._world, deployment), answers.current_step(deployment)
        self._events.publish(kind, plan=plan, currentStep=step)

    async def _do(self, action: str, app_id: str) -> None:
        if action == "StopApplication":
            await self._stop_app(app_id)
        elif action == "ScaleApplication":
            await self._scale(self._world.apps[app_id])
        elif action == "RestartApplication":
            await self._replace(self._world.apps[app_id])

    async def _stop_app(self, app_id: str) -> None:
        tasks = self._world.tasks_of(self._world.marathon, app_id)
        for task in tasks:
            self._keeper.kill(task)
        for task in tasks:
            await task.ended.wait()
        self._events.publish("app_terminated_event", appId=app_id)

    async def _scale(self, app: App) -> None:
        self._keeper.want(app, {app.last_config_at: app.instances})
        await self._changes.until(lambda: self._settled(app))

    def _settled(self, app: App) -> bool:
        """Whether the tasks wanted run and are ready, and no other does."""
        live = self._keeper.live(app, app.last_config_at)
        everything = self._world.tasks_of(self._world.marathon, app.id)
        return len(live) == len(everything) == app.instances and all(is_ready(task) for task in live)

    async def _replace(self, app: App) -> None:
        """A rolling upgrade within minimumHealthCapacity and maximumOverCapacity (TaskReplaceActor.scala)."""
        new, strategy = app.last_config_at, app.definition["upgradeStrategy"]
        everything = self._world.tasks_of(self._world.marathon, app.id)
        old = [task for task in everything if app.config_of.get(task.version) != new]
        lowest = math.ceil(app.instances * strategy["minimumHealthCapacity"])
        highest = math.floor(app.instances * (1 + strategy["maximumOverCapacity"]))
        if lowest == highest <= len(old):
            highest += 1  # else nothing could ever move
        while not self._settled(app):
            live = self._keeper.live(app, new)
            kept = self._kept(app, new, max(0, lowest - sum(is_ready(task) for task in live)))
            room = highest - sum(not task.over for task in old)
            self._keeper.want(app, {**kept, new: min(app.instances, max(len(live), room))})
            await self._changes.next()
        self._keeper.want(app, {new: app.instances})

    def _kept(self, app: App, new: str, count: int) -> dict[str, int]:
        """How many tasks stay of each older configuration, of the newest of them first."""
        kept: dict[str, int] = {}
        for config in sorted({*app.config_of.values()} - {new}, reverse=True):
            kept[config] = min(count, len(self._keeper.live(app, config)))
            count -= kept[config]
        return kept


def _config(app: App, definition: Definition, version: str, *, back: bool) -> str:
    """The configuration that a definition is one of: that in force, an older one on the way back, or a new one."""
    known = list(reversed(app.versions)) if back else [app.version]
    same = (app.config_of[one] for one in known if _same_config(app.versions[one], definition))
    return next(same, version)


def _same_config(one: Definition, other: Definition) -> bool:
    return {**one, "instances": 0} == {**other, "instances": 0}


def _steps(
    original: Mapping[str, Definition | None], target: Mapping[str, Definition | None], *, full: bool
) -> list[list[tuple[str, str]]]:
    """The steps from one to the other, an app after those that it depends on."""
    steps: list[list[tuple[str, str]]] = []
    for app_id in _in_order(target):
        before, after = original[app_id], target[app_id]
        if after is None:
            steps.append([("StopApplication", app_id)])
        elif before is None:
            steps += [[("StartApplication", app_id)], [("ScaleApplication", app_id)]]
        elif after["instances"] == 0 or (not full and before != after and _same_config(before, after)):
            steps.append([("ScaleApplication", app_id)])
        elif full or before != after:
            steps.append([("RestartApplication", app_id)])
    return steps


def _in_order(target: Mapping[str, Definition | None]) -> list[str]:
    ordered: list[str] = []

    def place(app_id: str, above: frozenset[str]) -> None:
        if app_id in ordered or app_id in above or app_id not in target:
            return
        for dependency in (target[app_id] or {}).get("dependencies", []):
            place(dependency, above | {app_id})
        ordered.append(app_id)

    for app_id in sorted(target):
        place(app_id, frozenset())
    return ordered


def service_ports_taken(world: World, but: str) -> list[int]:
    """The service ports that other apps have."""
    return [port for app in world.apps.values() if app.id != but for port in definitions.service_ports(app.definition)]
