"""What questions need from the process, in one value: the store to ask, the clock, and a limit on waiting."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import HTTPConnection

from shipper.api.short_links import ShortLinks
from shipper.api.status import Status
from shipper.errors import StoreBusy
from shipper.stores import Reader

#: An answer that takes longer is given up.
ANSWER_SECONDS = 30.0

T = TypeVar("T")


def _for_nothing(seconds: float) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Where answers come from."""

    reader: Reader
    status: Callable[[], Status]
    #: Nanoseconds since 1970: what relative times are relative to.
    clock: Callable[[], int] = time.time_ns
    seconds: float = ANSWER_SECONDS
    #: Where Kibana is, with its space, for links to the same question there.
    kibana: str | None = None
    #: Makes short links there; None: nobody does.
    short_links: ShortLinks | None = None
    #: Takes seconds of the store from the budget of the caller.
    charge: Callable[[float], None] = _for_nothing

    def of(self, request: HTTPConnection) -> "Asking":
        """Return what the caller of a request may ask: itself, or with a reader that knows the caller's scope."""
        found: Asking = request.scope.get("shipper.asking", self)
        return found

    async def within(self, answer: Awaitable[T]) -> T:
        """Wait for an answer of the store; StoreBusy when it takes too long."""
        try:
            async with asyncio.timeout(self.seconds):
                return await answer
        except TimeoutError:
            raise StoreBusy(f"no answer in {self.seconds:g} s; ask for a shorter time") from None
