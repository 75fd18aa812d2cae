"""Keeps as many tasks of each app running as are wanted: starts what is missing, ends what is too much."""

import asyncio
from dataclasses import dataclass

from tests.emulator import backoff, environment, placement, ports
from tests.emulator import definitions as ports_of
from tests.emulator.model import App, Health, Task, World
from tests.emulator.running import Runner
from tests.emulator.signalling import Changes

#: How often it looks at what cannot be placed or must wait.
LOOK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True)
class Waiting:
    """Tasks of an app that are wanted and do not run yet."""

    app: App
    config: str
    count: int
    delay_seconds: float
    since: float


class Keeper:
    """The one who starts and ends Marathon's tasks."""

    def __init__(self, world: World, runner: Runner, changes: Changes) -> None:
        self._world = world
        self._runner = runner
        self._changes = changes
        self._backoff = backoff.Backoff(world.time_scale)
        self._waiting: dict[tuple[str, str], Waiting] = {}
        self._running = asyncio.create_task(self._run())
        world.on_status.append(self._status)

    @property
    def queue(self) -> list[Waiting]:
        """What is wanted and could not be started."""
        return [waiting for waiting in self._waiting.values() if waiting.app.id in self._world.apps]

    def want(self, app: App, wanted: dict[str, int]) -> None:
        """Have so many tasks of each configuration of the app from now on, and none of any other."""
        app.wanted = wanted
        self._look_at(app)

    def kill(self, task: Task) -> None:
        """End a task; another one takes its place unless fewer are wanted."""
        self._runner.kill(task, task.kill_grace_seconds)
        self._changes.tell()

    def reset_delay(self, app_id: str) -> None:
        """Start what waits for its back-off now."""
        self._backoff.reset(app_id)

    def live(self, app: App, config: str) -> list[Task]:
        """The tasks of one configuration that are not being ended, oldest first."""
        return [task for task in self._of(app, config) if not task.killing]

    def _of(self, app: App, config: str) -> list[Task]:
        tasks = self._world.tasks_of(self._world.marathon, app.id)
        return [task for task in tasks if app.config_of.get(task.version) == config]

    async def close(self) -> None:
        """Start nothing more."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def _status(self, task: Task) -> None:
        app = self._world.apps.get(task.owner) if task.framework is self._world.marathon else None
        if app is not None and task.state in backoff.BAD_ENDS and task.version in app.versions:
            now = asyncio.get_running_loop().time()
            self._backoff.bad((app.id, app.config_of[task.version]), app.versions[task.version], now)
        self._changes.tell()
        if app is not None and task.over:  # after a deployment has had its say about what is wanted
            asyncio.get_running_loop().call_soon(self._look_at, app)

    async def _run(self) -> None:
        while True:
            for app in list(self._world.apps.values()):
                self._look_at(app)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _look_at(self, app: App) -> None:
        if self._world.apps.get(app.id) is not app or self._running.done():
            return
        for task in self._world.tasks_of(self._world.marathon, app.id):
            if task.version not in app.versions and not task.killing:  # of an app of this name that was deleted
                self.kill(task)
        for config in {*app.wanted, *(app.config_of[version] for version in app.versions)}:
            count, live = app.wanted.get(config, 0), self.live(app, config)
            if app.definition["killSelection"] == "OLDEST_FIRST":
                live.reverse()
            for task in live[count:]:
                self.kill(task)
            # One that is being ended holds its place until it has ended, as with Marathon.
            self._start_missing(app, config, count - len(self._of(app, config)))

    def _start_missing(self, app: App, config: str, missing: int) -> None:
        now = asyncio.get_running_loop().time()
        delay = self._backoff.left((app.id, config), now)
        while missing > 0 and delay == 0 and self._start(app, config):
            missing -= 1
        if missing <= 0:
            self._waiting.pop((app.id, config), None)
            return
        before = self._waiting.get((app.id, config))
        since = before.since if before else self._world.clock.now()
        self._waiting[app.id, config] = Waiting(app, config, missing, delay, since)

    def _start(self, app: App, config: str) -> bool:
        version = app.newest_of(config)
        definition = app.versions[version]
        running = self._world.tasks_of(self._world.marathon, app.id)
        for agent in placement.candidates(self._world, definition, running):
            picked = ports.pick(self._world, agent, ports_of.host_ports(definition))
            if picked is not None:
                task = environment.new_task(self._world, app, version, agent, picked)
                task.health = [Health() for _ in definition["healthChecks"]]
                task.ready = not definition["readinessChecks"]
                self._runner.launch(task, environment.command(self._world, task, definition))
                return True
        return False
