"""What each space shall have: what `shipper generate kibana` writes, with ids of the space's own.

Source: saved objects of these types are shareable since Kibana 8.0: an id that is taken in another space is a conflict
for a data view or a rule, and an import silently gives the object a random id, which no link knows. Known from its
sources; not tried on a running Kibana.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shipper.generate import kibana as generated
from shipper.setup.kibana_access import DEFAULT_SPACE

#: Where ids of other objects stand, in references and in the JSON strings of attributes.
_ID_KEYS: Final = frozenset({"id", "index", "dataViewId", "indexPatternId", "savedSearchId", "savedObjectId"})
#: Kibana takes descriptions of fields from here on (elastic/kibana#168577).
_DESCRIPTIONS_SINCE: Final = (8, 14)
_NAMESPACE: Final = uuid.UUID("5f7d9b52-6a0c-5d0e-9c53-6b2a1f0f7c11")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a space shall have: data views as the API takes them, saved objects, and alert rules with their `id`."""

    data_views: Sequence[Mapping[str, Any]]
    objects: Sequence[Mapping[str, Any]]
    rules: Sequence[Mapping[str, Any]]


def wanted_of(settings: generated.Settings, version: tuple[int, int]) -> Wanted:
    """Return what a Kibana of some version is given for some settings."""
    views = [one["data_view"] for one in generated.data_views(settings)]
    if version < _DESCRIPTIONS_SINCE:
        views = [{key: value for key, value in view.items() if key != "fieldAttrs"} for view in views]
    rules = [{"id": one["id"], **one["rule"]} for one in generated.rules(settings)]
    return Wanted(views, generated.objects(settings), rules)


def id_in(space: str, name: str) -> str:
    """Return the id that one of our objects has in a space: its own in the default space, else with the space."""
    return name if space == DEFAULT_SPACE else f"{name}-{space}"


def in_space(space: str, wanted: Wanted) -> Wanted:
    """Return what is wanted with the ids of a space."""
    if space == DEFAULT_SPACE:
        return wanted
    known = {str(one["id"]) for one in (*wanted.data_views, *wanted.objects)}
    ids = {name: id_in(space, name) for name in known}
    return Wanted(
        data_views=[_renamed(one, ids) for one in wanted.data_views],
        objects=[_renamed(one, ids) for one in wanted.objects],
        rules=[{**_renamed(one, ids), "id": _rule_id(space, one["id"])} for one in wanted.rules],
    )


def _rule_id(space: str, name: str) -> str:
    """Kibana takes a UUID only, as rules hold encrypted attributes."""
    return str(uuid.uuid5(_NAMESPACE, f"{space}/{name}"))


def _renamed(value: Any, ids: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _renamed(one, ids, name) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(one, ids, key) for one in value]
    if not isinstance(value, str):
        return value
    if key in _ID_KEYS and value in ids:
        return ids[value]
    if value[:1] in ("{", "[") and key.endswith("JSON"):
        return orjson.dumps(_renamed(orjson.loads(value), ids)).decode()
    return value
