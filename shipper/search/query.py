"""What a question is and what an answer is: values only, no store and no HTTP.

Answers are ordered by (timestamp, series, sequence), newest first unless asked otherwise, so that every store gives
the same page and a cursor is a place in that order.
"""

from dataclasses import dataclass, field
from typing import Any

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
