"""Files with one secret each: 0600 from the first moment on, replaced as a whole."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from shipper.errors import ConfigError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Callable[[str], None]]:
    """Give what writes the secret into the file; ConfigError at once when the folder takes no file.

    An owner that the file has already it keeps, where we may say so: who reads it need not be who writes it.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: cannot write it ({error.strerror})") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            _keep_owner(path, descriptor)

            def write(secret: str) -> None:
                file.write(f"{secret}\n")
                file.flush()
                os.fsync(file.fileno())
                new.replace(path)

            yield write
    finally:
        new.unlink(missing_ok=True)


def make_directory(path: Path) -> None:
    """Make the folder of the files, for its owner only; one that is there stays as it is."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot make this folder ({error.strerror})") from None


def _keep_owner(path: Path, descriptor: int) -> None:
    with contextlib.suppress(OSError):
        before = path.stat()
        os.fchown(descriptor, before.st_uid, before.st_gid)
