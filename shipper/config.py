"""The configuration: one YAML file, environment variables over it, every key optional, unknown keys refused.

An environment variable names a key by its path with two underscores between the parts (SHIPPER_STORE__TYPE=sqlite);
its value is read as YAML. Components (sources, stores, enrichers) are found by name: `type: relp` under `sources` is
`shipper/sources/relp.py`, whose `Config` reads the rest of that section.
"""

import importlib
import os
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shipper.errors import ConfigError

ENVIRONMENT_PREFIX = "SHIPPER_"
#: Variables with our prefix that are not settings: read by the command line itself.
NOT_SETTINGS = frozenset({"SHIPPER_CONFIG", "SHIPPER_URL", "SHIPPER_TOKEN", "SHIPPER_SERIES"})

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Base of every section: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecentSettings(Settings):
    """The copy of what was received lately, from which questions are answered while the store is away."""

    directory: str | None = Field(default=None, description="folder of the copy; default: none is kept")
    bytes: int = Field(default=2**30, ge=2**20, description="most bytes on disk; the oldest go first")
    hours: float = Field(default=6, gt=0, description="how long records are kept in it")


class PipelineSettings(Settings):
    """How records go from sources to the store."""

    memory_bytes: int = Field(
        default=48 * 2**20, ge=2**20, description="byte limit over all connections; reading stops there"
    )
    batch_records: int = Field(default=2000, ge=1, le=20_000, description="most records of one batch")
    batch_bytes: int = Field(default=4 * 2**20, ge=1024, description="most payload bytes of one batch")
    batches_in_flight: int = Field(default=3, ge=1, le=16, description="batches given to the store at the same time")
    refusal_seconds: float = Field(
        default=45,
        gt=0,
        description="how long one index may refuse a record while others accept; then it is a dead letter",
    )
    drain_seconds: float = Field(default=20, gt=0, description="how long a stop may take to finish what was accepted")
    recent: RecentSettings = RecentSettings()


class AccessSettings(Settings):
    """Who may ask, and how much."""

    open: bool = Field(default=False, description="anybody who reaches the address may read everything, without tokens")
    tokens_file: str | None = Field(default=None, description="file of `shipper tokens`: only hashes of tokens")
    tokens_directory: str | None = Field(default=None, description="folder of mounted secrets: one token per file")
    user_header: str | None = Field(default=None, description="header in which a trusted proxy names the user")
    trusted_proxies: list[str] = Field(default=[], description="addresses (CIDR) whose user_header is believed")
    proxy_secret_file: str | None = Field(
        default=None,
        description="file with the secret that a trusted proxy sends in X-Shipper-Proxy-Secret with a user",
    )
    hosts: list[str] = Field(
        default=[], description="names in Host that are answered; default: all addresses, localhost"
    )
    requests_per_minute: int = Field(default=600, ge=1, description="questions of one caller in a minute")
    store_seconds_per_minute: float = Field(default=120, gt=0, description="seconds the store may work for one caller")
    tails: int = Field(default=20, ge=0, description="live tails of one caller at a time")
    audit_file: str | None = Field(default=None, description="file for who asked what; default: our own log")


class FeedSettings(Settings):
    """Where a live tail hears of new records: from this process, from other shippers, else from the store."""

    peers: list[str] = Field(default=[], description="URLs of the shippers whose records are shown, as they come")
    app: str | None = Field(default=None, description="Marathon app of the shippers, whose tasks are the peers")
    token_file: str | None = Field(default=None, description="file with the token (scope admin) that peers ask for")


class ApiSettings(Settings):
    """Where the HTTP service listens, who may ask and what it links to."""

    enabled: bool = Field(default=True, description="serve the API and the page in this process")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    access: AccessSettings = AccessSettings()
    feed: FeedSettings = FeedSettings()
    kibana_url: str | None = Field(
        default=None,
        pattern=r"^(https?://[^\s/?#]+[^\s?#]*|(/[A-Za-z0-9._~-]+)+/?)$",
        description="Kibana as browsers reach it, for links to the same question; /kibana when it is behind the same "
        "nginx as this API",
    )
    kibana_space: str | None = Field(
        default=None, pattern="^[a-z0-9_-]+$", description="space of Kibana that links go to; default: the default one"
    )
    kibana_internal_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#]+[^\s?#]*$",
        description="Kibana as this process reaches it, for short links (?short=1); default: kibana_url",
    )
    kibana_api_key_file: str | None = Field(
        default=None, description="file with the API key (base64 of id:key) that makes short links; default: none are"
    )


def component_names(room: str) -> list[str]:
    """Return the names of the components in a room ("stores" → ["elasticsearch", "sqlite"])."""
    package = importlib.import_module(f"shipper.{room}")
    return sorted(found.name for found in pkgutil.iter_modules(package.__path__) if not found.name.startswith("_"))


def component(room: str, name: str) -> Any:
    """Return the module of a component; ConfigError lists the known ones."""
    known = component_names(room)
    if name not in known:
        raise ConfigError(f"{room}: unknown type {name!r} (known: {', '.join(known)})")
    return importlib.import_module(f"shipper.{room}.{name}")


def _component_settings(room: str, section: Any) -> Any:
    """Read one section by the `Config` of the component that its `type` names."""
    if isinstance(section, BaseModel):
        return section
    kind = section.get("type") if isinstance(section, Mapping) else None
    if not isinstance(kind, str):
        raise ValueError(f"needs a type (known: {', '.join(component_names(room))})")  # noqa: TRY004  pydantic's way
    try:
        settings: type[BaseModel] = component(room, kind).Config
        return settings.model_validate(dict(section))
    except ConfigError as error:
        raise ValueError(str(error)) from None
    except ValidationError as error:
        raise ValueError(f"{kind}: {_explain(error, settings)}") from None


class Config(Settings):
    """The whole configuration."""

    cluster: str = Field(
        "dev", pattern=r"^[a-z0-9][a-z0-9._]{0,62}$", description="name of the cluster: part of index names"
    )
    sources: list[Any] = Field(
        default=[{"type": "relp"}],
        validate_default=True,
        description="where records come from; [] for a process that only answers questions",
    )
    parsers: list[str] = Field(
        default=["host_json", "rfc5424", "rfc3164", "json_body", "plain"], description="tried in this order"
    )
    enrichers: list[Any] = Field(default_factory=list, validate_default=True, description="default: request_id")
    store: Any = Field(default=None, validate_default=True, description="default: SQLite in ./data")
    pipeline: PipelineSettings = PipelineSettings()
    api: ApiSettings = ApiSettings()
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="of our own logs")

    @field_validator("sources", mode="before")
    @classmethod
    def _sources(cls, sections: Any) -> Any:
        found = sections if isinstance(sections, list) else [sections]
        return [_component_settings("sources", section) for section in found]

    @field_validator("enrichers", mode="before")
    @classmethod
    def _enrichers(cls, sections: Any) -> Any:
        found = sections if isinstance(sections, list) else [sections]
        return [_component_settings("enrichers", section) for section in found or [{"type": "request_id"}]]

    @field_validator("store", mode="before")
    @classmethod
    def _store(cls, section: Any) -> Any:
        return _component_settings("stores", section or {"type": "sqlite"})

    @field_validator("parsers")
    @classmethod
    def _parsers(cls, names: list[str]) -> list[str]:
        known = component_names("parsers")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"unknown parser {unknown[0]!r} (known: {', '.join(known)})")
        return names


def load(path: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Read the configuration from a file (none: defaults) and the environment; ConfigError says what is wrong where."""
    environment = os.environ if environment is None else environment
    document = read_yaml(Path(path)) if path else {}
    where = str(path) if path else "environment"
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in NOT_SETTINGS:
            _set(document, name, text)
    return checked(Config, document, where)


def checked(model: type[Model], given: Mapping[str, object], where: str) -> Model:
    """Return the settings that the values stand for; ConfigError names the place and the key that is wrong."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error, model)}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the keys and values of a file; ConfigError when it cannot be read or is something else."""
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be keys and values, not {type(document).__name__}")
    return document


def _set(document: dict[str, Any], name: str, text: str) -> None:
    *sections, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise ConfigError(f"{name}: {section} has no keys of its own")
    try:
        document[key] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{name}: not valid YAML") from None


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a key that is a section of its own, also of one that may be None; None for a plain value."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return one line for the first thing that is wrong: the key, the reason, the known keys."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in first["loc"]))
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        for part in first["loc"][:-1]:
            model = section_of(model.model_fields[str(part)].annotation) or model
        reason = f"unknown key (known: {', '.join(model.model_fields)})"
    return f"{place}: {reason}" if place else reason
