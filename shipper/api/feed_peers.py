"""Other shippers' feeds: one connection to each, only while somebody tails, made again when it is lost."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from shipper.api.feed_wire import Blocks
from shipper.cluster.marathon import Marathon
from shipper.cluster.model import LIVE, App
from shipper.cluster.settings import ClusterSettings
from shipper.cluster.watch import watch
from shipper.config import FeedSettings
from shipper.errors import ClusterError, ConfigError

if TYPE_CHECKING:
    from shipper.api.feed import Hub

_log = logging.getLogger(__name__)

PATH: Final = "/api/v1/feed"
_CONNECT_SECONDS: Final = 5.0
#: A peer says something every second.
_SILENT_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 1.0


class Peers:
    """The shippers whose feeds are read: those that are configured, and the tasks of a Marathon app."""

    def __init__(self, settings: FeedSettings, cluster: ClusterSettings | None = None) -> None:
        """`cluster` is where `settings.app` runs; ConfigError when an address is none."""
        for url in settings.peers:
            if not url.startswith(("http://", "https://")) or "@" in url or "?" in url or "#" in url:
                raise ConfigError(f"api.feed.peers: {url}: must be http://host:port or https://host:port")
        if settings.app is not None and (cluster is None or not cluster.marathon_urls):
            raise ConfigError("api.feed.app: needs an enricher marathon with marathon_urls, to find the app's tasks")
        self._settings = settings
        self._cluster = cluster
        self._heard: dict[str, bool] = {}
        self._complete = settings.app is None

    @property
    def any(self) -> bool:
        """Whether there are peers, or may be."""
        return bool(self._heard) or bool(self._settings.peers) or self._settings.app is not None

    @property
    def heard(self) -> bool:
        """Whether every peer can be heard now; not while it is not known who they are."""
        return self._complete and bool(self._heard) and all(self._heard.values())

    async def run(self, hub: "Hub") -> None:
        """Read all feeds until cancelled."""
        self._heard = {}
        self._complete = self._settings.app is None
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            async with asyncio.TaskGroup() as group:
                reading: dict[str, asyncio.Task[None]] = {}

                def choose(urls: Iterable[str]) -> None:
                    wanted = dict.fromkeys((*(url.rstrip("/") for url in self._settings.peers), *urls))
                    for url in [url for url in reading if url not in wanted]:
                        reading.pop(url).cancel()
                        self._heard.pop(url, None)
                        hub.drop(url)
                    for url in wanted:
                        if url not in reading:
                            self._heard[url] = False
                            reading[url] = group.create_task(self._follow(session, url, hub))

                choose(())
                if self._settings.app is not None and self._cluster is not None:
                    await self._discover(self._settings.app, self._cluster, choose)

    async def _discover(self, app_id: str, cluster: ClusterSettings, choose: Callable[[Iterable[str]], None]) -> None:
        async with Marathon(cluster) as marathon:
            async with aclosing(watch(marathon, poll_seconds=cluster.refresh_seconds)) as reads:
                async for apps in reads:
                    if isinstance(apps, ClusterError):
                        continue  # those that are known are kept
                    choose(url for app in apps if app.id == app_id for url in addresses(app))
                    self._complete = True

    async def _follow(self, session: aiohttp.ClientSession, url: str, hub: "Hub") -> None:
        told = ""
        while True:
            try:
                await self._read(session, url, hub)
                reason = "it ended the connection"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                reason = str(error) or "no answer in time"
            if self._heard.get(url):
                told = ""
            self._heard[url] = False
            hub.drop(url)
            if reason != told:
                _log.warning("a shipper's feed cannot be read; the store is asked", extra={"url": url, "why": reason})
            told = reason
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _read(self, session: aiohttp.ClientSession, url: str, hub: "Hub") -> None:
        headers = await asyncio.to_thread(headers_of, self._settings)
        async with session.get(url + PATH, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(
                    f"status {answer.status}" + (": see api.feed.token_file" if answer.status < 500 else "")
                )
            blocks = Blocks()
            async for data in answer.content.iter_any():
                for block in blocks.read(data):
                    hub.post(url, block.records, block.mark, block.skipped)
                    self._heard[url] = True


def headers_of(settings: FeedSettings) -> dict[str, str]:
    """Return the headers that other shippers ask for; OSError when the token's file cannot be read."""
    if settings.token_file is None:
        return {}
    # A mounted secret may say more about its token below the first line.
    token = Path(settings.token_file).read_text().partition("\n")[0].strip()
    return {"Authorization": f"Bearer {token}"}


def addresses(app: App) -> list[str]:
    """Return where the tasks of an app answer HTTP: their port named "http", else their last one."""
    ports = app.definition.get("portDefinitions") or ()
    place = next((number for number, port in enumerate(ports) if port.get("name") == "http"), -1)
    return [f"http://{task.host}:{task.ports[place]}" for task in app.tasks if task.ports and task.state in LIVE]
