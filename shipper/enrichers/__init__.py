"""What the record did not say. One file per enricher, each with `Config`, `EXAMPLE` and a class.

`Config` are its settings, with `build()`; `EXAMPLE` those settings as a dict. `enrich(record)` works from memory only:
it never waits and never fails a record. An enricher may be more than that: `Refreshed` when something has to keep its
memory fresh, `Late` when it learns things about records that are stored already,
`Watching` when it sees the cluster's apps.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from shipper.cluster.model import App
from shipper.record import Record, Repair


class Enricher(Protocol):
    """Adds fields to a record."""

    def enrich(self, record: Record) -> None:
        """Add what is known; leave what the record itself said."""


@runtime_checkable
class Refreshed(Protocol):
    """Has a memory that somebody must keep fresh; the pipeline runs it beside the sources."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep it fresh until `stopping` is set. Whoever it asks may be away: that is no error."""


@runtime_checkable
class Late(Protocol):
    """Learns what it did not know when it saw a record."""

    def take_repairs(self, most: int, in_flight: Callable[[str, int], bool]) -> list[Repair]:
        """Hand over what is known by now, each record once; those that are in flight (series, sequence) stay."""


@runtime_checkable
class Watching(Protocol):
    """Sees all apps of the cluster, again and again."""

    def watch_apps(self, watcher: Callable[[Sequence[App]], object]) -> None:
        """Call `watcher` with all apps, each time that they were read."""
