"""What one record says for the story of its request, whatever types its fields have: who, when, which HTTP exchange."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shipper.record.ids import traceparent
from shipper.record.times import to_ns, utc

_SECOND: Final = 1_000_000_000
#: Access logs that are text: HAProxy's ("… 200 1532 … "GET /cart HTTP/1.1"") and the common log format's.
_REQUEST_LINE: Final = re.compile(
    r'"?\b([A-Z]{3,10}) (/[^\s"?]{0,1000})\S{0,1000} HTTP/\d(?:\.\d)?"?(?: (\d{3})\b)?', re.ASCII
)
_HAPROXY: Final = re.compile(r" -?\d+/-?\d+/-?\d+/-?\d+/\+?(\d+) (\d{3}) ", re.ASCII)
#: Keys of a structured record that name the span it is in, and the service that was called.
_PARENTS: Final = ("parent_id", "parent_span_id", "parentId", "parentSpanId", "parent.id", "parent_span")
_SERVICES: Final = ("peer_service", "peer.service", "target_service", "upstream_service", "remote_service", "callee")
_TARGETS: Final = ("target", "upstream", "destination", "backend")
_URLS: Final = ("url", "uri", "target_url", "http.url", "url.full")
_URL: Final = re.compile(r"https?://([A-Za-z0-9._-]{1,200})(?::\d+)?(/[^?#]{0,1000})?", re.ASCII)
_ADDRESS: Final = re.compile(r"\[?[0-9A-Fa-f.:]+\]?(?::\d+)?(?:[,\s].*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that a record speaks of: answered by its service, or by another that it called."""

    method: str | None
    path: str | None
    status: int | None
    #: Nanoseconds; 0 when it is not said.
    duration: int
    #: The service that was called, as the record names it; "" when it names none.
    target: str
    #: Whether the name is a service's; else it may be a pool's or a URL's host, unless a service is called so.
    sure: bool = False

    @property
    def key(self) -> tuple[str | None, str | None]:
        """What two logs of the same exchange have alike."""
        return self.method, self.path


@dataclass(slots=True, eq=False)
class Line:
    """One record of a story. Times are nanoseconds since 1970; 0 is not known."""

    record: dict[str, Any]
    service: str
    host: str
    #: What on the host wrote it: its task, else its container; "" when that is not known.
    task: str
    series: str
    #: -1: it has no place in a series.
    sequence: int
    #: When its host read it, by the host's clock, and when the shipper did, by the shipper's.
    created: int
    received: int
    #: When it was written, by the host's clock, as exactly as can be known.
    at: int
    span: str
    parent: str
    exchange: Exchange | None
    #: When it was written, by the common clock of the story.
    shown: int = 0


def line_of(record: dict[str, Any], service: str) -> Line:
    """Read a stored record; what has another type than its field is as good as not there."""
    labels = record.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    sequence = record.get("event.sequence")
    series = _text(record, "shipper.series")
    created = _time(record.get("event.created"))
    span = _text(record, "span.id")
    return Line(
        record=record,
        service=service,
        host=_text(record, "host.name"),
        task=_text(record, "orchestrator.resource.id") or _text(record, "container.id"),
        series=series,
        sequence=sequence if series and type(sequence) is int and sequence >= 0 else -1,
        created=created,
        received=_time(record.get("shipper.received_at")),
        at=_written(record.get("@timestamp"), created),
        span=span,
        parent=_parent(labels, span),
        exchange=_exchange(record, labels),
    )


def _time(value: object) -> int:
    text = utc(value) if isinstance(value, str) else None
    return 0 if text is None else to_ns(text)


def _written(said: object, created: int) -> int:
    """When a record was written: never after its host read it, and within a second that has no fraction, just then."""
    at = _time(said)
    if not created:
        return at
    coarse = isinstance(said, str) and len(said) == len("2026-11-22T14:30:00Z")
    if not at or at > created or (coarse and created - at < _SECOND):
        return created
    return at


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _parent(labels: dict[str, Any], span: str) -> str:
    for name in _PARENTS:
        if (value := labels.get(name)) and isinstance(value, str):
            return "" if value == span else value
    parent = labels.get("parent")
    if isinstance(parent, dict) and isinstance(parent.get("id"), str):
        return "" if parent["id"] == span else str(parent["id"])
    found = traceparent(_text(labels, "traceparent"))
    return "" if found is None or found[1] == span else found[1]


def _exchange(record: dict[str, Any], labels: dict[str, Any]) -> Exchange | None:
    method, path = _text(record, "http.request.method") or None, _text(record, "url.path") or None
    status, took = record.get("http.response.status_code"), record.get("event.duration")
    status = status if type(status) is int and 100 <= status <= 599 else None
    took = took if type(took) is int and 0 <= took < 86_400 * _SECOND else 0
    service = _named(labels, _SERVICES)
    target = service or _named(labels, _TARGETS)
    if not target:
        target, in_url = _url(labels)
        path = path or in_url
    if path is None and status is None:
        return _in_text(record)
    return Exchange(method, path, status, took, target, sure=bool(service))


def _named(labels: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = labels.get(name)
        if isinstance(value, str) and 1 < len(value) <= 200 and not _ADDRESS.fullmatch(value):
            return value
    return ""


def _url(labels: dict[str, Any]) -> tuple[str, str | None]:
    for name in _URLS:
        value = labels.get(name)
        found = _URL.match(value) if isinstance(value, str) else None
        if found is not None and not _ADDRESS.fullmatch(found[1]):
            return found[1], found[2]
    return "", None


def _in_text(record: dict[str, Any]) -> Exchange | None:
    """Read the access log of a proxy that writes text."""
    message = record.get("message")
    if not isinstance(message, str) or " HTTP/" not in message[:4096]:
        return None
    message = message[:4096]
    asked = _REQUEST_LINE.search(message)
    if asked is None:
        return None
    proxied = _HAPROXY.search(message)
    if proxied is not None:
        return Exchange(asked[1], asked[2], _status(proxied[2]), int(proxied[1][:9]) * 1_000_000, "")
    return Exchange(asked[1], asked[2], _status(asked[3]), 0, "")


def _status(digits: str | None) -> int | None:
    return int(digits) if digits is not None and 100 <= int(digits) <= 599 else None
