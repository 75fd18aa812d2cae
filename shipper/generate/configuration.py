"""`docs/configuration.md`: every setting, its default and its meaning, read from the code that reads them."""

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shipper.config import ApiSettings, Config, PipelineSettings, component, component_names, section_of
from shipper.generate._cluster_settings import Settings as ClusterAppsSettings
from shipper.generate._host_settings import Settings as HostSettings

_INTRO = """\
# Configuration

One YAML file, given by `--config FILE` or `$SHIPPER_CONFIG`. Every key is optional; an unknown key is refused with the
ones that are known. An environment variable overrides a key: `SHIPPER_` and the path of the key, two underscores
between its parts, its value read as YAML: `SHIPPER_API__PORT=9000`,
`SHIPPER_STORE='{type: sqlite, path: /var/lib/shipper}'`.
`shipper check-config` checks it and prints what is in force, without secrets.

This page is written by `shipper generate docs`.
"""

_ROOMS = {"sources": "Sources", "enrichers": "Enrichers", "stores": "Stores"}


def generate() -> dict[str, str]:
    """Return the page: the same code gives the same bytes."""
    return {"docs/configuration.md": "\n".join(_page())}


def _page() -> Iterator[str]:
    yield _INTRO
    yield "## Top level\n"
    yield from _table(Config)
    for section, model in (("pipeline", PipelineSettings), ("api", ApiSettings)):
        yield f"## `{section}`\n"
        yield from _table(model)
    for room, title in _ROOMS.items():
        for name in component_names(room):
            module = component(room, name)
            yield f"## {title}: `{name}`\n"
            yield f"{_first_line(module)}\n"
            yield f"```yaml\n{yaml.safe_dump(_example(room, module.EXAMPLE), sort_keys=False).strip()}\n```\n"
            yield from _table(module.Config)
    yield "## Hosts\n"
    yield "Options of `shipper generate rsyslog`, or keys of the YAML file given with `--settings`:\n"
    yield from _table(HostSettings)
    yield "## Apps of a cluster\n"
    yield "Options of `shipper generate marathon`, or keys of the YAML file given with `--settings`:\n"
    yield from _table(ClusterAppsSettings)
    yield "## Parsers\n"
    yield "| name | reads |\n|---|---|"
    for name in component_names("parsers"):
        yield f"| `{name}` | {_first_line(component('parsers', name))} |"
    yield ""


def _example(room: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"store": example} if room == "stores" else {room: [example]}


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | meaning |\n|---|---|---|"
    yield from _rows(model, "")
    yield ""


def _rows(model: type[BaseModel], above: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name != "type":
            yield f"| `{above}{name}` | {_default(field)} | {field.description or _first_line(field.annotation)} |"
        section = section_of(field.annotation)
        if section is not None and field.default is None:  # those with a default have a table of their own
            yield from _rows(section, f"{above}{name}.")


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "must be given"
    if value is None or value == "" or isinstance(value, BaseModel) or field.default_factory is not None:
        return "see below" if isinstance(value, BaseModel) else ""
    return f"`{value}`"


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").strip().split("\n")[0]
