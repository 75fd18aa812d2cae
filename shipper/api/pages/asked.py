"""The question of a page: its parameters, the form that is filled with them, and links that change one of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shipper.api.errors import status_of
from shipper.api.question import Question, question
from shipper.errors import QueryError, ShipperError
from shipper.search.expression import And, Expression, Or, Words
from shipper.search.query import Phrase, Query

#: Time ranges offered as links.
RANGES = ("15m", "1h", "6h", "24h", "7d")
#: What a form shows of one parameter at most; the language allows 2,000 characters.
_LONGEST_SHOWN = 2000
_MOST_MARKED = 32
_LATEST = 2**63 - 2
#: What a chip calls a parameter.
_CHIPS = {
    "text": "words", "app": "app", "host": "host", "level": "level", "min_level": "at least", "request_id": "request",
    "start": "from", "end": "to",
}  # fmt: skip

Parameters = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a question was not answered, and where in what was typed that is."""

    message: str
    #: Whether it may work later.
    busy: bool
    before: str = ""
    at: str = ""
    after: str = ""

    @classmethod
    def of(cls, error: ShipperError, typed: Parameters) -> Self:
        """Return an error with its place in the text."""
        busy = status_of(error) == 503
        position = error.position if isinstance(error, QueryError) else None
        text = str(typed.get("text" if str(error).startswith("text:") else "query", ""))
        if position is None or not 0 <= position <= len(text) <= _LONGEST_SHOWN:
            return cls(str(error), busy)
        return cls(str(error), busy, text[:position], text[position : position + 1] or " ", text[position + 1 :])


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in a page's address."""

    path: str
    values: Parameters

    @classmethod
    def of(cls, request: Request) -> Self:
        """Read the parameters of a page."""
        given = request.query_params.multi_items()
        values: Parameters = dict(given)
        if "level" in values:
            values["level"] = [value for name, value in given if name == "level"]
        return cls(request.url.path, values)

    @property
    def form(self) -> dict[str, str]:
        """What the form shows, for every parameter."""
        return {name: str(self.values.get(name, ""))[:_LONGEST_SHOWN] for name in names()}

    def question(self) -> Question:
        """Return the question; QueryError says what is wrong with it."""
        return question(self.values)

    def chips(self, asked: Question) -> list[tuple[str, str, str]]:
        """Parameters beside the language, as (name, value, link without it)."""
        found = []
        for name, value in parameters(asked).items():
            if name == "level":
                found += [("level", one, self.url(asked, level=[x for x in value if x != one])) for one in value]
            elif name in _CHIPS and not (name == "start" and _is_range(asked)):
                found.append((_CHIPS[name], str(value), self.without(asked, name)))
        return found

    def ranges(self, asked: Question | None) -> list[tuple[str, str, bool]]:
        """Time ranges as (name, link, whether it is the one chosen)."""
        asked = asked or Question()
        chosen = asked.start if asked.end is None else ""
        links = [(name, self.url(asked, start=name, end=None), chosen == name) for name in RANGES]
        return [*links, ("all", self.url(asked, start=None, end=None), chosen is None)]

    def without(self, asked: Question, name: str) -> str:
        """Return the link to this page with one parameter left out."""
        return self.url(asked, **{name: None})

    def url(self, asked: Question, **changes: object) -> str:
        """Return the link to this page with another question; its first page of records."""
        return link(self.path, asked, **{"cursor": None, **changes})


def _is_range(asked: Question) -> bool:
    return asked.end is None and asked.start in RANGES


def names() -> list[str]:
    """Names of all parameters, as they stand in an address."""
    return [field.alias or name for name, field in Question.model_fields.items()]


def parameters(asked: Question) -> Parameters:
    """Return the parameters of a question that are given."""
    return asked.model_dump(exclude_defaults=True, by_alias=True)


def link(path: str, asked: Question, **changes: object) -> str:
    """Return an address with a question, some of its parameters changed (None leaves one out)."""
    kept = {name: value for name, value in (parameters(asked) | changes).items() if value not in (None, [], "")}
    return f"{path}?{urlencode(kept, doseq=True, errors='replace')}" if kept else path


def without_empty(request: Request) -> Response | None:
    """Send a form that names its empty fields to the address without them; None when there are none."""
    given = request.query_params.multi_items()
    kept = [(name, value) for name, value in given if value != ""]
    if len(kept) == len(given):
        return None
    path = request.url.path
    return RedirectResponse(f"{path}?{urlencode(kept)}" if kept else path, 303)


def moment_of(text: str) -> int:
    """Return the time of a record as its link has it, in nanoseconds since 1970; QueryError when it is none."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > _LATEST:
        raise QueryError("at: a record's link has its time, in nanoseconds since 1970")
    return int(text)


def marked(query: Query) -> tuple[Phrase, ...]:
    """Return the words of a question that are marked in messages."""
    return (*query.phrases, *islice(_words(query.where), _MOST_MARKED))


def _words(node: Expression | None) -> Iterator[Phrase]:
    if isinstance(node, Words) and node.field in (None, "message"):
        yield node.words
    elif isinstance(node, And | Or):
        for part in node.parts:
            yield from _words(part)
