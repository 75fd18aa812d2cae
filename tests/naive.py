"""What a question means, said as plainly as it can be: a walk through the tree for every record, and no speed at all.

Written from the meaning of Elasticsearch's field types and of `search.expression`, apart from the product's own
evaluators, so that it can be held against them.
"""

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from shipper.record.fields import BY_NAME
from shipper.record.times import to_ns, utc
from shipper.search.expression import And, Between, Equals, Everything, Expression, Like, Not, Or, Present, Words
from shipper.search.query import Around, Buckets, Counts, Neighbours, Query, Top
from shipper.search.words import words

Document = Mapping[str, Any]


def matches(record: Document, tree: Expression) -> bool:
    """Whether a stored record matches."""
    match tree:
        case Everything():
            return True
        case And(parts):
            return all(matches(record, part) for part in parts)
        case Or(parts):
            return any(matches(record, part) for part in parts)
        case Not(part):
            return not matches(record, part)
        case Words():
            return _has_words(record, tree)
        case Like(pattern, field):
            return _is_like(record, pattern, field)
        case Equals(field, value):
            return any(_equal(field, one, value) for one in indexed(record, field))
        case Between(field, low, high):
            return any((low is None or one >= low) and (high is None or one < high) for one in indexed(record, field))
        case Present(field):
            return bool(indexed(record, field))
    raise TypeError(tree)


def asked(record: Document, query: Query) -> bool:
    """Whether a record matches all of a query, its times too."""
    at = to_ns(record["@timestamp"])
    said = [words(str(text)) for text in indexed(record, "message")]
    return (
        (query.start is None or at >= query.start)
        and (query.end is None or at < query.end)
        and _is(record, "service.name", query.app)
        and _is(record, "host.name", query.host)
        and (not query.levels or any(level in query.levels for level in indexed(record, "log.level")))
        and _is(record, "http.request.id", query.request_id)
        and all(any(_beside(one, phrase) for one in said) for phrase in query.phrases)
        and (query.where is None or matches(record, query.where))
    )


def _is(record: Document, field: str, value: str | None) -> bool:
    return value is None or value in indexed(record, field)


def indexed(record: Document, field: str) -> list[Any]:
    """The values by which a store finds a record in this field: text, numbers, or nanoseconds since 1970."""
    known = BY_NAME.get(field)
    if known is None:
        root, _, key = field.partition(".")
        for name in ("labels", "marathon.labels", "log.syslog.structured_data"):
            if field.startswith(f"{name}."):
                root, key = name, field.removeprefix(f"{name}.")
        return [text for found, text in _leaves(record.get(root)) if found == key and _short(text)]
    values = [value for value in _flat(record.get(field)) if value is not None]
    match known.kind:
        case "keyword":
            return [text for text in map(_text, values) if _short(text)]
        case "text":
            return [_text(value) for value in values]
        case "long":
            return [number for value in values if (number := _long(value)) is not None]
        case "date_nanos":
            return [to_ns(time) for value in values if (time := utc(str(value))) is not None]
        case "date":
            return [to_ns(time) // 10**6 * 10**6 for value in values if (time := utc(str(value))) is not None]
        case "ip":
            return [str(value) for value in values if _range(str(value)) is not None and "/" not in str(value)]
        case "flattened":
            return [text for _, text in _leaves(record.get(field)) if _short(text)]
        case _:
            return []


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def _leaves(value: Any, path: str | None = None) -> Iterator[tuple[str, str]]:
    for one in _flat(value):
        if isinstance(one, dict):
            for key, inner in one.items():
                yield from _leaves(inner, key if path is None else f"{path}.{key}")
        elif one is not None:
            yield path or "", _text(one)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value)


def _short(text: str) -> bool:
    """`ignore_above`: Java counts UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) <= 2 * 1024


def _long(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+", value):
        return None
    number = int(value)
    return number if -(2**63) <= number < 2**63 else None


def _has_words(record: Document, tree: Words) -> bool:
    said = [words(text) for text in indexed(record, tree.field or "message")]
    if any(_beside(one, tree.words) for one in said):
        return True
    return tree.field is None and any(tree.text in indexed(record, field) for field in ("http.request.id", "trace.id"))


def _beside(said: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether the words of a phrase stand next to each other."""
    return any(list(said[i : i + len(phrase)]) == list(phrase) for i in range(len(said) - len(phrase) + 1))


def _is_like(record: Document, pattern: str, field: str | None) -> bool:
    name = field or "message"
    values = indexed(record, name)
    if name in BY_NAME and BY_NAME[name].kind == "text":
        values = [word for text in values for word in words(text)]
    return any(_covers(pattern, value) for value in values)


def _covers(pattern: str, text: str) -> bool:
    """Whether a pattern covers a whole text, sign by sign."""
    signs = re.findall(r"\\.|.", pattern, re.DOTALL)
    places = {0}  # of the pattern, at which the rest of it may begin
    for char in [*text, None]:
        for place in range(len(signs)):
            if place in places and signs[place] == "*":
                places.add(place + 1)
        if char is None:
            return len(signs) in places
        places = {
            place if signs[place] == "*" else place + 1
            for place in places
            if place < len(signs) and (signs[place] in "*?" or signs[place][-1] == char)
        }
    raise AssertionError


def _equal(field: str, stored: Any, value: str | int) -> bool:
    if field in BY_NAME and BY_NAME[field].kind == "ip":
        one, many = _range(str(stored)), _range(str(value))
        return one is not None and many is not None and many[0] <= one[0] <= many[1]
    return bool(stored == value)


def _range(text: str) -> tuple[int, int] | None:
    """First and last address of an address or network as numbers; those of version 4 as Lucene keeps them."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if "%" in text:
        return None
    mapped = 0xFFFF << 32 if network.version == 4 else 0
    return int(network[0]) + mapped, int(network[-1]) + mapped


def counts(records: Sequence[Document], query: Query, buckets: Buckets, by: str | None) -> Counts:
    """Count over time."""
    found: Counter[tuple[int, str]] = Counter()
    for record in records:
        at = to_ns(record["@timestamp"])
        if asked(record, query) and buckets.start <= at < buckets.end:
            start = buckets.start + (at - buckets.start) // buckets.step * buckets.step
            for value in set(indexed(record, by)) if by else {""}:
                found[start, value] += 1
            if by and not indexed(record, by):
                found[start, ""] += 1
    return Counts(dict(found))


def top(records: Sequence[Document], query: Query, field: str, limit: int) -> Top:
    """Count by value; of equally many the smaller value first, numbers as numbers."""
    found: Counter[Any] = Counter()
    total = without = 0
    for record in records:
        if asked(record, query):
            values = set(indexed(record, field))
            found.update(values)
            total += 1
            without += not values
    ordered = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return Top([(str(value), count) for value, count in ordered[:limit]], total, without)


def around(records: Sequence[dict[str, Any]], near: Around) -> Neighbours:
    """Look at the records of the same start, in the order of their times, then of their numbers."""
    own = (near.created, near.series, near.sequence)
    before: list[tuple[tuple[int, str, int], dict[str, Any]]] = []
    after: list[tuple[tuple[int, str, int], dict[str, Any]]] = []
    for record in records:
        series, sequence = record["shipper.series"], record["event.sequence"]
        if not (series == near.series if near.one_series else series[:-1] == near.series[:-1]):
            continue
        place = (to_ns(record["event.created"]), series, sequence)
        earlier = sequence < near.sequence if series == near.series else place < own
        if (series, sequence) != (near.series, near.sequence) and matches(record, near.where):
            (before if earlier else after).append((place, record))
    before.sort(key=lambda pair: pair[0])
    after.sort(key=lambda pair: pair[0])
    return Neighbours(
        [record for _, record in before][-near.before :] if near.before else [],
        [record for _, record in after][: near.after],
    )
