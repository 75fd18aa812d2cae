"""Requests to Elasticsearch by its official client, and what its answers mean: not now, never, or a person must act.

Only the client's transport is used, so that a batch is sent as the bytes that were made of it. One client of 8.19
talks to servers of 8.x and 9.x by the compatibility header.
"""

from typing import TYPE_CHECKING, Any, Final

import orjson

from shipper.errors import StoreBusy, StoreFull, StoreRejected
from shipper.stores._elasticsearch_blocks import waited_for
from shipper.stores._elasticsearch_login import KeyFile, Login

if TYPE_CHECKING:
    from shipper.stores.elasticsearch import Config

_ACCEPT: Final = "application/vnd.elasticsearch+json; compatible-with=8"
_NDJSON: Final = "application/vnd.elasticsearch+x-ndjson; compatible-with=8"
_PLAIN: Final = "application/json"
_LONGEST_REASON: Final = 500


def reason(error: Any) -> str:
    """One line out of the `error` of an answer: its type, its reason and what caused it."""
    if not isinstance(error, dict):
        return _line(str(error))
    roots = error.get("root_cause")
    if error.get("type") == "search_phase_execution_exception" and isinstance(roots, list) and roots:
        return reason(roots[0])  # "all shards failed" says nothing
    cause = error.get("caused_by")
    parts = [str(error.get("type", "error")), str(error.get("reason") or "")]
    if isinstance(cause, dict) and cause.get("reason"):
        parts.append(str(cause["reason"]))
    return _line(": ".join(part for part in parts if part))


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_REASON]


class Server:
    """A pool of connections to the nodes; a node that did not answer is left alone for a while."""

    def __init__(self, config: "Config") -> None:
        """Make the client and read key files, ask nothing; ValueError or OSError when the settings are wrong."""
        # Imported here: a process that stores in SQLite does not pay 90 MB and most of a second for it.
        from shipper.stores._elasticsearch_nodes import client

        self._login = _login(config)
        #: Of requests that change stored records.
        self._repair_login = _repair_login(config) or self._login
        self._client = client(config)
        self._where = "Elasticsearch at " + ", ".join(config.urls)
        self._seconds = config.request_seconds

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def send(self, body: bytes, *, repair: bool = False) -> Any:
        """Send a bulk request, one that changes stored records with the key for that; StoreBusy, StoreRejected."""
        target = "/_bulk?filter_path=errors,items.*.status,items.*.error"
        login = self._repair_login if repair else self._login
        status, answer = await self._perform("POST", target, body, {"accept": _ACCEPT, "content-type": _NDJSON}, login)
        if status != 200:
            raise self._error(status, answer, "may not write")
        if not isinstance(answer, dict) or "errors" not in answer:
            raise StoreBusy(f"{self._where}: not the answer of Elasticsearch: {_line(str(answer))}")
        return answer

    async def ask(self, method: str, target: str, question: Any = None) -> Any | None:
        """Send a JSON request; None when there is no such index. StoreBusy, StoreRejected."""
        status, answer = await self.request(method, target, question)
        if status == 200 and isinstance(answer, dict):
            return answer
        if status == 404 and isinstance(answer, dict):
            return None
        raise self._error(status, answer, f"may not {method} {target.partition('?')[0]}")

    async def request(
        self, method: str, target: str, question: Any = None, *, compatible: bool = True
    ) -> tuple[int, Any]:
        """Send a JSON request; return status and answer, whatever they are. StoreBusy when there is no answer.

        Not `compatible`: without the header that servers of other makers or versions refuse.
        """
        body, kind = (None if question is None else orjson.dumps(question)), (_ACCEPT if compatible else _PLAIN)
        headers = {"accept": kind} if body is None else {"accept": kind, "content-type": kind}
        return await self._perform(method, target, body, headers, self._login)

    async def _perform(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str], login: Login
    ) -> tuple[int, Any]:
        """Send it, and once more when the key was refused and the file holds another one now."""
        shown = login.headers()
        status, answer = await self._reach(method, target, body, headers | shown)
        if status == 401:
            login.refused()
            if login.headers() != shown:
                return await self._reach(method, target, body, headers | login.headers())
        return status, answer

    async def _reach(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        """Send it to the first node that takes a connection; what was sent is not sent again.

        The pipeline tries again, and finds out what was stored meanwhile.
        """
        from elastic_transport import ConnectionTimeout, SerializationError, TransportError

        from shipper.stores._elasticsearch_nodes import Unreached

        more = len(self._client.transport.node_pool)
        while True:
            more -= 1
            try:
                answer = await self._client.transport.perform_request(
                    method, target, body=body, headers=headers, max_retries=0, request_timeout=self._seconds
                )
            except Unreached as error:
                if not more:
                    raise StoreBusy(f"{self._where}: {_line(str(error.message))}") from None
            except ConnectionTimeout:
                raise StoreBusy(f"{self._where}: no answer in time") from None
            except SerializationError as error:
                raise StoreBusy(f"{self._where}: not the answer of Elasticsearch: {_line(str(error))}") from None
            except TransportError as error:
                raise StoreBusy(f"{self._where}: {_line(str(error.message))}") from None
            else:
                return answer.meta.status, answer.body

    def _error(self, status: int, answer: Any, what: str) -> StoreBusy | StoreRejected:
        """Turn an answer that is not a success into the error it means for a batch or a question as a whole."""
        said = reason(answer.get("error", answer)) if isinstance(answer, dict) else _line(str(answer or ""))
        if waits := waited_for(said):
            return StoreFull(f"{self._where}: {waits}")
        if status in (401, 403):
            return StoreBusy(f"{self._where}: {what} with these credentials: {said}")
        if status in (400, 405, 413):
            return StoreRejected(f"{self._where}: {status} {said}")
        return StoreBusy(f"{self._where}: {status} {said}")


def _login(config: "Config") -> Login:
    if config.api_key_file is not None:
        return KeyFile(config.api_key_file)
    return Login(config.api_key, config.username, config.password)


def _repair_login(config: "Config") -> Login | None:
    if config.repair_api_key_file is not None:
        return KeyFile(config.repair_api_key_file)
    return None if config.repair_api_key is None else Login(config.repair_api_key, None, None)
