"""What a question says about a record, as one small tree: values only, made by `search.kql`, compiled by the stores.

What every part means is said here once, so that all stores and the live tail give the same answer. Fields are full
names of `record.fields` or keys below a flattened one (`labels.cart`). A field with several values matches when one
of them does; text longer than 1,024 characters is in no keyword index and matches nothing but `Present`'s opposite.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from shipper.search.query import Phrase

__all__ = ["And", "Between", "Equals", "Everything", "Expression", "Like", "Not", "Or", "Present", "Words", "both"]


@dataclass(frozen=True, slots=True)
class Everything:
    """Matches every record."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words that stand next to each other in a text field, as `search.words` cuts them.

    Without a field: in `message`, or `text` is exactly the record's http.request.id or trace.id.
    """

    words: Phrase
    text: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Like:
    r"""A pattern: `*` any characters, also none; `?` one; a backslash makes the next character plain.

    In a keyword field it covers the whole value, capitals matter. In a text field, and without a field in `message`,
    it covers one whole word, in lower case.
    """

    pattern: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Equals:
    """Exactly this value of a keyword (text), long (number) or ip field (address or CIDR), or below a flattened one."""

    field: str
    value: str | int


@dataclass(frozen=True, slots=True)
class Between:
    """low <= value < high, of a long field or a time (nanoseconds since 1970); None is no bound."""

    field: str
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Present:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not match; so also a record without the field."""

    part: "Expression"


@dataclass(frozen=True, slots=True)
class And:
    """All parts match."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part matches; none does when there are no parts."""

    parts: tuple["Expression", ...]


#: One node of the tree.
Expression: TypeAlias = Everything | Words | Like | Equals | Between | Present | Not | And | Or


def both(parts: Iterable[Expression | None]) -> Expression | None:
    """Return what matches when all of these do, in as few nodes as possible; None for no condition at all."""
    found: list[Expression] = []
    for part in parts:
        if isinstance(part, And):
            found += part.parts
        elif part is not None and not isinstance(part, Everything):
            found.append(part)
    return None if not found else found[0] if len(found) == 1 else And(tuple(found))
