"""Where the cluster answers, and how to ask: the settings that every command about the cluster shares."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from shipper import config


class ClusterSettings(config.Settings):
    """Addresses and credentials. Secrets are read from files, so that no configuration holds one."""

    marathon_urls: list[str] = Field(default=[], max_length=16, description="http://host:port of each Marathon")
    mesos_urls: list[str] = Field(default=[], max_length=16, description="http://host:port of each Mesos master")
    chronos_urls: list[str] = Field(default=[], max_length=16, description="http://host:port of each Chronos")
    user: str = Field(default="", max_length=255, description="user of HTTP Basic authentication")
    password_file: Path | None = Field(default=None, description="file that holds the user's password")
    token_file: Path | None = Field(default=None, description="file that holds a DC/OS token, instead of a user")
    ca_file: Path | None = Field(default=None, description="certificates that https addresses are checked with")
    request_seconds: float = Field(default=10, gt=0, le=300, description="longest wait for one answer")
    refresh_seconds: float = Field(default=30, ge=1, le=3600, description="how often everything is read, beside events")

    @field_validator("marathon_urls", "mesos_urls", "chronos_urls", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("marathon_urls", "mesos_urls", "chronos_urls")
    @classmethod
    def _addresses(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not url.startswith(("http://", "https://")) or "@" in url or "?" in url or "#" in url:
                raise ValueError(f"{url}: must be http://host:port or https://host:port, without user and password")
        return [url.rstrip("/") for url in urls]

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if bool(self.user) != (self.password_file is not None):
            raise ValueError("user and password_file belong together")
        if self.user and self.token_file is not None:
            raise ValueError("either user and password_file or token_file, not both")
        return self


def of(configuration: config.Config) -> ClusterSettings:
    """Return the settings of the enricher `marathon`, which is where a configuration names the cluster."""
    found: Any = next((one for one in configuration.enrichers if one.type == "marathon"), None)
    return found if isinstance(found, ClusterSettings) else ClusterSettings()
