"""What a live tail may be asked: the filters of a search, where to go on, and how many records to begin with."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shipper.api.question import PARAMETERS, Question, question
from shipper.errors import QueryError
from shipper.search.query import Query

#: Parameters of a search that a tail does not have: it begins now, and has no pages.
_NOT_OURS: Final = ("start", "end", "order", "limit", "cursor")
FILTERS: Final = tuple(name for name in PARAMETERS if name not in _NOT_OURS)
MOST_BACK: Final = 1000
_ID: Final = re.compile(r"(\d{1,19})(?::[^\x00-\x1f\x7f]{0,256})?", re.ASCII)
_OWN: Final = ("back", "last_event_id")


@dataclass(frozen=True, slots=True)
class Asked:
    """A tail as it was asked for."""

    query: Query
    #: Records from before that come first.
    back: int
    #: Mark that the reader has seen everything before; None for a new tail.
    since: int | None


def read(parameters: Sequence[tuple[str, str]], last_event_id: str | None, now: int) -> Asked:
    """Read the parameters of a link, and the header with which a browser goes on; QueryError says what is wrong."""
    given: dict[str, Any] = {}
    for name, value in parameters:
        if name not in (*FILTERS, *_OWN):
            raise QueryError(f"{name!r:.80}: no such parameter; known: {', '.join((*FILTERS, *_OWN))}")
        if name == "level":
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    resume = last_event_id or given.get("last_event_id")
    asked = question({name: value for name, value in given.items() if name in FILTERS})
    return Asked(asked.query(now), _back(given.get("back")), _since(resume) if resume else None)


def _back(text: str | None) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or int(text) > MOST_BACK:
        raise QueryError(f"back: a number from 0 to {MOST_BACK}")
    return int(text)


def _since(text: str) -> int:
    found = _ID.fullmatch(text)
    if found is None:
        raise QueryError("last_event_id: not one of ours; start again without it")
    return int(found[1])


def openapi() -> dict[str, Any]:
    """Return the parameters as OpenAPI has them."""
    schema = Question.model_json_schema()["properties"]
    own: dict[str, Any] = {
        "back": {"type": "integer", "minimum": 0, "maximum": MOST_BACK, "default": 0,
                 "description": "records from before that come first"},
        "last_event_id": {"type": "string", "maxLength": 300,
                          "description": "id of the last event that was seen: all since then comes first"},
    }  # fmt: skip
    parameters = {name: schema[name] for name in FILTERS} | own
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": part, "description": part.get("description", "")}
            for name, part in parameters.items()
        ]
    }
