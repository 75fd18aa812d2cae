"""Data views: created when absent, else only what is ours is changed: people's own runtime fields and labels stay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shipper.setup.kibana_answers import KibanaError, KibanaRefused, said
from shipper.setup.kibana_client import Kibana
from shipper.setup.kibana_compare import differences
from shipper.setup.kibana_steps import Part, Step, shortened

_PROPERTIES: Final = ("title", "name", "timeFieldName", "sourceFilters")


async def plan(kibana: Kibana, space: str, view: Mapping[str, Any], *, there: bool) -> Part:
    """Return what to do for a data view; `there` says whether the space exists already."""
    name, title = str(view["id"]), str(view.get("name", ""))
    live = await kibana.data_view(space, name) if there else None
    if live is None:
        return Part((Step(space, "data view", name, "create", title),), lambda: _create(kibana, space, view))
    changes = _changes(view, live)
    if not changes.details:
        return Part((Step(space, "data view", name, "unchanged", title),))
    step = Step(space, "data view", name, "change", title, shortened(changes.details))
    return Part((step,), lambda: _update(kibana, space, name, changes))


async def plan_default(kibana: Kibana, space: str, name: str, *, there: bool, force: bool) -> Part:
    """Return what to do so that a space has a default data view: ours when it has none, or with `force`."""
    current = await kibana.default_data_view(space) if there else ""
    if current == name:
        return Part((Step(space, "default data view", name, "unchanged"),))
    if current and not force:
        return Part((Step(space, "default data view", name, "left", details=(f"it is {said(current, 80)}",)),))
    details = (f"it is {said(current, 80)}",) if current else ()
    step = Step(space, "default data view", name, "change" if current else "create", details=details)
    return Part((step,), lambda: kibana.set_default_data_view(space, name, force=force))


@dataclass(frozen=True, slots=True)
class _Changes:
    """What is sent for each of the three calls that change a data view, and what is told."""

    properties: Mapping[str, Any]
    fields: Mapping[str, Any]
    runtime: Mapping[str, Any]
    details: list[str]


def _changes(view: Mapping[str, Any], live: Mapping[str, Any]) -> _Changes:
    properties = {
        key: view[key] for key in _PROPERTIES if key in view and any(differences(view[key], live.get(key), key))
    }
    wanted, known = _members(view, "runtimeFieldMap"), _members(live, "runtimeFieldMap")
    runtime = {name: one for name, one in wanted.items() if any(differences(one, known.get(name), name))}
    fields = _fields(view, live)
    details = [f"{key}: it is {said(live.get(key), 80)}" for key in properties]
    details += [f"{' and '.join(change)} of {name}" for name, change in fields.items()]
    return _Changes(properties, fields, runtime, details + [f"runtime field {name}" for name in runtime])


def _fields(view: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Formats that differ, and labels and descriptions where there is none: one that is there may be a person's."""
    found: dict[str, dict[str, Any]] = {}
    formats = _members(live, "fieldFormats")
    for name, wanted in _members(view, "fieldFormats").items():
        if any(differences(wanted, formats.get(name), name)):
            found.setdefault(name, {})["format"] = wanted
    known = _members(live, "fieldAttrs")
    for name, wanted in _members(view, "fieldAttrs").items():
        there = _members(known, name)
        for key in ("customLabel", "customDescription"):
            if wanted.get(key) and not there.get(key):
                found.setdefault(name, {})[key] = wanted[key]
    return found


def _members(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


async def _create(kibana: Kibana, space: str, view: Mapping[str, Any]) -> None:
    try:
        await kibana.create_data_view(space, {**view, "allowNoIndex": True})  # it is there before the first record
    except KibanaRefused as error:
        if "Duplicate data view" not in str(error):
            raise
        name = said(view.get("name", ""), 80)
        raise KibanaError(
            f"space {space} has a data view named {name!r} of somebody else's: rename that one, then repeat this"
        ) from None


async def _update(kibana: Kibana, space: str, name: str, changes: _Changes) -> None:
    if changes.properties:
        await kibana.update_data_view(space, name, changes.properties)
    if changes.fields:
        await kibana.update_fields(space, name, changes.fields)
    for field, runtime in changes.runtime.items():
        await kibana.set_runtime_field(space, name, field, runtime)
