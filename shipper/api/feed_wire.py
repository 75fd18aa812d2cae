"""How one shipper tells another what it has stored: blocks of lines, each a JSON object.

A block's first line says how far the feed is and how many records follow it: `{"feed":{"mark":…,"skipped":0,
"records":2}}`; then each record, a line, as it is stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

MEDIA_TYPE: Final = "application/x-ndjson"
_LONGEST_LINE: Final = 64 * 2**20


@dataclass(slots=True)
class Block:
    """Records that were stored, and how far the feed is with them."""

    #: What is told later was ingested at or after it (nanoseconds since 1970).
    mark: int
    #: Records that the reader was too slow for.
    skipped: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)


def encode(mark: int, skipped: int, documents: Sequence[bytes]) -> bytes:
    """Return a block as bytes; each document is one line."""
    head = orjson.dumps({"feed": {"mark": mark, "skipped": skipped, "records": len(documents)}})
    return b"\n".join((head, *documents, b""))


class Blocks:
    """Reads blocks from bytes as they come."""

    def __init__(self) -> None:
        self._rest = b""
        self._open: Block | None = None
        self._missing = 0

    def read(self, data: bytes) -> Iterator[Block]:
        """Return the blocks that are complete now; ValueError when this is no feed of ours."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise ValueError("a line has no end")
        for line in lines:
            found = orjson.loads(line)
            if not isinstance(found, dict):
                raise ValueError("a line is no JSON object")  # noqa: TRY004  what it is, is not ours
            if self._open is None:
                self._open, self._missing = _head(found.get("feed"))
            else:
                self._open.records.append(found)
                self._missing -= 1
            if self._missing == 0:
                yield self._open
                self._open = None


def _head(state: Any) -> tuple[Block, int]:
    try:
        return Block(int(state["mark"]), int(state["skipped"])), int(state["records"])
    except (TypeError, KeyError) as error:
        raise ValueError("no feed of a shipper") from error
