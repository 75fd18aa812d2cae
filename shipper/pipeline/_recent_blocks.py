"""Blocks of recent records: documents, a line each, compressed; and what is known of each without reading it.

Known are its times, and a checksum of each id in it. Checksums of different ids may be equal, so a block that seems to
have an id may not have it, never the other way round.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from shipper.record import Record, Shared
from shipper.record.times import to_ns, utc

#: Fields by whose value a block is found; the series is another one.
TERMS: Final = ("http.request.id", "trace.id", "orchestrator.resource.id")
SERIES: Final = "shipper.series"
_MAGIC: Final = b"SHPR1\n"
#: Magic, checksum of what follows up to the data; lengths of terms and data; records; times (see `Block`).
_HEAD: Final = struct.Struct(">6sIIIIqqqq")
#: A block with more ids is always read.
_MOST_TERMS: Final = 4096
#: Beyond any block of ours: a file that says so is damaged.
_MOST_BYTES: Final = 64 * 2**20
_SECOND: Final = 1_000_000_000
_LATEST: Final = 2**63 - 1


@dataclass(slots=True)
class Block:
    """One block, where it lies, and what is known of it. Times are nanoseconds since 1970."""

    records: int
    #: Every `@timestamp` in it: first <= timestamp < last.
    first: int
    last: int
    #: When the first and the last of it were received.
    began: int
    ended: int
    #: Four bytes per id; b"" when there are too many, or it cannot be said.
    terms: bytes
    #: Compressed, until it is on disk.
    data: bytes | None
    #: Place of its data in its file.
    offset: int = 0
    size: int = 0

    def may_have(self, terms: Iterable[bytes]) -> bool:
        """Whether one of these ids (`term`) may be in it."""
        return not self.terms or any(term in self.terms for term in terms)


class Open:
    """A block that still grows, in the event loop: as little work as can be for each record."""

    __slots__ = ("began", "documents", "ended", "shared", "size", "terms", "times", "unclear")

    def __init__(self) -> None:
        self.documents: list[bytes] = []
        self.size = 0
        self.began = self.ended = 0
        self.terms: set[Any] = set()
        self.times: list[Any] = []
        self.shared: set[Shared] = set()
        #: Whether an id was no single value.
        self.unclear = False

    def add(self, record: Record) -> None:
        """Take a sealed record whose fields are still there."""
        fields = record.fields
        self.documents.append(record.document)
        self.size += len(record.document)
        self.times.append(fields.get("@timestamp"))
        self.shared.add(record.shared)
        self.terms.add(record.series)
        try:
            self.terms.update(map(fields.get, TERMS))
        except TypeError:
            self.unclear = True
        self.began = self.began or record.received_at
        self.ended = record.received_at

    def pack(self) -> Block:
        """Return it compressed, once nothing is added any more; not in the event loop."""
        terms = self.terms | {str(shared.fields.get(name)) for shared in self.shared for name in TERMS}
        packed = b"" if self.unclear or len(terms) > _MOST_TERMS else b"".join({term(str(one)) for one in terms if one})
        data = zlib.compress(b"\n".join(self.documents), 1)
        return Block(
            len(self.documents), *_span(self.times), self.began, self.ended, packed, data, size=len(data)
        )  # fmt: skip


def term(value: str) -> bytes:
    """Return the checksum of an id, the same in every process."""
    return zlib.crc32(value.encode(errors="surrogatepass")).to_bytes(4, "big")


def _span(times: list[Any]) -> tuple[int, int]:
    """Return from when to when timestamps are, to the second; all of time when one cannot be read."""
    try:
        first, last = utc(f"{min(times)[:19]}Z"), utc(f"{max(times)[:19]}Z")
    except TypeError:
        first = last = None
    if first is None or last is None:
        return 0, _LATEST
    return to_ns(first), to_ns(last) + _SECOND


def head_of(block: Block) -> bytes:
    """Return what stands in front of a block's data in a file."""
    said = (len(block.terms), block.size, block.records, block.first, block.last, block.began, block.ended)
    rest = struct.pack(">IIIqqqq", *said) + block.terms
    return _HEAD.pack(_MAGIC, zlib.crc32(rest), *said) + block.terms


def blocks_of(file: BinaryIO, size: int) -> list[Block]:
    """Return the blocks of a file without their data; what a crash cut off, or somebody damaged, ends the list."""
    found: list[Block] = []
    at = 0
    while True:
        file.seek(at)
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size or head[:6] != _MAGIC:
            return found
        _, checksum, terms_size, data_size, records, first, last, began, ended = _HEAD.unpack(head)
        if terms_size > 4 * _MOST_TERMS or data_size > _MOST_BYTES:
            return found
        terms = file.read(terms_size)
        offset = at + _HEAD.size + terms_size
        if zlib.crc32(head[10:] + terms) != checksum or offset + data_size > size:
            return found
        found.append(Block(records, first, last, began, ended, terms, None, offset, data_size))
        at = offset + data_size
