"""What a deploy will do, and in which order: decided from files and the cluster's answer, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from shipper.cluster.model import App
from shipper.deploy.differences import Change, changes
from shipper.deploy.files import ROLE, WantedApp
from shipper.deploy.forms import absolute
from shipper.errors import ConfigError

#: What of the product needs what: an app comes after those before its role, unless its dependencies say otherwise.
_ROLES: Final = ("elasticsearch", "shipper", "api", "kibana", "nginx", "haproxy")
_OWNER: Final = "SHIPPER_OWNER"


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one app."""

    wanted: WantedApp
    #: The app as the cluster has it; None when it has none.
    current: App | None
    changes: tuple[Change, ...]

    @property
    def kind(self) -> Literal["create", "change", "unchanged"]:
        """What must be done."""
        if self.current is None:
            return "create"
        return "change" if self.changes else "unchanged"


def plan(wanted: Iterable[WantedApp], apps: Iterable[App]) -> list[Step]:
    """Return the steps in the order they are done in; ConfigError when dependencies go round in a circle."""
    existing = {app.id: app for app in apps}
    steps = []
    for app in in_order(wanted):
        current = existing.get(app.id)
        found = () if current is None else changes(app.definition, current.definition)
        steps.append(Step(app, current, found))
    return steps


def in_order(apps: Iterable[WantedApp]) -> list[WantedApp]:
    """Return apps so that each comes after all that it depends on; among those that may come, by role and id."""
    waiting = {app.id: app for app in apps}
    needs = {app.id: _needed(app, waiting) for app in waiting.values()}
    ordered: list[WantedApp] = []
    while waiting:
        ready = [app for app in waiting.values() if not needs[app.id] & waiting.keys()]
        if not ready:
            stuck = min(waiting)
            raise ConfigError(
                f"{waiting[stuck].path}: dependencies: {', '.join(sorted(waiting))} need each other; take one away"
            )
        chosen = min(ready, key=_rank)
        ordered.append(waiting.pop(chosen.id))
    return ordered


def _needed(app: WantedApp, among: Mapping[str, Any]) -> set[str]:
    """A dependency names an app, or a group: then every app in it."""
    written = app.definition.get("dependencies")
    names = [absolute(app.id, name) for name in written if isinstance(name, str)] if isinstance(written, list) else []
    return {other for other in among for name in names if other != app.id and f"{other}/".startswith(f"{name}/")}


def _rank(app: WantedApp) -> tuple[int, str]:
    return _ROLES.index(app.role) if app.role in _ROLES else len(_ROLES), app.id


def strangers(steps: Sequence[Step]) -> list[tuple[Step, str]]:
    """Return the steps that would change an app which this deploy did not make, each with how that is known."""
    found = []
    for step in steps:
        if step.kind == "change" and step.current is not None:
            reason = _stranger(step.wanted.definition["labels"], step.current.labels)
            if reason:
                found.append((step, reason))
    return found


def _stranger(wanted: Mapping[str, Any], current: Mapping[str, str]) -> str:
    if ROLE not in current:
        return f"it has no label {ROLE}"
    for label in (ROLE, _OWNER):
        if label in current and current[label] != wanted.get(label):
            return f"its label {label} is {current[label]!r}, the file's is {wanted.get(label, '')!r}"
    return ""
