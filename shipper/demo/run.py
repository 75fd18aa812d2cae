"""Runs the product, rsyslogd and the sample services side by side, and stops them so that nothing is lost."""

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import secrets
import shlex
import socket
import tempfile
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from shipper import telemetry
from shipper.api.serve import Addresses, serve
from shipper.config import Config
from shipper.demo.host import Host
from shipper.demo.screen import Screen, command, stored
from shipper.demo.services import Answered, Shop
from shipper.demo.writer import Writer
from shipper.errors import ConfigError
from shipper.generate.rsyslog import LONGEST_SOCKET

_HOST = "127.0.0.1"
_DEFAULT_URL = "http://127.0.0.1:8080"
#: How long a request that has much to show is preferred to any.
PATIENT_SECONDS = 3.0
_COUNT_SECONDS = 1.0
_TAKEN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose."""

    directory: Path
    port: int = 8080
    #: Requests per second.
    rate: float = 5.0
    #: End by itself after so many seconds of traffic; None: never.
    seconds: float | None = None
    #: The same seed gives the same requests; "" takes a new one.
    seed: str = ""


async def run(options: Options, stopping: asyncio.Event, stream: TextIO) -> None:
    """Show the product until `stopping` is set. ConfigError when it cannot; TimeoutError when the stop took long."""
    directory = options.directory.absolute()
    with lock(directory, options.directory), (directory / "shipper.log").open("a", encoding="utf-8") as log_stream:
        telemetry.set_up_logging("INFO", log_stream)
        screen = Screen(stream, stopping.set)
        port = _free_port(options.port, screen)
        with _sockets(directory, screen) as sockets:
            config = _config(directory, port, sockets / "log")
            await _serve_and_show(config, options, sockets, stopping, screen)
        screen.say("stopped", f"{stored():,} records stored in {options.directory / 'data'}")


async def _serve_and_show(
    config: Config, options: Options, sockets: Path, stopping: asyncio.Event, screen: Screen
) -> None:
    """The services end first, then rsyslogd has sent all, then the product drains."""
    started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    draining = asyncio.Event()
    serving = asyncio.ensure_future(serve(config, draining, started.set_result))
    try:
        await asyncio.wait((serving, started), return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            showing = asyncio.ensure_future(_show(started.result(), options, sockets, stopping, screen))
            await asyncio.wait((serving, showing), return_when=asyncio.FIRST_COMPLETED)
            await ended(showing)
    finally:
        draining.set()
        await serving


async def ended(task: asyncio.Future[None]) -> None:
    """Cancel a task that runs still, and raise what it raised."""
    if not task.done():
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _show(addresses: Addresses, options: Options, sockets: Path, stopping: asyncio.Event, screen: Screen) -> None:
    async with _way(addresses, options, sockets, screen) as path:
        writer = Writer(path)
        shop = Shop(writer.send, seed=options.seed or secrets.token_hex(8), rate=options.rate)
        screen.say("page", addresses.http)
        if options.seconds is not None:
            asyncio.get_running_loop().call_later(options.seconds, stopping.set)
        async with asyncio.TaskGroup() as group:
            trading = group.create_task(shop.run(stopping))
            extras = [
                group.create_task(_show_request(addresses.http, shop, screen)),
                group.create_task(_count(screen, writer)),
            ]
            await trading
            for extra in extras:
                extra.cancel()
        await writer.taken(_TAKEN_SECONDS)  # what a socket holds when its reader ends is lost
        writer.close()
        screen.end_counting()


@contextlib.asynccontextmanager
async def _way(addresses: Addresses, options: Options, sockets: Path, screen: Screen) -> AsyncIterator[Path]:
    """Say which way the records go, and yield the socket that the services write to."""
    relp_port = int(dict(addresses.sources)["relp"].rpartition(":")[2])
    store = f"SQLite in {options.directory / 'data'}"
    async with contextlib.AsyncExitStack() as stack:
        try:
            host = Host(options.directory.absolute(), sockets, relp_port)
            await stack.enter_async_context(host)
        except ConfigError as error:
            screen.say("traffic", f"3 services -> Unix socket -> shipper -> {store} (without rsyslog: {error})")
            yield sockets / "log"
            return
        watching = asyncio.ensure_future(host.watch())
        stack.callback(watching.cancel)
        screen.say("traffic", f"3 services -> shipper host -> {host.program} -> RELP -> shipper -> {store}")
        yield host.socket_path


async def _show_request(url: str, shop: Shop, screen: Screen) -> None:
    """Say one request that the API can tell: one that failed on its way through all services, if that is soon."""
    loop = asyncio.get_running_loop()
    patient_until = loop.time() + PATIENT_SECONDS
    while True:
        choosy = loop.time() < patient_until
        for answered in [*shop.answered]:
            good = not choosy or (answered.failed and answered.services == 3)
            if good and await _told(url, answered):
                ended = "failed" if answered.failed else "went well"
                screen.say(
                    "request", f"{answered.request_id}, which {ended} after {answered.milliseconds} ms; all of it:"
                )
                screen.say("", _command(url, answered.request_id))
                screen.say("", "Ctrl-C stops")
                return
        await asyncio.sleep(0.1)


async def _told(url: str, answered: Answered) -> bool:
    """Whether the API tells the whole story of a request already."""
    address = f"{url}/api/v1/requests/{urllib.parse.quote(answered.request_id)}"
    try:
        story = await asyncio.to_thread(get, address)
    except (OSError, ValueError):
        return False
    return len(story.get("records", ())) >= answered.written


def get(address: str) -> Any:
    """Return what an API answers; OSError and ValueError when it does not."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=5) as answer:
        return json.loads(answer.read())


def _command(url: str, request_id: str) -> str:
    known = os.environ.get("SHIPPER_URL") or _DEFAULT_URL
    return f"{shlex.quote(command())} request {request_id}" + ("" if url == known else f" --url {url}")


async def _count(screen: Screen, writer: Writer) -> None:
    while True:
        await asyncio.sleep(_COUNT_SECONDS)
        screen.count(_COUNT_SECONDS, writer.dropped)


def _config(directory: Path, port: int, socket_path: Path) -> Config:
    return Config.model_validate(
        {
            "cluster": "demo",
            "sources": [{"type": "relp", "host": _HOST, "port": 0}, {"type": "unix", "path": str(socket_path)}],
            "store": {"type": "sqlite", "path": str(directory / "data")},
            "api": {"host": _HOST, "port": port},
        }
    )


@contextlib.contextmanager
def lock(directory: Path, shown: Path) -> Iterator[None]:
    """Hold the directory for one demo; ConfigError when another has it, or when it cannot be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ".gitignore").write_text("*\n")  # nothing here belongs to anybody's repository
        lock = (directory / "demo.lock").open("a+")
    except OSError as error:
        raise ConfigError(f"--dir {shown}: {os.strerror(error.errno or 0).lower()}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another demo runs in {shown}: stop it, or choose another --dir") from None
        yield


def _free_port(port: int, screen: Screen) -> int:
    """Return the port when it can be listened on, else 0: any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(f"--port {port}: {os.strerror(error.errno or 0).lower()}") from None
            screen.say("port", f"{port} is in use; taking a free one")
            return 0
    return port


@contextlib.contextmanager
def _sockets(directory: Path, screen: Screen) -> Iterator[Path]:
    """Yield the folder for sockets: the demo's own, unless its path is longer than a socket's may be."""
    if len(os.fsencode(directory / "host.status")) <= LONGEST_SOCKET:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="shipper-demo-") as short:
        screen.say("sockets", f"in {short}, as the path of --dir is too long for them")
        yield Path(short)
