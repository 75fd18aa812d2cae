"""Expressions as text: KQL as Kibana 8 and 9 read it, and as `kql.parse` reads it back to the same expression.

One thing Kibana does not know: `?`, which stands for itself there and so finds less than here.
"""

import re
from collections.abc import Callable
from typing import Final

from shipper.search._kql_times import shown
from shipper.search.expression import And, Between, Equals, Expression, Like, Not, Or, Present, Words
from shipper.search.names import kind_of
from shipper.search.normal import normalise

_BARE: Final = re.compile(r"(?!(?:and|or|not)\Z)[A-Za-z0-9_]+", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z_@][A-Za-z0-9_.@-]*(?<![-.])")
_SIGN: Final = re.compile(r"\\.|.", re.DOTALL)
_SPACES: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
#: In a pattern these need no escape, and KQL escapes those with a backslash.
_PLAIN: Final = "_./,=@#%&;'$-"
_SPECIAL: Final = '\\():<>"*{}'


def write(expression: Expression) -> str:
    """Return an expression as KQL; "*" for everything."""
    return _any(normalise(expression))


def _any(expression: Expression) -> str:
    if not isinstance(expression, Or):
        return _all(expression)
    listed = _list(expression)
    return listed if listed is not None else " or ".join(map(_all, expression.parts))


def _all(expression: Expression) -> str:
    if not isinstance(expression, And):
        return _one(expression)
    return " and ".join(map(_one, expression.parts))


def _one(expression: Expression) -> str:
    if isinstance(expression, Between):
        return _between(expression)
    if isinstance(expression, And | Or):
        listed = _list(expression) if isinstance(expression, Or) else None
        return listed if listed is not None else f"({_any(expression)})"
    if isinstance(expression, Not):
        inner = _one(expression.part)
        return f"not ({inner})" if isinstance(expression.part, Between) else f"not {inner}"
    return _leaf(expression)


def _list(expression: Or) -> str | None:
    """Return `field: (a or b)` when all parts are values of one field."""
    first = expression.parts[0]
    if not isinstance(first, Equals):
        return None
    found = []
    for part in expression.parts:
        if not isinstance(part, Equals) or part.field != first.field:
            return None
        found.append(_value(part.value))
    return f"{_name(first.field)}: ({' or '.join(found)})"


def _leaf(expression: Expression) -> str:
    match expression:
        case Words(_, text, field):
            written = text if _BARE.fullmatch(text) else _quoted(text)
            return written if field is None else f"{_name(field)}: {written}"
        case Like(pattern, field):
            written = _pattern(pattern)
            return written if field is None else f"{_name(field)}: {written}"
        case Equals(field, value):
            return f"{_name(field)}: {_value(value)}"
        case Present(field):
            return f"{_name(field)}: *"
    return "*"


def _between(expression: Between) -> str:
    name = _name(expression.field)
    told: Callable[[int], str] = str if kind_of(expression.field) == "long" else lambda at: f'"{shown(at)}"'
    bounds = []
    if expression.low is not None:
        bounds.append(f"{name} >= {told(expression.low)}")
    if expression.high is not None:
        bounds.append(f"{name} < {told(expression.high)}")
    return " and ".join(bounds)


def _name(field: str) -> str:
    return field if _NAME.fullmatch(field) else _quoted(field)


def _value(value: str | int) -> str:
    # A negative number in a list would be read as what it must not be.
    return str(value) if isinstance(value, int) and value >= 0 else _quoted(str(value))


def _quoted(text: str) -> str:
    return '"' + "".join(_SPACES.get(char) or (f"\\{char}" if char in '"\\' else _code(char)) for char in text) + '"'


def _code(char: str) -> str:
    """Return a character, a control character by its code."""
    return f"\\u{ord(char):04x}" if char < " " or "\x7f" <= char < "\xa0" else char


def _pattern(pattern: str) -> str:
    signs = _SIGN.findall(pattern)
    written = [one if one in ("*", "?") else _escaped(one[-1]) for one in signs]
    if len(written) > 2 and written[0] == written[-1] == "/":
        written[-1] = "\\u002f"  # or it would look like a regular expression
    return "".join(written)


def _escaped(char: str) -> str:
    if char in _SPECIAL:
        return f"\\{char}"
    if char in _PLAIN or char.isalnum() or (char > "\xa0" and not char.isspace()):
        return char
    return _SPACES.get(char) or f"\\u{ord(char):04x}"
