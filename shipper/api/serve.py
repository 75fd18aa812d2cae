"""The whole process: store, pipeline and HTTP service in one event loop, stopped in the right order."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from shipper.api.access.connections import Guarded
from shipper.api.access.entrance import Entrance
from shipper.cluster import settings as cluster
from shipper.config import ApiSettings, Config
from shipper.errors import ConfigError, ShipperError, StoreBusy
from shipper.pipeline.run import Pipeline
from shipper.stores import Reader, Store

if TYPE_CHECKING:
    from shipper.api.feed import Hub
    from shipper.api.recent_wire import Own

_log = logging.getLogger(__name__)
#: A peer that takes nothing is given up by the kernel, after our own limits for it.
_STALLED_MS = 90_000
_OPEN_AGAIN_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running process can be reached."""

    #: "http://127.0.0.1:8080"; "" when the API is switched off.
    http: str
    #: Type and address of each source, in the order of the configuration.
    sources: list[tuple[str, str]]


class _Server(uvicorn.Server):
    """uvicorn without hands on signals: they have one owner, the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def serve(config: Config, stopping: asyncio.Event, started: Callable[[Addresses], None]) -> None:
    """Run sources, pipeline, store and HTTP service until `stopping` is set.

    The store opens first and closes last; the HTTP service answers (not ready) while the pipeline drains. Raises
    ShipperError for what a person can mend and TimeoutError when the drain took too long.
    """
    # Records live for milliseconds and form no cycles: the default, a look every 700 objects, costs a third of the CPU.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        await _serve(config, stopping, started)
    except BaseExceptionGroup as group:
        raise _first_cause(group) from None


async def _serve(config: Config, stopping: asyncio.Event, started: Callable[[Addresses], None]) -> None:
    entrance = Entrance.of(config.api) if config.api.enabled else None
    web_socket = _bind(config.api) if config.api.enabled else None
    async with contextlib.AsyncExitStack() as stack:
        if web_socket is not None:
            stack.callback(web_socket.close)
        store = config.store.build(config.cluster)
        pipeline = Pipeline(config, store)
        if pipeline.recent is not None:
            await stack.enter_async_context(pipeline.recent)
        async with asyncio.TaskGroup() as roles:
            watch = roles.create_task(_fail_on_bugs())
            server = hub = None
            if web_socket is not None and entrance is not None:
                stack.enter_context(entrance.audit)
                reader, own = await _reader(config, pipeline, stack)
                hub = _hub(config, reader, pipeline)
                server = _server(reader, pipeline, entrance, hub, own, config.api)
                roles.create_task(server.serve(sockets=[web_socket]))
            http = _url(config.api, web_socket) if web_socket is not None else ""

            def ready() -> None:
                if entrance is not None:
                    entrance.say()
                started(_addresses(http, config, pipeline))

            try:
                if await _open(store, stack, pipeline, stopping):
                    await pipeline.run(stopping, ready)
            finally:
                watch.cancel()
                if server is not None and hub is not None:
                    hub.end("shipper is stopping")
                    server.should_exit = True


async def _fail_on_bugs() -> None:
    """Raise what a callback of the loop raised (a bug: a peer can cause none), so that the process stops.

    Left alone, the loop would log it and go on, with a connection that never answers again.
    """
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        error = context.get("exception")
        if error is not None and not isinstance(error, OSError) and not failed.done():
            failed.set_exception(error)

    loop.set_exception_handler(handle)
    try:
        await failed
    finally:
        loop.set_exception_handler(None)


async def _open(store: Store, stack: contextlib.AsyncExitStack, pipeline: Pipeline, stopping: asyncio.Event) -> bool:
    """Open the store, waiting for one that cannot be reached yet; False when told to stop meanwhile."""
    while not stopping.is_set():
        try:
            await stack.enter_async_context(store)
        except StoreBusy as busy:
            pipeline.delivery.trouble = str(busy)
            _log.warning("the store cannot be opened yet; trying again", extra={"reason": str(busy)})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _OPEN_AGAIN_SECONDS)
        else:
            pipeline.delivery.trouble = None
            return True
    return False


async def _reader(config: Config, pipeline: Pipeline, stack: contextlib.AsyncExitStack) -> "tuple[Reader, Own | None]":
    """Return what questions are asked of, opened: the store and the recent copies behind it; and our own copy."""
    from shipper.api.recent import WithRecent
    from shipper.api.recent_copies import Copies
    from shipper.api.recent_peers import RecentPeers
    from shipper.api.recent_wire import Own

    feed, own, peers = config.api.feed, None, None
    if pipeline.recent is not None:
        # A host sends no more than its window ahead of the answers: the rest waits there as soon as the store does.
        own = Own(pipeline.recent, lambda: pipeline.intake.full or pipeline.delivery.trouble is not None)
    if feed.peers or feed.app:
        peers = RecentPeers(feed, cluster.of(config))
        await stack.enter_async_context(peers.running())
    delivery = pipeline.delivery
    behind = WithRecent(
        config.store.reader(config.cluster), Copies(own, peers), lambda: delivery.trouble or delivery.waiting or None
    )
    reader = await stack.enter_async_context(behind)
    watching = asyncio.create_task(reader.watch())
    stack.callback(watching.cancel)
    return reader, own


def _hub(config: Config, reader: Reader, pipeline: Pipeline) -> "Hub":
    """Return where live tails hear from; ConfigError when a peer's address is none."""
    from shipper.api.feed import Hub
    from shipper.api.feed_peers import Peers

    feed, settings = pipeline.delivery.feed, config.api.feed
    peers = Peers(settings, cluster.of(config)) if settings.peers or settings.app else None
    return Hub(reader, feed if config.sources else None, peers)


def _server(
    reader: Reader, pipeline: Pipeline, entrance: Entrance, hub: "Hub", own: "Own | None", settings: ApiSettings
) -> _Server:
    from shipper.api.app import Status, build  # FastAPI takes 0.7 s to import: only where it is served
    from shipper.api.kibana import base_url
    from shipper.api.short_links import short_links_of
    from shipper.api.status import BUSY, WAITING

    kibana = settings.kibana_url and base_url(settings.kibana_url, settings.kibana_space)
    short_links = short_links_of(settings)

    def status() -> Status:
        trouble = pipeline.delivery.trouble
        waiting = pipeline.delivery.waiting
        reason = f"{BUSY}{trouble}" if trouble else f"{WAITING}{waiting}" if waiting else ""
        reason = reason if pipeline.accepting or reason else "not accepting"
        return Status(ready=pipeline.accepting and trouble is None, reason=reason)

    app = build(reader, status, entrance=entrance, hub=hub, own=own, kibana=kibana, short_links=short_links)
    served = uvicorn.Config(
        app,
        http=Guarded,
        proxy_headers=False,  # X-Forwarded-For would be believed from this machine; `access.peers` is stricter
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    return _Server(served)


def _bind(settings: ApiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MS)
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"api: cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno or 0).lower()} "
            "(stop the other program or set api.port)"
        ) from None
    return listening


def _url(settings: ApiSettings, listening: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listening.getsockname()[1]}"


def _addresses(http: str, config: Config, pipeline: Pipeline) -> Addresses:
    kinds = [str(getattr(settings, "type", "")) for settings in config.sources]
    return Addresses(http, [(kind, source.address) for kind, source in zip(kinds, pipeline.sources, strict=True)])


def _first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a person can act on among errors that came together, else the first one."""
    leaves: list[BaseException] = []
    stack: list[BaseException] = [group]
    while stack:
        error = stack.pop(0)
        if isinstance(error, BaseExceptionGroup):
            stack += error.exceptions
        else:
            leaves.append(error)
    bugs = [error for error in leaves if not isinstance(error, ShipperError | TimeoutError)]
    return group if bugs else leaves[0]
