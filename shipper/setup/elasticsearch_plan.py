"""What set-up will do to Elasticsearch: steps, each a name, what becomes of it, a line per change, its requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

#: create, change: has requests. unchanged: is as wanted. later: holds for new indices only, nothing can be done now.
#: blocked: a person must act first.
Kind = Literal["create", "change", "unchanged", "later", "blocked"]

MARK: Final = "managed_by"
US: Final = "shipper"


@dataclass(frozen=True, slots=True)
class Request:
    """A change as Elasticsearch is told."""

    method: Literal["PUT", "POST", "DELETE"]
    target: str
    body: Any = None


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one template, of indices that are alike, or of a policy."""

    kind: Kind
    #: "template", "index", "snapshot repository", "snapshot policy".
    what: str
    name: str
    lines: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()


def work(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that change something."""
    return [step for step in steps if step.requests]


def blocked(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that need a person first."""
    return [step for step in steps if step.kind == "blocked"]


def marked(meta: Any) -> bool:
    """Whether a `_meta` carries our mark."""
    return isinstance(meta, dict) and meta.get(MARK) == US
