"""The files of the SQLite store: their names, who may write, and what an error of SQLite means.

data/<cluster>/records-2026.11.22.db   records of one UTC day of host time, an index of their words, counts by minute
data/<cluster>/ledger.db               ledger entries, dead letters and the hosts' reports
data/<cluster>/retention.json          days that apps asked for, by id, as the writer last heard
data/<cluster>/owner.lock              held by the one process that writes and deletes
"""

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from shipper.errors import StoreBusy, StoreUnusable
from shipper.stores._sqlite_tables import prepare

LEDGER: Final = "ledger.db"
WISHES: Final = "retention.json"
_LOCK: Final = "owner.lock"
_DAY: Final = re.compile(r"\d{4}\.\d\d\.\d\d", re.ASCII)
_CLUSTER: Final = re.compile(r"[a-z0-9][a-z0-9._]{0,62}", re.ASCII)
#: Milliseconds to wait for another process's lock; in WAL mode only a checkpoint or a backup tool holds one.
_BUSY_MS: Final = 1000

_NOT_NOW: Final = frozenset({
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
})  # fmt: skip


def directory_of(path: str, cluster: str) -> Path:
    """Return the folder of a cluster; ValueError for a name that must not become part of a path."""
    if _CLUSTER.fullmatch(cluster) is None:
        raise ValueError(f"not a name of a cluster: {cluster!r}")
    return Path(path) / cluster


def is_day(day: str) -> bool:
    """Say whether it is a day as it stands in a file's name."""
    return _DAY.fullmatch(day) is not None


def day_file(directory: Path, day: str) -> Path:
    """Return the path of a day's file."""
    return directory / f"records-{day}.db"


def day_files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Days and their files, in no order; none when the folder is missing. StoreBusy when it cannot be read."""
    try:
        found = list(os.scandir(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreBusy(f"{directory}: {error.strerror}") from None
    for entry in found:
        day = entry.name.removeprefix("records-").removesuffix(".db")
        if is_day(day) and entry.name == f"records-{day}.db":
            yield day, Path(entry.path)


def remove_day(path: Path) -> None:
    """Delete a day's file; its log goes first, so that no later file of that name can find a stale one."""
    for suffix in ("-wal", "-shm", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def open_to_write(path: Path, ledger: bool = False, upgrade: bool = True) -> sqlite3.Connection:
    """Open a file to write, with its tables; sqlite3.Error when it cannot be. What is committed survives a crash.

    A day's file of an older version is upgraded first, which rewrites it, or left as it is.
    """
    is_new = not path.exists()
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1000, check_same_thread=False)
    try:
        connection.executescript(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8000;"
        )
        prepare(connection, ledger, upgrade)
    except BaseException:
        connection.close()
        raise
    if is_new:
        _sync_directory(path.parent)
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file that another process may be writing; sqlite3.Error when it cannot be. Never changes it."""
    name = quote(str(path.absolute()))
    connection = sqlite3.connect(
        f"file:{name}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_MS / 1000, check_same_thread=False
    )
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # Without the right to write beside it, a file in WAL mode opens only as one that nobody changes.
        if Path(f"{path}-wal").exists() or os.access(path.parent, os.W_OK):
            raise
        connection = sqlite3.connect(
            f"file:{name}?immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
    return connection


def _sync_directory(directory: Path) -> None:
    """Make a new file's name survive a power cut too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether trying again cannot help, because the file itself is broken."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF not in _NOT_NOW


def explain(error: sqlite3.Error, path: Path) -> str:
    """One line for a person: what is wrong with which file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return f"{path}: no space left on the disk"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path}: another process holds a lock on it"
    if is_damage(error):
        return f"{path}: damaged ({error}); move it away or restore it"
    return f"{path}: {error}"


class Lock:
    """The right to write into a folder: one process at a time, given back by the kernel when it ends."""

    def __init__(self, directory: Path) -> None:
        """Take it; StoreUnusable when another process has it or the folder cannot be written."""
        path = directory / _LOCK
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnusable(f"{path}: {error.strerror}: choose another path or make it writable") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StoreUnusable(
                f"another shipper (pid {owner}) owns {directory}: stop it or use another path"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give it back."""
        os.close(self._descriptor)
