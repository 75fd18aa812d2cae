"""Tokens: how they are made, kept as hashes in a file, and read from it.

A token is 256 random bits, so one round of SHA-256 hides it as well as a slow password hash would: nobody can try
2^256 of them, however fast each try is. And it is looked at with every request, where a slow hash would be our cost.
"""

import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from shipper.api.access.caller import Caller, app_pattern, including
from shipper.errors import ConfigError
from shipper.record.times import from_ns, to_ns, utc

#: What secret scanners find a token by.
PREFIX: Final = "shp_"
#: A mounted secret shorter than this is no random token.
SHORTEST: Final = 24
LONGEST: Final = 256
MOST_TOKENS: Final = 10_000
_MOST_BYTES: Final = 8 * 2**20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_KEYS: Final = frozenset({"name", "sha256", "scopes", "apps", "created", "expires"})


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is known, without its text."""

    name: str
    digest: bytes
    scopes: tuple[str, ...]
    apps: tuple[str, ...] = ()
    #: Nanoseconds since 1970; None when nobody knows, or never.
    created: int | None = None
    expires: int | None = None

    @property
    def caller(self) -> Caller:
        """Who asks with this token."""
        return Caller(self.name, including(self.scopes), self.apps)

    def expired(self, now: int) -> bool:
        """Whether it is too old to be accepted."""
        return self.expires is not None and now >= self.expires


def new_text() -> str:
    """Return the text of a new token."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(text: bytes) -> bytes:
    """Return what is kept of a token's text: 32 bytes, whatever its length."""
    return hashlib.sha256(text).digest()


def token(
    name: str,
    digest: bytes,
    scopes: Iterable[str],
    apps: Iterable[str] = (),
    created: int | None = None,
    expires: int | None = None,
) -> Token:
    """Return a token whose parts are checked; ValueError says which one is wrong."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name of a token: {name!r:.80} (letters, digits and . _ @ -, at most 64)")
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError(f"{name}: sha256 is not one")
    wanted, seen = tuple(dict.fromkeys(scopes)), tuple(dict.fromkeys(app_pattern(app) for app in apps))
    if not wanted:
        raise ValueError(f"{name}: it needs a scope")
    if "admin" in including(wanted) and seen:
        raise ValueError(f"{name}: an admin sees all apps; leave out the apps or the scope admin")
    return Token(name, digest, wanted, seen, created, expires)


def read(path: Path) -> list[Token]:
    """Return the tokens of a file; ConfigError when it is not one of ours."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path}: larger than {_MOST_BYTES // 2**20} MiB: not a tokens file")
        found = orjson.loads(path.read_bytes())
        tokens = [_token(entry) for entry in _entries(found["tokens"])]
    except OSError as error:
        raise ConfigError(f"{path}: {os.strerror(error.errno or 0).lower()}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path}: not a file of `shipper tokens`: {error}") from None
    return tokens


@contextmanager
def changing(path: Path) -> Iterator[list[Token]]:
    """Lock a tokens file, give what is in it, and write what became of it; ConfigError when it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: {os.strerror(error.errno or 0).lower()}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands at once: neither loses what the other wrote
        tokens = read(path) if path.exists() else []
        yield tokens
        write(path, tokens)
    finally:
        os.close(lock)


def write(path: Path, tokens: Sequence[Token]) -> None:
    """Replace a tokens file at once, readable by its owner only; ConfigError when it cannot be written."""
    text = orjson.dumps(
        {"tokens": [_entry(one) for one in tokens]}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                if path.exists():  # written by root, read by the service: it keeps its owner
                    _keep_owner(path, descriptor)
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: {os.strerror(error.errno or 0).lower()}") from None


def _keep_owner(path: Path, descriptor: int) -> None:
    status = path.stat()
    if os.geteuid() == 0:
        os.fchown(descriptor, status.st_uid, status.st_gid)


def _entries(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST_TOKENS:
        raise ValueError(f"tokens is not a list of at most {MOST_TOKENS:,}")
    return value


def _token(entry: Any) -> Token:
    if not isinstance(entry, dict) or not set(entry) <= _KEYS:
        raise ValueError(f"a token has {', '.join(sorted(_KEYS))} and nothing else")
    return token(
        _text(entry["name"]),
        bytes.fromhex(_text(entry["sha256"])),
        _texts(entry["scopes"]),
        _texts(entry.get("apps", [])),
        moment(entry.get("created")),
        moment(entry.get("expires")),
    )


def _entry(one: Token) -> dict[str, Any]:
    return {
        "name": one.name,
        "sha256": one.digest.hex(),
        "scopes": list(one.scopes),
        "apps": list(one.apps),
        "created": None if one.created is None else from_ns(one.created),
        "expires": None if one.expires is None else from_ns(one.expires),
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"not a text: {value!r:.40}")  # noqa: TRY004  told like every other fault of the file
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"not a list: {value!r:.40}")  # noqa: TRY004  told like every other fault of the file
    return [_text(one) for one in value]


def moment(text: Any) -> int | None:
    """Return the time that a text says, None for none; ValueError when it is no time."""
    if text is None:
        return None
    said = utc(_text(text))
    if said is None:
        raise ValueError(f"not a time: {text!r:.40} (2027-02-01T00:00:00Z)")
    return to_ns(said)
