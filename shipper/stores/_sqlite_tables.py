"""The tables of the SQLite store's files, and how a day's file of the first version becomes one of today.

The tables of `COUNTS` and `zones` are made from `records` and written in the same transactions (see _sqlite_rollup).
In the former an empty BLOB stands for "has no value", as columns of a primary key are compared without NULL.
"""

import sqlite3
from typing import Final

#: Our layout of the tables; a file with another number was written by another version.
VERSION: Final = 2
#: Of before there were counts, zones and columns for trace and app id: readable, and upgraded by who writes.
FIRST_VERSION: Final = 1

#: Columns of `records` that are counted by.
COUNTED: Final = ("level", "app", "host", "resource")
#: Tables of counts, and the columns of each in the order of its key behind the minute; who may choose takes the first.
#: One table by all of them would have nearly as many rows as there are records when hundreds of apps run on many hosts.
COUNTS: Final = {"counts_by_host": ("level", "host"), "counts_by_app": ("app", "level", "resource")}
MINUTE_NS: Final = 60 * 10**9
#: Rows of a zone: few enough to look at all of them, many enough that a day has only hundreds of zones.
ZONE_BITS: Final = 14

# `words` gets words already cut and lower-cased by search.words: every ASCII character but the space is part of a
# token, and the `ascii` tokenizer leaves all others alone. No copy of the text, no deletes: a day goes as a file.
_PUNCTUATION: Final = "!#$%&()*+,-./:;<=>?@[\\]^_`{|}~" + "''" + '""'


def _table_of_counts(table: str) -> str:
    """SQL for a table of counts."""
    columns = "".join(f"{column} TEXT NOT NULL, " for column in COUNTS[table])
    key = ", ".join(("minute", *COUNTS[table]))
    return (
        f"CREATE TABLE {table} (minute INTEGER NOT NULL, {columns}count INTEGER NOT NULL, PRIMARY KEY ({key}))"
        " WITHOUT ROWID;"
    )


_INDEXES: Final = f"""
CREATE INDEX by_time ON records (timestamp, level, host);
CREATE INDEX by_trace ON records (trace_id) WHERE trace_id IS NOT NULL;
{"".join(map(_table_of_counts, COUNTS))}
CREATE TABLE zones (zone INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL);
"""
# The columns behind the document came later: a file that was upgraded and a new one have the same order.
RECORDS: Final = f"""
CREATE TABLE records (
    rowid INTEGER PRIMARY KEY, series TEXT NOT NULL, sequence INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    level TEXT, app TEXT, host TEXT, request_id TEXT, document BLOB NOT NULL, trace_id TEXT, resource TEXT,
    UNIQUE (series, sequence)
);
CREATE INDEX by_app ON records (app, timestamp);
CREATE INDEX by_request ON records (request_id) WHERE request_id IS NOT NULL;
CREATE VIRTUAL TABLE words USING fts5 (
    text, content='', columnsize=0, tokenize="ascii tokenchars '{_PUNCTUATION}'"
);
{_INDEXES}
"""
LEDGER: Final = """
CREATE TABLE entries (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, series TEXT NOT NULL, fate TEXT NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, count INTEGER NOT NULL, started_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX entries_of ON entries (host, series);
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY, day TEXT NOT NULL, series TEXT NOT NULL, sequence INTEGER NOT NULL, host TEXT NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, payload BLOB NOT NULL, received_at INTEGER NOT NULL
);
CREATE INDEX letters_by_time ON dead_letters (received_at);
"""
#: Made at every opening: a ledger of before there were reports, or a memory of what was deleted, has no such tables.
LATER: Final = """
CREATE TABLE IF NOT EXISTS reports (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, start TEXT NOT NULL, name TEXT NOT NULL, updated_at INTEGER NOT NULL,
    figures BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deletions (
    at INTEGER NOT NULL, by TEXT NOT NULL, day TEXT NOT NULL, apps TEXT NOT NULL, others INTEGER NOT NULL,
    datasets TEXT NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (at, day)
) WITHOUT ROWID;
"""


def _filled(table: str) -> str:
    """SQL that makes the rows of a table of counts from all records."""
    key = ", ".join(f"coalesce({column}, x'')" for column in COUNTS[table])
    return f"INSERT INTO {table} SELECT timestamp / {MINUTE_NS}, {key}, COUNT(*) FROM records GROUP BY 1, {key};"


def _text_of(field: str) -> str:
    """SQL for a field of the document that holds one text, NULL for any other."""
    at = f"""CAST(document AS TEXT), '$."{field}"'"""
    return f"CASE json_type({at}) WHEN 'text' THEN json_extract({at}) END"


_UPGRADE: Final = f"""
ALTER TABLE records ADD COLUMN trace_id TEXT;
ALTER TABLE records ADD COLUMN resource TEXT;
UPDATE records SET trace_id = {_text_of("trace.id")}, resource = {_text_of("orchestrator.resource.name")}
    WHERE instr(document, CAST('"trace.id":' AS BLOB))
        OR instr(document, CAST('"orchestrator.resource.name":' AS BLOB));
DROP INDEX by_time;
{_INDEXES}
{"".join(map(_filled, COUNTS))}
INSERT INTO zones SELECT rowid >> {ZONE_BITS}, MIN(timestamp), MAX(timestamp) FROM records GROUP BY 1;
"""


def prepare(connection: sqlite3.Connection, ledger: bool, upgrade: bool) -> None:
    """Make the tables of a new file, upgrade those of an old one; sqlite3.DatabaseError for a version unknown to us.

    The ledger is of the first version still, as its tables are.
    """
    version = version_of(connection)
    wanted = FIRST_VERSION if ledger else VERSION
    if version == 0:
        tables = LEDGER if ledger else RECORDS
        connection.executescript(f"BEGIN IMMEDIATE; {tables} PRAGMA user_version = {wanted}; COMMIT;")
    elif version == FIRST_VERSION < wanted:
        if upgrade:
            _in_one(connection, f"{_UPGRADE} PRAGMA user_version = {wanted};")
    elif version != wanted:
        raise sqlite3.DatabaseError(f"its tables are of version {version}, not {wanted}")
    if ledger:
        connection.executescript(LATER)


def _in_one(connection: sqlite3.Connection, script: str) -> None:
    """Run a script in one transaction: all of it, or nothing when it fails."""
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a file's tables; 0 for a file that has none yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
