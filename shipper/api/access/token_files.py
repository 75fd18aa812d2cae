"""Tokens where they lie: a file of hashes, a folder of mounted secrets. Read again when they change.

A file in the folder is one token and its name is the token's name: the text in the first line, and if wanted below it
`scopes: read tail`, `apps: /shop/* /cart`, `expires: 2027-02-01T00:00:00Z`; without them it may `read`, all apps.
"""

import hmac
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shipper.api.access.tokens import LONGEST, MOST_TOKENS, SHORTEST, Token, digest, moment, read, token
from shipper.errors import ConfigError

_log = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 1.0
_MOST_BYTES: Final = 4096
_SETTINGS: Final = ("scopes", "apps", "expires")

Signature = tuple[tuple[str, int, int, int, int], ...]


class TokenFiles:
    """The tokens that are valid now. What cannot be read lets nobody in: a token that was revoked never comes back."""

    def __init__(
        self, file: str | None = None, directory: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read them; ConfigError when one is missing or wrong, so that a start tells it."""
        self._file = None if file is None else Path(file)
        self._directory = None if directory is None else Path(directory)
        self._clock = clock
        self._looked = clock()
        self._signature = self._sign()
        self._tokens = self._read()

    def __bool__(self) -> bool:
        """Whether tokens are asked for at all."""
        return self._file is not None or self._directory is not None

    def find(self, text: bytes, now: int) -> Token | None:
        """Return the token with this text that has not expired; `now` in nanoseconds since 1970."""
        if not self or len(text) > LONGEST:
            return None
        self._look()
        wanted, found = digest(text), None
        for one in self._tokens:  # all of them, always: how long it takes says nothing
            if hmac.compare_digest(one.digest, wanted):
                found = one
        return None if found is None or found.expired(now) else found

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        signature = self._sign()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._tokens = self._read()
            _log.info("tokens read again", extra={"tokens": len(self._tokens)})
        except ConfigError as error:
            self._tokens = []
            _log.error("tokens cannot be read: nobody is let in", extra={"reason": str(error)})

    def _sign(self) -> Signature:
        paths = [self._file] if self._file is not None else []
        if self._directory is not None:
            paths += [self._directory, *_files(self._directory)]
        return tuple(_stamp(path) for path in paths)

    def _read(self) -> list[Token]:
        found = [] if self._file is None else _read_file(self._file)
        if self._directory is not None:
            if not self._directory.is_dir():
                raise ConfigError(f"api.access.tokens_directory: no such folder: {self._directory}")
            found += [mounted(path) for path in _files(self._directory)]
        return found


def _read_file(path: Path) -> list[Token]:
    try:
        return read(path)
    except ConfigError as error:
        raise ConfigError(f"api.access.tokens_file: {error} (made by: shipper tokens create NAME)") from None


def _files(directory: Path) -> list[Path]:
    """Regular files, or links to them, that are not hidden: mounted secrets have hidden folders beside them."""
    try:
        found = [path for path in directory.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError:
        return []
    return sorted(found)[:MOST_TOKENS]


def _stamp(path: Path) -> tuple[str, int, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0, 0, 0
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def mounted(path: Path) -> Token:
    """Read one mounted secret; ConfigError names the file and never what is in it."""
    try:
        with path.open("rb") as file:
            text, *lines = file.read(_MOST_BYTES).decode().strip().split("\n")
    except (OSError, UnicodeError) as error:
        why = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: {why}") from None
    text = text.strip()
    if not (SHORTEST <= len(text) <= LONGEST and text.isascii() and text.isprintable() and " " not in text):
        raise ConfigError(f"{path}: its first line is no token: {SHORTEST} to {LONGEST} random characters")
    try:
        said = dict(_setting(line) for line in lines if line.strip())
        return token(
            path.name,
            digest(text.encode()),
            said.get("scopes", "read").split(),
            said.get("apps", "").split(),
            None,
            moment(said.get("expires")),
        )
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _setting(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or name.strip() not in _SETTINGS:
        raise ValueError(f"a line after the token is one of {', '.join(_SETTINGS)}, a colon and a value")
    return name.strip(), value.strip()
