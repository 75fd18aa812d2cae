"""What makes a task of the emulated cluster a container for its host: a mount namespace, and a control group.

A host knows who writes to its log socket by the writer's control group, which a real Mesos agent makes.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shipper.errors import ConfigError

_ROOT: Final = Path("/sys/fs/cgroup")
#: Of the hierarchies of version 1 any does; version 2 beside them is asked first, as it knows processes that ended.
_HIERARCHIES: Final = ("unified", "systemd", "pids", "cpu")
_PREFIX: Final = "shipper-demo-"
#: A group can be removed a moment after its last process has ended.
_REMOVALS: Final = 100
_CHECK_SECONDS: Final = 30


@contextlib.contextmanager
def contained(folder: Path) -> Iterator[str]:
    """Yield what a task's shell runs first to be a container of its own; ConfigError says why there can be none."""
    if os.geteuid() != 0:
        raise ConfigError("that needs root")
    for program in ("unshare", "logger"):
        if shutil.which(program) is None:
            raise ConfigError(f"the program {program} is missing")
    tried = subprocess.run(
        ["unshare", "--mount", "true"],  # noqa: S607  found on PATH, as the emulator does
        capture_output=True, timeout=_CHECK_SECONDS, check=False,
    )  # fmt: skip
    if tried.returncode != 0:
        raise ConfigError("this machine refuses mount namespaces")
    group = _make_group()
    try:
        script = folder / "contain"
        script.write_text(_SCRIPT.replace("@group@", str(group)))
        yield f". {script}"
    finally:
        _remove(group)


def _make_group() -> Path:
    hierarchies = [_ROOT] if (_ROOT / "cgroup.controllers").exists() else [_ROOT / name for name in _HIERARCHIES]
    for hierarchy in hierarchies:
        with contextlib.suppress(OSError):
            for left in hierarchy.glob(f"{_PREFIX}*"):  # by a demo that was killed; one that runs is not empty
                _remove(left, tries=1)
            group = hierarchy / f"{_PREFIX}{os.getpid()}"
            group.mkdir(exist_ok=True)
            return group
    raise ConfigError("this machine gives no control groups")


def _remove(group: Path, tries: int = _REMOVALS) -> None:
    """Remove a group with those in it, as far as they are empty."""
    for _ in range(tries):
        with contextlib.suppress(OSError):
            for task in (group / "mesos").glob("*/"):
                task.rmdir()
            if (group / "mesos").is_dir():
                (group / "mesos").rmdir()
            group.rmdir()
            return
        time.sleep(0.02)


#: The name is that of the container's sandbox, which Mesos's agent gives its control groups, too.
_SCRIPT: Final = """\
# Written by `shipper demo --cluster`: a task that reads this is in a control group of its own from then on.
group=@group@/mesos/${MESOS_DIRECTORY##*/}
mkdir -p "$group" && echo $$ >"$group/cgroup.procs"
"""
