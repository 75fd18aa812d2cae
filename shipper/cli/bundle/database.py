"""Records in an SQLite file of their own, as datasette likes it: one table, common fields as columns."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: Column and field; all that a record has is in `document`.
COLUMNS = (
    ("id", "id"),
    ("timestamp", "@timestamp"),
    ("level", "log.level"),
    ("app", "service.name"),
    ("host", "host.name"),
    ("message", "message"),
    ("request_id", "http.request.id"),
    ("trace_id", "trace.id"),
    ("task_id", "orchestrator.resource.id"),
    ("container_id", "container.id"),
    ("version", "service.version"),
    ("status", "http.response.status_code"),
    ("path", "url.path"),
    ("error_type", "error.type"),
    ("series", "shipper.series"),
    ("sequence", "event.sequence"),
)
_INTEGERS = frozenset({"status", "sequence"})


class Database:
    """A new file; used as a context, which finishes it. The same records give the same bytes."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        names = ", ".join(f"{name} {'INTEGER' if name in _INTEGERS else 'TEXT'}" for name, _ in COLUMNS)
        # A file that is thrown away when it is not finished needs no journal.
        self._connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
            f"CREATE TABLE records (number INTEGER PRIMARY KEY, {names}, document TEXT NOT NULL);"
        )
        self._insert = f"INSERT INTO records VALUES (NULL{', ?' * (len(COLUMNS) + 1)})"

    def __enter__(self) -> Self:
        """Take records."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Write the indexes and close it."""
        for name in ("timestamp", "app", "request_id"):
            self._connection.execute(f"CREATE INDEX by_{name} ON records ({name})")
        self._connection.execute("COMMIT")
        self._connection.close()

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write more records."""
        rows = ([*(_cell(record.get(field)) for _, field in COLUMNS), json.dumps(record)] for record in records)
        self._connection.executemany(self._insert, rows)


def _cell(value: Any) -> str | int | float | None:
    """Return a value that SQLite takes: what is no text and no number as JSON, lone surrogates as escapes."""
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) >= 2**63):
        return json.dumps(value)
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()
