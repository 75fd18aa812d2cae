"""Whether a bundle is what was made: every file there, none more, each with its hash."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shipper.cli.bundle.package import FILES, INSIDE, MANIFEST, digest_of
from shipper.cli.terminal import one_line
from shipper.errors import ConfigError

_MOST_MANIFEST = 4 * 2**20

#: Opens a file of a bundle by its name.
_Open = Callable[[str], IO[bytes]]


def verify(path: Path) -> tuple[str, list[str]]:
    """Return the SHA-256 of the manifest, and what does not agree with it; ConfigError when it is no bundle."""
    try:
        with _opened(path) as (names, opened):
            if MANIFEST not in names:
                raise ConfigError(f"{one_line(path)}: no bundle of shipper: it has no {MANIFEST}")
            with opened(MANIFEST) as stream:
                text = stream.read(_MOST_MANIFEST + 1)
            return hashlib.sha256(text).hexdigest(), list(_problems(names, opened, _listed(text, path)))
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ConfigError(f"{one_line(path)}: {one_line(getattr(error, 'strerror', None) or error)}") from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], _Open]]:
    if path.is_dir():
        names = sorted(
            entry.name if entry.is_file() and not entry.is_symlink() else f"{entry.name}/" for entry in path.iterdir()
        )
        yield names, lambda name: (path / name).open("rb")
    else:
        with zipfile.ZipFile(path) as whole:
            yield (
                [name.removeprefix(f"{INSIDE}/") for name in whole.namelist()],
                lambda name: whole.open(f"{INSIDE}/{name}"),
            )


def _listed(text: bytes, path: Path) -> dict[str, tuple[str, int]]:
    try:
        files = json.loads(text)["files"]
        return {str(name): (str(one["sha256"]), int(one["bytes"])) for name, one in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(f"{one_line(path)}: its {MANIFEST} cannot be read") from None


def _problems(names: list[str], opened: _Open, listed: dict[str, tuple[str, int]]) -> Iterator[str]:
    for name in sorted({*names, *listed} - {MANIFEST}):
        if name not in listed or name not in FILES or names.count(name) > 1:
            yield f"{name}: does not belong to it"
        elif name not in names:
            yield f"{name}: is missing"
        else:
            if not _agrees(opened, name, *listed[name]):
                yield f"{name}: was changed"
    if names.count(MANIFEST) > 1:
        yield f"{MANIFEST}: is there more than once"


def _agrees(opened: _Open, name: str, digest: str, size: int) -> bool:
    try:
        with opened(name) as stream:
            return digest_of(stream, size) == (digest, size)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return False
