"""How what is wanted differs from what Kibana has, seen through what Kibana itself adds and rewrites.

Only what is wanted is compared: Kibana fills in defaults. Attributes that are JSON in a string are compared as values.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

#: What may be left out without a difference.
_NOTHING: Final[tuple[Any, ...]] = (None, "", False, [], {})


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Give the paths (`panels[3].title`) at which `theirs` is not what `ours` says; it goes as deep as `ours`."""
    ours, theirs = _parsed(ours), _parsed(theirs)
    if isinstance(ours, Mapping):
        known = theirs if isinstance(theirs, Mapping) else {}
        for key, value in ours.items():
            yield from differences(value, known.get(key), f"{path}.{key}" if path else str(key))
    elif ours in _NOTHING and theirs in _NOTHING:
        return
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}[{place}]")
    elif ours != theirs:
        yield path


def object_differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return where a saved object differs: in its attributes, its references, and in being marked as managed."""
    found = list(differences(ours.get("attributes", {}), _attributes(theirs)))
    if _references(ours) != _references(theirs):
        found.append("references")
    if ours.get("managed") is True and theirs.get("managed") is not True:
        found.append("managed")
    return found


def _attributes(theirs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes; Kibana 9.5 and newer keeps a search in the first of its `tabs`, which is unfolded here."""
    known = theirs.get("attributes")
    attributes: dict[str, Any] = dict(known) if isinstance(known, dict) else {}
    tabs = attributes.get("tabs")
    if not isinstance(tabs, list) or len(tabs) != 1 or not isinstance(tabs[0], dict):
        return attributes
    inner = tabs[0].get("attributes")
    return {**inner, **attributes} if isinstance(inner, dict) else attributes


def _references(saved: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    listed = saved.get("references")
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {(str(one.get("name")), str(one.get("type")), str(one.get("id"))) for one in found}


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value
