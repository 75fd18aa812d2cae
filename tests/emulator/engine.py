"""Everything of Marathon's that works in the background, put together."""

from tests.emulator.deploying import Deployer
from tests.emulator.events import Events
from tests.emulator.health import Checker
from tests.emulator.keeping import Keeper
from tests.emulator.model import World
from tests.emulator.reports import Reports
from tests.emulator.running import Runner
from tests.emulator.signalling import Changes


class Engine:
    """Marathon without its HTTP side. The order matters: an event of a task is published before anything acts on it."""

    def __init__(self, world: World, runner: Runner) -> None:
        self.world = world
        self.runner = runner
        self.events = Events(world)
        changes = Changes()
        reports = Reports(world, self.events)
        self.keeper = Keeper(world, runner, changes)
        self.checker = Checker(world, reports, self.keeper.kill, changes.tell)
        self.deployer = Deployer(world, self.keeper, self.events, changes)

    async def close(self) -> None:
        """Stop acting; the tasks are the runner's to end."""
        await self.deployer.close()
        await self.keeper.close()
        await self.checker.close()
        await self.events.close()
