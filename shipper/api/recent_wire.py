"""How a shipper tells what is in its recent copy: a line that says how far it is whole, then each record, a line.

`{"recent":{"begins":…,"ends":…,"dropped":0,"dropped_at":0,"waits":false,"notes":[],"more":false}}`; times are
nanoseconds since 1970.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shipper.api.answers import encode
from shipper.pipeline.recent import Coverage, Recent
from shipper.search.query import Page, Query

MEDIA_TYPE: Final = "application/x-ndjson"
_MOST_NOTES: Final = 10
_LONGEST_NOTE: Final = 500


@dataclass(frozen=True, slots=True)
class Told:
    """What one copy answers to a question."""

    records: list[dict[str, Any]]
    coverage: Coverage
    #: Whether its process answers no host now, so that hosts keep what they write but for what they send ahead.
    waits: bool
    #: Why the answer is not whole.
    notes: tuple[str, ...]
    #: Whether more records match.
    more: bool


@dataclass(frozen=True, slots=True)
class Own:
    """The recent copy of this process."""

    recent: Recent
    #: Whether nothing is taken now.
    waits: Callable[[], bool]

    async def ask(self, query: Query) -> Told:
        """Search it."""
        page: Page = await self.recent.search(query)
        more = page.next is not None
        return Told(page.records, self.recent.coverage(), self.waits(), page.incomplete, more)


def write(told: Told) -> bytes:
    """Return an answer as bytes."""
    head = {
        "begins": told.coverage.begins,
        "ends": told.coverage.ends,
        "dropped": told.coverage.dropped,
        "dropped_at": told.coverage.dropped_at,
        "waits": told.waits,
        "notes": told.notes,
        "more": told.more,
    }
    return b"\n".join((orjson.dumps({"recent": head}), *map(encode, told.records), b""))


def read(data: bytes) -> Told:
    """Return an answer; ValueError when it is none of ours."""
    first, *lines = data.removesuffix(b"\n").split(b"\n")
    try:
        head = orjson.loads(first)["recent"]
        coverage = Coverage(*(int(head[name]) for name in ("begins", "ends", "dropped", "dropped_at")))
        notes = tuple(str(note)[:_LONGEST_NOTE] for note in list(head["notes"])[:_MOST_NOTES])
        records = [orjson.loads(line) for line in lines]
    except (KeyError, TypeError, ValueError):
        raise ValueError("not the answer of a shipper") from None
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("a record is no JSON object")
    return Told(records, coverage, bool(head["waits"]), notes, bool(head["more"]))
