"""Keeps a registry of tasks true: full reads and events of Marathon in, the registry's file out.

Nobody waits for it. While Marathon is away the registry stays as it was, and `trouble` says why.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final, TypeVar, cast

from shipper import telemetry
from shipper.cluster import registry_file
from shipper.cluster.events import listen
from shipper.cluster.marathon import Marathon
from shipper.cluster.model import App
from shipper.cluster.registry import Registry
from shipper.cluster.settings import ClusterSettings
from shipper.cluster.watch import watch
from shipper.errors import ClusterError

_Answer = TypeVar("_Answer")

_log = logging.getLogger(__name__)

#: The registry's file is written at most this often.
_WRITE_SECONDS: Final = 5.0
_DEBOUNCE_SECONDS: Final = 0.5


class Follower:
    """Asks Marathon and tells the registry."""

    def __init__(
        self,
        settings: ClusterSettings,
        registry: Registry,
        path: Path | None = None,
        watcher: Callable[[Sequence[App]], object] = len,
    ) -> None:
        """`watcher` is called with all apps, each time that they were read."""
        self._settings = settings
        self._registry = registry
        self._path = path
        self._watcher = watcher
        #: Seconds since 1970 of the last full read; 0 before the first.
        self.fresh_at = 0.0
        #: Why apps could not be read the last time; None when they were.
        self.trouble: str | None = None
        self._written = registry.revision

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until `stopping` is set. ConfigError when a credential cannot be read."""
        async with Marathon(self._settings) as marathon, asyncio.TaskGroup() as group:
            following = [group.create_task(self._read(marathon)), group.create_task(self._listen(marathon))]
            await self._keep(stopping)
            for task in following:
                task.cancel()

    async def _read(self, marathon: Marathon) -> None:
        """Take full reads, one after each change and one every `refresh_seconds`."""
        seconds = self._settings.refresh_seconds
        async with _closing(watch(marathon, poll_seconds=seconds, debounce_seconds=_DEBOUNCE_SECONDS)) as reads:
            async for apps in reads:
                if isinstance(apps, ClusterError):
                    self._fail(apps)
                    continue
                self._registry.read(apps)
                self._watcher(apps)
                self.fresh_at = time.time()
                self.trouble = None
                telemetry.REGISTRY_READ_AT.set(self.fresh_at)
                self._publish()

    async def _listen(self, marathon: Marathon) -> None:
        """Take what events say of single tasks, at once: some live shorter than a read takes."""
        async with _closing(listen(marathon, ("status_update_event",))) as events:
            async for event in events:
                self._registry.status(event.fields)
                self._publish()

    async def _keep(self, stopping: asyncio.Event) -> None:
        """Write the registry's file from time to time, when it changed, and a last time at the end."""
        while not stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await stopping.wait()
            await self._write()

    async def _write(self) -> None:
        revision = self._registry.revision
        if self._path is None or revision == self._written:
            return
        # Written or not, it is tried again only after the next change: an error here is no reason to repeat itself.
        self._written = revision
        content = registry_file.document(self._registry)
        try:
            await asyncio.to_thread(registry_file.write, self._path, content)
        except OSError as error:
            reason = error.strerror or str(error)
            _log.warning("the registry's file cannot be written", extra={"path": str(self._path), "reason": reason})

    def _fail(self, error: ClusterError) -> None:
        if self.trouble is None:
            _log.warning("tasks cannot be read; those known are kept", extra={"reason": str(error)})
        self.trouble = str(error)

    def _publish(self) -> None:
        telemetry.REGISTRY_TASKS.labels("alive").set(self._registry.alive)
        telemetry.REGISTRY_TASKS.labels("ended").set(len(self._registry) - self._registry.alive)
        telemetry.REGISTRY_FORGOTTEN.set(self._registry.forgotten)


def _closing(answers: AsyncIterator[_Answer]) -> aclosing[AsyncGenerator[_Answer, None]]:
    """Close a generator of answers when the block is left, not when somebody collects it."""
    return aclosing(cast("AsyncGenerator[_Answer, None]", answers))
