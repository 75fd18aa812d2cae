"""The official client as we use it: sniffing off, and a node that cannot be reached costs little time, and that seldom.

A node that was not reached is left alone for 2 s, then 4 s, up to a minute; the request goes to the next one at once.
Sniffing would replace the operator's addresses by those that the nodes know of themselves, behind a proxy or in
containers often wrong ones.
"""

import io
import json
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from elastic_transport import (
    AiohttpHttpNode,
    ConnectionError,
    ConnectionTimeout,
    NdjsonSerializer,
    NodeConfig,
)
from elasticsearch import AsyncElasticsearch, JsonSerializer

if TYPE_CHECKING:
    from shipper.stores.elasticsearch import Config

_CONNECTIONS: Final = 10
#: Seconds within which a node must take a connection, TLS included.
CONNECT_SECONDS: Final = 3.0
_FIRST_REST_SECONDS: Final = 2.0
_LONGEST_REST_SECONDS: Final = 60.0
#: Bytes from which a body is sent in pieces.
_LARGE: Final = 2**20


class Unreached(ConnectionError):
    """No connection was made, so nothing was sent: the same request may go to another node."""


class _Session:
    """A session whose requests have a limit of their own for making a connection."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def request(self, *arguments: Any, timeout: aiohttp.ClientTimeout, **named: Any) -> Any:
        """Begin a request."""
        limits = aiohttp.ClientTimeout(total=timeout.total, sock_connect=CONNECT_SECONDS)
        return self._session.request(*arguments, timeout=limits, **named)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


class _Node(AiohttpHttpNode):
    """A node; that it was not reached is an error of its own."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        if self._ssl_context is not None:
            # Left alone, it takes any certificate of the CA for an address that is a number.
            self._ssl_context.check_hostname = True

    def _create_aiohttp_session(self) -> None:
        super()._create_aiohttp_session()
        self.session = _Session(self.session)  # type: ignore[arg-type,assignment]

    async def perform_request(self, *arguments: Any, **named: Any) -> Any:  # type: ignore[override]
        """Send a request to this node."""
        try:
            return await super().perform_request(*arguments, **named)
        except (ConnectionError, ConnectionTimeout) as error:
            cause = error.errors[0] if error.errors else None
            if isinstance(cause, aiohttp.ConnectionTimeoutError):
                raise Unreached(f"no connection to {self.base_url} in {CONNECT_SECONDS:g} s") from None
            if isinstance(cause, aiohttp.ClientConnectorError):
                raise Unreached(error.message) from None
            raise


class _Json(JsonSerializer):
    """Reads answers fast, and what orjson refuses."""

    def json_loads(self, data: bytes) -> Any:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return json.loads(data)  # lone surrogates, which Elasticsearch keeps and orjson refuses


class _Body(NdjsonSerializer):
    """Passes on what is NDJSON already; a large one in pieces, so that the event loop goes on meanwhile."""

    def dumps(self, data: Any) -> Any:
        return data if len(data) < _LARGE else _Pieces(data)


class _Pieces(io.BytesIO):
    """A large body; what the client's debug log shows of it is its size."""

    def decode(self, *_: str) -> str:
        """Return what to log."""
        return f"({len(self.getbuffer())} bytes)"


def client(config: "Config") -> AsyncElasticsearch:
    """Return the client; ValueError or OSError when its settings are wrong."""
    trust: dict[str, Any] = {} if config.ca_certs is None else {"ca_certs": config.ca_certs}
    return AsyncElasticsearch(
        list(dict.fromkeys(config.urls)),
        **trust,
        node_class=_Node,
        connections_per_node=_CONNECTIONS,
        sniff_on_start=False,
        sniff_before_requests=False,
        sniff_on_node_failure=False,
        dead_node_backoff_factor=_FIRST_REST_SECONDS,
        max_dead_node_backoff=_LONGEST_REST_SECONDS,
        serializers={
            "application/json": _Json(),
            "application/vnd.elasticsearch+json": _Json(),
            "application/vnd.elasticsearch+x-ndjson": _Body(),
        },
    )
