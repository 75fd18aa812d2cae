"""What enrichers learn about records that are stored already, written into the store beside the deliveries.

Nothing waits for it: one small request at a time, and none while the store is busy. What cannot be written within a
bounded time is given up and counted; the record itself is safe.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from shipper import telemetry
from shipper.enrichers import Late
from shipper.errors import StoreBusy, StoreRejected
from shipper.pipeline.intake import Intake
from shipper.record import Repair
from shipper.stores import Store

_log = logging.getLogger(__name__)

#: How often enrichers are asked.
_LOOK_SECONDS: Final = 0.5
#: Records of one request: a store that writes in one thread is not held up for long.
_BATCH: Final = 250
_LONGEST_BACKOFF: Final = 5.0


class Repairs:
    """Takes repairs from the enrichers that know something late and gives them to the store."""

    def __init__(self, store: Store, intake: Intake, enrichers: Sequence[Late], *, seconds: float = 120) -> None:
        self._store = store
        self._intake = intake
        self._enrichers = enrichers
        #: How long the store may be busy with one request before it is given up.
        self._seconds = seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Repair until `stopping` is set, and a last time then."""
        while self._enrichers and not stopping.is_set():
            await _wait(stopping, _LOOK_SECONDS)
            for enricher in self._enrichers:
                await self._repair(enricher, stopping)

    async def _repair(self, enricher: Late, stopping: asyncio.Event) -> None:
        """Write all that an enricher knows by now."""
        while True:
            taken = enricher.take_repairs(_BATCH, self._intake.is_in_flight)
            repairs = [repair for repair in taken if self._intake.names_index(repair.day)]
            written = bool(repairs) and await self._write(repairs, stopping)
            telemetry.REPAIRS.labels("repaired").inc(len(repairs) if written else 0)
            telemetry.REPAIRS.labels("given_up").inc(len(taken) - (len(repairs) if written else 0))
            if len(taken) < _BATCH:
                return

    async def _write(self, repairs: Sequence[Repair], stopping: asyncio.Event) -> bool:
        """Write repairs, again and again while the store is busy; False when they are given up."""
        pause, deadline = 0.1, time.monotonic() + self._seconds
        while True:
            try:
                await self._store.repair(repairs)
            except (StoreBusy, StoreRejected) as error:
                if isinstance(error, StoreRejected) or stopping.is_set() or time.monotonic() > deadline:
                    _log.warning(
                        "stored records cannot be repaired", extra={"count": len(repairs), "reason": str(error)}
                    )
                    return False
            else:
                return True
            await _wait(stopping, pause)
            pause = min(pause * 2, _LONGEST_BACKOFF)


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
