"""An intake that keeps what it gets and settles when told to, and sources running against it on either loop."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import pytest
import uvloop

from shipper.record import Received
from shipper.sources import Source, Waiting
from shipper.telemetry import REGISTRY

LIMIT_SECONDS = 20.0
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on asyncio's own loop and on uvloop; an error that only the loop sees fails it too."""

    @pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **arguments: Any) -> None:
        async def limited() -> None:
            bugs: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context))
            async with asyncio.timeout(LIMIT_SECONDS):
                await test(**arguments)
            assert not bugs, bugs

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(limited())

    asked = inspect.signature(test).parameters.values()
    made: Any = run
    made.__signature__ = inspect.Signature(
        [inspect.Parameter("new_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD), *asked]
    )
    del made.__wrapped__
    return cast(Callable[..., None], run)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition; the test's own limit ends it."""
    while not condition():  # noqa: ASYNC110  the condition is about sockets too
        await asyncio.sleep(0.001)


class FakeIntake:
    """Records what was submitted; full and settling are the test's."""

    def __init__(self) -> None:
        self.full = False
        #: Become full with the first submit after this.
        self.fill_up = False
        self.received: list[Received] = []
        self.held = 0
        self.waiting: list[Waiting] = []

    def submit(self, received: Received) -> None:
        assert received.payloads
        assert received.receipt.pending == len(received.payloads)
        self.received.append(received)
        if self.fill_up:
            self.full = True

    def hold(self, size: int) -> None:
        self.held += size
        assert self.held >= 0

    def wait(self, reader: Waiting) -> None:
        assert reader not in self.waiting
        self.waiting.append(reader)

    def forget(self, reader: Waiting) -> None:
        if reader in self.waiting:
            self.waiting.remove(reader)

    # For tests.

    @property
    def payloads(self) -> list[bytes]:
        return [payload for received in self.received for payload in received.payloads]

    def settle(self, *which: int) -> None:
        """Settle what was received (by place; none: all that is not settled)."""
        chosen = [self.received[place] for place in which] if which else self.received
        for received in chosen:
            if received.receipt.pending:
                received.receipt.settle(received.receipt.pending)

    def make_room(self) -> None:
        self.full = self.fill_up = False
        waiting, self.waiting = self.waiting, []
        for reader in waiting:
            reader.resume()


class Running:
    """A source that runs."""

    def __init__(self, source: Any, intake: FakeIntake, stopping: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.source, self.intake, self.stopping, self.task = source, intake, stopping, task

    @property
    def address(self) -> tuple[str, int] | str:
        """As Python's sockets want it."""
        host, _, port = self.source.address.rpartition(":")
        return (host.strip("[]"), int(port)) if port.isdigit() else self.source.address


@asynccontextmanager
async def running(source: Source, intake: FakeIntake | None = None) -> AsyncIterator[Running]:
    """Run a source until the end of the block; it is stopped there unless the test did so, with all settled."""
    intake = intake or FakeIntake()
    stopping, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(source.run(intake, stopping, ready))
    listening = asyncio.create_task(ready.wait())
    await asyncio.wait([task, listening], return_when=asyncio.FIRST_COMPLETED)
    try:
        if task.done():
            await task
        yield Running(source, intake, stopping, task)
        stopping.set()
        while not task.done():
            intake.settle()
            await asyncio.sleep(0.001)
        if not task.cancelled():
            await task
        assert intake.held == 0
        assert intake.waiting == []
    finally:
        listening.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


@contextmanager
def counted(name: str, by: float, **labels: str) -> Iterator[None]:
    """Check that a counter grew by so much."""

    def value() -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    before = value()
    yield
    assert value() - before == by
