"""Saved objects: those that differ are imported, together; ours that are no longer generated are listed or removed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from shipper.setup.kibana_answers import said
from shipper.setup.kibana_client import Kibana
from shipper.setup.kibana_compare import object_differences
from shipper.setup.kibana_steps import Part, Step, shortened

#: Kibana gives ids of version 4; ours are of version 5, with the space behind it. A clone has an id of Kibana's.
_OUR_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}(-[a-z0-9_-]+)?", re.ASCII)
_KINDS: Final = ("search", "dashboard", "lens")

Saved = Mapping[str, Any]


async def plan(kibana: Kibana, space: str, objects: Sequence[Saved], *, there: bool) -> Part:
    """Return what to do for the saved objects of a space; `there` says whether the space exists already."""
    live: dict[tuple[str, str], Saved] = {}
    if there:
        found = await kibana.export_objects(space, [(one["type"], one["id"]) for one in objects])
        live = {(one["type"], one["id"]): one for one in found}
    steps = [_step(space, one, live.get((one["type"], one["id"]))) for one in objects]
    lines = [orjson.dumps(one) for one, step in zip(objects, steps, strict=True) if step.changes]
    if not lines:
        return Part(tuple(steps))

    async def work() -> None:
        await kibana.import_objects(space, b"".join(line + b"\n" for line in lines))

    return Part(tuple(steps), work)


async def plan_old(
    kibana: Kibana, space: str, objects: Sequence[Saved], views: Sequence[str], *, prune: bool
) -> list[Part]:
    """Return our objects that are no longer generated: to be removed with `prune`, else only to be told."""
    wanted = {(one["type"], one["id"]) for one in objects}
    found = await kibana.export_referring(space, _KINDS, [("index-pattern", one) for one in views])
    old = [one for one in found if _is_ours(one) and (one["type"], one["id"]) not in wanted]
    return [_old(kibana, space, one, prune=prune) for one in sorted(old, key=lambda one: (one["type"], one["id"]))]


def _step(space: str, ours: Saved, live: Saved | None) -> Step:
    kind, name, title = ours["type"], ours["id"], _title(ours)
    if live is None:
        return Step(space, kind, name, "create", title)
    found = object_differences(ours, live)
    if not found:
        return Step(space, kind, name, "unchanged", title)
    if live.get("managed") is True:  # Kibana lets nobody edit it: it is as an older version of ours made it
        return Step(space, kind, name, "change", title, shortened(found))
    return Step(space, kind, name, "overwrite", title, ("a person may have changed it", *shortened(found)))


def _old(kibana: Kibana, space: str, saved: Saved, *, prune: bool) -> Part:
    kind, name = saved["type"], saved["id"]
    if not prune:
        return Part((Step(space, kind, name, "old", _title(saved), ("no longer ours; --prune removes it",)),))
    step = Step(space, kind, name, "remove", _title(saved))
    return Part((step,), lambda: kibana.delete_object(space, kind, name))


def _is_ours(saved: Saved) -> bool:
    """Nobody can make an object managed but by an import; it also refers to one of our data views."""
    return saved.get("managed") is True and _OUR_ID.fullmatch(saved["id"]) is not None


def _title(saved: Saved) -> str:
    attributes = saved.get("attributes")
    return said(attributes.get("title") or "", 80) if isinstance(attributes, dict) else ""
