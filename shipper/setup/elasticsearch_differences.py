"""Templates and mappings compared: as we want them, and as Elasticsearch shows them in a spelling of its own."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

#: When it was written, which some versions tell.
_DATES: Final = ("created_date", "created_date_millis", "modified_date", "modified_date_millis")
#: Shown by some versions though nobody said it.
_DEFAULTS: Final = {"composed_of": "[]", "ignore_missing_component_templates": "[]"}
_LONGEST: Final = 160

Flat = dict[str, str]


def template_lines(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return one line per difference of two templates; [] when they mean the same."""
    return lines(flat_template(wanted), flat_template(current))


def lines(wanted: Flat, current: Flat) -> list[str]:
    """Return "name: old → new", "name: + new" and "name: - old", by name."""
    found = []
    for name in sorted(wanted.keys() | current.keys()):
        old, new = current.get(name), wanted.get(name)
        if old == new:
            continue
        if old is None:
            found.append(f"{name}: + {_short(new)}")
        elif new is None:
            found.append(f"{name}: - {_short(old)}")
        else:
            found.append(f"{name}: {_short(old)} → {_short(new)}")
    return found


def flat_template(template: Mapping[str, Any]) -> Flat:
    """Return a template as one text per setting and field."""
    inner = _mapping(template.get("template"))
    mappings = _mapping(inner.get("mappings"))
    found = {name: _text(value) for name, value in template.items() if name not in ("template", "_meta", *_DATES)}
    found |= {f"_meta.{name}": _text(value) for name, value in _mapping(template.get("_meta")).items()}
    found |= {f"setting {name}": text for name, text in flat_settings(_mapping(inner.get("settings"))).items()}
    found |= {f"mapping {name}": _text(value) for name, value in mappings.items() if name != "properties"}
    found |= {f"field {name}": text for name, text in flat_fields(_mapping(mappings.get("properties"))).items()}
    found |= {name: _text(value) for name, value in inner.items() if name not in ("mappings", "settings") and value}
    return {name: text for name, text in found.items() if _DEFAULTS.get(name) != text}


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> Flat:
    """Return settings by dotted name, without the `index.` that all of them may begin with."""
    found: Flat = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found |= flat_settings(value, f"{path}.")
        else:
            found[path.removeprefix("index.")] = _text(value)
    return found


def flat_fields(properties: Mapping[str, Any]) -> Flat:
    """Return how each field is mapped, by dotted name; objects are only the way to their fields."""
    return {name: field_text(spec) for name, spec in fields(properties)}


def field_text(spec: Mapping[str, Any]) -> str:
    """Return how a field is mapped: "keyword, ignore_above 1024"."""
    rest = sorted((name, value) for name, value in spec.items() if name != "type")
    return ", ".join([str(spec.get("type", "object")), *(f"{name} {_text(value)}" for name, value in rest)])


def fields(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return the fields of a mapping by dotted name, with how each is mapped."""
    for name, spec in properties.items():
        path, spec = f"{prefix}{name}", _mapping(spec)
        inner = _mapping(spec.get("properties"))
        if inner and spec.get("type", "object") == "object":
            yield from fields(inner, f"{path}.")
        else:
            yield path, spec


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    """Return a value in one spelling: Elasticsearch shows true as "true" and 1 as "1" in some places."""
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return a value with every part that is neither object nor list as text."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str) else json.dumps(value)


def _short(text: str | None) -> str:
    text = "" if text is None else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
