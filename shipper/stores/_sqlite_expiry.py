"""What a running SQLite store deletes by itself: days as files at once, single records a few between two batches."""

import logging
import sqlite3
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import orjson

from shipper.errors import StoreBusy
from shipper.search.retention import Deletion, Removal, Retention, StoredDay, plan, reason_of
from shipper.stores import _sqlite_files as files
from shipper.stores._sqlite_retention import steps, stored_day

#: Who a deletion is by.
_BY = "shipper run, hourly"

_log = logging.getLogger(__name__)


class Expiry:
    """Knows what apps ask for and what was deleted. Runs in the thread of the writer."""

    def __init__(
        self,
        directory: Path,
        clock: Callable[[], int],
        datasets: Mapping[str, int],
        note: Callable[[Deletion], None],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._datasets = datasets
        #: Keeps what was deleted.
        self._note = note
        #: Days that apps ask for, by id; those of before a restart until somebody says others.
        self.apps: Mapping[str, int] = _known_wishes(directory / files.WISHES)
        #: What was deleted last of a day that is still there: it is not looked at again for the same.
        self._done: dict[str, Removal] = {}
        self._steps = self._each([], Retention(0))

    def heed(self, apps: Mapping[str, int]) -> bool:
        """Take what apps ask for, and keep it over a restart; False when it is what was known."""
        if apps == self.apps:
            return False
        self.apps = apps
        path = self._directory / files.WISHES
        try:
            beside = path.with_suffix(".new")
            beside.write_bytes(orjson.dumps(dict(apps)))
            beside.replace(path)
        except OSError as error:
            _log.warning("what apps ask for cannot be kept", extra={"reason": f"{path}: {error.strerror}"})
        return True

    def begin(self, days: int, close: Callable[[str], None]) -> None:
        """Delete the days that go as a whole, each after `close`, and plan the rest for `step`."""
        self._steps.close()
        found = dict(files.day_files(self._directory))
        left = []
        wanted = Retention(days, self.apps, self._datasets)
        for removal in plan(found, wanted, self._clock()):
            if removal.whole:
                close(removal.day)
                self._remove(removal, found[removal.day], wanted)
            elif self._done.get(removal.day) != removal:
                left.append(removal)
        self._done = {name: removal for name, removal in self._done.items() if name in found}
        self._steps = self._each(left, wanted)

    def _remove(self, removal: Removal, path: Path, wanted: Retention) -> None:
        try:
            gone = stored_day(removal.day, path)
        except StoreBusy:  # a damaged day goes all the same; how many records it had nobody knows
            gone = StoredDay(removal.day, 0, path.stat().st_size)
        files.remove_day(path)
        self._tell(removal, gone.records, gone.bytes, wanted)

    def _tell(self, removal: Removal, records: int, size: int, wanted: Retention) -> None:
        self._note(Deletion(self._clock(), _BY, removal, records, size, reason_of(removal, wanted)))

    def close(self) -> None:
        """Stop deleting single records; what went so far is remembered."""
        self._steps.close()

    def step(self) -> None:
        """Delete a few records of single apps, if any are to be deleted."""
        next(self._steps, None)

    def _each(self, removals: list[Removal], wanted: Retention) -> Generator[int, None, None]:
        for removal in removals:
            path = files.day_file(self._directory, removal.day)
            gone = 0
            try:
                if path.exists():
                    for count in steps(path, removal):
                        gone += count
                        yield count
                self._done[removal.day] = removal
            except sqlite3.Error as error:  # a damaged day must not keep the others
                reason = files.explain(error, path)
                _log.warning("records that are too old could not be deleted", extra={"reason": reason})
            finally:  # a part of it too, when it is stopped
                if gone:
                    self._tell(removal, gone, 0, wanted)


def _known_wishes(path: Path) -> dict[str, int]:
    """Return the days that apps asked for before a restart; none when the file is missing or not ours."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    wishes = found.items() if isinstance(found, dict) else ()
    return {app: days for app, days in wishes if type(days) is int and days > 0}
