"""How the records of one file that match a question are found. SQLite has no figures to decide by, so it is done here.

The first way that can be gone: by an id that has an index; by words that few records have; zone by zone when many
have them (see _sqlite_rollup); along time or along an app's time, in those minutes only in which a table of counts
knows of any.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from shipper.search.expression import And, Between, Equals, Everything, Expression, Not, Or, Words
from shipper.search.expression_of import whole
from shipper.search.query import Query
from shipper.stores._sqlite_rollup_read import Known, known
from shipper.stores._sqlite_where import Compiler, Condition
from shipper.stores._sqlite_words import is_about_message

_RARE: Final = ("http.request.id", "trace.id")
_TIME: Final = "@timestamp"
_APP: Final = "service.name"


@dataclass(slots=True)
class Plan:
    """A question taken apart for one file: nanoseconds, start included and end not; `None` is no bound."""

    start: int | None
    end: int | None
    #: What is left when times are taken out; all must match.
    parts: list[Expression]
    #: What the index of words is asked; None when nothing.
    match: str | None = None
    #: Whether few rows are expected, which are fetched and then sorted.
    few: bool = False

    @property
    def hint(self) -> Known | None:
        """What knows more of where to look than the index of an app does; None when nothing does."""
        found = known(part for part in self.parts if not (isinstance(part, Equals) and part.field == _APP))
        return found if found.parts else None

    @property
    def app(self) -> str | None:
        """The one app that is asked for; its index is in the order of time."""
        for part in self.parts:
            if isinstance(part, Equals) and part.field == _APP:
                return str(part.value)
        return None


def plan(query: Query, compiler: Compiler) -> Plan:
    """Take a question apart."""
    start, end = None, None
    parts = []
    for part in _conjunction(whole(query)):
        if isinstance(part, Between) and part.field == _TIME:
            start = max((bound for bound in (start, part.low) if bound is not None), default=None)
            end = min((bound for bound in (end, part.high) if bound is not None), default=None)
        else:
            parts.append(part)
    found = Plan(start, end, parts)
    found.few = any(_is_rare(part, compiler) for part in parts)
    if found.few:
        return found
    wordy = [part for part in parts if is_about_message(part)]
    found.match = compiler.words.match(And(tuple(wordy))) if wordy else None
    if found.match is None:  # an exclusion alone, or a word that is also an id
        wordy = [part for part in wordy if not isinstance(part, Not) and compiler.words.match(part) is not None]
        found.match = compiler.words.match(And(tuple(wordy))) if wordy else None
    if found.match is not None:
        found.parts = [part for part in parts if part not in wordy]
        found.few = compiler.words.finds_few(found.match)
    return found


def _conjunction(expression: Expression) -> Iterator[Expression]:
    if isinstance(expression, And):
        for part in expression.parts:
            yield from _conjunction(part)
    elif not isinstance(expression, Everything):
        yield expression


def _is_rare(part: Expression, compiler: Compiler) -> bool:
    """Whether an index finds the few records that can match."""
    if isinstance(part, Equals):
        return part.field in _RARE and part.field in compiler.columns
    if isinstance(part, Words):
        return part.field is None and bool(compiler.words.ids(part.text))
    return isinstance(part, Or) and bool(part.parts) and all(_is_rare(one, compiler) for one in part.parts)


def rare_rows(parts: Iterable[Expression], compiler: Compiler) -> Condition:
    """Return the rows that the index of an id finds, for the first part that is rare."""
    part = next(part for part in parts if _is_rare(part, compiler))
    selects, values = zip(*_selects(part, compiler), strict=True)
    union = " UNION ".join(selects)
    return Condition(f"records.rowid IN ({union})", tuple(value for some in values for value in some))


def _selects(part: Expression, compiler: Compiler) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if isinstance(part, Or):
        for one in part.parts:
            yield from _selects(one, compiler)
    elif isinstance(part, Equals):
        yield f"SELECT rowid FROM records WHERE {compiler.columns[part.field]} = ?", (str(part.value),)
    elif isinstance(part, Words):
        yield "SELECT rowid FROM words WHERE words MATCH ?", (compiler.words.phrase(part.words),)
        for column in compiler.words.ids(part.text):
            yield f"SELECT rowid FROM records WHERE {column} = ?", (part.text,)
