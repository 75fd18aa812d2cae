"""The outside of a bundle: a folder or a zip with fixed names, written whole or not at all."""

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shipper.cli.terminal import one_line
from shipper.errors import ConfigError

MANIFEST = "manifest.json"
#: Every name that can be in a bundle: none comes from a record.
FILES = ("index.html", MANIFEST, "records.db", "records.ndjson", "story.json")
#: The folder in a zip.
INSIDE = "shipper-bundle"
_PIECE = 2**20


def must_be_new(path: Path) -> None:
    """ConfigError when something is there already, or there is no folder for it: nothing is overwritten."""
    if path.exists() or path.is_symlink():
        raise ConfigError(f"--out {one_line(path)}: is there already; choose another name")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--out {one_line(path)}: no such folder: {one_line(path.absolute().parent)}")


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A folder that only we can read, on the same disk; it is gone afterwards unless it became the bundle."""
    try:
        made = tempfile.mkdtemp(prefix=".shipper-bundle-", dir=path.absolute().parent)
    except OSError as error:
        raise ConfigError(f"--out {one_line(path)}: {error.strerror}") from None
    try:
        yield Path(made)
    except OSError as error:
        raise ConfigError(f"--out {one_line(path)}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def hashes(folder: Path) -> dict[str, dict[str, object]]:
    """Return SHA-256 and size of every file but the manifest."""
    found: dict[str, dict[str, object]] = {}
    for name in FILES:
        file = folder / name
        if name != MANIFEST and file.is_file():
            with file.open("rb") as stream:
                digest, size = digest_of(stream, file.stat().st_size)
            found[name] = {"sha256": digest, "bytes": size}
    return found


def digest_of(stream: IO[bytes], most: int) -> tuple[str, int]:
    """Return SHA-256 and size of a stream; what is longer than `most` bytes is not read to its end."""
    digest, size = hashlib.sha256(), 0
    while size <= most and (piece := stream.read(_PIECE)):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def finish(folder: Path, path: Path) -> str:
    """Make the folder the bundle, at once; return the SHA-256 of its manifest."""
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    if path.suffix.lower() == ".zip":
        whole = folder / "bundle.zip"
        _zip(folder, whole)
        must_be_new(path)
        whole.rename(path)
    else:
        folder.rename(path)
    return digest


def _zip(folder: Path, path: Path) -> None:
    """Write a zip whose bytes depend on the files alone: fixed order, times and rights."""
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as whole:
        path.chmod(0o600)
        for name in FILES:
            file = folder / name
            if not file.is_file():
                continue
            info = zipfile.ZipInfo(f"{INSIDE}/{name}")
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o600 << 16
            large = file.stat().st_size >= 2**31
            with file.open("rb") as source, whole.open(info, "w", force_zip64=large) as target:
                shutil.copyfileobj(source, target, _PIECE)
