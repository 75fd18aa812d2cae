"""Finds a request id or a W3C `traceparent` in the text of a message, so that plain lines correlate too."""

import re
from typing import Any, Final, Literal

from shipper.config import Settings
from shipper.record import Record, ids

EXAMPLE: Final[dict[str, Any]] = {"type": "request_id"}

_VALUE: Final = r"([A-Za-z0-9._:/+=@-]+)"
#: `request_id=…`, `request-id: …`, `X-Request-ID: …`, `"requestId":"…"`, `req_id=…`, and `[req-…` as OpenStack writes.
_REQUEST_ID: Final = re.compile(
    rf"[Rr][Ee][Qq](?:[Uu][Ee][Ss][Tt])?[-_. ]?[Ii][Dd][\"']?\s?[=:]\s?[\"']?{_VALUE}|\[(req-[0-9a-f-]{{36}})(?=[ \]])",
    re.ASCII,
)
_TRACEPARENT: Final = re.compile(rf"[Tt]raceparent[\"']?\s?[=:]?\s?[\"']?({ids.TRACEPARENT})(?![0-9a-z-])", re.ASCII)


class Config(Settings):
    """Nothing to set."""

    type: Literal["request_id"] = "request_id"

    def build(self) -> "RequestId":
        """Make the enricher."""
        return RequestId()


class RequestId:
    """Fills http.request.id, trace.id and span.id from the message, when no parser found them."""

    def enrich(self, record: Record) -> None:
        """Search the message, if a look at its letters says that it can be worth it."""
        fields = record.fields
        message = fields["message"]
        # Few lines have a "q" at all, and looking for one letter is the fastest search there is.
        if ("q" in message or "Q" in message) and "http.request.id" not in fields and _tells(message):
            _find_request_id(message, fields)
        if "raceparent" in message and "trace.id" not in fields:
            _find_traceparent(message, fields)


def _tells(message: str) -> bool:
    return "req" in message or "Req" in message or "REQ" in message


def _find_request_id(message: str, fields: dict[str, Any]) -> None:
    found = _REQUEST_ID.search(message)
    while found is not None:
        # A sentence may end behind the id.
        value = ids.request_id((found[1] or found[2]).rstrip(".:"))
        if value is not None:
            fields["http.request.id"] = value
            return
        found = _REQUEST_ID.search(message, found.end())


def _find_traceparent(message: str, fields: dict[str, Any]) -> None:
    for found in _TRACEPARENT.finditer(message):
        ids_found = ids.traceparent(found[1])
        if ids_found is not None:
            fields["trace.id"], fields["span.id"] = ids_found
            return
