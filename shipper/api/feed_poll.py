"""Asks the store what is new, once for all tails: where no feed tells, and while one cannot be heard."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from shipper.api.feed_history import MARGIN, ingested_since
from shipper.errors import StoreBusy, StoreRejected
from shipper.search.query import Query
from shipper.stores import Reader

if TYPE_CHECKING:
    from shipper.api.feed import Hub

POLL_SECONDS: Final = 0.5
#: Records of one look, at most.
_MOST: Final = 5000
_ANSWER_SECONDS: Final = 30.0
_SOURCE: Final = "store"


class Poll:
    """The store as a source of a hub."""

    def __init__(self, reader: Reader, clock: Callable[[], int]) -> None:
        self._reader = reader
        self._clock = clock
        self._trouble = ""

    async def run(self, hub: "Hub") -> None:
        """Look again and again, whenever the hub needs it."""
        since, until = hub.mark, 0
        while True:
            await asyncio.sleep(POLL_SECONDS)
            now = self._clock()
            if hub.polls:
                until = now + 2 * MARGIN  # what was on its way when the feed came back is found, too
            elif now > until:
                hub.drop(_SOURCE)
                since = hub.mark
                continue
            if await self._look(hub, since, now):
                since = now - MARGIN

    async def _look(self, hub: "Hub", since: int, now: int) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                found = await ingested_since(self._reader, Query(), since, now, _MOST)
        except (StoreBusy, StoreRejected, TimeoutError) as error:
            self._tell(hub, f"the store cannot be asked now: {str(error) or 'no answer in time'}")
            return False
        self._tell(hub, "; ".join(found.incomplete))
        hub.post(_SOURCE, found.records, now - MARGIN, found.left_out)
        return True

    def _tell(self, hub: "Hub", trouble: str) -> None:
        if trouble and trouble != self._trouble:
            hub.say(trouble)
        self._trouble = trouble
