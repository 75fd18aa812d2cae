"""Server-Sent Events over HTTP: one answer without an end, read event by event, with a limit on silence."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from shipper.cli.http import read_answer, reason_of
from shipper.errors import QueryError, StoreBusy

#: The server says something every 10 s; a connection that is silent for longer is lost.
SILENT_SECONDS: Final = 30.0
_LONGEST_LINE: Final = 64 * 2**20
#: Answers that will be the same the next time.
_FINAL: Final = frozenset({400, 401, 403, 404, 421})


class Lost(Exception):
    """The connection cannot be made, or was lost, or the server says: not now. Try again later."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name and its data, which is a JSON object."""

    name: str
    data: dict[str, Any]


class Events:
    """One connection; `last_id` is where to go on when it is lost."""

    def __init__(self, url: str, token: str, seconds: float) -> None:
        """`seconds` is how long connecting may take; QueryError when `url` is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise QueryError("not a URL (it begins with http:// or https://)")
        self._parts = parts
        self._seconds = seconds
        self._headers = {"Accept": "text/event-stream"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self.last_id = ""

    def read(self, path: str, until: float | None) -> Iterator[Event | None]:
        """Connect, and give events until `until` (monotonic seconds), None for each sign of life, first at once.

        Lost when it cannot go on; QueryError or StoreBusy for an answer that will not change.
        """
        connection = self._connection()
        try:
            connection.connect()
            socket = connection.sock  # http.client lets go of it with an answer that ends with its connection
            answer = self._answer(connection, path)
            yield None
            while True:
                left = SILENT_SECONDS if until is None else min(SILENT_SECONDS, until - time.monotonic())
                if left <= 0:
                    return
                socket.settimeout(left)
                yield self._event(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if until is not None and time.monotonic() >= until:
                return
            raise Lost(reason_of(error)) from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._seconds)
        return http.client.HTTPConnection(host, port, timeout=self._seconds)

    def _answer(self, connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
        resume: Mapping[str, str] = {"Last-Event-ID": self.last_id} if self.last_id else {}
        connection.request("GET", self._parts.path.rstrip("/") + path, headers={**self._headers, **resume})
        answer = connection.getresponse()
        if answer.status != 200:
            try:
                read_answer(answer.status, answer.read(2**20), self._parts.netloc, answer.getheader("Retry-After", ""))
            except StoreBusy as error:
                if answer.status in _FINAL:
                    raise
                raise Lost(str(error)) from None
        if not (answer.getheader("Content-Type") or "").startswith("text/event-stream"):
            raise StoreBusy("what answers there is not shipper: set SHIPPER_URL or --url")
        return answer

    def _event(self, answer: http.client.HTTPResponse) -> Event | None:
        """Return the next event; None for a block of lines that is none."""
        name, data, last_id = "", [], None
        while line := answer.readline(_LONGEST_LINE):
            text = line.decode(errors="replace").rstrip("\r\n")
            key, _, value = text.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "id":
                last_id = value
            elif not text:
                break
        else:
            raise ConnectionError("the server ended the connection")
        if last_id is not None:
            self.last_id = last_id
        if not data:
            return None
        found = json.loads("\n".join(data))
        if not isinstance(found, dict):
            raise ValueError("an event is no JSON object")  # noqa: TRY004  what it is, is not ours
        return Event(name, found)
