"""The product as one archive that Mesos fetches: no registry of images, no network, only the host's Python.

It holds what is installed beside the running shipper, in exactly the versions of the lock file. Wheels with machine
code fit one version of Python and one kind of machine, so the archive is made on a machine like the hosts.
"""

import gzip
import io
import platform
import re
import sys
import tarfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import shipper
from shipper.errors import ConfigError

#: `name==version`, and a marker that says where it is not needed.
_LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)( *;)?", re.MULTILINE)
#: What the lock file has for building only.
_BUILD: Final = frozenset({"setuptools"})
#: Folder in the archive; beside the files of the task in its sandbox.
_FOLDER: Final = "shipper"
#: The time of every file: the same versions give the same bytes.
_TIME: Final = 315_532_800


def write(lock: Path, directory: Path) -> Path:
    """Write `shipper-VERSION.tar.gz` into a directory and return its path; ConfigError when a version is not locked."""
    path = directory / f"shipper-{shipper.__version__}.tar.gz"
    files = dict(sorted(_files(lock)))
    directory.mkdir(parents=True, exist_ok=True)
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=_TIME) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        _add(archive, "run", _run().encode(), executable=True)
        for name, source in files.items():
            _add(archive, f"site-packages/{name}", source.read_bytes(), executable=False)
    return path


def _files(lock: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file of the locked packages and of shipper itself, by its path in the archive."""
    for name, version, marker in _locked(lock):
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if marker:
                continue
            raise ConfigError(f"{lock}: {name} is not installed: make an environment of this file") from None
        if found.version != version:
            raise ConfigError(f"{lock}: {name} is {version} there and {found.version} here: install this file")
        for one in found.files or []:
            source = Path(str(found.locate_file(one)))
            if ".." not in one.parts and source.is_file() and one.suffix != ".pyc":
                yield one.as_posix(), source
    package = Path(shipper.__file__).parent
    for source in package.rglob("*"):
        if source.is_file() and "__pycache__" not in source.parts:
            yield f"shipper/{source.relative_to(package).as_posix()}", source


def _locked(lock: Path) -> list[tuple[str, str, bool]]:
    try:
        text = lock.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{lock}: cannot be read ({error})") from None
    found = [(name, version, bool(marker)) for name, version, marker in _LOCKED.findall(text) if name not in _BUILD]
    if not found:
        raise ConfigError(f"{lock}: names no package: it must be the requirements.lock of shipper")
    return found


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, executable: bool) -> None:
    entry = tarfile.TarInfo(f"{_FOLDER}/{name}")
    entry.size, entry.mtime, entry.mode = len(content), _TIME, 0o755 if executable else 0o644
    archive.addfile(entry, io.BytesIO(content))


def _run() -> str:
    here = (f"{sys.version_info.major}.{sys.version_info.minor}", f"{platform.system()}-{platform.machine()}")
    return _RUN.replace("@version@", here[0]).replace("@machine@", here[1])


_RUN: Final = """\
#!/bin/sh
# Runs a module of this folder with the host's Python: ./run shipper --version
here=$(cd "$(dirname "$0")" && pwd) || exit 2
machine="$(uname -s)-$(uname -m)"
if [ "$machine" != "@machine@" ]; then
  echo "error: this archive is for @machine@, this is $machine: make one here" >&2
  exit 2
fi
for python in python@version@ python3; do
  if [ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "@version@" ]; then
    # -P, -s: nothing of the directory it is started in, and nothing of a user's own.
    PYTHONPATH="$here/site-packages" exec "$python" -P -s -m "$@"
  fi
done
echo "error: this archive needs Python @version@ on the host (package python@version@)" >&2
exit 2
"""
