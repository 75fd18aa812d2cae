"""Questions over HTTP to a service that has several addresses, with limits on time, size and trust.

The address that answered last is asked first. A question that changes nothing goes to the next address whenever one
gives no usable answer; a change only where it certainly was not made. Credentials go to configured hosts only.
"""

import asyncio
import types
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from shipper.cluster._credentials import Credentials
from shipper.cluster._refusals import clean, error_of
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterBusy, ClusterError, ConfigError
from shipper.secret_files import certificates

Found = TypeVar("Found")
Parameters = tuple[tuple[str, str], ...]

#: Bytes of one answer, unpacked; a cluster of 5,000 tasks makes some 10 MiB.
LARGEST_ANSWER: Final = 64 * 2**20
_LARGEST_REFUSAL: Final = 64 * 1024
_CONNECT_SECONDS: Final = 5.0
_MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_FAULTS: Final = (aiohttp.ClientError, OSError, ValueError)


class _NotAsked(ClusterBusy):
    """This address gave no answer that can be used, and certainly did nothing of what was asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a path below the address, and whether it changes anything (every method but GET does)."""

    path: str
    method: str = "GET"
    parameters: Parameters = ()
    body: Any = None
    largest: int = LARGEST_ANSWER

    @property
    def changes(self) -> bool:
        """Whether asking twice differs from asking once."""
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back with a status below 400."""

    address: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _Sent:
    """Whether a change has had its connection."""

    connected: bool = False


def _changes_go_once() -> aiohttp.TraceConfig:
    """Refuse a change a second connection: aiohttp repeats PUT and DELETE by itself when the first one is lost."""

    async def connect(_: aiohttp.ClientSession, context: types.SimpleNamespace, __: object) -> None:
        sent = context.trace_request_ctx
        if sent is None:
            return
        if sent.connected:
            raise aiohttp.ClientConnectionError("the connection was lost before an answer came")
        sent.connected = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(connect)
    return trace


class Service:
    """One service of the cluster (`name` is for messages), asked at any of its addresses."""

    def __init__(self, name: str, urls: list[str], setting: str, settings: ClusterSettings) -> None:
        """`setting` is the key that holds `urls`; ConfigError when there is none, or a secret cannot be read."""
        if not urls:
            raise ConfigError(f"no address of {name} is known; set {setting} of the enricher marathon, or give it here")
        self.name = name
        self._urls = list(urls)
        self._setting = setting
        self._hosts = {URL(url).host for url in urls}
        self._seconds = settings.request_seconds
        self._credentials = Credentials(settings)
        self._certificates = certificates(settings.ca_file, "ca_file")
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._open = aiohttp.ClientSession(
            # A connection is used once: one that a server has just given up would leave a change in doubt.
            connector=aiohttp.TCPConnector(ssl=self._certificates, limit=8, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "shipper", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=min(self._seconds, _CONNECT_SECONDS)),
            trace_configs=[_changes_go_once()],
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open is not None:
            await self._open.close()

    async def ask(self, question: Question) -> Answer:
        """Return the answer of the first address that has one; ClusterRefused, ClusterLocked or ClusterBusy else."""
        return await self._of_any(question, lambda answer: answer)

    async def read(self, question: Question, reader: Callable[[Any], Found]) -> Found:
        """Return what `reader` makes of the JSON answer; a ValueError of it means a wrong answer (ClusterBusy)."""
        return await self._of_any(question, lambda answer: reader(_json(answer.body)))

    async def ask_at(self, url: str, question: Question) -> Answer:
        """Return the answer of one address, which need not be configured; then it is sent no credentials."""
        try:
            async with self._response(url, question) as response:
                answer = await self._answer(url, question, response)
        except _FAULTS as error:
            raise self._fault(url, error) from None
        return answer

    async def read_at(self, url: str, question: Question, reader: Callable[[Any], Found]) -> Found:
        """Return what `reader` makes of the JSON answer of one address, as `ask_at` and `read` do."""
        return self._made(await self.ask_at(url, question), lambda answer: reader(_json(answer.body)))

    def _made(self, answer: Answer, reader: Callable[[Answer], Found]) -> Found:
        try:
            return reader(answer)
        except ValueError as error:
            raise ClusterBusy(f"{self._who(answer.address)} gives an answer that is not its own: {error}") from None

    async def _of_any(self, question: Question, reader: Callable[[Answer], Found]) -> Found:
        problems = []
        for url in list(self._urls):
            try:
                found = self._made(await self.ask_at(url, question), reader)
            except ClusterBusy as error:
                if question.changes and not isinstance(error, _NotAsked):
                    doubt = "the change may have been made all the same: look before trying again"
                    raise ClusterBusy(f"{error}; {doubt}") from None
                problems.append(str(error))
            except ClusterError:
                self._prefer(url)  # no is an answer too
                raise
            else:
                self._prefer(url)
                return found
        raise ClusterBusy("; ".join(problems))

    def _prefer(self, url: str) -> None:
        self._urls.remove(url)
        self._urls.insert(0, url)

    @asynccontextmanager
    async def stream(self, question: Question, accept: str) -> AsyncIterator[aiohttp.StreamReader]:
        """Give an answer that has no end, of the first address that has one; only opening it is limited in time."""
        async with AsyncExitStack() as stack:
            yield (await self._opened(stack, question, {"Accept": accept})).content

    async def _opened(
        self, stack: AsyncExitStack, question: Question, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        endless = aiohttp.ClientTimeout(sock_connect=min(self._seconds, _CONNECT_SECONDS))
        problems = []
        for url in list(self._urls):
            try:
                async with asyncio.timeout(self._seconds):
                    opening = self._response(url, question, headers=headers, timeout=endless)
                    response = await stack.enter_async_context(opening)
                    if response.status == HTTPStatus.OK:
                        return response
                    await self._answer(url, question, response)
                    problems.append(f"{self._who(url)} answers with status {response.status} instead of a stream")
            except ClusterBusy as error:
                problems.append(str(error))
            except _FAULTS as error:
                problems.append(str(self._fault(url, error)))
            await stack.aclose()
        raise ClusterBusy("; ".join(problems))

    async def _answer(self, url: str, question: Question, response: aiohttp.ClientResponse) -> Answer:
        good = response.status < HTTPStatus.MULTIPLE_CHOICES
        limit = question.largest if good else _LARGEST_REFUSAL
        try:
            body = await _body(response, limit)
        except _FAULTS as error:
            raise ClusterBusy(str(self._fault(url, error))) from None  # it was asked
        if good and len(body) > limit:
            raise ClusterBusy(f"{self._who(url)} gives an answer of more than {limit >> 20} MiB, which is not read")
        if good:
            return Answer(url, response.headers, body)
        if response.status < HTTPStatus.BAD_REQUEST:
            raise ClusterBusy(f"{self._who(url)} answers with status {response.status}, which is no answer")
        if response.status == HTTPStatus.BAD_GATEWAY and b"leader" in body:
            raise _NotAsked(f"{self._who(url)} knows no leader now; try again later")
        raise error_of(self._who(url), question.path, response.status, body)

    def _who(self, url: str) -> str:
        return f"{self.name} at {url}"

    def _fault(self, url: str, error: Exception) -> ClusterBusy:
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            reason = f"shows no certificate that is trusted ({clean(error, 200)}); check ca_file"
        elif isinstance(error, aiohttp.ClientConnectorError):
            why = clean(error.os_error.strerror or error.os_error, 200)
            reason = f"cannot be reached ({error.host}:{error.port}: {why}); check {self._setting}"
        elif isinstance(error, TimeoutError):
            reason = f"gave no answer in {self._seconds:g} s"
        else:
            reason = f"does not speak HTTP as it should ({clean(error, 200) or type(error).__name__})"
        certain = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        return (_NotAsked if certain else ClusterBusy)(f"{self._who(url)} {reason}")

    @asynccontextmanager
    async def _response(self, url: str, question: Question, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give the response, after redirects that may be followed."""
        target = _join(url, question)
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._send(target, question, options) as response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    yield response
                    return
                target = self._redirected(url, target, response.headers["Location"])
        raise _NotAsked(f"{self._who(url)} redirects in a circle")

    def _send(self, target: URL, question: Question, options: Mapping[str, Any]) -> Any:
        if self._open is None:
            raise RuntimeError("used outside `async with`")
        known = target.host in self._hosts
        headers = {**(self._credentials.header() if known else {}), **options.get("headers", {})}
        body = None if question.body is None else orjson.dumps(question.body)
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._open.request(
            question.method,
            target,
            data=body,
            allow_redirects=False,
            trace_request_ctx=_Sent() if question.changes else None,
            **{**options, "headers": headers},
        )

    def _redirected(self, url: str, source: URL, location: str) -> URL:
        """The address a redirect names, when it may be followed: with credentials only to configured hosts."""
        target = source.join(URL(location))
        shown = f"{self._who(url)} redirects to {clean(target.with_user(None).with_query(None), 200)}"
        if target.scheme not in ("http", "https") or not target.host or target.user:
            raise _NotAsked(f"{shown}, which is no address")
        if self._credentials and target.host not in self._hosts:
            raise _NotAsked(f"{shown}, where credentials are not sent; add that host to {self._setting}")
        if self._credentials and (source.scheme, target.scheme) == ("https", "http"):
            raise _NotAsked(f"{shown}, which would show credentials to everybody")
        return target


def _join(url: str, question: Question) -> URL:
    query = f"?{urlencode(question.parameters)}" if question.parameters else ""
    return URL(f"{url}{question.path}{query}", encoded=True)


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read at most a little more than `limit` bytes."""
    parts, length = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        length += len(part)
        if length > limit:
            break
    return b"".join(parts)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        start = clean(body[:60].decode(errors="replace"))
        raise ValueError(f"no JSON, but {start!r}" if start else "it is empty") from None
