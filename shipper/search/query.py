"""What a question is and what an answer is: values only, no store and no HTTP.

Answers are ordered by (timestamp, series, sequence), newest first unless asked otherwise, so that every store gives
the same page and a cursor is a place in that order.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shipper.search.expression import Expression

#: Words that must stand next to each other; a single word is a phrase of one.
Phrase = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of records: nanoseconds since 1970, series, sequence."""

    timestamp: int
    series: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Query:
    """Which records, in which order, how many. Every part that is given must match."""

    #: Nanoseconds since 1970 (UTC): start is included, end is not. None is no bound.
    start: int | None = None
    end: int | None = None
    app: str | None = None
    host: str | None = None
    levels: tuple[str, ...] = ()
    request_id: str | None = None
    #: Phrases of words (see `search.words`), all of which must occur in `message`.
    phrases: tuple[Phrase, ...] = ()
    #: What else must match; a caller's scope is part of it.
    where: "Expression | None" = None
    after: Place | None = None
    limit: int = 100
    newest_first: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """Part of an answer: records as they are stored (flat ECS documents), and where the next page starts."""

    records: list[dict[str, Any]] = field(default_factory=list)
    next: Place | None = None
    #: Why the answer may be incomplete ("day 2026.11.20 could not be read: …"); empty when it is complete.
    incomplete: tuple[str, ...] = ()
    #: "store", or "recent": from the shippers' recent copies, as the store does not answer.
    source: str = "store"


@dataclass(frozen=True, slots=True)
class Buckets:
    """Equal parts of time, nanoseconds since 1970: the first begins at `start`, the last one ends at or after `end`."""

    start: int
    end: int
    step: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records match in each bucket, by the value of a field; only buckets that have some."""

    #: Start of a bucket, value ("" for records without one) → records.
    counts: dict[tuple[int, str], int] = field(default_factory=dict)
    incomplete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Top:
    """The most frequent values of a field among the records that match."""

    #: Most frequent first; equal ones by value.
    values: list[tuple[str, int]] = field(default_factory=list)
    #: Records that match, with and without a value.
    total: int = 0
    #: Of those, records without a value.
    without: int = 0
    incomplete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Around:
    """The neighbours of one record: those of the same start of the same host that match `where`.

    Order: by `event.sequence` within a series; records of the other series of the same start (classes of importance:
    the series but for its last letter is the start) are put between them by `event.created`.
    """

    series: str
    sequence: int
    #: Its `event.created`, nanoseconds since 1970.
    created: int
    where: "Expression"
    before: int = 20
    after: int = 20
    #: Only of the same series: exact by sequence alone.
    one_series: bool = False


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The records before and after one, both oldest first, without the record itself."""

    before: list[dict[str, Any]] = field(default_factory=list)
    after: list[dict[str, Any]] = field(default_factory=list)
    incomplete: tuple[str, ...] = ()
