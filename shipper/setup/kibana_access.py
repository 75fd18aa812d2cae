"""How Kibana is reached: its address, who asks, and what it is checked with; no secret is in a command line."""

import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shipper.errors import ConfigError
from shipper.secret_files import certificates, read_secret

DEFAULT_SPACE: Final = "default"
_URL: Final = re.compile(r"https?://[^\s/?#@]+(/[A-Za-z0-9._~-]+)*/?", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z0-9+/=_-]{8,4096}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Access:
    """An address (with Kibana's base path, if it has one) and what proves who asks."""

    url: str
    authorization: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    #: Longest wait for one answer; an import of all our objects takes a few seconds.
    request_seconds: float = 60.0

    def __post_init__(self) -> None:
        """ConfigError when the address is none."""
        if _URL.fullmatch(self.url) is None:
            raise ConfigError(f"{self.url!r:.200}: Kibana's address is like http://kibana:5601 or https://host/kibana")

    @property
    def headers(self) -> dict[str, str]:
        """The header that proves who asks; none when nobody said who."""
        return {} if self.authorization is None else {"Authorization": self.authorization}

    def certificates(self) -> ssl.SSLContext | bool:
        """Return what https is checked with: the CA of the file alone, else what the machine trusts."""
        return certificates(self.ca_file, "--ca-file")


def authorization(
    key_file: Path | None, user: str | None, password_file: Path | None, environment: Mapping[str, str]
) -> str | None:
    """Return the header's value from files, else from KIBANA_API_KEY, or KIBANA_USER and KIBANA_PASSWORD.

    None when nothing is given; ConfigError when a file cannot be read or holds something else.
    """
    if key_file is not None and user is not None:
        raise ConfigError("either --api-key-file or --user and --password-file, not both")
    if key_file is not None:
        return _api_key(read_secret(key_file, "--api-key-file"), f"--api-key-file: {key_file}")
    if user is not None or password_file is not None:
        if not user or password_file is None:
            raise ConfigError("--user and --password-file belong together")
        return _basic(user, read_secret(password_file, "--password-file"))
    if key := environment.get("KIBANA_API_KEY"):
        return _api_key(key.strip(), "KIBANA_API_KEY")
    if name := environment.get("KIBANA_USER"):
        return _basic(name, environment.get("KIBANA_PASSWORD", ""))
    return None


def _api_key(text: str, where: str) -> str:
    if _KEY.fullmatch(text) is None:
        raise ConfigError(f"{where} is not an API key: the base64 of id:key, on one line")
    return f"ApiKey {text}"


def _basic(user: str, password: str) -> str:
    if ":" in user or not (user + password).isprintable():
        raise ConfigError("the user's name may hold no colon, name and password no control characters")
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
