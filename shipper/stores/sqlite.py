"""SQLite: the store that comes with the product. One file per UTC day, full-text index, nothing else to run.

Good for a laptop, a demo and a small cluster. One process writes and alone deletes old days; any number read.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import Field, model_validator

from shipper.config import Settings
from shipper.errors import StoreBusy
from shipper.record import DeadLetter, Outcome, Record, Repair
from shipper.search.ledger import Entry, Range, Report
from shipper.search.query import Around, Buckets, Counts, Neighbours, Page, Query, Top
from shipper.stores import _sqlite_files as files
from shipper.stores import _sqlite_read as read
from shipper.stores._agreement import Datasets, check_datasets
from shipper.stores._sqlite_around import around as neighbours
from shipper.stores._sqlite_counts import counts, top
from shipper.stores._sqlite_reading import Limit
from shipper.stores._sqlite_retention import SqliteKeeper
from shipper.stores._sqlite_search import search
from shipper.stores._sqlite_write import Writer

EXAMPLE: Final[dict[str, Any]] = {"type": "sqlite", "path": "data", "retention_days": 14}

#: Questions answered at the same time.
_READERS: Final = 4

_Answer = TypeVar("_Answer")


class Config(Settings):
    """Settings of the SQLite store."""

    type: Literal["sqlite"] = "sqlite"
    path: str = Field(default="data", min_length=1, description="folder of its files; each cluster gets one in it")
    retention_days: int = Field(
        default=14, ge=0, description="days are deleted when they are older; 0 keeps them for ever"
    )
    retention_datasets: Datasets = Field(
        default={}, description="days by event.dataset, where they are fewer than retention_days: {nginx.access: 7}"
    )
    search_seconds: float = Field(
        default=10, gt=0, description="how long a question may take; then the answer is incomplete"
    )

    @model_validator(mode="after")
    def _fewer(self) -> Self:
        check_datasets(self.retention_days, self.retention_datasets)
        return self

    def build(self, cluster: str) -> "SqliteStore":
        """Return the store that writes."""
        directory = files.directory_of(self.path, cluster)
        return SqliteStore(directory, self.retention_days, self.search_seconds, self.retention_datasets)

    def reader(self, cluster: str) -> "SqliteReader":
        """Return one that only reads, beside the process that writes or without any."""
        return SqliteReader(files.directory_of(self.path, cluster), self.search_seconds)

    def keeper(self, cluster: str) -> SqliteKeeper:
        """Return one that deletes what is too old, while no shipper owns the folder."""
        return SqliteKeeper(files.directory_of(self.path, cluster))


class SqliteReader:
    """Answers questions in threads of its own, never longer than `seconds`."""

    def __init__(self, directory: Path, seconds: float) -> None:
        self._directory = directory
        self._seconds = seconds
        self._asked: set[Limit] = set()

    async def __aenter__(self) -> Self:
        """Open nothing yet: files come and go."""
        self._readers = ThreadPoolExecutor(_READERS, "sqlite-read")
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the questions that are still asked."""
        for limit in self._asked:
            limit.cancel()
        await asyncio.to_thread(self._readers.shutdown)

    async def search(self, query: Query) -> Page:
        """Return the records that match, in order."""
        return await self._ask(search, self._directory, query)

    async def counts(self, query: Query, buckets: Buckets, by: str | None) -> Counts:
        """Count what matches over time."""
        return await self._ask(counts, self._directory, query, buckets, by)

    async def top(self, query: Query, field: str, limit: int) -> Top:
        """Return the most frequent values of a field."""
        return await self._ask(top, self._directory, query, field, limit)

    async def around(self, around: Around) -> Neighbours:
        """Return the neighbours of a record."""
        return await self._ask(neighbours, self._directory, around)

    async def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest dead letters."""
        return await self._ask(read.dead_letters, self._directory, limit)

    async def ledger(self, *hosts: str) -> list[Entry]:
        """Return the entries of some hosts or of all."""
        return await self._ask(read.ledger, self._directory, hosts)

    async def reports(self, *hosts: str) -> list[Report]:
        """Return the reports of some hosts or of all."""
        return await self._ask(read.reports, self._directory, hosts)

    async def present(self, series: str, numbers: Range, limit: int = 10_000) -> list[Range]:
        """Return which numbers of a range are stored."""
        return await self._ask(read.present, self._directory, series, numbers, limit)

    async def healthy(self) -> str | None:
        """Return why its folder cannot be read, if it cannot; a folder that is not there yet is an empty store."""
        try:
            await self._ask(lambda limit: sum(1 for _ in files.day_files(self._directory)))
        except StoreBusy as error:
            return str(error)
        return None

    async def _ask(self, question: Callable[..., _Answer], *arguments: Any) -> _Answer:
        """Run a question in a thread; when nobody waits for the answer any more, it ends."""
        limit = Limit(self._seconds)
        self._asked.add(limit)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, lambda: question(*arguments, limit))
        except asyncio.CancelledError:
            limit.cancel()
            raise
        finally:
            self._asked.discard(limit)


class SqliteStore(SqliteReader):
    """Writes in one thread that owns every connection that writes."""

    def __init__(
        self, directory: Path, retention_days: int, seconds: float, datasets: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(directory, seconds)
        self._writer = Writer(directory, retention_days, datasets=datasets)

    async def __aenter__(self) -> Self:
        """Take the folder; StoreUnusable when another process has it or a file in it is damaged."""
        self._thread = ThreadPoolExecutor(1, "sqlite-write")
        try:
            await self._write(self._writer.open)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        return await super().__aenter__()

    async def __aexit__(self, *exception: object) -> None:
        """Finish what is being written, close the files and give the folder back."""
        await super().__aexit__(*exception)
        closing = asyncio.ensure_future(self._write(self._writer.close))
        try:
            await asyncio.shield(closing)
        finally:
            self._thread.shutdown(wait=closing.done())

    async def put(self, records: Sequence[Record]) -> list[Outcome]:
        """Store a batch: one transaction per day, on the disk when it returns."""
        return await self._write(self._writer.put, records)

    async def put_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; the same one twice is kept once."""
        await self._write(self._writer.put_dead_letters, letters)

    async def put_ledger(self, entries: Sequence[Entry]) -> None:
        """Write ledger entries, replacing those with the same id."""
        await self._write(self._writer.put_ledger, entries)

    async def put_reports(self, reports: Sequence[Report]) -> None:
        """Write reports, each over an older one with the same id."""
        await self._write(self._writer.put_reports, reports)

    async def repair(self, repairs: Sequence[Repair]) -> None:
        """Give stored records more fields: one transaction per day."""
        await self._write(self._writer.repair, repairs)

    def retain(self, apps: Mapping[str, int]) -> None:
        """Heed how many days apps ask for, by id, at the next look at what is old."""
        self._thread.submit(self._writer.retain, apps)

    async def healthy(self) -> str | None:
        """Return why the last write failed, if it did."""
        return self._writer.trouble or await super().healthy()

    async def _write(self, job: Callable[..., _Answer], *arguments: Any) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job, *arguments)
