"""Requests to Elasticsearch by its official client, and what its answers mean: not now, never, or a person must act.

Only the client's transport is used, so that a batch is sent as the bytes that were made of it. One client of 8.19
talks to servers of 8.x and 9.x by the compatibility header.
"""

import base64
import io
import json
from typing import TYPE_CHECKING, Any, Final

import orjson

from shipper.errors import StoreBusy, StoreRejected

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch
    from pydantic import SecretStr

    from shipper.stores.elasticsearch import Config

_ACCEPT: Final = "application/vnd.elasticsearch+json; compatible-with=8"
_NDJSON: Final = "application/vnd.elasticsearch+x-ndjson; compatible-with=8"
_CONNECTIONS: Final = 10
#: Bytes from which a body is sent in pieces.
_LARGE: Final = 2**20
_LONGEST_REASON: Final = 500


def reason(error: Any) -> str:
    """One line out of the `error` of an answer: its type, its reason and what caused it."""
    if not isinstance(error, dict):
        return _line(str(error))
    roots = error.get("root_cause")
    if error.get("type") == "search_phase_execution_exception" and isinstance(roots, list) and roots:
        return reason(roots[0])  # "all shards failed" says nothing
    cause = error.get("caused_by")
    parts = [str(error.get("type", "error")), str(error.get("reason", ""))]
    if isinstance(cause, dict) and cause.get("reason"):
        parts.append(str(cause["reason"]))
    return _line(": ".join(part for part in parts if part))


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_REASON]


class Server:
    """A pool of connections to the nodes; a node that did not answer is left alone for a while."""

    def __init__(self, config: "Config") -> None:
        self._client = _client(config)
        self._where = "Elasticsearch at " + ", ".join(config.urls)
        self._seconds = config.request_seconds
        self._headers = {"accept": _ACCEPT, **_authorization(config)}
        key = config.repair_api_key
        #: Of requests that change stored records.
        self._repair_headers = self._headers if key is None else {**self._headers, **_by_key(key)}

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def send(self, body: bytes, *, repair: bool = False) -> Any:
        """Send a bulk request, one that changes stored records with the key for that; StoreBusy, StoreRejected."""
        target = "/_bulk?filter_path=errors,items.*.status,items.*.error"
        headers = self._repair_headers if repair else self._headers
        status, answer = await self._perform("POST", target, body, _NDJSON, headers)
        if status != 200:
            raise self._error(status, answer, "may not write")
        if not isinstance(answer, dict) or "errors" not in answer:
            raise StoreBusy(f"{self._where}: not the answer of Elasticsearch: {_line(str(answer))}")
        return answer

    async def ask(self, method: str, target: str, question: Any = None) -> Any | None:
        """Send a JSON request; None when there is no such index. StoreBusy, StoreRejected."""
        body = None if question is None else orjson.dumps(question)
        status, answer = await self._perform(method, target, body, _ACCEPT)
        if status == 200 and isinstance(answer, dict):
            return answer
        if status == 404 and isinstance(answer, dict):
            return None
        raise self._error(status, answer, f"may not {method} {target.partition('?')[0]}")

    async def _perform(
        self, method: str, target: str, body: bytes | None, content_type: str, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        from elastic_transport import ConnectionTimeout, SerializationError, TransportError

        headers = headers or self._headers
        if body is not None:
            headers = {**headers, "content-type": content_type}
        try:
            # One try: the pipeline tries again, and finds out what was stored meanwhile.
            answer = await self._client.transport.perform_request(
                method, target, body=body, headers=headers, max_retries=0, request_timeout=self._seconds
            )
        except ConnectionTimeout:
            raise StoreBusy(f"{self._where}: no answer in time") from None
        except SerializationError as error:
            raise StoreBusy(f"{self._where}: not the answer of Elasticsearch: {_line(str(error))}") from None
        except TransportError as error:
            raise StoreBusy(f"{self._where}: {_line(str(error.message))}") from None
        return answer.meta.status, answer.body

    def _error(self, status: int, answer: Any, what: str) -> StoreBusy | StoreRejected:
        """Turn an answer that is not a success into the error it means for a batch or a question as a whole."""
        said = reason(answer.get("error", answer)) if isinstance(answer, dict) else _line(str(answer or ""))
        if status in (401, 403):
            return StoreBusy(f"{self._where}: {what} with these credentials: {said}")
        if status in (400, 413):
            return StoreRejected(f"{self._where}: {status} {said}")
        return StoreBusy(f"{self._where}: {status} {said}")


class _Pieces(io.BytesIO):
    """A large body; what the client's debug log shows of it is its size."""

    def decode(self, *_: str) -> str:
        """Return what to log."""
        return f"({len(self.getbuffer())} bytes)"


def _client(config: "Config") -> "AsyncElasticsearch":
    # Imported here: a process that stores in SQLite does not pay 90 MB and most of a second for it.
    from elastic_transport import NdjsonSerializer
    from elasticsearch import AsyncElasticsearch, JsonSerializer

    class Json(JsonSerializer):
        """Reads answers fast, and what orjson refuses."""

        def json_loads(self, data: bytes) -> Any:
            try:
                return orjson.loads(data)
            except orjson.JSONDecodeError:
                return json.loads(data)  # lone surrogates, which Elasticsearch keeps and orjson refuses

    class Body(NdjsonSerializer):
        """Passes on what is NDJSON already; a large one in pieces, so that the event loop goes on meanwhile."""

        def dumps(self, data: Any) -> Any:
            return data if len(data) < _LARGE else _Pieces(data)

    trust: dict[str, Any] = {} if config.ca_certs is None else {"ca_certs": config.ca_certs}
    return AsyncElasticsearch(
        config.urls,
        **trust,
        connections_per_node=_CONNECTIONS,
        serializers={
            "application/json": Json(),
            "application/vnd.elasticsearch+json": Json(),
            "application/vnd.elasticsearch+x-ndjson": Body(),
        },
    )


def _authorization(config: "Config") -> dict[str, str]:
    if config.api_key is not None:
        return _by_key(config.api_key)
    if config.username is not None and config.password is not None:
        pair = f"{config.username}:{config.password.get_secret_value()}".encode()
        return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _by_key(key: "SecretStr") -> dict[str, str]:
    return {"authorization": f"ApiKey {key.get_secret_value()}"}
