"""Expressions as functions that look at one stored record: the filter of the live tail, and of what no index knows.

They mean what Elasticsearch means with our field types. Compiled once and called for every record, so each tries what
is cheap first: a value as it mostly is, a piece of text before words are cut. Words of a message are cut at most once
however many functions ask for them one after the other.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from shipper.search import _match_values as values
from shipper.search import names
from shipper.search.expression import And, Between, Equals, Everything, Expression, Like, Not, Or, Present, Words
from shipper.search.words import lower, words

Match = Callable[[Mapping[str, Any]], bool]

_MESSAGE: Final = "message"
_IDS: Final = ("http.request.id", "trace.id")
_SIGN: Final = re.compile(r"\\.|.", re.DOTALL)


def matcher(expression: Expression) -> Match:
    """Return the function that says whether a stored record (flat, dotted names) matches."""
    return _compiled(expression)[1]


def _compiled(expression: Expression) -> tuple[int, Match]:
    """Return the function, and what it costs in comparison: cheap ones are asked first."""
    match expression:
        case And(parts):
            return _several(parts, stop=False)
        case Or(parts):
            return _several(parts, stop=True)
        case Not(part):
            cost, matches = _compiled(part)
            return cost, lambda record: not matches(record)
        case Words():
            return 20, _words(expression)
        case Like():
            return 30, _like(expression)
        case Equals():
            return 1, _equals(expression)
        case Between():
            return 5, _between(expression)
        case Present(field):
            return 2, _present(field)
        case Everything():
            return 0, lambda _: True
    raise TypeError(expression)


def _several(parts: tuple[Expression, ...], *, stop: bool) -> tuple[int, Match]:
    """Ask one after the other until one says `stop`."""
    if stop and (field := _one_field(parts)) is not None:
        return 2, _one_of(field, frozenset(part.value for part in parts if isinstance(part, Equals)))
    compiled = sorted(map(_compiled, parts), key=lambda pair: pair[0])
    functions = tuple(function for _, function in compiled)

    def several(record: Mapping[str, Any]) -> bool:
        for function in functions:
            if function(record) is stop:
                return stop
        return not stop

    return sum(cost for cost, _ in compiled), several


def _one_field(parts: tuple[Expression, ...]) -> str | None:
    """Return the keyword field of which all parts are values."""
    fields = {part.field if isinstance(part, Equals) else "" for part in parts}
    field = fields.pop() if len(fields) == 1 else ""
    return field if names.kind_of(field) == "keyword" else None


def _equals(expression: Equals) -> Match:
    field, value = expression.field, expression.value
    kind = names.kind_of(field)
    if kind == "keyword":
        return _one_of(field, frozenset((value,)))
    read = values.reading(field)
    if kind == "ip":
        network = values.network(str(value))
        first, last = (1, 0) if network is None else network
        return lambda record: any(first <= found <= last for found in read(record))
    return lambda record: value in read(record)


def _one_of(field: str, wanted: frozenset[str | int]) -> Match:
    """One of the values of a keyword field; a value that is too long for the index equals nothing."""
    found = frozenset(str(value) for value in wanted if values.short(str(value)))
    read = values.reading(field)

    def one_of(record: Mapping[str, Any]) -> bool:
        value = record.get(field)
        if type(value) is str:
            return value in found
        return value is not None and not found.isdisjoint(read(record))

    return one_of


def _between(expression: Between) -> Match:
    read = values.reading(expression.field)
    low = float("-inf") if expression.low is None else expression.low
    high = float("inf") if expression.high is None else expression.high
    return lambda record: any(low <= found < high for found in read(record))


def _present(field: str) -> Match:
    if names.kind_of(field) == "flattened":
        return lambda record: values.any_below(record.get(field))
    read = values.reading(field)

    def present(record: Mapping[str, Any]) -> bool:
        return any(True for _ in read(record))

    return present


class _Cut:
    """A text, in lower case and cut into words: each done once, when it is needed."""

    __slots__ = ("_lowered", "_words", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._lowered: str | None = None
        self._words: list[str] | None = None

    def has_piece(self, piece: str) -> bool:
        """Whether the piece of a word is in the text at all: a quick no."""
        if self._lowered is None:
            self._lowered = lower(self.text)
        return piece in self._lowered

    @property
    def words(self) -> list[str]:
        """The words of the text."""
        if self._words is None:
            self._words = words(self.text)
        return self._words


class _Last:
    """The text that was looked at last: many functions look at the same record, one after the other."""

    cut = _Cut("")


def _cut(text: str) -> _Cut:
    last = _Last.cut
    if last.text is not text:
        last = _Last.cut = _Cut(text)
    return last


def _words(expression: Words) -> Match:
    phrase = list(expression.words)
    in_text = _in_text(
        expression.field or _MESSAGE, max(phrase, key=len, default=""), lambda said: _beside(said, phrase)
    )
    if expression.field is not None:
        return in_text
    by_id = [_one_of(field, frozenset((expression.text,))) for field in _IDS]
    request, trace = by_id
    return lambda record: in_text(record) or request(record) or trace(record)


def _in_text(field: str, piece: str, found: Callable[[list[str]], bool]) -> Match:
    """What a function finds in the words of a text field, all of which have a piece somewhere."""
    read = values.reading(field)

    def in_text(record: Mapping[str, Any]) -> bool:
        value = record.get(field)
        if type(value) is str:
            cut = _cut(value)
            return cut.has_piece(piece) and found(cut.words)
        return value is not None and any(found(words(text)) for text in read(record))

    return in_text


def _beside(said: list[str], phrase: list[str]) -> bool:
    """Whether the words of a phrase stand next to each other."""
    if len(phrase) == 1:
        return phrase[0] in said
    at, size = -1, len(phrase)
    try:
        while phrase:
            at = said.index(phrase[0], at + 1)
            if said[at : at + size] == phrase:
                return True
    except ValueError:
        pass
    return False


def _like(expression: Like) -> Match:
    field = expression.field or _MESSAGE
    covers = _regex(expression.pattern).fullmatch
    if names.kind_of(field) == "text":
        piece = max(re.split(r"[*?]", expression.pattern), key=len)
        return _in_text(field, piece, lambda said: any(map(covers, said)))
    read = values.reading(field)
    return lambda record: any(map(covers, read(record)))


def _regex(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression that takes no more than length x wildcards steps.

    What stands between two stars is taken where it comes first, for good: no later place can match more.
    """
    pieces = [""]
    for sign in _SIGN.findall(pattern):
        if sign == "*":
            pieces.append("")
        else:
            pieces[-1] += "." if sign == "?" else re.escape(sign[-1])
    first, *rest = pieces
    if not rest:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1] if piece)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)
