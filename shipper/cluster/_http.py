"""Questions over HTTP to a service that has several addresses, with limits on time, size and trust.

The address that answered last is asked first. A question that changes nothing goes to the next address whenever one
gives no usable answer; a change only where it certainly was not made. Credentials go to configured hosts only.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from shipper.cluster._credentials import Credentials, certificates
from shipper.cluster._refusals import clean, error_of
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterBusy, ClusterError, ConfigError

Found = TypeVar("Found")
Parameters = tuple[tuple[str, str], ...]

#: Bytes of one answer, unpacked; a cluster of 5,000 tasks makes some 10 MiB.
LARGEST_ANSWER: Final = 64 * 2**20
_LARGEST_REFUSAL: Final = 64 * 1024
_CONNECT_SECONDS: Final = 5.0
_MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_OTHER_FAULTS: Final = (aiohttp.ClientError, OSError, ValueError)


class _Unusable(Exception):
    """This address gave no answer that can be used; another may. `reached`: what was asked may have been done."""

    def __init__(self, reason: str, reached: bool) -> None:
        super().__init__(reason)
        self.reached = reached


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
        self._certificates = certificates(settings)
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._open = aiohttp.ClientSession(
            # A connection is used once: one that a server has just given up would leave a change in doubt.
            connector=aiohttp.TCPConnector(ssl=self._certificates, limit=8, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "shipper", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=min(self._seconds, _CONNECT_SECONDS)),
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
        return await self._of_any(question, lambda answer: reader(_json(answer)))

    async def _of_any(self, question: Question, reader: Callable[[Answer], Found]) -> Found:
        problems = []
        for url in list(self._urls):
            try:
                found = reader(await self._ask_at(url, question))
            except ClusterBusy as error:
                problem, reached = str(error), True
            except ClusterError:
                self._prefer(url)  # no is an answer too
                raise
            except _Unusable as error:
                problem, reached = f"{self.name} at {url} {error}", error.reached
            except ValueError as error:
                problem, reached = f"{self.name} at {url} gives an answer that is not {self.name}'s: {error}", True
            else:
                self._prefer(url)
                return found
            if question.changes and reached:
                raise ClusterBusy(f"{problem}; the change may have been made all the same: look before trying again")
            problems.append(problem)
        raise ClusterBusy("; ".join(problems))

    def _prefer(self, url: str) -> None:
        if self._urls[0] != url:
            self._urls.remove(url)
            self._urls.insert(0, url)

    async def _ask_at(self, url: str, question: Question) -> Answer:
        reached = False
        try:
            async with self._response(url, question) as response:
                reached = True
                limit = question.largest if response.status < 400 else _LARGEST_REFUSAL
                body = await _body(response, limit)
        except TimeoutError as error:
            reached = reached or not isinstance(error, aiohttp.ConnectionTimeoutError)
            raise _Unusable(f"gave no answer in {self._seconds:g} s", reached) from None
        except _OTHER_FAULTS as error:
            raise _Unusable(
                self._fault(error), reached or not isinstance(error, aiohttp.ClientConnectorError)
            ) from None
        if len(body) > limit and response.status < 400:
            raise _Unusable(f"gives an answer of more than {limit >> 20} MiB, which is not read", reached=True)
        if response.status >= 400:
            raise self._refusal(url, question, response.status, body)
        return Answer(url, response.headers, body)

    def _refusal(self, url: str, question: Question, status: int, body: bytes) -> Exception:
        # A member that knows no leader cannot have passed the change on.
        if status == 502 and b"leader" in body:
            return _Unusable("knows no leader now", reached=False)
        return error_of(f"{self.name} at {url}", question.path, status, body)

    def _fault(self, error: Exception) -> str:
        if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLError):
            return f"shows a certificate that is not trusted ({clean(error, 200)}); check ca_file"
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"cannot be reached ({clean(error.os_error.strerror or error.os_error, 200)}); check {self._setting}"
        return f"does not speak HTTP as it should ({clean(error, 200) or type(error).__name__})"

    @asynccontextmanager
    async def _response(self, url: str, question: Question, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give the response, after redirects that may be followed."""
        target = _join(url, question)
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._send(target, question, options) as response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    yield response
                    return
                target = self._redirected(target, response.headers["Location"])
        raise _Unusable("redirects in a circle", reached=False)

    def _send(self, target: URL, question: Question, options: Mapping[str, Any]) -> Any:
        if self._open is None:
            raise RuntimeError("used outside `async with`")
        known = target.host in self._hosts
        headers = {**(self._credentials.header() if known else {}), **options.get("headers", {})}
        body = None if question.body is None else orjson.dumps(question.body)
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._open.request(
            question.method, target, data=body, allow_redirects=False, **{**options, "headers": headers}
        )

    def _redirected(self, source: URL, location: str) -> URL:
        """The address a redirect names, when it may be followed: with credentials only to configured hosts."""
        target = source.join(URL(location))
        shown = clean(target.with_user(None).with_query(None), 200)
        if target.scheme not in ("http", "https") or not target.host or target.user:
            raise _Unusable(f"redirects to {shown}, which is no address", reached=False)
        if self._credentials and target.host not in self._hosts:
            advice = f"add that host to {self._setting}"
            raise _Unusable(f"redirects to {shown}, where credentials are not sent; {advice}", reached=False)
        if self._credentials and (source.scheme, target.scheme) == ("https", "http"):
            raise _Unusable(f"redirects to {shown}, which would show credentials to everybody", reached=False)
        return target

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
                    if response.status < 400:
                        return response
                    raise self._refusal(url, question, response.status, await _body(response, _LARGEST_REFUSAL))
            except ClusterBusy as error:
                problems.append(str(error))
            except TimeoutError:
                problems.append(f"{self.name} at {url} gave no answer in {self._seconds:g} s")
            except _Unusable as error:
                problems.append(f"{self.name} at {url} {error}")
            except _OTHER_FAULTS as error:
                problems.append(f"{self.name} at {url} {self._fault(error)}")
            await stack.aclose()
        raise ClusterBusy("; ".join(problems))


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


def _json(answer: Answer) -> Any:
    try:
        return orjson.loads(answer.body)
    except ValueError:
        start = clean(answer.body[:60].decode(errors="replace"))
        raise ValueError(f"no JSON, but {start!r}" if start else "it is empty") from None
