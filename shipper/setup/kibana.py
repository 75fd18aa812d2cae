"""Setting up Kibana: wait until it is there, find out what is to be done in each space, do it.

The order in each space is the space, data views, saved objects (which refer to them), the default data view; alert
rules come last. Nothing is changed before `carry_out`. Repeated, it finds nothing to do; people's own objects stay.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shipper.setup import kibana_objects, kibana_rules, kibana_views
from shipper.setup.kibana_access import DEFAULT_SPACE
from shipper.setup.kibana_answers import KibanaError, KibanaNotReady, said
from shipper.setup.kibana_client import Kibana
from shipper.setup.kibana_steps import Part, Step
from shipper.setup.kibana_wanted import Wanted, in_space

OLDEST: Final = (8, 9)
#: Navigation by solution, which the logs view of Discover comes with; older ones refuse the key.
_SOLUTION_SINCE: Final = (8, 16)
_SOLUTION: Final = "oblt"
_SPACE_KEYS: Final = ("id", "name", "description", "color", "initials", "imageUrl", "disabledFeatures")
_VERSION: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.[0-9]{1,4}(-.{0,40})?", re.ASCII)
_POLL_SECONDS: Final = 2.0

Version = tuple[int, int]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Way:
    """How it is done: what may be changed that is not done by default."""

    #: Give spaces that exist already our navigation, too.
    sync: bool = False
    #: Make our data view the default one although there is another.
    force_default: bool = False
    #: Remove objects of ours that are no longer generated.
    prune: bool = False


async def ready(kibana: Kibana, tell: Tell, seconds: float, poll_seconds: float = _POLL_SECONDS) -> Version:
    """Return Kibana's version as soon as it is available; KibanaNotReady when it is not after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _version(kibana, await kibana.status())
        except KibanaNotReady as error:
            if time.monotonic() >= deadline:
                raise
            tell(str(error))
        await asyncio.sleep(min(poll_seconds, max(0.0, deadline - time.monotonic())))


async def plan(
    kibana: Kibana, version: Version, wanted: Wanted, spaces: Sequence[str], way: Way, tell: Tell
) -> list[Part]:
    """Return what is to be done, space by space; the rules of all spaces come last, as they need most privileges."""
    parts, rules = [], []
    for space in spaces:
        tell(f"looking at space {space}")
        known, own = await kibana.space(space), in_space(space, wanted)
        parts.append(_space_part(kibana, version, space, known, sync=way.sync))
        parts += await _plan_space(kibana, space, own, way, there=known is not None)
        rules += await kibana_rules.plan(kibana, space, own.rules, there=known is not None)
    return parts + rules


async def carry_out(parts: Sequence[Part], begin: Callable[[Part], None], done: Callable[[Step], None]) -> None:
    """Do all parts that have work; `begin` hears of each before, `done` of each of its steps afterwards."""
    for part in parts:
        if part.work is None:
            continue
        begin(part)
        await part.work()
        for step in part.steps:
            if step.changes:
                done(step)


async def _plan_space(kibana: Kibana, space: str, wanted: Wanted, way: Way, *, there: bool) -> list[Part]:
    parts = [await kibana_views.plan(kibana, space, view, there=there) for view in wanted.data_views]
    parts.append(await kibana_objects.plan(kibana, space, wanted.objects, there=there))
    views = [str(view["id"]) for view in wanted.data_views]
    if there:
        parts += await kibana_objects.plan_old(kibana, space, wanted.objects, views, prune=way.prune)
    parts.append(await kibana_views.plan_default(kibana, space, views[0], there=there, force=way.force_default))
    return parts


def _space_part(kibana: Kibana, version: Version, space: str, known: Mapping[str, Any] | None, *, sync: bool) -> Part:
    solution = {"solution": _SOLUTION} if version >= _SOLUTION_SINCE else {}
    if known is None:
        if space == DEFAULT_SPACE:
            raise KibanaError("Kibana has no default space, or the key does not see it: check its privileges")
        body = {"id": space, "name": space, "disabledFeatures": [], **solution}
        return Part((Step(space, "space", space, "create"),), lambda: kibana.create_space(body))
    if not solution or known.get("solution") == _SOLUTION:
        return Part((Step(space, "space", space, "unchanged"),))
    now = f"its navigation is {said(known.get('solution') or 'classic', 40)}"
    if not sync:
        return Part((Step(space, "space", space, "left", details=(f"{now}; --sync makes it {_SOLUTION}",)),))
    changed = {**{key: known[key] for key in _SPACE_KEYS if known.get(key) is not None}, **solution}
    return Part((Step(space, "space", space, "change", details=(now,)),), lambda: kibana.update_space(changed))


def _version(kibana: Kibana, status: Mapping[str, Any]) -> Version:
    """Return the version of a Kibana that is available; errors say what else it is."""
    who = f"Kibana at {kibana.name}"
    level = _member(_member(status, "status"), "overall").get("level")
    if not isinstance(level, str):
        raise KibanaError(f"what answers at {kibana.name} is not Kibana: its status has no level")
    number = _member(status, "version").get("number")
    if level not in {"available", "degraded"}:
        raise KibanaNotReady(f"{who} is {said(level, 40)}")
    if not isinstance(number, str):
        raise KibanaError(f"{who} does not tell us its version, as it does not know us: give --api-key-file")
    found = _VERSION.fullmatch(number)
    if found is None:
        raise KibanaError(f"{who} has a version that is none: {said(number, 40)!r}")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST:
        raise KibanaError(f"{who} is version {number}, which is too old: {OLDEST[0]}.{OLDEST[1]} or newer is needed")
    return version


def _member(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
