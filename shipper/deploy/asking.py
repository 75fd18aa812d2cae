"""Asks a cluster that may be away for a while: the same question again, until it answers or a limit is reached."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from shipper.errors import ClusterBusy

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a deploy waits for what, in seconds."""

    #: For one app to become healthy, and for a lock to be lifted.
    wait: float = 600
    #: For a roll-back, and for an app to be gone.
    back: float = 600
    #: For a Marathon that gives no usable answer (it restarts, or chooses a leader).
    patience: float = 90
    #: Between two looks.
    look: float = 1


class Patience:
    """How long a service has given no usable answer; one answer makes it whole again."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since: float | None = None

    def whole(self) -> None:
        """An answer came."""
        self._since = None

    async def bear(self, error: ClusterBusy) -> None:
        """Wait before asking again; raises the error when that has gone on for too long."""
        now = asyncio.get_running_loop().time()
        self._since = self._since if self._since is not None else now
        if now - self._since >= self._limits.patience:
            raise error
        await asyncio.sleep(self._limits.look)


async def patiently(ask: Callable[[], Awaitable[Found]], limits: Limits, tell: Callable[[str], None]) -> Found:
    """Return the answer to a question that changes nothing; `tell` hears why it takes so long."""
    patience = Patience(limits)
    while True:
        try:
            return await ask()
        except ClusterBusy as error:
            tell(f"waiting for an answer: {error}")
            await patience.bear(error)
