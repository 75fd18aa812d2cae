"""What is kept of a task and of a version of its app: values only, each with its limit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from shipper.cluster.labels import PREFIX, Wishes, read

#: Longest id, host name or version that is kept, in characters.
LONGEST: Final = 1024
#: Labels of one app, and characters of all of them together.
MOST_LABELS, MOST_LABEL_TEXT = 64, 8192
MOST_PORTS: Final = 64
_HALF_A_PAIR: Final = re.compile("[\ud800-\udfff]")
#: Labels that configure other programs (one of marathon-lb's holds a password), and us.
_NOT_SHOWN: Final = ("HAPROXY_", PREFIX)
_LONGEST_KEY: Final = 256
_LONGEST_SHOWN: Final = 1024
#: What no key of Elasticsearch's `flattened` may have: control characters and blanks, parts that are empty.
_BAD_KEY: Final = re.compile(r"[\x00-\x20\x7f]|^\.|\.$|(?<=\.)\.")
#: Bytes of the objects themselves, measured and rounded up.
_TASK_BYTES, _DEFINITION_BYTES, _LABEL_BYTES = 512, 896, 320


@dataclass(frozen=True)
class Definition:
    """One version of an app: its labels, and what they ask for."""

    app_id: str
    version: str
    labels: Mapping[str, str]

    @cached_property
    def wishes(self) -> Wishes:
        """What its labels ask of us."""
        return read(self.labels)

    @cached_property
    def shown(self) -> Mapping[str, str]:
        """Its labels as they stand in records, without those that are nobody's business there."""
        return {
            key: text[:_LONGEST_SHOWN]
            for name, text in self.labels.items()
            if not name.startswith(_NOT_SHOWN) and (key := _BAD_KEY.sub("_", name[:_LONGEST_KEY]))
        }

    @property
    def cost(self) -> int:
        """Bytes it is counted with."""
        return _DEFINITION_BYTES + sum(_LABEL_BYTES + len(name) + len(text) for name, text in self.labels.items())

    def renamed(self, version: str) -> "Definition":
        """Return another version that says the same."""
        return replace(self, version=version)


@dataclass(frozen=True, slots=True)
class Known:
    """One task, as long as it is known; a change makes a new one."""

    id: str
    app_id: str
    #: Version of the app that it was started with; "" when nobody said.
    version: str
    #: The Mesos agent's host, as Marathon names it.
    host: str
    ports: tuple[int, ...]
    #: None while only an event told of it.
    definition: Definition | None
    #: When it started, or was first seen, and when it ended (None: it lives); seconds since 1970.
    since: float = field(compare=False)
    until: float | None = None

    @property
    def cost(self) -> int:
        """Bytes it is counted with."""
        return _TASK_BYTES + len(self.id) + len(self.app_id) + len(self.version) + len(self.host) + 40 * len(self.ports)

    def ended(self, at: float) -> "Known":
        """Return it as one that has ended."""
        return replace(self, until=at)

    def of(self, definition: Definition) -> "Known":
        """Return it with the definition that it was started with."""
        return replace(self, definition=definition)


def text(value: object) -> str:
    """Return a text that may be kept; "" for anything else, half of a surrogate pair too: it could not be written."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return ""
    return value if value.isascii() or _HALF_A_PAIR.search(value) is None else ""


def ports_of(value: object) -> tuple[int, ...]:
    """Return the ports of a list of them, at most `MOST_PORTS`; what is no port is left out."""
    given = value[:MOST_PORTS] if isinstance(value, list | tuple) else ()
    return tuple(port for port in given if type(port) is int and 0 < port < 65536)


def bounded(labels: Mapping[str, Any], room: int = MOST_LABEL_TEXT) -> dict[str, str]:
    """Return the labels that fit the limits: ours first, then in the order of their names."""
    kept: dict[str, str] = {}
    room = min(room, MOST_LABEL_TEXT)
    for name, value in sorted(labels.items(), key=lambda label: (not label[0].startswith(PREFIX), label[0])):
        if len(kept) == MOST_LABELS:
            break
        if isinstance(value, str) and len(name) + len(value) <= room:
            kept[name] = value
            room -= len(name) + len(value)
    return kept
