"""Writing into the SQLite store. Everything here runs in one thread, which owns all connections that write."""

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from shipper.errors import StoreBusy, StoreUnusable
from shipper.record import STORED, DeadLetter, Fate, Outcome, Record, Repair
from shipper.record.times import day, from_ns
from shipper.search.ledger import Entry, Report
from shipper.search.retention import Deletion, first_day
from shipper.stores import _sqlite_files as files
from shipper.stores import _sqlite_history as history
from shipper.stores._agreement import EXPIRED, bug
from shipper.stores._sqlite_day import Day, insert, transaction
from shipper.stores._sqlite_expiry import Expiry
from shipper.stores._sqlite_retention import forget

#: Day files open at the same time; records of more days than these are rare (a host that comes back after long).
_OPEN_DAYS: Final = 4
_EXPIRE_SECONDS: Final = 3600.0
_DAY_NS: Final = 86_400 * 10**9
_NEWER_REPORT: Final = (
    "ON CONFLICT (id) DO UPDATE SET host = excluded.host, updated_at = excluded.updated_at, figures = excluded.figures"
    " WHERE excluded.updated_at >= updated_at"
)


class Writer:
    """Stores batches, dead letters, the ledger and reports; deletes what is too old."""

    def __init__(
        self,
        directory: Path,
        retention_days: int,
        clock: Callable[[], int] = time.time_ns,
        datasets: Mapping[str, int] | None = None,
    ) -> None:
        self._directory = directory
        self._retention_days = retention_days
        self._clock = clock
        self._days: OrderedDict[str, Day] = OrderedDict()
        self._expired_at = float("-inf")
        self._expiry = Expiry(directory, clock, datasets or {}, self._note)
        self._ledger: sqlite3.Connection | None = None
        self._troubles: dict[str, str | None] = {}

    def open(self) -> None:
        """Take the folder; StoreUnusable when another process has it or a file in it is damaged."""
        self._lock = files.Lock(self._directory)
        path = self._directory / files.LEDGER
        try:
            self._open_ledger()
            today = day(from_ns(self._clock()))
            path = files.day_file(self._directory, today)
            if path.exists():
                self._day(today)
        except sqlite3.Error as error:
            self.close()
            raise StoreUnusable(files.explain(error, path)) from None
        self._expire()

    def close(self) -> None:
        """Close all files and give the folder back."""
        self._expiry.close()
        for name in list(self._days):
            self._close_day(name)
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
        self._lock.release()

    @property
    def trouble(self) -> str | None:
        """Why the last write failed; None when it went well."""
        return next(filter(None, self._troubles.values()), None)

    def put(self, records: Sequence[Record]) -> list[Outcome]:
        """Store a batch, one transaction per day; StoreBusy when no day could take anything now."""
        self._expire()
        by_day: dict[str, list[int]] = {}
        for index, record in enumerate(records):
            by_day.setdefault(record.day, []).append(index)
        outcomes: list[Outcome] = [STORED] * len(records)
        troubles = []
        for name, indexes in by_day.items():
            found, trouble = self._put_day(name, [records[index] for index in indexes])
            for index, outcome in zip(indexes, found, strict=True):
                outcomes[index] = outcome
            troubles.append(trouble)
        trouble = self._troubles["records"] = next(filter(None, troubles), None)
        if trouble and all(outcome.fate is Fate.BUSY for outcome in outcomes):
            raise StoreBusy(trouble)
        return outcomes

    def _put_day(self, name: str, records: list[Record]) -> tuple[list[Outcome], str | None]:
        """Outcomes of the records of one day, and what was wrong with its file if that is why."""
        if not files.is_day(name):
            return [bug(ValueError(f"no day: {name!r}"))] * len(records), None
        if name < self._first_day():
            return [EXPIRED] * len(records), None
        ingested = from_ns(self._clock())
        try:
            return self._day(name).put(records, ingested), None
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
                raise
            trouble = files.explain(error, files.day_file(self._directory, name))
            self._close_day(name)
            fate = Fate.REFUSED if files.is_damage(error) else Fate.BUSY
            return [Outcome(fate, trouble)] * len(records), trouble
        except OSError as error:
            trouble = f"{files.day_file(self._directory, name)}: {error.strerror}"
            return [Outcome(Fate.BUSY, trouble)] * len(records), trouble

    def repair(self, repairs: Sequence[Repair]) -> None:
        """Give stored records more fields; days that are not kept, or have no file, are left out."""
        by_day: dict[str, list[Repair]] = {}
        for repair in repairs:
            by_day.setdefault(repair.day, []).append(repair)
        for name, of_day in by_day.items():
            path = files.day_file(self._directory, name)
            if not files.is_day(name) or name < self._first_day() or not path.exists():
                continue
            try:
                self._day(name).repair(of_day)
            except sqlite3.Error as error:
                if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
                    raise
                self._close_day(name)
                raise StoreBusy(files.explain(error, path)) from None
            except OSError as error:
                raise StoreBusy(f"{path}: {error.strerror}") from None

    def put_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; one with a known id replaces it."""
        rows = [
            (v.id, v.day, v.series, v.sequence, v.host, v.reason, v.detail, v.payload, v.received_at) for v in letters
        ]
        self._write_ledger("REPLACE INTO dead_letters VALUES", rows)

    def put_ledger(self, entries: Sequence[Entry]) -> None:
        """Write ledger entries; one with a known id replaces it."""
        rows = [(e.id, e.host, e.series, e.fate, e.first, e.last, e.count, e.started_at, e.updated_at) for e in entries]
        self._write_ledger("REPLACE INTO entries VALUES", rows)

    def put_reports(self, reports: Sequence[Report]) -> None:
        """Write reports; an older one never replaces a newer one."""
        rows = [(r.id, r.host, r.start, r.name, r.updated_at, orjson.dumps(r.figures)) for r in reports]
        self._write_ledger("INSERT INTO reports VALUES", rows, _NEWER_REPORT)

    def _write_ledger(self, statement: str, rows: list[tuple[Any, ...]], conflict: str = "") -> None:
        try:
            ledger = self._open_ledger()
            with transaction(ledger):
                insert(ledger, statement, rows, conflict)
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
                raise
            trouble = self._troubles["ledger"] = files.explain(error, self._directory / files.LEDGER)
            raise StoreBusy(trouble) from None
        self._troubles["ledger"] = None
        self._expire()

    def _day(self, name: str) -> Day:
        """Return a day's open file, made if it is not there; the one that was not used for longest is closed."""
        found = self._days.get(name)
        if found is not None and not found.is_current():
            self._close_day(name)
            found = None
        if found is None:
            while len(self._days) >= _OPEN_DAYS:
                self._close_day(next(iter(self._days)))
            found = self._days[name] = Day(files.day_file(self._directory, name))
        self._days.move_to_end(name)
        return found

    def _close_day(self, name: str) -> None:
        found = self._days.pop(name, None)
        if found is not None:
            found.close()

    def _first_day(self) -> str:
        """The oldest day that is kept; before all days when everything is."""
        return first_day(self._clock(), self._retention_days)

    def retain(self, apps: Mapping[str, int]) -> None:
        """Heed from now on how many days apps ask for."""
        if self._expiry.heed(apps):
            self._expired_at = float("-inf")

    def _expire(self) -> None:
        """Once an hour: delete days, dead letters, reports and whole series of the ledger older than retention.

        Single records, of apps that ask for other numbers of days, go a few at a time, each time that this is called.
        """
        try:
            self._expiry.step()
            if time.monotonic() - self._expired_at < _EXPIRE_SECONDS:
                return
            self._expired_at = time.monotonic()
            self._expiry.begin(self._retention_days, self._close_day)
            if self._retention_days:
                forget(self._open_ledger(), self._clock() - self._retention_days * _DAY_NS)
        except (OSError, StoreBusy, sqlite3.OperationalError) as error:
            self._troubles["retention"] = f"{self._directory}: what is old could not be deleted: {error}"
        else:
            self._troubles["retention"] = None

    def _note(self, deletion: Deletion) -> None:
        """Keep what was deleted; a ledger that cannot be written is said by those who must write it."""
        with suppress(sqlite3.Error):
            history.note(self._open_ledger(), deletion)

    def _open_ledger(self) -> sqlite3.Connection:
        """Return the ledger's connection, made when there is none; sqlite3.Error when it cannot be."""
        if self._ledger is None:
            self._ledger = files.open_to_write(self._directory / files.LEDGER, ledger=True)
        return self._ledger
