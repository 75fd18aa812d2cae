"""One form for expressions that mean the same: what `kql.parse` returns and what `kql.write` writes."""

import re
from collections.abc import Iterable
from typing import Final

from shipper.search.expression import And, Between, Equals, Everything, Expression, Like, Not, Or, Present
from shipper.search.names import kind_of

#: A wildcard, an escaped character, or characters that stand for themselves.
_SIGN: Final = re.compile(r"\\.|[*?]|[^*?\\]+|\\", re.DOTALL)
#: Matches no record.
NOTHING: Final = Not(Everything())


def all_of(parts: Iterable[Expression]) -> Expression:
    """Return what matches when all parts do.

    A lower and an upper bound of one field that stand side by side are one range: for a field with several values,
    one of them must be within both, as people mean it.
    """
    found: list[Expression] = []
    for part in parts:
        for inner in part.parts if isinstance(part, And) else (part,):
            if isinstance(inner, Everything):
                continue
            merged = _range(found[-1], inner) if found else None
            if merged is None:
                found.append(inner)
            else:
                found[-1] = merged
    return Everything() if not found else found[0] if len(found) == 1 else And(tuple(found))


def _range(first: Expression, second: Expression) -> Expression | None:
    if not (isinstance(first, Between) and isinstance(second, Between)) or first.field != second.field:
        return None
    return Between(first.field, first.low, second.high) if first.high is None and second.low is None else None


def any_of(parts: Iterable[Expression]) -> Expression:
    """Return what matches when one part does."""
    found: list[Expression] = []
    for part in parts:
        found += part.parts if isinstance(part, Or) else (part,)
    return NOTHING if not found else found[0] if len(found) == 1 else Or(tuple(found))


def negated(part: Expression) -> Expression:
    """Return what matches when a part does not."""
    return part.part if isinstance(part, Not) else Not(part)


def between(field: str, low: int | None, high: int | None) -> Expression:
    """Return a range, or that there is a value when it has no bound."""
    return Present(field) if low is None and high is None else Between(field, low, high)


def like(pattern: str, field: str | None) -> Expression:
    """Return a pattern; one of a whole value that has no wildcard is that value, and `*` any value."""
    signs: list[str] = []
    for sign in _SIGN.findall(pattern):
        if sign != "*" or signs[-1:] != ["*"]:
            signs.append(sign)
    if field is not None and kind_of(field) != "text":
        if signs == ["*"]:
            return Present(field)
        if "*" not in signs and "?" not in signs:
            return Equals(field, "".join(plain(sign) for sign in signs))
    return Like("".join(signs), field)


def plain(sign: str) -> str:
    """Return the characters that a sign of a pattern stands for, when it is no wildcard."""
    return sign[1:] if len(sign) == 2 and sign[0] == "\\" else sign


def normalise(expression: Expression) -> Expression:
    """Return the one form of an expression."""
    match expression:
        case And(parts):
            return all_of(map(normalise, parts))
        case Or(parts):
            return any_of(map(normalise, parts))
        case Not(part):
            return negated(normalise(part))
        case Between(field, low, high):
            return between(field, low, high)
        case Like(pattern, field):
            return like(pattern, field)
    return expression
