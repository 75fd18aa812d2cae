"""A record's life in the process: `Received` (bytes of one read) → `Record` → `Outcome`; its id and its day.

The id is `series-sequence`, both given by the host before its queue, so a record that is sent again meets its twin.
The day comes from the host's receive time alone, never from what a parser or an enricher found, so the twin is in
the same index.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

#: Memory that a record in flight costs beside its payload and its document (objects), in bytes; rounded up.
RECORD_OVERHEAD = 1024


class Fate(StrEnum):
    """What became of one record. The first five are final; the last two mean not yet."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    MERGED = "merged"
    DISCARDED = "discarded"
    REJECTED = "rejected"
    BUSY = "busy"
    #: Busy because of its own index alone (closed, read-only): tried again only until a limit, then a dead letter.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A fate and, where it needs one, the reason in words."""

    fate: Fate
    reason: str = ""


STORED = Outcome(Fate.STORED)
DUPLICATE = Outcome(Fate.DUPLICATE)


class Receipt:
    """What a source waits for: `on_settled` is called once, when all of its `pending` records have a final fate."""

    __slots__ = ("_on_settled", "pending")

    def __init__(self, pending: int, on_settled: Callable[[], None] | None = None) -> None:
        self.pending = pending
        self._on_settled = on_settled

    def settle(self, count: int = 1) -> None:
        """Count `count` more records as settled."""
        self.pending -= count
        if self.pending == 0 and self._on_settled is not None:
            self._on_settled()


@dataclass(frozen=True, slots=True)
class Received:
    """What one read of a source brought: payloads without their framing, not yet parsed."""

    payloads: Sequence[bytes]
    source: str
    #: Who sent it, as far as the source knows ("127.0.0.1:39144"); "" when unknown.
    peer: str
    #: When the shipper read it: nanoseconds since 1970 (UTC).
    received_at: int
    receipt: Receipt


class Shared:
    """Fields that many records have alike (all of one host, all of one program on it), serialised only once."""

    __slots__ = ("_less", "fields", "final", "opening")

    def __init__(self, fields: dict[str, Any], final: frozenset[str] = frozenset()) -> None:
        self.fields = fields
        #: Names of those that a host said, which no message may say otherwise.
        self.final = final
        #: The JSON object without its closing brace, to be continued.
        self.opening = orjson.dumps(fields)[:-1]
        self._less: dict[frozenset[str], Shared] = {}

    def __or__(self, more: dict[str, Any]) -> "Shared":
        """Return these fields and those of `more` that are not among them."""
        return Shared(more | self.fields, self.final)

    def without(self, names: frozenset[str]) -> "Shared":
        """Return these fields but for some, the same object each time."""
        less = self._less.get(names)
        if less is None:
            kept = {name: value for name, value in self.fields.items() if name not in names}
            less = self._less[names] = Shared(kept, self.final)
        return less


NOTHING_SHARED = Shared({})


class Record:
    """One log entry on its way to a store. Parsers and enrichers fill it in; `body` is what is left to parse.

    `fields` holds ECS names, flat and dotted ("log.level"), in UTC and as JSON values, ready to serialise. What many
    records have alike is in `shared`, and no name is in both: who may add a field that is there calls `add`.
    """

    __slots__ = (
        "body", "day", "discarded", "document", "fields", "host", "host_time", "payload", "receipt", "received_at",
        "rejection", "report", "sequence", "series", "shared", "twins",
    )  # fmt: skip

    def __init__(self, payload: bytes, received_at: int) -> None:
        self.payload = payload
        #: Nanoseconds since 1970 (UTC) at which the shipper read it.
        self.received_at = received_at
        self.body = ""
        self.fields: dict[str, Any] = {}
        #: More fields, known from earlier records.
        self.shared = NOTHING_SHARED
        #: All fields as one JSON object; b"" until `seal`.
        self.document = b""
        #: Identity as stamped by the host; "" and 0 until somebody stamps it.
        self.series = ""
        self.sequence = 0
        self.host = ""
        #: RFC 3339 time at which the host read it, with the host's own offset; "" when no host stamped it.
        self.host_time = ""
        #: UTC day of host_time, "2026.11.22": names the index.
        self.day = ""
        #: Settled together with the record; `twins` are the receipts of the same record sent again meanwhile.
        self.receipt: Receipt | None = None
        self.twins: list[Receipt] | None = None
        #: Set when it must not go to the store at all but to the dead letters: the reason, and why in words.
        self.rejection: tuple[str, str] | None = None
        #: Set when an enricher decided that it is not stored: the reason in one word ("budget").
        self.discarded = ""
        #: Set when its message is figures of a host and no document: their name, "" when nobody needs them.
        self.report: str | None = None

    @property
    def id(self) -> str:
        """`series-sequence`, fixed width so that ids sort and compress."""
        return record_id(self.series, self.sequence)

    def seal(self) -> None:
        """Serialise the fields. TypeError when one of them is no JSON value.

        Done as soon as they are complete, while they are in the processor's cache: a record waits for its batch as
        bytes, a third of the memory.
        """
        fields, shared = self.fields, self.shared
        fields["event.sequence"] = self.sequence
        if shared is NOTHING_SHARED:
            fields["shipper.series"] = self.series
            self.document = orjson.dumps(fields)
        else:
            self.document = b"%b,%b" % (shared.opening, orjson.dumps(fields)[1:])

    def content(self) -> dict[str, Any]:
        """Return all fields, sealed or not."""
        if self.document:
            sealed: dict[str, Any] = orjson.loads(self.document)
            return sealed
        return self.shared.fields | self.fields

    def add(self, fields: dict[str, Any]) -> None:
        """Add fields, over those that are there, shared ones too, but not over what a host said."""
        shared = self.shared
        if not shared.fields.keys().isdisjoint(fields):
            fields = {name: value for name, value in fields.items() if name not in shared.final}
            if taken := shared.fields.keys() & fields.keys():
                self.shared = shared.without(frozenset(taken))
        self.fields.update(fields)

    def unshare(self) -> None:
        """Make what is shared the record's own."""
        self.fields = self.shared.fields | self.fields
        self.shared = NOTHING_SHARED

    def is_twin(self, other: "Record") -> bool:
        """Whether this is the same record sent again: the same host, host time and original text."""
        return said_by_host(self.content()) == said_by_host(other.content())

    def assume(self, what: str) -> None:
        """Note in the record something that was not said but assumed ("year", "zone")."""
        self.fields["shipper.assumed"] = (*self.fields.get("shipper.assumed", ()), what)

    def tag(self, tag: str) -> None:
        """Add one of our own tags ("invalid_utf8", "truncated", "parser_bug")."""
        self.fields["tags"] = (*self.fields.get("tags", ()), tag)


def record_id(series: str, sequence: int) -> str:
    """Return a record's id: `series-sequence`, the sequence with ten digits."""
    return f"{series}-{sequence:010d}"


#: Fields that `said_by_host` looks at.
COMPARED = ("event.created", "host.name", "event.original", "message", "shipper.original_base64")


def said_by_host(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what two deliveries of one record have in common, and two different records do not.

    What a parser or an enricher found has no part in it: a better parser, or a task that became known meanwhile, must
    not turn a record that is sent again into a different one.
    """
    original = fields.get("event.original") or fields.get("message")
    return fields.get("event.created"), fields.get("host.name"), original, fields.get("shipper.original_base64")


@dataclass(frozen=True, slots=True)
class Repair:
    """Fields that a stored record gets, over those that it has; never one that `said_by_host` looks at."""

    series: str
    sequence: int
    day: str
    fields: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The record's id."""
        return record_id(self.series, self.sequence)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that no store would take as it is: kept aside, searchable, with its original bytes and the reason."""

    id: str
    day: str
    series: str
    sequence: int
    host: str
    #: Short, from a fixed set: "rejected", "refused", "id collision", "bug", "host time".
    reason: str
    #: The store's or the error's own words.
    detail: str
    payload: bytes
    received_at: int
