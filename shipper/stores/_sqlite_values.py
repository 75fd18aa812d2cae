"""The values of a field that is counted, as SQL that groups them and as what a group means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shipper.errors import QueryError
from shipper.search.names import kind_of
from shipper.stores._sqlite_json import key_path, path
from shipper.stores._sqlite_where import Compiler, Condition, is_indexed

_COUNTED: Final = ("keyword", "long", "ip", "key")
_DIGITS: Final = re.compile(r"-?[0-9]{1,20}")
_NUMBERS: Final = {"event.sequence": "sequence"}

Value = str | int


@dataclass(frozen=True, slots=True)
class Grouped:
    """What records are grouped by: the JSON type of the value, and the value; lists are taken apart afterwards."""

    type: Condition
    value: Condition
    is_number: bool = False

    def values(self, type: str | None, value: Any) -> frozenset[Value]:
        """Return the values of a group of records; none for one without."""
        if type in ("array", "true", "false"):
            value = orjson.loads(value) if type == "array" else type
        elif type in (None, "null", "object"):
            return frozenset()
        read = _number if self.is_number else _text
        return frozenset(found for one in _each(value) if (found := read(one)) is not None)


NOTHING: Final = Grouped(Condition("NULL"), Condition("NULL"))


def checked(field: str | None) -> None:
    """QueryError for a field whose values cannot be counted."""
    if field is not None and kind_of(field) not in _COUNTED:
        raise QueryError(f"{field}: its values cannot be counted")


def grouped(field: str | None, compiler: Compiler) -> Grouped:
    """Return how records are grouped by a field; QueryError for a key that SQL cannot name."""
    if field is None:
        return NOTHING
    kind = kind_of(field)
    column = compiler.columns.get(field) or _NUMBERS.get(field)
    if column is not None:
        return Grouped(Condition(f"CASE WHEN {column} IS NOT NULL THEN 'text' END"), Condition(column), kind == "long")
    where = key_path(field) if kind == "key" else path(field)
    if where is None:
        raise QueryError(f"{field}: values of a key with dots or quotes in it cannot be counted here")
    type, value = (Condition(f"{name}(document, ?)", (where,)) for name in ("json_type", "json_extract"))
    return Grouped(type, value, kind == "long")


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _each(one)
    elif not isinstance(value, dict | None):
        yield value


def _text(value: Any) -> str | None:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if is_indexed(text) else None


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or (isinstance(value, str) and _DIGITS.fullmatch(value) is None):
        return None
    number = int(value)
    return number if -(2**63) <= number < 2**63 else None
