"""Wires sources, parsers, enrichers and the store together, and stops them in the right order."""

import asyncio
import socket
from collections.abc import Callable, Sequence

from shipper.cluster import labels
from shipper.cluster.model import App
from shipper.config import Config, component, component_names
from shipper.enrichers import Enricher, Late, Refreshed, Watching
from shipper.parsers import chain
from shipper.pipeline import notices
from shipper.pipeline.buffer import Buffer
from shipper.pipeline.deliver import Delivery
from shipper.pipeline.intake import Intake
from shipper.pipeline.recent import Recent
from shipper.pipeline.repair import Repairs
from shipper.record import Record
from shipper.record.ids import new_start
from shipper.sources import Source
from shipper.stores import Expiring, Store


class Pipeline:
    """Everything between the sources' sockets and the store, in one event loop."""

    def __init__(self, config: Config, store: Store) -> None:
        self._settings = config.pipeline
        self._store = store
        series = new_start() + "s"
        self.sources: list[Source] = [settings.build() for settings in config.sources]
        self.enrichers: list[Enricher] = [settings.build() for settings in config.enrichers]
        self.buffer = Buffer()
        #: The copy of what was received lately, to be opened by whoever runs this; None when none is kept.
        self.recent = Recent(config.pipeline.recent) if config.sources and config.pipeline.recent.directory else None
        self.intake = Intake(
            {source: _reader(config, source) for source in component_names("sources")} | {notices.SOURCE: notices.READ},
            self.enrichers,
            self.buffer,
            memory_bytes=config.pipeline.memory_bytes,
            series=series,
            host=socket.gethostname(),
            keep=None if self.recent is None else self.recent.keep,
        )
        self.delivery = Delivery(store, self.buffer, self.intake, config.pipeline, instance=series)
        self._notices = notices.Notices(self.intake.submit)
        for enricher in self.enrichers:
            if isinstance(enricher, Watching):
                enricher.watch_apps(self._look_at)
        late = [enricher for enricher in self.enrichers if isinstance(enricher, Late)]
        self._repairs = Repairs(store, self.intake, late)
        #: True while every source listens; false before and during a stop.
        self.accepting = False

    async def run(self, stopping: asyncio.Event, started: Callable[[], None]) -> None:
        """Receive and deliver until `stopping` is set, then finish what was accepted.

        `started` is called once when every source listens. Raises ConfigError when a source cannot listen, and
        TimeoutError when the drain did not finish in time: what is not acknowledged then will be sent again.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as delivering:
            delivering.create_task(self.delivery.run())
            try:
                async with asyncio.TaskGroup() as receiving:
                    receiving.create_task(self._repairs.run(stopping))
                    for enricher in self.enrichers:
                        if isinstance(enricher, Refreshed):
                            receiving.create_task(enricher.run(stopping))
                    await self._listen(receiving, stopping)
                    self.accepting = True
                    started()
                    await stopping.wait()
                    self.accepting = False
                    limit.reschedule(loop.time() + self._settings.drain_seconds)
            finally:
                self.buffer.close()

    def _look_at(self, apps: Sequence[App]) -> None:
        """Tell owners what is wrong with their labels, and the store how long they want records to be kept."""
        wishes = [(app.id, app.version, labels.read(app.labels)) for app in apps]
        self._notices.look(wishes)
        if apps and isinstance(self._store, Expiring):  # a Marathon that has lost its apps is no reason to delete
            self._store.retain({app_id: wish.retention_days for app_id, _, wish in wishes if wish.retention_days})

    async def _listen(self, receiving: asyncio.TaskGroup, stopping: asyncio.Event) -> None:
        for source in self.sources:
            ready = asyncio.Event()
            running = receiving.create_task(source.run(self.intake, stopping, ready))
            listening = asyncio.ensure_future(ready.wait())
            try:
                await asyncio.wait((running, listening), return_when=asyncio.FIRST_COMPLETED)
            finally:
                listening.cancel()


def _reader(config: Config, source: str) -> Callable[[Record], None]:
    """Return the chain of the configured parsers that read what this source brings."""
    parsers = [component("parsers", name) for name in config.parsers]
    return chain([parser.parse for parser in parsers if source in getattr(parser, "SOURCES", (source,))])
