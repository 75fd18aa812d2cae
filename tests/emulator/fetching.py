"""Mesos's fetcher: files put into a sandbox before its task starts, archives unpacked."""

import shutil
import tarfile
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urlsplit


def fetch(uri: str, sandbox: Path) -> None:
    """Put one file (a path, file:, http:) into the sandbox; a tar or zip archive is unpacked there, too.

    Raises OSError (HTTP errors are one), or ValueError for any other kind of URI.
    """
    parts = urlsplit(uri)
    target = sandbox / Path(parts.path).name
    if parts.scheme in {"http", "https"}:
        with urllib.request.urlopen(uri, timeout=30) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    elif parts.scheme in {"", "file"}:
        shutil.copy(parts.path, target)
    else:
        raise ValueError(f"cannot fetch {uri}: only http:, https:, file: and paths")
    _unpack(target, sandbox)


def _unpack(archive: Path, sandbox: Path) -> None:
    if archive.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
        with tarfile.open(archive) as tar:
            tar.extractall(sandbox, filter="data")
    elif archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(sandbox)
