"""Finds a request id or a W3C `traceparent` in the text of a message, so that plain lines correlate too."""

import re
from typing import Any, Final, Literal

from shipper.config import Settings
from shipper.record import Record, ids

EXAMPLE: Final[dict[str, Any]] = {"type": "request_id"}

_VALUE: Final = r"([A-Za-z0-9._:/+=@-]+)"
#: What may follow `req`, in any case: `request_id=…`, `Request-ID: …`, `requestId":"…"`, `req_id=…`.
_NAMED: Final = re.compile(rf"(?:[Uu][Ee][Ss][Tt])?[-_. ]?[Ii][Dd][\"']?\s?[=:]\s?[\"']?{_VALUE}", re.ASCII)
#: `[req-…` as OpenStack writes it, from the bracket's inside on.
_OPENSTACK: Final = re.compile(r"-[0-9a-f-]{36}(?=[ \]])", re.ASCII)
_TRACEPARENT: Final = re.compile(rf"[Tt]raceparent[\"']?\s?[=:]?\s?[\"']?({ids.TRACEPARENT})(?![0-9a-z-])", re.ASCII)


_SPELLINGS: Final = ("req", "Req", "REQ")


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
        if "http.request.id" not in fields:
            # Looking for letters is the fastest search there is; most lines end here.
            for spelling in _SPELLINGS:
                if spelling in message and _find_request_id(message, spelling, fields):
                    break
        if "raceparent" in message and "trace.id" not in fields:
            _find_traceparent(message, fields)


def _find_request_id(message: str, spelling: str, fields: dict[str, Any]) -> bool:
    at = message.find(spelling)
    while at >= 0:
        found = _NAMED.match(message, at + 3)
        if found is not None:
            # A sentence may end behind the id.
            value = ids.request_id(found[1].rstrip(".:"))
        elif message[at - 1 : at] == "[" and (found := _OPENSTACK.match(message, at + 3)) is not None:
            value = message[at : found.end()]
        else:
            value = None
        if value is not None:
            fields["http.request.id"] = value
            return True
        at = message.find(spelling, at + 3)
    return False


def _find_traceparent(message: str, fields: dict[str, Any]) -> None:
    for found in _TRACEPARENT.finditer(message):
        ids_found = ids.traceparent(found[1])
        if ids_found is not None:
            fields["trace.id"], fields["span.id"] = ids_found
            return
