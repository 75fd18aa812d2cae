"""Questions to the index of words of a file: what FTS5 is asked, and how many rows it would find."""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shipper.search.expression import And, Expression, Like, Not, Or, Words
from shipper.search.query import Phrase
from shipper.stores._sqlite_globs import is_prefix, literal_start
from shipper.stores._sqlite_json import path

#: More matches than this, and it is faster to walk along time than to fetch and sort them.
MANY: Final = 20_000
_TRACE: Final = re.compile(r"[0-9A-Fa-f-]{16,64}")
_ID_FIELDS: Final = ("http.request.id", "trace.id")


def is_about_message(expression: Expression) -> bool:
    """Whether nothing but words of the message is asked, as far as can be said without a look at the file."""
    if isinstance(expression, Words | Like):
        return expression.field in (None, "message") and (isinstance(expression, Words) or _is_plain(expression))
    if isinstance(expression, Not):
        return is_about_message(expression.part)
    return isinstance(expression, And | Or) and bool(expression.parts) and all(map(is_about_message, expression.parts))


def _is_plain(pattern: Like) -> bool:
    return is_prefix(pattern.pattern) and WordIndex.is_word(literal_start(pattern.pattern))


class WordIndex:
    """The index of words of one open file; `walking` says that rows will be looked at one by one, in their order."""

    def __init__(self, connection: sqlite3.Connection, columns: Mapping[str, str]) -> None:
        self._connection = connection
        self._id_columns = [columns[field] for field in _ID_FIELDS if field in columns]
        # Without a column only what looks like a trace id is looked for: it takes a look at every document.
        self._trace = None if "trace.id" in columns else f"json_extract(document, '{path('trace.id')}')"
        self._known_ids: dict[str, list[str]] = {}
        self.walking = True

    @staticmethod
    def is_word(text: str) -> bool:
        """Whether the index may hold a word that begins so: the tokenizer cuts at spaces and control characters."""
        return bool(text) and min(text) > " " and "\x7f" not in text

    @staticmethod
    def phrase(words: Phrase) -> str:
        """Return what is asked for words next to each other; what stands in quotes is only cut at its spaces."""
        return '"' + " ".join(words).replace('"', '""') + '"'

    def beginning(self, start: str) -> str:
        """Return what is asked for a word that begins so."""
        return f"{self.phrase((start,))} *"

    def match(self, expression: Expression) -> str | None:
        """Return the question to the index that is the same as an expression; None when there is none."""
        if isinstance(expression, Words):
            is_id = expression.field is None and self.ids(expression.text)
            return None if is_id or not expression.words else self.phrase(expression.words)
        if isinstance(expression, Like):
            return self.beginning(literal_start(expression.pattern))
        if isinstance(expression, Or):
            return _joined(map(self.match, expression.parts), " OR ")
        return self._all(expression.parts) if isinstance(expression, And) else None

    def _all(self, parts: Iterable[Expression]) -> str | None:
        """FTS5 can only exclude from what something else found."""
        parts = list(parts)
        found = _joined((self.match(part) for part in parts if not isinstance(part, Not)), " AND ")
        without = [self.match(part.part) for part in parts if isinstance(part, Not)]
        if found is None or not without:
            return found
        excluded = _joined(without, " OR ")
        return None if excluded is None else f"({found} NOT {excluded})"

    def ids(self, text: str) -> list[str]:
        """Return the columns in which the text is the id of some record; SQL for where it may be, without a column."""
        if text not in self._known_ids:
            known = [
                column
                for column in self._id_columns
                if self._connection.execute(f"SELECT 1 FROM records WHERE {column} = ? LIMIT 1", (text,)).fetchone()
            ]
            if self._trace is not None and _TRACE.fullmatch(text):
                known.append(self._trace)
            self._known_ids[text] = known
        return self._known_ids[text]

    def finds_few(self, match: str) -> bool:
        """Whether the index finds fewer than `MANY` rows."""
        count = "SELECT COUNT(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
        found: int = self._connection.execute(count, (match, MANY)).fetchone()[0]
        return found < MANY

    def condition(self, match: str) -> tuple[str, tuple[Any, ...]]:
        """Return SQL for "the index finds this row": all that it finds at once, or row by row when that is too much."""
        if self.walking and not self.finds_few(match):
            return "EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND words.rowid = records.rowid)", (match,)
        return "records.rowid IN (SELECT rowid FROM words WHERE words MATCH ?)", (match,)


def _joined(parts: Iterable[str | None], operator: str) -> str | None:
    known = []
    for part in parts:
        if part is None:
            return None
        known.append(part)
    return f"({operator.join(known)})" if known else None
