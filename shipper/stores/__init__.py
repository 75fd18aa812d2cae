"""Where records are kept and searched. One file per store; one contract suite for all; the same answers from each.

A file here has `Config` (its settings, with `build()`, `reader()` and `keeper()`), `EXAMPLE` (those settings as a
dict) and the class. `Reader` is what the API needs and never writes; `Store` is what the pipeline needs; `Keeper`
deletes what is too old.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

from shipper.record import DeadLetter, Outcome, Record, Repair
from shipper.search.ledger import Entry, Range, Report
from shipper.search.query import Around, Buckets, Counts, Neighbours, Page, Query, Top
from shipper.search.retention import Deletion, Removal, StoredDay
from shipper.search.usage import Disk


class Reader(Protocol):
    """Answers questions. Raises StoreBusy when the store cannot answer now, StoreRejected when it never will."""

    async def __aenter__(self) -> Self:
        """Open it; StoreUnusable when a person must act first."""

    async def __aexit__(self, *_: object) -> None:
        """Close it."""

    async def search(self, query: Query) -> Page:
        """Return the records that match, in order, at most `query.limit` of them."""

    async def counts(self, query: Query, buckets: Buckets, by: str | None) -> Counts:
        """Count what matches over time; `by` is a keyword field or None. The query's place, limit and order are void.

        Its time range is that of the buckets, cut to the query's own.
        """

    async def top(self, query: Query, field: str, limit: int) -> Top:
        """Return the most frequent values of a keyword or long field; the query's place, limit and order are void."""

    async def around(self, around: Around) -> Neighbours:
        """Return the neighbours of a record."""

    async def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest dead letters: id, host, series, sequence, reason, detail, received_at, original."""

    async def ledger(self, *hosts: str) -> list[Entry]:
        """Return all entries of all shippers, of these hosts or, without any, of all."""

    async def reports(self, *hosts: str) -> list[Report]:
        """Return the newest report of every id, of these hosts or of all; sorted by host, then id."""

    async def present(self, series: str, numbers: Range, limit: int = 10_000) -> list[Range]:
        """Return which numbers of a range the store holds as records, merged; looks at `limit` records at most."""

    async def healthy(self) -> str | None:
        """Return None when it can be used now, else one line that says why not."""


class Store(Reader, Protocol):
    """Keeps records. The same record twice is kept once, whatever happened between the two."""

    async def put(self, records: Sequence[Record]) -> list[Outcome]:
        """Store a batch; one outcome per record, in order.

        When it returns, what is STORED survives a crash of the store and of this process. StoreBusy: nothing is
        known, call again with the same batch. StoreRejected: the request as a whole will never be taken.
        A different record (other host time, host or original text) under a known id is REJECTED "id collision".
        """

    async def put_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; the same one twice is kept once. StoreBusy: call again."""

    async def put_ledger(self, entries: Sequence[Entry]) -> None:
        """Write ledger entries, replacing those with the same id. StoreBusy: call again."""

    async def put_reports(self, reports: Sequence[Report]) -> None:
        """Write reports, each over an older one with the same id, never over a newer one. StoreBusy: call again."""

    async def repair(self, repairs: Sequence[Repair]) -> None:
        """Give stored records more fields, over those that they have; one that is not stored is left out.

        No index and no file is made for it. StoreBusy: call again with the same; StoreRejected: never.
        """


@runtime_checkable
class Expiring(Protocol):
    """A store that deletes by itself what is too old."""

    def retain(self, apps: Mapping[str, int]) -> None:
        """Heed from now on how many days apps ask for, by id."""


class Keeper(Protocol):
    """Deletes what is too old. StoreBusy: not now; StoreUnusable: another process is the one that deletes."""

    #: Single records that are deleted in a second, at most; 0: as fast as it goes.
    records_per_second: int

    async def __aenter__(self) -> Self:
        """Open it; StoreUnusable when a person must act first."""

    async def __aexit__(self, *_: object) -> None:
        """Close it."""

    async def days(self) -> list[StoredDay]:
        """Return the days that there are, sorted."""

    async def count(self, removal: Removal) -> int:
        """Return how many records would be deleted."""

    def remove(self, removal: Removal) -> AsyncGenerator[int, None]:
        """Delete, and give the number of records of each step."""

    async def forget(self, before: int) -> None:
        """Delete dead letters, reports and whole series of the ledger older than this (nanoseconds since 1970)."""

    async def written_at(self, name: str) -> int:
        """Return when the newest record of a day was stored, nanoseconds since 1970; 0 when nobody can say."""

    async def note(self, deletion: Deletion) -> None:
        """Keep what was deleted."""

    async def history(self, limit: int) -> list[Deletion]:
        """Return what was deleted, the newest first."""

    async def disk(self) -> Disk | None:
        """Return the room that there is; None when nobody can say."""
