"""What applications call things: the keys of structured records (JSON, logfmt) and the fields that they mean.

Only what an application may say about itself is in these tables. Everything else, and every value that does not fit
its field, becomes a label: so nothing a record says can break a mapping or pass for what the host says (host.name,
container.*, shipper.*, log.syslog.*, event.created).
"""

import re
from collections.abc import Callable
from datetime import UTC
from typing import Any, Final

from shipper.parsers import _values
from shipper.parsers._values import SHORT
from shipper.record import Record, ids, levels, times

#: Limits of one structured record.
MOST_KEYS, MOST_ITEMS, DEEPEST, LONGEST_KEY = 256, 1024, 20, 128

#: Keyword fields and the keys that mean them.
_KEYWORDS: Final = (
    ("log.logger", "logger logger_name loggerName name log.logger"),
    ("log.origin.file.name", "file filename log.origin.file.name"),
    ("log.origin.function", "func function funcName log.origin.function"),
    ("process.thread.name", "thread thread_name threadName process.thread.name"),
    ("service.name", "service service.name service_name app application app_name"),
    ("service.version", "version service.version service_version app_version"),
    ("service.environment", "env environment service.environment"),
    ("event.dataset", "event.dataset"),
    ("transaction.id", "transaction_id transaction.id transactionId"),
    ("http.request.method", "method http_method http.method http.request.method request_method"),
    ("url.query", "url.query query_string"),
    ("user.id", "user_id userId user.id"),
    ("user_agent.original", "user_agent userAgent http_user_agent user_agent.original"),
    ("error.type", "error.type error_type exception_class exception.type"),
)

#: Fields of other types, the function that makes their values, and the keys that mean them.
_CONVERTED: Final[tuple[tuple[str, Callable[[object], Any], str], ...]] = (
    (
        "log.level",
        levels.normalise,
        "level severity lvl log.level levelname @level loglevel log_level logLevel severity_text",
    ),
    ("log.origin.file.line", _values.count, "line lineno log.origin.file.line"),
    ("process.pid", _values.count, "pid process.pid"),
    ("trace.id", _values.trace_id, "trace_id trace.id traceId traceID"),
    ("span.id", _values.span_id, "span_id span.id spanId spanID"),
    (
        "http.request.id",
        _values.request_id,
        "request_id requestId requestID req_id reqId x_request_id "
        "x-request-id X-Request-ID request-id http.request.id correlation_id correlationId",
    ),
    (
        "http.response.status_code",
        _values.status,
        "status status_code statusCode http_status http.status_code http.response.status_code",
    ),
    ("http.response.body.bytes", _values.count, "bytes bytes_sent body_bytes_sent http.response.body.bytes"),
    ("client.ip", _values.ip, "client_ip clientIp client.ip remote_addr remote_ip"),
    ("error.message", _values.text, "error.message error_message exception.message"),
    (
        "error.stack_trace",
        _values.text,
        "error.stack_trace stack_trace stacktrace stack traceback exc_info exception.stacktrace",
    ),
    ("event.duration", _values.nanoseconds(1), "event.duration duration_ns elapsed_ns"),
    ("event.duration", _values.nanoseconds(10**3), "duration_us elapsed_us"),
    ("event.duration", _values.nanoseconds(10**6), "duration_ms durationMs elapsed_ms elapsedMs latency_ms took_ms"),
    ("event.duration", _values.nanoseconds(10**9), "duration_s duration_seconds elapsed_s elapsed_seconds"),
    ("event.duration", _values.duration, "duration elapsed latency took"),
)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CALLER: Final = re.compile(r"([^\n]{1,1024}):(\d{1,9})", re.ASCII)
_EPOCH: Final = re.compile(r"(\d{9,19})(?:\.(\d{1,9})\d*)?", re.ASCII)
_LAST_EPOCH: Final = times.to_ns("2261-01-01T00:00:00Z")


class TooMuch(Exception):
    """More keys, items or depth than a structured record may have."""


class Inexact(Exception):
    """A number beyond 64 bits, which was read as a float and so lost digits."""


class Reading:
    """The fields and labels found in one structured record; nothing reaches the record before `fill`."""

    __slots__ = ("_assumed_zone", "_exact", "_items", "_keys", "_lesser", "_record", "_shortened", "found", "labels")

    def __init__(self, record: Record, *, exact: bool = True) -> None:
        """`exact`: big numbers were read as texts; else one that may have lost digits raises Inexact."""
        self.found: dict[str, Any] = {}
        self.labels: dict[str, Any] = {}
        self._record = record
        self._exact = exact
        self._keys = self._items = 0
        self._lesser: tuple[str, str] | None = None
        self._shortened = self._assumed_zone = False

    def read(self, document: dict[str, Any]) -> None:
        """Sort the keys of a document into fields and labels. Raises TooMuch and Inexact."""
        self._keys = len(document)
        if self._keys > MOST_KEYS:
            raise TooMuch
        found, labels = self.found, self.labels
        for key, value in document.items():
            known = _KNOWN.get(key)
            # Most values are short texts: those of keyword fields and those under clean keys need no call.
            if known is None:
                if type(value) is str and len(value) <= SHORT and len(key) <= LONGEST_KEY and key.isidentifier():
                    labels[key] = value
                    continue
            elif type(known) is str:
                if type(value) is str and 0 < len(value) <= SHORT and known not in found:
                    found[known] = value
                    continue
            elif type(known) is tuple:
                field, convert = known
                if field not in found and (converted := convert(value)) is not None:
                    found[field] = converted
                    continue
            elif known(self, key, value):  # type: ignore[operator]  # mypy does not narrow by `type(x) is tuple`
                continue
            self._look_into(key, value, 2)

    def fill(self, message: str) -> None:
        """Put what was found into the record; `message` stands in when no key holds one."""
        found, record = self.found, self._record
        if self._lesser is None:
            found.setdefault("message", message)
        elif "message" in found:
            self._label(*self._lesser, 2)
        else:
            found["message"] = self._lesser[1].removesuffix("\n")  # the newline that Docker's `log` ends with
        if "@timestamp" in found:
            # The application's own time: what was assumed of the syslog header's does not matter any more.
            record.fields.pop("shipper.assumed", None)
            if self._assumed_zone:
                record.assume("zone")
        if self._shortened:
            record.tag("label_cut")
        if self.labels:
            found["labels"] = self.labels
        record.add(found)

    def _take(self, key: str, value: Any) -> bool:
        """Make fields of a value if its key is known and it fits."""
        known = _KNOWN.get(key)
        if known is None:
            return False
        if isinstance(known, str):
            known = (known, _values.keyword)
        if isinstance(known, tuple):
            field, convert = known
            if field in self.found or (converted := convert(value)) is None:
                return False
            self.found[field] = converted
            return True
        return known(self, key, value)

    def _look_into(self, key: str, value: Any, depth: int) -> None:
        """Take what the loop of `read` did not: numbers as keywords, objects by the paths of their members, labels."""
        if type(value) is dict and key in _ROOTS:
            self._count(len(value), depth)
            for name, member in value.items():
                path = f"{key}.{name}"
                if not self._take(path, member):
                    self._look_into(path, member, depth + 1)
        elif type(value) is not int or not self._take(key, value):
            self._label(key, value, depth)

    def _label(self, key: str, value: Any, depth: int) -> None:
        safe = self._safe(value, depth)
        if safe is not None:
            self.labels[self._clean(key)] = safe

    def _safe(self, value: Any, depth: int) -> Any:
        """Return a value that any store can keep under a label; None when there is nothing to keep."""
        if isinstance(value, str):
            if _values.fits(value):
                return value
            self._shortened = True
            return _values.cut(value)
        if isinstance(value, float):
            if not self._exact and not _values.SMALLEST < value < _values.LARGEST:
                raise Inexact
            return value
        if isinstance(value, int):
            return value if _values.SMALLEST <= value <= _values.LARGEST else str(value)
        if isinstance(value, dict):
            self._count(len(value), depth)
            pairs = ((self._clean(name), self._safe(member, depth + 1)) for name, member in value.items())
            return {name: member for name, member in pairs if member is not None}
        if isinstance(value, list):
            self._items += len(value)
            self._count(0, depth)
            return [item for item in (self._safe(item, depth + 1) for item in value) if item is not None]
        return None

    def _count(self, keys: int, depth: int) -> None:
        self._keys += keys
        if self._keys > MOST_KEYS or self._items > MOST_ITEMS or depth > DEEPEST:
            raise TooMuch

    def _clean(self, key: str) -> str:
        if len(key) > LONGEST_KEY:
            self._shortened = True
        return clean_key(key)

    def _message(self, key: str, value: object) -> bool:
        if type(value) is int and _values.SMALLEST <= value <= _values.LARGEST:
            value = str(value)
        if not isinstance(value, str) or "message" in self.found:
            return False
        self.found["message"] = value
        return True

    def _lesser_message(self, key: str, value: object) -> bool:
        """Take a text as the message unless a better key has one."""
        if not isinstance(value, str) or self._lesser is not None:
            return False
        self._lesser = (key, value)
        return True

    def _time(self, key: str, value: object) -> bool:
        text = value if isinstance(value, str) else _digits(value)
        if "@timestamp" in self.found:
            return False
        moved = times.utc(text) or _epoch(text) or self._in_a_zone(text)
        if moved is None:
            return False
        self.found["@timestamp"] = moved
        return True

    def _in_a_zone(self, text: str) -> str | None:
        """Read a time that names no zone in the host's or in UTC: whichever is nearer to when the host read it."""
        if not 19 <= len(text) <= 29:
            return None
        record = self._record
        created = record.fields.get("event.created")
        reference = times.to_ns(created) if created else record.received_at
        zones = (str(zone).removeprefix("UTC") or "Z" for zone in (times.offset_of(record.host_time), UTC))
        candidates = [moved for moved in (times.utc(text + zone) for zone in zones) if moved]
        self._assumed_zone = bool(candidates)
        return min(candidates, key=lambda moved: abs(times.to_ns(moved) - reference), default=None)

    def _error(self, key: str, value: object) -> bool:
        """Read an error: a text, or an object with its type, message and stack."""
        found = self.found
        if isinstance(value, str):
            field = "error.stack_trace" if "\n" in value else "error.message"
            if not value or field in found:
                return False
            found[field] = value
            return True
        if not isinstance(value, dict):
            return False
        self._count(len(value), 2)
        for name, member in value.items():
            field, convert = _ERROR.get(name, _UNKNOWN)
            if field not in found and (converted := convert(member)) is not None:
                found[field] = converted
            else:
                self._label(f"{key}.{name}", member, 3)
        return True

    def _caller(self, key: str, value: object) -> bool:
        """Read "cart/add.go:123"."""
        place = _CALLER.fullmatch(value) if isinstance(value, str) else None
        if place is None or "log.origin.file.name" in self.found:
            return False
        self.found["log.origin.file.name"] = place[1]
        self.found["log.origin.file.line"] = int(place[2])
        return True

    def _path(self, key: str, value: object) -> bool:
        """Read the path of a request, with its query if it has one; a full URL has no field and is a label."""
        if not isinstance(value, str) or value[:1] != "/" or not _values.fits(value) or "url.path" in self.found:
            return False
        self.found["url.path"], _, query = value.partition("?")
        if query:
            self.found.setdefault("url.query", query)
        return True

    def _traceparent(self, key: str, value: object) -> bool:
        found = ids.traceparent(value) if isinstance(value, str) else None
        if found is None or "trace.id" in self.found:
            return False
        self.found["trace.id"], self.found["span.id"] = found
        return True

    def _labels(self, key: str, value: object) -> bool:
        """Take the members of ECS `labels` as labels."""
        if not isinstance(value, dict):
            return False
        self.labels.update(self._safe(value, 2))
        return True


_Convert = Callable[[object], Any]
_Read = Callable[[Reading, str, Any], bool]

#: key → its keyword field; or its field and what makes the field's value; or what reads it.
_KNOWN: Final[dict[str, str | tuple[str, _Convert] | _Read]] = {
    **{key: field for field, keys in _KEYWORDS for key in keys.split()},
    **{key: (field, convert) for field, convert, keys in _CONVERTED for key in keys.split()},
    **{
        key: read
        for read, keys in (
            (Reading._message, "message msg @message short_message"),
            (Reading._lesser_message, "log text event"),
            (Reading._time, "time timestamp @timestamp ts date datetime asctime"),
            (Reading._error, "error err exception exc"),
            (Reading._caller, "caller"),
            (Reading._path, "path url uri url.path request_uri"),
            (Reading._traceparent, "traceparent"),
            (Reading._labels, "labels"),
        )
        for key in keys.split()
    },
}

#: Objects whose members are looked up by their dotted path ({"log": {"level": …}}).
_ROOTS: Final = frozenset(path[:place] for path in _KNOWN for place, letter in enumerate(path) if letter == ".")

#: Members of an error object.
_ERROR: Final[dict[str, tuple[str, _Convert]]] = {
    name: (field, convert)
    for field, convert, names in (
        ("error.type", _values.keyword, "type name class kind"),
        ("error.message", _values.text, "message msg"),
        ("error.stack_trace", _values.text, "stack_trace stack stacktrace trace backtrace"),
    )
    for name in names.split()
}
_UNKNOWN: Final[tuple[str, _Convert]] = ("", lambda _: None)


def clean_key(key: str) -> str:
    """Return a key that any store takes: short, no control characters, and no part between dots that is blank."""
    key = key[:LONGEST_KEY]
    if key.isidentifier():
        return key
    parts = (part.strip() for part in _CONTROL.sub("", key).split("."))
    return ".".join(part for part in parts if part) or "_"


def _digits(value: object) -> str:
    """Return a number in digits, for `_epoch`; "" when it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)


def _epoch(text: str) -> str | None:
    """Read a time since 1970 in seconds, milli-, micro- or nanoseconds: its size tells which (from March 1973 on)."""
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    whole, fraction = int(found[1]), found[2] or ""
    unit = next((10**power for limit, power in ((11, 9), (14, 6), (17, 3)) if whole < 10**limit), 1)
    nanoseconds = whole * unit + int(fraction.ljust(9, "0")) * unit // 10**9
    return times.from_ns(nanoseconds) if 10**17 <= nanoseconds < _LAST_EPOCH else None
