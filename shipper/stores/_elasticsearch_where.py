r"""Expressions as Elasticsearch's DSL: only `bool`, `term`, `terms`, `range`, `exists`, `match_phrase`, `wildcard` and
`prefix`, all of them as filters. Never `query_string`: deep nesting in it has ended a node.

What cannot match (a value that is in no index, a number no field can hold, a field that is not ours) becomes
`match_none`, never a request that the server refuses.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any, Final

from shipper.errors import QueryError
from shipper.record.times import from_ns
from shipper.search.expression import And, Between, Equals, Everything, Expression, Like, Not, Or, Present, Words
from shipper.search.names import Kind, kind_of
from shipper.stores._agreement import LONGEST_KEYWORD

#: Longest term of Lucene, in bytes.
_LONGEST_TERM: Final = 32_766
_LARGEST: Final = 2**63 - 1
_SMALLEST: Final = -(2**63)
#: `indices.query.bool.max_nested_depth` is 30, of queries of any kind; the question around it is one.
_DEEPEST: Final = 29
_MS: Final = 1_000_000
_ANYWHERE: Final = ("http.request.id", "trace.id")

Filter = dict[str, Any]

NONE: Final[Filter] = {"match_none": {}}
ALL: Final[Filter] = {"match_all": {}}


def compiled(expression: Expression) -> Filter:
    """Return the filter that matches what the expression matches; QueryError when it is nested too deeply."""
    found = _compile(expression)
    if _depth(found) > _DEEPEST:
        raise QueryError("the question has too many parts inside each other; ask a flatter one")
    return found


def equals(field: str, value: str) -> Filter:
    """Return the filter for exactly this text in a keyword field."""
    return {"term": {field: value}} if _indexed(value) else NONE


def phrase(field: str, words: Iterable[str]) -> Filter:
    """Return the filter for words that stand next to each other in a text field."""
    text = " ".join(words)
    return {"match_phrase": {field: text}} if text and _sendable(text) else NONE


def one_letter_more(field: str, text: str) -> Filter:
    """Return the filter for this text and one character after it, in a keyword field."""
    return _like(field, "".join(f"\\{char}" for char in text) + "?")


def _compile(expression: Expression) -> Filter:
    match expression:
        case Everything():
            return ALL
        case And() | Not():
            return _all(expression)
        case Or(parts):
            found = _alternatives(parts)
            return found[0] if len(found) == 1 else _should(found) if found else NONE
    return _leaf(expression)


def _all(expression: And | Not) -> Filter:
    """Return one `bool` for all parts, what must not match among them: every level less is one more to ask with."""
    filters: list[Filter] = []
    excluded: list[Filter] = []
    for part in _conjunction(expression):
        if isinstance(part, Not):
            excluded += _alternatives((part.part,))
        else:
            filters.append(_compile(part))
    if len(filters) == 1 and not excluded:
        return filters[0]
    found: Filter = {}
    if choices := [one for one in filters if "should" in one.get("bool", ())]:
        deepest = max(choices, key=_depth)
        filters.remove(deepest)
        found |= deepest["bool"]
    if filters:
        found["filter"] = found.get("filter", []) + filters
    if excluded:
        found["must_not"] = found.get("must_not", []) + excluded
    return {"bool": found} if found else ALL


def _conjunction(part: Expression) -> Iterator[Expression]:
    """Yield the parts that must all match, whatever they are wrapped in."""
    match part:
        case And(parts):
            for inner in parts:
                yield from _conjunction(inner)
        case Not(Not(inner)):
            yield from _conjunction(inner)
        case _:
            yield part


def _disjunction(parts: Iterable[Expression]) -> Iterator[Expression]:
    for part in parts:
        match part:
            case Or(inner):
                yield from _disjunction(inner)
            case Not(Not(inner)):
                yield from _disjunction((inner,))
            case _:
                yield part


def _alternatives(parts: Iterable[Expression]) -> list[Filter]:
    """Return filters of which one must match; values of one keyword field become one `terms`."""
    values: dict[str, list[str]] = {}
    found = []
    for part in _disjunction(parts):
        if isinstance(part, Equals) and kind_of(part.field) == "keyword":
            if _indexed(str(part.value)):
                values.setdefault(part.field, []).append(str(part.value))
        else:
            found.append(_compile(part))
    return found + [{"terms": {field: texts}} for field, texts in values.items()]


def _should(found: list[Filter]) -> Filter:
    return {"bool": {"should": found, "minimum_should_match": 1}}


def _depth(found: Filter) -> int:
    """How many queries are inside each other."""
    inner = found.get("bool", {})
    parts = [part for kind in ("filter", "must_not", "should") for part in inner.get(kind, ())]
    return 1 + max(map(_depth, parts), default=0)


def _leaf(part: Expression) -> Filter:
    match part:
        case Words(words, text, None):
            return _should([phrase("message", words), *(equals(name, text) for name in _ANYWHERE)])
        case Words(words, _, str(field)):
            return phrase(field, words) if kind_of(field) == "text" else NONE
        case Like(pattern, field):
            return _like("message" if field is None else field, pattern)
        case Equals(field, value):
            return _equals(field, value)
        case Between(field, low, high):
            return _between(field, low, high)
        case Present(field):
            return _present(field)
    raise TypeError(f"no such expression: {part!r}")


def _equals(field: str, value: str | int) -> Filter:
    match kind_of(field):
        case "keyword":
            return equals(field, str(value))
        case "key":
            return {"term": {field: str(value)}} if _indexed(str(value)) and _in_a_term(field, str(value)) else NONE
        case "long":
            return _number(field, value)
        case "ip":
            return _address(field, str(value))
    return NONE


def _number(field: str, value: str | int) -> Filter:
    try:
        number = int(value)
    except ValueError:
        return NONE
    return {"term": {field: number}} if _SMALLEST <= number <= _LARGEST else NONE


def _address(field: str, text: str) -> Filter:
    """Return the filter for an address or for a network in CIDR form, spelled as the server reads it."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return NONE
    if "%" in text:
        return NONE
    first = network.network_address
    if network.prefixlen == network.max_prefixlen:
        return {"term": {field: str(first)}}
    if isinstance(first, ipaddress.IPv6Address) and first.ipv4_mapped is not None:
        # Which the server refuses in a CIDR; it keeps addresses of version 4 as such of version 6.
        last = ipaddress.IPv6Address(int(network.broadcast_address))
        return {"range": {field: {"gte": str(first), "lte": str(last)}}}
    return {"term": {field: str(network)}}


def _between(field: str, low: int | None, high: int | None) -> Filter:
    kind = kind_of(field)
    if kind not in ("long", "date", "date_nanos"):
        return NONE
    smallest = _SMALLEST if kind == "long" else 0
    if low is not None and high is not None and low >= high:
        return NONE
    if (low is not None and low > _LARGEST) or (high is not None and high <= smallest):
        return NONE
    bounds: Filter = {}
    if low is not None and low > smallest:
        bounds["gte"] = low if kind == "long" else _time(kind, low)
    if high is not None and high <= _LARGEST:
        bounds["lt"] = high if kind == "long" else _time(kind, high)
    return {"range": {field: bounds}} if bounds else {"exists": {"field": field}}


def _time(kind: Kind, nanoseconds: int) -> str:
    """Return a time as text; a `date` holds whole milliseconds, so that is what its bounds are cut to."""
    return from_ns(nanoseconds if kind == "date_nanos" else nanoseconds // _MS * _MS)


def _present(field: str) -> Filter:
    kind = kind_of(field)
    if kind == "key":
        # `exists` would read a `*` in the key as a pattern.
        return {"prefix": {field: ""}} if _in_a_term(field, "") else NONE
    return {"exists": {"field": field}} if kind not in (None, "unindexed") else NONE


def _like(field: str, pattern: str) -> Filter:
    tokens = _tokens(pattern)
    match kind_of(field):
        case "keyword" if _sendable(pattern):
            return {"wildcard": {field: {"value": _wildcard(tokens)}}}
        case "text" if _sendable(pattern):
            return {"wildcard": {field: {"value": _wildcard(_lower(tokens))}}}
        case "key" if _sendable(pattern):
            return _like_below(field, tokens)
    return NONE


#: One part of a pattern: a character, and whether it stands for others.
_Token = tuple[str, bool]


def _tokens(pattern: str) -> list[_Token]:
    """Take a pattern apart; several `*` side by side are one."""
    found: list[_Token] = []
    plain = False
    for char in pattern:
        if char == "\\" and not plain:
            plain = True
            continue
        token = (char, not plain and char in "*?")
        if token != ("*", True) or not found or found[-1] != token:
            found.append(token)
        plain = False
    return [*found, ("\\", False)] if plain else found


def _lower(tokens: list[_Token]) -> list[_Token]:
    # As `search.words` does: one character stays one.
    return [(char.lower()[:1], special) for char, special in tokens]


def _wildcard(tokens: list[_Token]) -> str:
    """Return the pattern as `wildcard` reads it."""
    return "".join(f"\\{char}" if not special and char in "*?\\" else char for char, special in tokens)


def _like_below(field: str, tokens: list[_Token]) -> Filter:
    """Return the filter for a pattern below a flattened field, which can only say how a value begins."""
    text = "".join(char for char, special in tokens if not special)
    if tokens and tokens[-1] == ("*", True) and not any(special for _, special in tokens[:-1]):
        return {"prefix": {field: text}} if _in_a_term(field, text) else NONE
    if not any(special for _, special in tokens):
        return _equals(field, text)
    raise QueryError(f"{field}: here a pattern may only end with *, as {field}:abc*")


def _indexed(text: str) -> bool:
    """Whether a keyword can have this value: a longer one is in no index (`ignore_above`)."""
    return len(text) <= LONGEST_KEYWORD and _sendable(text)


def _sendable(text: str) -> bool:
    """Whether a request can carry it: half of a surrogate pair has no UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _in_a_term(field: str, value: str) -> bool:
    """Whether a key below a flattened field and its value fit the term that they become together."""
    return _sendable(field) and len(field.encode()) + len(value.encode()) < _LONGEST_TERM
