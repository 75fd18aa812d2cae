"""What proves to Elasticsearch who we are: an API key, one in a file that may change, or user and password."""

import base64
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import SecretStr

_log = logging.getLogger(__name__)
#: An API key as Elasticsearch encodes it: base64 of id:key.
_KEY: Final = re.compile(r"[A-Za-z0-9+/_=-]{8,1024}")
_MOST_BYTES: Final = 2048

Signature = tuple[int, int, int]


class Login:
    """Who we are, the same all the time."""

    def __init__(self, key: "SecretStr | None", username: str | None, password: "SecretStr | None") -> None:
        self._headers: dict[str, str] = {}
        if key is not None:
            self._headers = by_key(key.get_secret_value())
        elif username is not None and password is not None:
            pair = f"{username}:{password.get_secret_value()}".encode()
            self._headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}

    def headers(self) -> dict[str, str]:
        """Return the headers of a request."""
        return self._headers

    def refused(self) -> None:
        """Hear that these were not accepted; the next `headers` may be others."""


class KeyFile(Login):
    """A key in a file, read again when the file changes or the key is refused: a running shipper needs no restart.

    A file that is gone or damaged meanwhile changes nothing: the key that was read last stays.
    """

    def __init__(self, path: str) -> None:
        """Read it; ValueError when it holds no key, or cannot be read."""
        self._path = Path(path)
        try:
            self._signature = self._sign()
            self._headers = by_key(read_key(self._path))
        except OSError as error:
            told = f"{path}: cannot read the API key ({error.strerror}): `shipper setup keys` makes such files"
            raise ValueError(told) from None

    def headers(self) -> dict[str, str]:
        """Return the headers of a request, with the key that the file holds now."""
        try:
            signature = self._sign()
        except OSError:
            return self._headers
        if signature != self._signature:
            self._signature = signature
            self._read()
        return self._headers

    def refused(self) -> None:
        """Read the file again, whatever its times say."""
        self._read()

    def _read(self) -> None:
        try:
            found = by_key(read_key(self._path))
        except (OSError, ValueError) as error:
            _log.warning("the API key could not be read again; the one before is used", extra={"reason": str(error)})
            return
        if found != self._headers:
            self._headers = found
            _log.info("another API key is used from now on", extra={"file": str(self._path)})

    def _sign(self) -> Signature:
        found = os.stat(self._path)  # noqa: PTH116  on the way of every batch
        return found.st_mtime_ns, found.st_ino, found.st_size


def read_key(path: Path) -> str:
    """Return the key in a file; ValueError when it is none, OSError when it cannot be read."""
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES).decode("ascii", "replace").strip()
    if not _KEY.fullmatch(text):
        raise ValueError(f"{path}: not an API key: it must hold what Elasticsearch calls `encoded`, in one line")
    return text


def by_key(key: str) -> dict[str, str]:
    """Return the headers that name an API key."""
    return {"authorization": f"ApiKey {key}"}
