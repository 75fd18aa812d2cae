"""Files that an operator mounts for us: a secret on one line, and certificates to check others with."""

import ssl
from pathlib import Path
from typing import Final

from shipper.errors import ConfigError

_LONGEST: Final = 16 * 1024


def read_secret(path: Path, setting: str) -> str:
    """Return the one line of a file, without its end; ConfigError names the setting and never shows the content."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST + 3).decode().rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{setting}: {path} is not UTF-8 text") from None
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise ConfigError(
            f"{setting}: {path} must hold the secret on one line of at most {_LONGEST:,} characters, and nothing else"
        )
    return text


def certificates(ca_file: Path | None, setting: str) -> ssl.SSLContext | bool:
    """Return what https is checked with: the CAs of the file alone, or (True) those that the machine trusts."""
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an ssl.SSLError too
        raise ConfigError(f"{setting}: cannot read certificates from {ca_file} ({error.strerror})") from None
