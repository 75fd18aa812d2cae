"""The values of a stored record as a store's index has them: what Elasticsearch makes of our field types."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import orjson

from shipper.record.times import to_ns, utc
from shipper.search import names

#: Longest value by which a keyword is found (`ignore_above`), in UTF-16 units.
LONGEST: Final = 1024

_DIGITS: Final = re.compile(r"-?[0-9]{1,20}")
_LEAST, _MOST = -(2**63), 2**63 - 1
_MILLISECOND: Final = 10**6
_V4: Final = 0xFFFF << 32

Reading = Callable[[Any], Any]


def short(text: str) -> bool:
    """Whether a keyword index has a value."""
    size = len(text)
    if size <= LONGEST // 2 or text.isascii():
        return size <= LONGEST
    return size + sum(char > "\uffff" for char in text) <= LONGEST


def each(value: Any) -> Iterator[Any]:
    """Yield the values of a field that has one, several or none."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from each(one)
    elif value is not None:
        yield value


def below(value: Any, key: str) -> Iterator[str]:
    """Yield the values below a flattened field at a key, which may be several keys joined by dots."""
    for one in each(value):
        if not isinstance(one, dict):
            continue
        for inner in each(one.get(key)):
            if not isinstance(inner, dict) and (text := keyword(inner)) is not None:
                yield text
        at = key.find(".")
        while at >= 0:
            if key[:at] in one:
                yield from below(one[key[:at]], key[at + 1 :])
            at = key.find(".", at + 1)


def any_below(value: Any) -> bool:
    """Whether a flattened field has a value at any key."""
    return any(
        any(map(any_below, one.values())) if isinstance(one, dict) else keyword(one) is not None for one in each(value)
    )


def keyword(value: Any) -> str | None:
    """Return a value as a keyword; None when it is too long for the index."""
    found = text(value)
    return found if short(found) else None


def text(value: Any) -> str:
    """Return a value as text, numbers as JSON writes them."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value)


def long(value: Any) -> int | None:
    """Return a value as a number of 64 bits; None for what is none (`ignore_malformed`)."""
    if isinstance(value, str):
        value = int(value) if _DIGITS.fullmatch(value) else None
    elif isinstance(value, float):
        value = int(value) if abs(value) < 1e300 else None
    elif type(value) is not int:
        return None
    return value if value is not None and _LEAST <= value <= _MOST else None


def nanoseconds(value: Any) -> int | None:
    """Return a time as nanoseconds since 1970."""
    return _moment(value) if isinstance(value, str) else None


@lru_cache(maxsize=256)
def _moment(text: str) -> int | None:
    found = utc(text)
    return None if found is None else to_ns(found)


def milliseconds(value: Any) -> int | None:
    """Return a time as a `date` keeps it: whole milliseconds, told in nanoseconds."""
    found = nanoseconds(value)
    return None if found is None else found // _MILLISECOND * _MILLISECOND


@lru_cache(maxsize=4096)
def network(text: str) -> tuple[int, int] | None:
    """Return the first and last address of an address or a network; addresses of version 4 are mapped into 6."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    base = _V4 if found.version == 4 else 0
    return None if "%" in text else (base + int(found[0]), base + int(found[-1]))


def address(value: Any) -> int | None:
    """Return an address as a number."""
    found = network(value) if isinstance(value, str) and "/" not in value else None
    return None if found is None else found[0]


_READINGS: Final[dict[names.Kind, Reading]] = {
    "keyword": keyword,
    "text": text,
    "long": long,
    "date": milliseconds,
    "date_nanos": nanoseconds,
    "ip": address,
}


def reading(field: str) -> Callable[[Any], Iterator[Any]]:
    """Return how a record's indexed values of a field are read: a function of the record."""
    split = names.split_key(field)
    if split is not None:
        root, key = split

        def keys(record: Any) -> Iterator[Any]:
            return below(record.get(root), key)

        return keys
    read: Reading = _READINGS.get(names.kind_of(field) or "unindexed", _none)

    def values(record: Any) -> Iterator[Any]:
        for one in each(record.get(field)):
            if (found := read(one)) is not None:
                yield found

    return values


def _none(_: Any) -> None:
    return None
