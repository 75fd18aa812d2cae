"""What a value means for a field: by the field's kind, an equality, a pattern, a range, or an error that says why."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from shipper.errors import QueryError
from shipper.record.levels import LEVELS, normalise
from shipper.search import _kql_times as times
from shipper.search import _kql_words, names
from shipper.search._kql_scan import MOST_WILDCARDS, FieldName, Literal
from shipper.search.expression import Equals, Everything, Expression, Present
from shipper.search.normal import NOTHING, all_of, any_of, between, like

_NUMBER: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_LEAST, _MOST = -(2**63), 2**63 - 1
#: What a keyboard, a chat or a word processor makes of quotes.
_OTHER_QUOTES: Final = ("'", "`", "\u201c", "\u201d", "\u201e", "\u2018", "\u2019", "\u201a", "\u00ab", "\u00bb")
_ORDERED: Final = ("long", "date", "date_nanos")


@dataclass(frozen=True, slots=True)
class Asked:
    """A field as it was typed, with its full name and kind."""

    typed: str
    field: str
    kind: names.Kind
    start: int

    @property
    def ordered(self) -> bool:
        """Whether its values can be asked for by a range."""
        return self.kind in _ORDERED or self.field == names.LEVEL


def is_field(name: FieldName) -> bool:
    """Whether there is a field of that name."""
    return names.kind_of(names.full(name.name)) is not None


def field(name: FieldName) -> Asked:
    """Return the field of a name; QueryError with what may be meant when there is none."""
    full = names.full(name.name)
    kind = names.kind_of(full)
    shown = repr(name.name) if len(name.name) <= 80 else f"{name.name[:80]!r}…"
    if name.wild:
        raise QueryError(f"{shown}: the name of a field has no wildcards", name.start)
    if kind is None:
        raise QueryError(f"there is no field {shown}; {names.suggestion(name.name[:80])}", name.start)
    if kind == "unindexed":
        raise QueryError(f"{shown} is kept but cannot be searched; its words are in message", name.start)
    return Asked(name.name, full, kind, name.start)


def equals(asked: Asked, value: Literal, now: int) -> Expression:
    """Return what `field:value` asks."""
    if value.pattern == "*":
        return Present(asked.field)
    if asked.kind == "flattened":
        raise QueryError(f"{asked.field} has keys: write {asked.field}.KEY:{value.text[:40]}", value.start)
    if asked.ordered and value.wild and asked.field != names.LEVEL:
        raise QueryError(f"no wildcards in a {_called(asked)}: write a range, as {asked.typed} >= …", value.start)
    if asked.kind in _ORDERED:
        return _ordered_equals(asked, value, now)
    if asked.kind == "text":
        return all_of(_words(asked, value))
    if asked.kind == "ip":
        return _address(asked, value)
    return _keyword(asked, value)


def compare(asked: Asked, operator: str, value: Literal, now: int) -> Expression:
    """Return what `field >= value` asks."""
    first, after = _span(asked, value, now)
    low, high = {">=": (first, None), ">": (after, None), "<": (None, first), "<=": (None, after)}[operator]
    return _range(asked, low, high)


def inside(asked: Asked, low: Literal | None, high: Literal | None, closed: tuple[bool, bool], now: int) -> Expression:
    """Return what `field:[low TO high]` asks; None is no bound, `closed` whether a bound is part of it."""
    lows = None if low is None else _span(asked, low, now)[0 if closed[0] else 1]
    highs = None if high is None else _span(asked, high, now)[1 if closed[1] else 0]
    return _range(asked, lows, highs)


def _range(asked: Asked, low: int | None, high: int | None) -> Expression:
    if asked.field == names.LEVEL:
        return any_of(Equals(asked.field, level) for level in LEVELS[low:high])
    if asked.kind == "long":
        if (low is not None and low > _MOST) or (high is not None and high <= _LEAST):
            return NOTHING
        low = None if low is None or low <= _LEAST else low
        high = None if high is None or high > _MOST else high
    return between(asked.field, low, high)


def _span(asked: Asked, value: Literal, now: int) -> tuple[int, int]:
    """Return the first of what a value covers and the first behind it."""
    if not asked.ordered:
        what = "a range is for numbers, times and level"
        raise QueryError(f"{asked.typed} has no order: {what}; write {asked.typed}:{value.text[:40]}", value.start)
    if value.wild:
        raise QueryError("no wildcards in the bound of a range", value.start)
    if asked.field == names.LEVEL:
        rank = LEVELS.index(_level(value))
        return rank, rank + 1
    if asked.kind == "long":
        number = _number(asked, value)
        return number, number + 1
    return _time(value, now)


def _ordered_equals(asked: Asked, value: Literal, now: int) -> Expression:
    if asked.kind == "long":
        return Equals(asked.field, _number(asked, value))
    if times.is_moment(value.text):
        raise QueryError(f"this is one moment: write {asked.typed} >= {value.text}", value.start)
    return between(asked.field, *_time(value, now))


def _number(asked: Asked, value: Literal) -> int:
    if not _NUMBER.fullmatch(value.text):
        of = f"a range is {asked.typed} >= 500 or {asked.typed}:[500 TO 599]"
        raise QueryError(f"{asked.typed} is a whole number, not {value.text[:40]!r}; {of}", value.start)
    number = int(value.text)
    if not _LEAST <= number <= _MOST:
        raise QueryError(f"{asked.typed} is a number of at most {_MOST}", value.start)
    return number


def _time(value: Literal, now: int) -> tuple[int, int]:
    try:
        return times.span(value.text, now)
    except QueryError as error:
        raise QueryError(str(error), value.start) from None


def _level(value: Literal) -> str:
    found = normalise(value.text)
    if found is None:
        raise QueryError(f"there is no level {value.text[:40]!r}; known: {' '.join(LEVELS)}", value.start)
    return found


def _words(asked: Asked, value: Literal) -> list[Expression]:
    found = _kql_words.conditions(value, asked.field)
    if not found:
        raise QueryError("there is no word in it; a word is made of letters and digits", value.start)
    return found


def _address(asked: Asked, value: Literal) -> Expression:
    try:
        ipaddress.ip_network(value.text, strict=False)
    except ValueError:
        good = False
    else:
        good = "%" not in value.text
    if not good:
        raise QueryError(f"{asked.typed} is an address or a network: 10.1.2.3, 10.0.0.0/8, 2001:db8::/32", value.start)
    return Equals(asked.field, value.text)


def _keyword(asked: Asked, value: Literal) -> Expression:
    name, pattern, wild = asked.field, value.pattern, value.wild
    if value.text[:1] in _OTHER_QUOTES and not value.quoted and not wild:
        raise QueryError('quotes are written "…"; a quote that is meant as text is put in those', value.start)
    if asked.typed == "app" and value.text.startswith("/"):
        # A Marathon id; no id has a star, so one means any also in quotes: app:"/shop/*".
        name, wild = names.APP_ID, wild or "*" in value.text
        if value.quoted:
            pattern = pattern.replace(r"\*", "*")
            if pattern.count("*") > MOST_WILDCARDS:
                raise QueryError(f"more than {MOST_WILDCARDS} wildcards in one word", value.start)
    if asked.kind == "key" and wild and not _is_prefix(pattern):
        raise QueryError(
            f"below {names.FLATTENED[-1]} and its like a * stands only at the end: KEY:value*", value.start
        )
    if wild:
        return like(pattern, name)
    return Equals(name, _level(value) if name == names.LEVEL else value.text)


def _is_prefix(pattern: str) -> bool:
    plain = re.sub(r"\\.", "", pattern)
    return plain.endswith("*") and "*" not in plain.rstrip("*") and "?" not in plain


def _called(asked: Asked) -> str:
    return "number" if asked.kind == "long" else "time"


def free(chunk: Literal) -> Expression | None:
    """Return what free words ask; None when there is no word in them."""
    if chunk.pattern == "*":
        return Everything()
    found = _kql_words.conditions(chunk, None)
    return all_of(found) if found else None
