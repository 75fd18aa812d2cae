"""What is sent along to prove who asks, and the certificates that others are checked with; all read from files."""

import ssl
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Final

from shipper.cluster.settings import ClusterSettings
from shipper.errors import ConfigError

_LONGEST_SECRET: Final = 16 * 1024


class Credentials:
    """The header that proves who asks; its file is read again for every question, so a new secret needs no restart."""

    def __init__(self, settings: ClusterSettings) -> None:
        """Read the secret once; ConfigError says what is wrong with its file."""
        self._settings = settings
        self._header = self._read()

    def header(self) -> dict[str, str]:
        """Return the header; while the file cannot be read, what it said last."""
        with suppress(ConfigError):  # it is being replaced: with an old secret Marathon says what is wrong
            self._header = self._read()
        return self._header

    def __bool__(self) -> bool:
        return bool(self._header)

    def _read(self) -> dict[str, str]:
        if self._settings.password_file:
            pair = f"{self._settings.user}:{_secret(self._settings.password_file, 'password_file')}"
            return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        if self._settings.token_file:
            return {"Authorization": f"token={_secret(self._settings.token_file, 'token_file')}"}
        return {}


def _secret(path: Path, setting: str) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_SECRET + 1).decode().rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{setting}: {path} is not UTF-8 text") from None
    if not text or len(text) > _LONGEST_SECRET or not text.isprintable():
        raise ConfigError(f"{setting}: {path} must hold the secret on one line, and nothing else")
    return text


def certificates(settings: ClusterSettings) -> ssl.SSLContext | bool:
    """Return what https addresses are checked with: ca_file alone, else what the machine trusts."""
    if settings.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # an ssl.SSLError too
        raise ConfigError(f"ca_file: cannot read certificates from {settings.ca_file} ({error.strerror})") from None
