"""What is sent along to prove who asks, read from files."""

from base64 import b64encode
from contextlib import suppress

from shipper.cluster.settings import ClusterSettings
from shipper.errors import ConfigError
from shipper.secret_files import read_secret


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
            pair = f"{self._settings.user}:{read_secret(self._settings.password_file, 'password_file')}"
            return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        if self._settings.token_file:
            return {"Authorization": f"token={read_secret(self._settings.token_file, 'token_file')}"}
        return {}
