"""What a new template means for the indices that there are: new fields are added, all else holds for new ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shipper.search.retention import is_day
from shipper.setup.elasticsearch_differences import field_text, fields
from shipper.setup.elasticsearch_plan import Request, Step, marked

#: Indices named in one request: a request line has at most 4 kB.
_MOST_NAMED: Final = 40


def question(template: Mapping[str, Any]) -> str:
    """Return the target that asks for all indices of a template."""
    names = ",".join(template["index_patterns"])
    shown = "filter_path=*.mappings,*.settings.index.number_of_replicas"
    return f"/{names}?expand_wildcards=open&ignore_unavailable=true&allow_no_indices=true&{shown}"


def steps(template: Mapping[str, Any], found: Mapping[str, Any] | None) -> list[Step]:
    """Return what becomes of the indices of a template; `found` is the answer to `question`."""
    wanted = template["template"]["mappings"]
    replicas = _replicas(template["template"])
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    bodies: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
    for name in sorted(found or {}):
        if not _ours_by_name(name, template["index_patterns"]):
            continue
        one = (found or {})[name]
        kind, lines, body = _compared(wanted, one.get("mappings", {}))
        if kind != "blocked" and (has := _replicas(one)) not in ("", replicas):
            kind, lines = "later" if kind == "unchanged" else kind, (*lines, _kept(has, replicas))
        alike.setdefault((kind, lines), []).append(name)
        bodies[kind, lines] = body
    return [step for key, names in alike.items() for step in _steps(*key, names, bodies[key])]


def _ours_by_name(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is one that the store makes: a name without pattern, or a pattern's with a day."""
    return any(
        (name.startswith(pattern[:-1]) and is_day(name.removeprefix(pattern[:-1])))
        if pattern.endswith("*")
        else name == pattern
        for pattern in patterns
    )


def _compared(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """Return kind, lines and the body of `_mapping` for one index."""
    if not _is_ours(wanted, current):
        return "blocked", ("it was not made from our template: left alone, nothing is added to it",), {}
    there = {name: _spec_text(spec) for name, spec in fields(current.get("properties", {}))}
    specs = dict(fields(wanted["properties"]))
    added = {name: spec for name, spec in specs.items() if name not in there}
    lines = [f"field {name}: + {field_text(spec)}" for name, spec in sorted(added.items())]
    lines += [
        f"field {name}: {there[name]} → {_spec_text(spec)} in new indices only: what is stored is not indexed again"
        for name, spec in sorted(specs.items())
        if name in there and there[name] != _spec_text(spec)
    ]
    body: dict[str, Any] = {"properties": added} if added else {}
    if "_meta" in wanted and wanted["_meta"] != current.get("_meta"):
        body["_meta"] = wanted["_meta"]
        lines.append(f"_meta: {_meta_text(current)} → {_meta_text(wanted)}")
    return "change" if body else "later" if lines else "unchanged", tuple(lines), body


def _replicas(of: Mapping[str, Any]) -> str:
    """Return the copies that a template or an index says; "" when it says none."""
    settings = of.get("settings", {}).get("index", {})
    return str(settings.get("number_of_replicas", ""))


def _kept(has: str, wanted: str) -> str:
    """Say that an index keeps its copies: more cost disk and network, fewer safety, so a person decides."""
    body = f'{{"index.number_of_replicas": {wanted}}}'
    return f"number_of_replicas: stays {has}, {wanted} is for new indices; to change it: PUT /INDEX/_settings {body}"


def _is_ours(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether an index carries our mark, or was made from our template when it gave indices none."""
    if "_meta" in current:
        return marked(current["_meta"])
    ours = {name for name, _ in fields(wanted["properties"])}
    there = {name for name, _ in fields(current.get("properties", {}))}
    return str(current.get("dynamic", "")).lower() == "false" and 2 * len(there & ours) > len(there)


def _spec_text(spec: Mapping[str, Any]) -> str:
    """Return how a field is mapped, without what an index does not show when its settings say it for all fields."""
    return field_text({name: value for name, value in spec.items() if name != "ignore_malformed"})


def _meta_text(mapping: Mapping[str, Any]) -> str:
    meta = mapping.get("_meta")
    return "none" if not isinstance(meta, Mapping) else f"version {meta.get('version', 'none')}"


def _steps(kind: str, lines: tuple[str, ...], names: list[str], body: dict[str, Any]) -> Iterator[Step]:
    requests = tuple(Request("PUT", f"/{','.join(part)}/_mapping", body) for part in _parts(names)) if body else ()
    label = names[0] if len(names) == 1 else f"{names[0]} … {names[-1][-10:]} ({len(names)} indices)"
    yield Step(kind, "index", label, lines, requests)  # type: ignore[arg-type]


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _MOST_NAMED):
        yield names[start : start + _MOST_NAMED]
