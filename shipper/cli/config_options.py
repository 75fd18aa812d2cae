"""The option --config, and what commands read from that file."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from shipper.errors import ConfigError

if TYPE_CHECKING:
    from shipper.cluster.settings import ClusterSettings
    from shipper.config import Config

#: What --config names where only the cluster is wanted.
CLUSTER: Final = "file whose enricher marathon names the cluster"


def add_config(parser: Any, meaning: str = "YAML file (default $SHIPPER_CONFIG)") -> None:
    """Add the option to a parser, or to a group of one."""
    parser.add_argument("--config", metavar="FILE", default=os.environ.get("SHIPPER_CONFIG"), help=meaning)


def cluster_of(loaded: "Config", addresses: Mapping[str, Any]) -> "ClusterSettings":
    """Return the cluster of the configuration; addresses of the command line, by setting, stand in place of its own."""
    from pydantic import ValidationError

    from shipper.cluster import settings

    known = settings.of(loaded)
    values = {name: getattr(known, name) for name in settings.ClusterSettings.model_fields}
    given = {name: address for name, address in addresses.items() if address}
    try:
        return settings.ClusterSettings.model_validate({**values, **given})
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        names = ", ".join(f"--{name.removesuffix('_urls')}" for name in addresses)
        raise ConfigError(f"{names}: {reason}") from None
