"""The recent copies of other shippers: known before anybody asks, and one that is away delays nobody."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import aiohttp
import orjson

from shipper.api import recent_wire as wire
from shipper.api.feed_peers import addresses, headers_of
from shipper.api.status import why_behind
from shipper.cluster.marathon import Marathon
from shipper.cluster.settings import ClusterSettings
from shipper.cluster.watch import watch
from shipper.config import FeedSettings
from shipper.errors import ClusterError
from shipper.record.times import from_ns
from shipper.search import cursor, kql
from shipper.search.expression import Everything
from shipper.search.expression_of import whole
from shipper.search.query import Query

PATH: Final = "/api/v1/feed/recent"
#: How long a peer may take, and how long one that did not answer is left alone.
_SECONDS: Final = 2.5
_CONNECT_SECONDS: Final = 0.5
_ALONE_SECONDS: Final = 10.0
_MOST_BYTES: Final = 64 * 2**20


class RecentPeers:
    """Asks the shippers that are configured, and the tasks of a Marathon app."""

    def __init__(self, settings: FeedSettings, cluster: ClusterSettings | None = None) -> None:
        self._settings = settings
        self._cluster = cluster
        self._found: list[str] = []
        self._bad: dict[str, float] = {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def urls(self) -> list[str]:
        """Where they are, as far as it is known now."""
        return list(dict.fromkeys((*(url.rstrip("/") for url in self._settings.peers), *self._found)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep in mind who they are, and connections to them."""
        timeout = aiohttp.ClientTimeout(total=_SECONDS, sock_connect=_CONNECT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._session = session
            following = asyncio.create_task(self._follow())
            try:
                yield
            finally:
                following.cancel()
                await asyncio.wait([following])
                self._session = None

    async def ask(self, query: Query) -> list[tuple[str, wire.Told | str]]:
        """Ask all of them at once; each with what it told, or why it told nothing."""
        urls = self.urls
        return list(zip(urls, await asyncio.gather(*(self._ask(url, query) for url in urls)), strict=True))

    async def why_behind(self) -> str | None:
        """Return why one of them keeps records that the store does not take now; None when none says so."""
        said = await asyncio.gather(*map(self._why_behind, self.urls))
        return next(filter(None, said), None)

    async def _why_behind(self, url: str) -> str | None:
        if self._session is None:
            return None
        try:
            async with self._session.get(f"{url}/ready", allow_redirects=False) as answer:
                told = orjson.loads(await answer.content.readexactly(_size(answer)))
            return why_behind(told["reason"])
        except (
            aiohttp.ClientError,
            OSError,
            ValueError,
            EOFError,
            TimeoutError,
            LookupError,
            TypeError,
            AttributeError,
        ):
            return None  # who is away says so when it is asked for records

    async def _follow(self) -> None:
        if self._settings.app is None or self._cluster is None:
            return
        async with Marathon(self._cluster) as marathon:
            async with aclosing(watch(marathon, poll_seconds=self._cluster.refresh_seconds)) as reads:
                async for apps in reads:
                    if not isinstance(apps, ClusterError):
                        self._found = [url for app in apps if app.id == self._settings.app for url in addresses(app)]

    async def _ask(self, url: str, query: Query) -> wire.Told | str:
        if self._session is None or time.monotonic() < self._bad.get(url, 0):
            return "it did not answer a moment ago"
        try:
            headers = await asyncio.to_thread(headers_of, self._settings)
            parameters = _parameters(query)
            async with self._session.get(
                url + PATH, params=parameters, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status == 404:
                    return "it keeps no recent copy"
                if answer.status != 200:
                    return f"status {answer.status}" + (": see api.feed.token_file" if answer.status < 500 else "")
                return wire.read(await answer.content.readexactly(_size(answer)))
        except (aiohttp.ClientError, OSError, ValueError, EOFError, TimeoutError) as error:
            self._bad[url] = time.monotonic() + _ALONE_SECONDS
            return str(error) or "no answer in time"


def _size(answer: aiohttp.ClientResponse) -> int:
    size = answer.content_length
    if size is None or size > _MOST_BYTES:
        raise ValueError("its answer is too long")
    return size


def _parameters(query: Query) -> dict[str, str]:
    asked = whole(Query(where=query.where, **{name: getattr(query, name) for name in _NAMED}))
    found = {
        "order": "newest" if query.newest_first else "oldest",
        "limit": str(query.limit),
        "query": "" if isinstance(asked, Everything) else kql.write(asked),
        "start": "" if query.start is None else from_ns(query.start),
        "end": "" if query.end is None else from_ns(query.end),
        "cursor": "" if query.after is None else cursor.encode(query.after),
    }
    return {name: value for name, value in found.items() if value}


#: Parts of a question that the language can say, too.
_NAMED: Final = ("app", "host", "levels", "request_id", "phrases")
