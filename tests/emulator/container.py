"""Stands for a Docker container: a private mount namespace in which the volumes lie where the app expects them.

Run by path inside `unshare --mount`, with one JSON argument: mounts, a scratch folder, the argument vector. It
mounts, then becomes the task, so the task keeps the process id. Nothing it does is seen outside of the namespace.
"""

import contextlib
import ctypes
import json
import os
import sys
from pathlib import Path

#: As `docker run` ends when the container could not be made.
FAILED = 125
_RDONLY, _REMOUNT, _BIND, _REC = 1, 32, 4096, 16384
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: Path | str, target: Path, kind: str | None, flags: int) -> None:
    fstype = None if kind is None else kind.encode()
    if _libc.mount(os.fsencode(source), os.fsencode(target), fstype, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mounting {source} on {target}: {os.strerror(number)}")


def _copy_entries(original: Path, copy: Path) -> None:
    """Every entry of a folder, seen again in another one; what is written into them reaches the original."""
    for entry in original.iterdir():
        here = copy / entry.name
        with contextlib.suppress(FileNotFoundError):  # gone since the listing
            if entry.is_symlink():
                here.symlink_to(entry.readlink())
                continue
            here.mkdir() if entry.is_dir() else here.touch()
            _mount(entry, here, None, _BIND | _REC)


def _make_room_in(folder: Path, scratch: Path) -> None:
    """Let new entries be made in a folder without anybody else seeing them."""
    mode = folder.stat().st_mode & 0o7777
    if folder == Path("/"):
        _mount("tmpfs", scratch, "tmpfs", 0)
        _copy_entries(folder, scratch)
        os.chroot(scratch)
        return
    held = os.open(folder, os.O_PATH)  # the folder itself, however deep the new one lies over it
    _mount("tmpfs", folder, "tmpfs", 0)
    _copy_entries(Path(f"/proc/self/fd/{held}"), folder)
    folder.chmod(mode)
    os.close(held)


def _mount_volume(source: Path, target: Path, read_only: bool, scratch: Path) -> None:
    # Held open, because making room may put something over the way to it.
    held = os.open(source, os.O_PATH)
    if not target.exists():
        above = next(parent for parent in target.parents if parent.exists())
        _make_room_in(above, scratch)
        (target if source.is_dir() else target.parent).mkdir(parents=True, exist_ok=True)
        if not source.is_dir():
            target.touch()
    _mount(f"/proc/self/fd/{held}", target, None, _BIND | _REC)
    os.close(held)
    if read_only:
        _mount("none", target, None, _BIND | _REMOUNT | _RDONLY)


def main() -> None:
    """Mount the volumes and become the task."""
    asked = json.loads(sys.argv[1])
    here = Path.cwd()
    try:
        for source, target, read_only in asked["mounts"]:
            _mount_volume(Path(source), Path(target), read_only, Path(asked["scratch"]))
        os.chdir(here)
        os.execvpe(asked["argv"][0], asked["argv"], os.environ)
    except OSError as error:
        print(f"container: {error}", file=sys.stderr)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
