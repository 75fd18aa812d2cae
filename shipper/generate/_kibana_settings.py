"""The settings of what Kibana shows: what may differ between clusters, checked before it stands in an object."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import Field, field_validator

from shipper import config

_APP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,126}", re.ASCII)


class Settings(config.Settings):
    """What may differ between clusters."""

    cluster: str = Field(
        default="", pattern=r"^([a-z0-9][a-z0-9._]{0,62})?$", description="show one cluster only; empty: all of them"
    )
    links: str = Field(
        default="", pattern=r"^(https?://[A-Za-z0-9._:\[\]/-]{1,200})?$",
        description="address of API and page, for links in records; empty: the host that Kibana is on, same nginx",
    )  # fmt: skip
    delay_minutes: int = Field(
        default=2, ge=0, le=1440, description="how late records may come: alert rules look at times before that"
    )
    window_minutes: int = Field(default=10, ge=1, le=1440, description="span of time that an alert rule looks at")
    errors: int = Field(default=50, ge=1, description="errors of one app in that span from which on it is an alert")
    silent_apps: list[str] = Field(
        default=[], max_length=100, description="apps (service.name) whose silence in that span is an alert"
    )

    @field_validator("silent_apps", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("silent_apps")
    @classmethod
    def _app_names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not _APP.fullmatch(name):
                raise ValueError(f"{name!r} is no name of an app")
        return names

    @field_validator("links")
    @classmethod
    def _without_slash(cls, address: str) -> str:
        return address.rstrip("/")


def read(given: Mapping[str, object]) -> Settings:
    """Return checked settings; ConfigError names the first one that is wrong."""
    return config.checked(Settings, given, "kibana")
