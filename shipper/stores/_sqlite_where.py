"""What a question says about a record, as SQL conditions on the table `records`.

A condition is TRUE exactly when the record matches; otherwise it is FALSE or NULL, and `Not` asks with IS NOT TRUE.
Which index is used is decided by who puts conditions into a statement, see _sqlite_plan. What SQL cannot say is asked
of `search.matching`, by a function of the connection, and only of those records that hold the name of the field.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shipper.record.fields import BY_NAME
from shipper.search.expression import And, Between, Equals, Everything, Expression, Like, Not, Or, Present, Words
from shipper.search.matching import matcher
from shipper.stores._agreement import LONGEST_KEYWORD
from shipper.stores._sqlite_globs import glob, literal_start
from shipper.stores._sqlite_json import key_path, path
from shipper.stores._sqlite_tables import FIRST_VERSION, version_of
from shipper.stores._sqlite_words import WordIndex, is_about_message

#: Fields that have a column of their own, and those since the second version of the tables.
_COLUMNS: Final = {
    "log.level": "level",
    "service.name": "app",
    "host.name": "host",
    "http.request.id": "request_id",
    "shipper.series": "series",
}
_LATER_COLUMNS: Final = {"trace.id": "trace_id", "orchestrator.resource.name": "resource"}
_NUMBERS: Final = {"event.sequence": "sequence", "@timestamp": "timestamp"}
_EQUAL: Final = "{value} = ?"
#: Characters that are no more than 1,024 UTF-16 units, whichever they are.
_SURELY_SHORT: Final = LONGEST_KEYWORD // 2
_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL and its values."""

    sql: str
    values: tuple[Any, ...] = ()


ALWAYS: Final = Condition("1")
NEVER: Final = Condition("0")


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Return the condition that all of these are TRUE."""
    return _joined(conditions, " AND ", ALWAYS)


def _joined(conditions: Iterable[Condition], operator: str, of_none: Condition) -> Condition:
    known = list(conditions)
    values = tuple(value for condition in known for value in condition.values)
    return Condition(f"({operator.join(part.sql for part in known)})", values) if known else of_none


class Compiler:
    """Makes conditions for one open file."""

    def __init__(self, connection: sqlite3.Connection, key_prefix: str = "") -> None:
        """Compare for equality what has the column's name behind a prefix: where no value is not NULL there."""
        self._connection = connection
        self._key_prefix = key_prefix
        self._functions = 0
        is_old = version_of(connection) <= FIRST_VERSION
        self.columns: Mapping[str, str] = _COLUMNS if is_old else _COLUMNS | _LATER_COLUMNS
        self.words = WordIndex(connection, self.columns)

    def condition(self, expression: Expression) -> Condition:
        """Return what a record must be to match."""
        match = self.words.match(expression) if is_about_message(expression) else None
        if match is not None:
            return Condition(*self.words.condition(match))
        return self._by_type[type(expression)](self, expression)

    def _not(self, part: Not) -> Condition:
        found = self.condition(part.part)
        return Condition(f"({found.sql}) IS NOT TRUE", found.values)

    def _and(self, both: And) -> Condition:
        return all_of(map(self.condition, both.parts))

    def _or(self, either: Or) -> Condition:
        return _joined(map(self.condition, either.parts), " OR ", NEVER)

    def _words(self, asked: Words) -> Condition:
        if asked.field not in (None, "message"):
            return self._rest(asked, asked.field)
        match = self.words.phrase(asked.words)
        sql, values = self.words.condition(match)
        if asked.field is None:
            for column in self.words.ids(asked.text):
                sql, values = f"({sql} OR {column} = ?)", (*values, asked.text)
        return Condition(sql, values)

    def _like(self, asked: Like) -> Condition:
        kind = BY_NAME[asked.field].kind if asked.field in BY_NAME else "text" if asked.field is None else "key"
        if kind == "text":
            start = literal_start(asked.pattern)
            if asked.field not in (None, "message") or not self.words.is_word(start):
                return self._rest(asked, asked.field)
            near = Condition(*self.words.condition(self.words.beginning(start)))
            rest = self._rest(asked, None)
            return Condition(f"({near.sql} AND {rest.sql})", (*near.values, *rest.values))
        return self._keyword(asked, asked.field or "", "{value} GLOB ?", glob(asked.pattern))

    def _equals(self, asked: Equals) -> Condition:
        kind = BY_NAME[asked.field].kind if asked.field in BY_NAME else "key"
        if kind == "long":
            number = asked.value
            return self._number(asked, asked.field, number, number) if isinstance(number, int) else NEVER
        if kind not in ("keyword", "key"):
            return self._rest(asked, asked.field)
        return self._keyword(asked, asked.field, _EQUAL, str(asked.value))

    def _keyword(self, asked: Expression, field: str, test: str, *values: str) -> Condition:
        """Return a test of a keyword: of its column, of its text in the document, else by Python (lists, numbers).

        A text that is too long for an index passes no test: Python measures those that may be.
        """
        if not all(map(is_indexed, values)):
            return NEVER
        column = self.columns.get(field)
        if column is not None:
            if test == _EQUAL:
                return Condition(test.format(value=f"{self._key_prefix}{column}"), values)
            return Condition(f"({test.format(value=column)} AND length({column}) <= {LONGEST_KEYWORD})", values)
        rest = self._rest(asked, field)
        where = path(field) if field in BY_NAME else key_path(field)
        if where is None:
            return rest
        text = "json_extract(document, ?)"
        short = f"length({text}) <= {_SURELY_SHORT}"
        sql = (
            f"CASE WHEN json_type(document, ?) = 'text' AND {short} THEN {test.format(value=text)} ELSE {rest.sql} END"
        )
        return Condition(sql, (where, where, where, *values, *rest.values))

    def _between(self, asked: Between) -> Condition:
        if asked.field in _NUMBERS or BY_NAME[asked.field].kind == "long":
            high = None if asked.high is None else asked.high - 1
            return self._number(asked, asked.field, asked.low, high)
        return self._rest(asked, asked.field)

    def _number(self, asked: Expression, field: str, low: int | None, high: int | None) -> Condition:
        """Return the test of low <= number <= high; Python looks at what is no plain number."""
        if (low is not None and low > _MOST) or (high is not None and high < _LEAST):
            return NEVER
        bounds = (_LEAST if low is None else max(low, _LEAST), _MOST if high is None else min(high, _MOST))
        column = _NUMBERS.get(field)
        if column is not None:
            return Condition(f"{column} BETWEEN ? AND ?", bounds)
        where, rest = path(field), self._rest(asked, field)
        sql = (
            "CASE typeof(json_extract(document, ?)) WHEN 'integer' THEN json_extract(document, ?) BETWEEN ? AND ?"
            f" WHEN 'null' THEN 0 ELSE {rest.sql} END"
        )
        return Condition(sql, (where, where, *bounds, *rest.values))

    def _present(self, asked: Present) -> Condition:
        kind = BY_NAME[asked.field].kind if asked.field in BY_NAME else "key"
        if asked.field in _NUMBERS:
            return ALWAYS
        if kind == "keyword":
            return self._keyword(asked, asked.field, "{value} IS NOT NULL")
        return self._rest(asked, asked.field)

    def _rest(self, asked: Expression, field: str | None) -> Condition:
        """Ask Python, about those documents in which the field's name, or the last part of a key, is a name at all."""
        name = f"rest{self._functions}"
        self._functions += 1
        self._connection.create_function(name, 1, _of_document(matcher(asked)), deterministic=True)
        if field is None:
            return Condition(f"{name}(document)")
        name_in_document = orjson.dumps(field) if field in BY_NAME else orjson.dumps(field.rsplit(".", 1)[-1])[1:]
        return Condition(f"(instr(document, ?) AND {name}(document))", (name_in_document + b":",))

    _by_type: Final[Mapping[type, Callable[["Compiler", Any], Condition]]] = {
        Everything: lambda _, __: ALWAYS,
        Words: _words,
        Like: _like,
        Equals: _equals,
        Between: _between,
        Present: _present,
        Not: _not,
        And: _and,
        Or: _or,
    }


def is_indexed(text: str) -> bool:
    """Whether a keyword can have this value: not one that is too long, nor half of a surrogate pair."""
    try:
        return len(text.encode("utf-16-le")) // 2 <= LONGEST_KEYWORD
    except UnicodeEncodeError:
        return False


def _of_document(matches: Callable[[Mapping[str, Any]], bool]) -> Callable[[bytes], bool]:
    def ask(document: bytes) -> bool:
        return matches(orjson.loads(document))

    return ask
