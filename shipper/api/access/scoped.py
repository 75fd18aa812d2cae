"""The store as one caller may see it: every question is narrowed to the caller's apps, and its time is counted."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from starlette.exceptions import HTTPException

from shipper.search.expression import Everything, Expression, both
from shipper.search.ledger import Entry, Range, Report
from shipper.search.query import Around, Buckets, Counts, Neighbours, Page, Query, Top
from shipper.stores import Reader

OF_ALL_APPS = "dead letters are of all apps, and you may see some only"


@dataclass(slots=True)
class Used:
    """What one request has cost so far; every second of the store goes to `charge` at once."""

    charge: Callable[[float], None]
    seconds: float = 0.0
    records: int = 0

    def add(self, seconds: float, records: int = 0) -> None:
        """Count what a call of the store took and gave."""
        self.seconds += seconds
        self.records += records
        self.charge(seconds)


class Scoped(Reader):
    """A reader that shows the records which match `where` and no other; opened and closed by whoever owns it.

    The ledger and the reports carry numbers of records, never their text: they stay whole.
    """

    def __init__(self, reader: Reader, where: Expression, used: Used) -> None:
        self._reader, self.where, self._used = reader, where, used

    @property
    def whole(self) -> Reader:
        """The reader that it narrows."""
        return self._reader

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the store open."""

    async def search(self, query: Query) -> Page:
        """Return those of the records that the caller may see."""
        async with self._counted():
            page = await self._reader.search(self._narrow(query))
        self._used.records += len(page.records)
        return page

    async def counts(self, query: Query, buckets: Buckets, by: str | None) -> Counts:
        """Count those of the records that the caller may see."""
        async with self._counted():
            return await self._reader.counts(self._narrow(query), buckets, by)

    async def top(self, query: Query, field: str, limit: int) -> Top:
        """Return the values of the records that the caller may see."""
        async with self._counted():
            return await self._reader.top(self._narrow(query), field, limit)

    async def around(self, around: Around) -> Neighbours:
        """Return those of the neighbours that the caller may see."""
        where = both((around.where, self.where)) or Everything()
        async with self._counted():
            found = await self._reader.around(replace(around, where=where))
        self._used.records += len(found.before) + len(found.after)
        return found

    async def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        """Return the dead letters to a caller that may see all apps; HTTPException 403 to any other."""
        if not isinstance(self.where, Everything):
            raise HTTPException(403, OF_ALL_APPS)
        async with self._counted():
            return await self._reader.dead_letters(limit)

    async def ledger(self, *hosts: str) -> list[Entry]:
        """Return the ledger."""
        async with self._counted():
            return await self._reader.ledger(*hosts)

    async def reports(self, *hosts: str) -> list[Report]:
        """Return the reports."""
        async with self._counted():
            return await self._reader.reports(*hosts)

    async def present(self, series: str, numbers: Range, limit: int = 10_000) -> list[Range]:
        """Return which numbers the store holds."""
        async with self._counted():
            return await self._reader.present(series, numbers, limit)

    async def healthy(self) -> str | None:
        """Ask the store."""
        return await self._reader.healthy()

    def _narrow(self, query: Query) -> Query:
        return replace(query, where=both((query.where, self.where)))

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._used.add(time.monotonic() - began)
