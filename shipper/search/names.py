"""What fields are called in a question: short names beside those of the field table, kinds, and what may be meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, Literal

from shipper.record.fields import BY_NAME, FIELDS
from shipper.record.fields import Kind as FieldKind

#: As in the field table; `key`: a key below a flattened field.
Kind = Literal[FieldKind, "key"]

#: `app` with a value that begins with a slash is a Marathon id, which is in another field: see `APP_ID`.
SHORT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "app": "service.name",
        "service": "service.name",
        "level": "log.level",
        "host": "host.name",
        "task": "orchestrator.resource.id",
        "request": "http.request.id",
        "trace": "trace.id",
        "user": "user.id",
        "status": "http.response.status_code",
        "version": "service.version",
        "time": "@timestamp",
    }
)
#: What other tools and libraries call them.
_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "app_id": "app",
        "application": "app",
        "hostname": "host",
        "msg": "message",
        "path": "url.path",
        "severity": "level",
        "ts": "time",
        "url": "url.path",
    }
)
APP_ID: Final = "orchestrator.resource.name"
LEVEL: Final = "log.level"

#: Fields with keys below them: the longest name first.
FLATTENED: Final = tuple(sorted((field.name for field in FIELDS if field.kind == "flattened"), key=len, reverse=True))


@dataclass(frozen=True, slots=True)
class Name:
    """A field that can be asked for; `short` is its other name, "" when it has none."""

    name: str
    short: str
    kind: FieldKind
    meaning: str


def askable() -> list[Name]:
    """Return the fields that can be asked for, those with a short name first."""
    short = {field: name for name, field in reversed(list(SHORT.items()))}
    names = [
        Name(field.name, short.get(field.name, ""), field.kind, field.meaning)
        for field in FIELDS
        if field.kind != "unindexed"
    ]
    return sorted(names, key=lambda name: not name.short)


def full(name: str) -> str:
    """Return the full name of a field that may be called by a short one."""
    return SHORT.get(name, name)


def kind_of(field: str) -> Kind | None:
    """Return the kind of a field by its full name; None when there is no such field."""
    known = BY_NAME.get(field)
    if known is not None:
        return known.kind
    return None if split_key(field) is None else "key"


def split_key(field: str) -> tuple[str, str] | None:
    """Return the flattened field and the key below it (`labels`, `cart.id`); None when it is no such name."""
    for root in FLATTENED:
        if field.startswith(f"{root}.") and len(field) > len(root) + 1:
            return root, field[len(root) + 1 :]
    return None


def suggestion(name: str) -> str:
    """Return what may be meant by an unknown name, as the end of a sentence."""
    near = _near(name.lower()) or _near_key(name)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f'{meant}a key of a structured record is labels.{name}; text with a sign in it is put in "quotes"'


def _near(wanted: str) -> list[str]:
    known = [*SHORT, *(field.name for field in FIELDS if field.kind != "unindexed")]
    lasts = {name.rsplit(".", 1)[-1]: name for name in reversed(known)}
    if wanted in _ELSEWHERE:
        return [_ELSEWHERE[wanted]]
    if wanted in lasts:
        return [lasts[wanted]]
    return get_close_matches(wanted, known, 2, 0.75) or [
        lasts[last] for last in get_close_matches(wanted, lasts, 1, 0.8)
    ]


def _near_key(name: str) -> list[str]:
    root, dot, key = name.partition(".")
    return [f"{near}.{key}" for near in get_close_matches(root, FLATTENED, 1, 0.75)] if dot and key else []
