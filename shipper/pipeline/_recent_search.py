"""Answers from recent records: block by block, the nearest first, within limits of time and number."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from shipper.pipeline._recent_blocks import SERIES, TERMS, Block, term
from shipper.pipeline._recent_ring import read
from shipper.record.times import moment
from shipper.search.expression import And, Equals, Expression, Or
from shipper.search.expression_of import whole
from shipper.search.matching import matcher
from shipper.search.query import Page, Place, Query

#: How long one answer may take, and most blocks that it reads.
SECONDS: Final = 2.0
MOST_BLOCKS: Final = 4000
#: Most records of one answer.
MOST_RECORDS: Final = 1000
_BY_TERM: Final = frozenset((*TERMS, SERIES))

Key = tuple[int, str, int]
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """What there is to look at: blocks, and documents that are in no block yet."""

    blocks: list[tuple[Path, Block]]
    loose: list[bytes]


class _Limit:
    """Ends an answer that takes too long."""

    def __init__(self) -> None:
        self._until = time.monotonic() + SECONDS
        self._blocks = 0
        self.over = False

    def reached(self) -> bool:
        """Count one more block; whether it is one too many."""
        self._blocks += 1
        self.over = self._blocks > MOST_BLOCKS or time.monotonic() > self._until
        return self.over

    @property
    def notes(self) -> tuple[str, ...]:
        """Why the answer is not whole, if so."""
        told = f"the recent copy was not searched to its end: {SECONDS:g} s or {MOST_BLOCKS:,} blocks are the limit"
        return (told,) if self.over else ()


def search(kept: Kept, query: Query) -> Page:
    """Return the records that match, in order, as a store would; at most `MOST_RECORDS`."""
    limit, most = _Limit(), min(query.limit, MOST_RECORDS)
    asked = whole(query)
    matches, ids = matcher(asked), _ids(asked)
    wanted = _Wanted(matches, ids, query.after, query.newest_first)
    found: dict[Key, Record] = dict(wanted.among(kept.loose))
    for near, documents in _documents(kept.blocks, query, ids):
        if len(found) > most:
            furthest = sorted(found, reverse=query.newest_first)[most]
            if near < furthest[0] if query.newest_first else near > furthest[0]:
                break
        if limit.reached():
            break
        found.update(wanted.among(documents()))
    order = sorted(found, reverse=query.newest_first)
    shown = order[:most]
    # What an answer that was ended has not seen may belong before what comes next.
    more = len(order) > len(shown) or limit.over
    return Page([found[key] for key in shown], Place(*shown[-1]) if more and shown else None, limit.notes)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which records are asked for."""

    matches: Callable[[Record], bool]
    #: Sets of ids; of each set a record has one.
    ids: list[list[str]]
    after: Place | None
    newest_first: bool

    def among(self, documents: Iterable[bytes]) -> Iterator[tuple[Key, Record]]:
        """Return those that match, with their places in the order."""
        for needles in self.ids:
            texts = [orjson.dumps(one) for one in needles]
            documents = [one for one in documents if any(text in one for text in texts)]
        after = None if self.after is None else (self.after.timestamp, self.after.series, self.after.sequence)
        for document in documents:
            record = orjson.loads(document)
            if not self.matches(record):
                continue
            key = (moment(record), str(record.get(SERIES, "")), record.get("event.sequence", 0))
            if after is None or (key < after if self.newest_first else key > after):
                yield key, record


def _documents(
    blocks: Iterable[tuple[Path, Block]], query: Query, ids: list[list[str]]
) -> Iterator[tuple[int, Callable[[], list[bytes]]]]:
    """Return blocks that may hold an answer, with the time in them that is nearest to where the answer starts."""
    terms = [[term(one) for one in needles] for needles in ids]
    after = None if query.after is None else query.after.timestamp
    start, end = query.start or 0, query.end
    if after is not None and query.newest_first:
        end = after + 1 if end is None else min(end, after + 1)
    elif after is not None:
        start = max(start, after)
    found = [
        (path, block)
        for path, block in blocks
        if block.last > start
        and (end is None or block.first < end)
        and all(block.may_have(needles) for needles in terms)
    ]
    found.sort(key=lambda pair: pair[1].last if query.newest_first else pair[1].first, reverse=query.newest_first)
    for path, block in found:
        yield block.last if query.newest_first else block.first, lambda path=path, block=block: _lines(path, block)  # type: ignore[misc]


def _lines(path: Path, block: Block) -> list[bytes]:
    try:
        return zlib.decompress(read(path, block)).split(b"\n")
    except (OSError, zlib.error):
        return []  # deleted meanwhile, as the oldest are


def _ids(expression: Expression) -> list[list[str]]:
    """Return the ids that a record must have: of each list one."""
    parts = expression.parts if isinstance(expression, And) else (expression,)
    found = []
    for part in parts:
        either = part.parts if isinstance(part, Or) else (part,)
        ids = [str(one.value) for one in either if isinstance(one, Equals) and one.field in _BY_TERM]
        if ids and len(ids) == len(either):
            found.append(ids)
    return found
