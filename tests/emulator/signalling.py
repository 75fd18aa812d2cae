"""Waiting for a condition of the world instead of asking again and again."""

import asyncio
from collections.abc import Callable


class Changes:
    """Says that something changed; whoever waits looks again."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Wake everybody who waits."""
        self._next.set()
        self._next = asyncio.Event()

    async def next(self) -> None:
        """Return at the next change."""
        await self._next.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds, which is looked at now and after each change."""
        while not condition():
            await self.next()
