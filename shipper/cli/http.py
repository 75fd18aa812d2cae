"""Questions over HTTP: to the address that was given and nowhere else, with a token that no process list shows."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from shipper.cli.terminal import one_line
from shipper.errors import QueryError, ShipperError, StoreBusy

_MOST_BYTES = 512 * 2**20
_HINTS = {
    401: "set $SHIPPER_TOKEN or --token-file",
    403: "this token does not allow it: shipper tokens makes one that does",
}


class NotFound(ShipperError):
    """The server answered 404."""


class Limited(StoreBusy):
    """The server answered 429: this caller has asked too much; after `seconds` it may again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class Server:
    """A shipper that answers at a URL."""

    def __init__(self, url: str, token: str, seconds: float) -> None:
        self.name = url.rstrip("/")
        if not self.name.startswith(("http://", "https://")):
            raise QueryError(f"not a URL: {one_line(self.name)} (it begins with http:// or https://)")
        self._token = token
        self._seconds = seconds

    def close(self) -> None:
        """Nothing stays open between two questions."""

    def get(self, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a question; ShipperError in one line says why there is none (Limited: not yet)."""
        # Imported here: `shipper --help` must not wait for it.
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import Request

        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            request = Request(self.name + path + query_of(parameters), headers=headers)  # noqa: S310  checked above
            with _opener().open(request, timeout=self._seconds) as answer:
                return read_answer(200, answer.read(_MOST_BYTES + 1), self.name)
        except HTTPError as error:
            with error:
                return read_answer(error.code, _body(error), self.name, error.headers.get("Retry-After", ""))
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise StoreBusy(
                f"cannot reach {self.name} ({reason_of(error)}): is shipper running? set SHIPPER_URL or --url"
            ) from None


def query_of(parameters: Mapping[str, Any]) -> str:
    """Return parameters as they stand in a URL, without those that say nothing; "" when none is left."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", [])}
    return f"?{urlencode(given, doseq=True, errors='replace')}" if given else ""


def read_answer(status: int, body: bytes, name: str, retry: str = "") -> dict[str, Any]:
    """Return what an answer says; NotFound, QueryError (with the position) or StoreBusy when it is not 200."""
    if len(body) > _MOST_BYTES:
        raise StoreBusy(f"{name} answered more than {_MOST_BYTES:,} bytes: ask for a shorter time")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if status == 200:
        if not isinstance(found, dict):
            raise StoreBusy(f"what answers at {name} is not shipper: set SHIPPER_URL or --url")
        return _Answer(name, found)
    raise _refused(status, found, name, retry)


class _Answer(dict[str, Any]):
    """An answer that says who is to blame when a part of it is not there."""

    def __init__(self, name: str, found: dict[str, Any]) -> None:
        super().__init__(found)
        self._name = name

    def __missing__(self, key: str) -> Any:
        raise StoreBusy(
            f"what answers at {self._name} is not shipper, or another version of it (no {key!r} in its answer)"
        )


def _body(error: Any) -> bytes:
    from http.client import HTTPException

    try:
        return bytes(error.read(2**20))
    except (OSError, HTTPException):  # it went away while it refused
        return b""


def _refused(status: int, body: Any, name: str, retry: str) -> ShipperError:
    """Return what an answer other than 200 means."""
    error = body.get("error") if isinstance(body, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    if not isinstance(said, str):
        return StoreBusy(f"what answers at {name} is not shipper (HTTP {status}): set SHIPPER_URL or --url")
    message = one_line(said)
    if status in _HINTS:
        return StoreBusy(f"{message} ({_HINTS[status]})")
    if status == 404:
        return NotFound(message)
    if status == 400:
        position = error.get("position") if isinstance(error, dict) else None
        return QueryError(message, position if isinstance(position, int) else None)
    if status == 429 and retry.isascii() and retry.isdecimal() and len(retry) < 6:
        return Limited(message, int(retry))
    return StoreBusy(message)


def _opener() -> Any:
    """Return what opens URLs without redirects and without proxies: questions and token go to one address."""
    from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

    class NoRedirects(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return build_opener(ProxyHandler({}), NoRedirects())


def reason_of(error: Exception) -> str:
    """Return in a few words why there is no connection."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.errno and cause.strerror:
        return cause.strerror.lower()
    return one_line(cause) or type(cause).__name__
