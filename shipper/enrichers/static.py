"""Adds fixed fields: the environment, the name of the Mesos cluster, whatever is the same for all records here."""

from typing import Any, Final, Literal

from pydantic import Field, field_validator

from shipper.config import Settings
from shipper.record import Record
from shipper.record.fields import BY_NAME

EXAMPLE: Final[dict[str, Any]] = {
    "type": "static",
    "fields": {"service.environment": "prod", "orchestrator.cluster.name": "sydney-1"},
}

#: What only the host, the record's own text or the shipper may say.
_OWN: Final = frozenset({"@timestamp", "message", "labels", "tags", "ecs.version", "host.name", "container.id"})
_OWN_GROUPS: Final = ("event.", "shipper.", "log.syslog.")


class Config(Settings):
    """The fields to add."""

    type: Literal["static"] = "static"
    fields: dict[str, str] = Field(min_length=1, description="field name: value, added to records that lack the field")

    @field_validator("fields")
    @classmethod
    def _known(cls, fields: dict[str, str]) -> dict[str, str]:
        for name, value in fields.items():
            if name not in BY_NAME or BY_NAME[name].kind != "keyword" or name in _OWN or name.startswith(_OWN_GROUPS):
                raise ValueError(f"{name} is not a field that can be fixed")
            if not 0 < len(value) <= 1024:
                raise ValueError(f"{name}: the value needs 1 to 1024 characters")
        return fields

    def build(self) -> "Static":
        """Make the enricher."""
        return Static(self.fields)


class Static:
    """Adds fields that a record lacks."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = tuple(fields.items())

    def enrich(self, record: Record) -> None:
        """Add every field that the record has not."""
        for name, value in self._fields:
            if name not in record.shared.fields:
                record.fields.setdefault(name, value)
