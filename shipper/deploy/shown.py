"""A plan as people read it. Nothing that may be a secret is shown, and nothing that steers a terminal."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from shipper.deploy.differences import ABSENT, Change
from shipper.deploy.jobs import JobStep
from shipper.deploy.lines import one_line
from shipper.deploy.plan import Step

_WORDS: Final = r"passw(?:or)?d|passphrase|secret|token|credential|api[_-]?key|private[_-]?key"
_SECRET_KEY: Final = re.compile(_WORDS, re.IGNORECASE)
#: A secret inside a value: `--password x`, `"token": "x"`, `PASSWORD=x`, `://user:x@`.
_SECRET_VALUE: Final = re.compile(rf"(?:{_WORDS})[^\s=:]*[=:\s]|://[^/\s@]*:[^/\s@]*@", re.IGNORECASE)
_HIDDEN: Final = "(secret, not shown)"
_LONGEST_KEY: Final = 120


def change_line(change: Change) -> str:
    """Return "instances: 2 → 3"."""
    key = one_line(change.key, _LONGEST_KEY)
    if _secret(change):
        word = "added" if change.old is ABSENT else "removed" if change.new is ABSENT else "changed"
        return f"{key}: {word} {_HIDDEN}"
    if change.old is ABSENT:
        return f"{key}: + {_value(change.new)}"
    if change.new is ABSENT:
        return f"{key}: - {_value(change.old)}"
    return f"{key}: {_value(change.old)} → {_value(change.new)}"


def change_json(change: Change) -> dict[str, Any]:
    """Return a change for a program; a key that is not there has no "old" or "new"."""
    found: dict[str, Any] = {"key": change.key}
    hidden = _secret(change)
    for name, value in (("old", change.old), ("new", change.new)):
        if value is not ABSENT:
            found[name] = _HIDDEN if hidden else value
    return found


def _secret(change: Change) -> bool:
    texts = [_text(value) for value in (change.old, change.new) if value is not ABSENT]
    return bool(_SECRET_KEY.search(change.key)) or any(map(_SECRET_VALUE.search, texts))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _value(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False, sort_keys=True))


def step_lines(step: Step | JobStep) -> Iterator[str]:
    """Return the lines of one step: what becomes of the app or job, then each changed key."""
    if isinstance(step, JobStep):
        kind = step.kind if step.reachable else "skipped"
        yield f"{kind:<9}  {step.wanted.name}  Chronos job"
    else:
        yield f"{step.kind:<9}  {step.wanted.id}" + (f"  {_about(step)}" if step.kind == "create" else "")
    yield from (f"           {change_line(change)}" for change in step.changes)


def step_json(step: Step | JobStep) -> dict[str, Any]:
    """Return one step for a program."""
    name, skipped = (step.wanted.name, not step.reachable) if isinstance(step, JobStep) else (step.wanted.id, False)
    return {
        "name": name,
        "plan": "skipped" if skipped else step.kind,
        "file": str(step.wanted.path),
        "changes": [change_json(change) for change in step.changes],
    }


def _about(step: Step) -> str:
    definition = step.wanted.definition
    container = definition.get("container")
    docker = container.get("docker") if isinstance(container, dict) else None
    image = docker.get("image") if isinstance(docker, dict) else None
    parts = [f"instances {definition.get('instances', 1)}", f"role {one_line(step.wanted.role, 40)}"]
    return ", ".join([*parts, f"image {one_line(image)}"] if isinstance(image, str) else parts)
