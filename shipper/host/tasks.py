"""Which task a container runs, from what it was started with; no program is asked, so none can make logging wait.

No process in a container may claim another's task: the environment of the process that writes is never looked at.
"""

import os
import re
from itertools import islice
from typing import Final

import orjson

from shipper.host.processes import Processes

#: Variables that are taken, and the member each becomes; the first of two that are set wins. All else is secret.
_MEMBERS: Final = {
    "MESOS_TASK_ID": "task",
    "mesos_task_id": "task",  # Chronos
    "MARATHON_APP_ID": "app",
    "MARATHON_APP_VERSION": "app_version",
    "CHRONOS_JOB_NAME": "job",
}
_LONGEST_VALUE: Final = 255

#: Processes of a container among which the first is looked for; and sandboxes.
_MOST_PROCESSES: Final = 64
_MOST_SANDBOXES: Final = 2048
_RUN: Final = re.compile(r"/slaves/[^/]+/frameworks/[^/]+/executors/([^/]+)/runs/([^/]+)")
_LONGEST_FILE: Final = 1 << 20
_UUID_LENGTH: Final = 36


def of_environment(environment: list[str]) -> dict[str, str]:
    """The members that an environment's "NAME=value" texts make; a value that is long or unprintable makes none."""
    variables: dict[str, str] = {}
    for text in environment:
        name, _, value = text.partition("=")
        if name in _MEMBERS:
            variables.setdefault(name, value)  # as getenv: the first counts
    values: dict[str, str] = {}
    for name, member in _MEMBERS.items():
        if (value := variables.get(name, "")) and _fits(value):
            values.setdefault(member, value)
    return values


def of_configuration(docker_data: str, container: str) -> dict[str, str] | None:
    """The members from the file in which Docker keeps what it was told of a container; None when it does not say.

    Unlike an environment in memory the container's processes cannot write it, and it is there before and after them.
    """
    path = f"{docker_data}/containers/{container}/config.v2.json"
    try:
        configured = orjson.loads(_read(path))["Config"]["Env"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(configured, list):
        return {} if configured is None else None
    return of_environment([text for text in configured if isinstance(text, str)])


def of_process(processes: Processes, pid: int) -> dict[str, str]:
    """The members from the environment of a process; none when it cannot be read, or is not the container's yet."""
    try:
        if processes.name(pid).startswith("runc:"):
            return {}
        return of_environment(os.fsdecode(processes.environment(pid)).split("\0"))
    except OSError:
        return {}


def first_process(processes: Processes, folder: str) -> int | None:
    """The process that a container was started with, from its cgroup's folder; None when it is not certain.

    It has id 1 in the namespace right below the host's: one further below was made by the container's own processes.
    Where a container shares the host's ids, it is the oldest.
    """
    pids = _pids(f"{folder}/cgroup.procs")
    first: tuple[int, int] | None = None
    shared: list[tuple[int, int]] = []
    for pid in pids[:_MOST_PROCESSES]:
        try:
            ids = processes.ids(pid)
            if len(ids) <= 1:
                shared.append((processes.stat(pid).start, pid))
        except (OSError, ValueError):
            continue  # it has just ended
        if len(ids) > 1 and ids[-1] == 1 and (first is None or len(ids) < first[0]):
            first = len(ids), pid
    if first is not None:
        return first[1]
    # With some not looked at, the oldest of the others may be any.
    return min(shared)[1] if shared and len(pids) <= _MOST_PROCESSES else None


def working_folder(processes: Processes, pid: int) -> str:
    """Where a process works; "" when that cannot be read."""
    try:
        return processes.folder(pid)
    except OSError:
        return ""


def executor(sandboxes: str, container: str, working: str) -> str | None:
    """The executor whose run has this UUID, from SANDBOXES/slaves/*/frameworks/*/executors/ID/runs/UUID.

    `working` is where its first process works, which is that folder unless it has a file system of its own.
    """
    if len(container) != _UUID_LENGTH or not sandboxes:
        return None
    if working.startswith(f"{sandboxes}/"):
        found = _RUN.fullmatch(working, len(sandboxes))
        if found and found[2] == container:
            return found[1] if _fits(found[1]) else None
    looked = 0
    for agent in _entries(f"{sandboxes}/slaves"):
        for framework in _entries(f"{agent}/frameworks"):
            for folder in _entries(f"{framework}/executors"):
                looked += 1
                if looked > _MOST_SANDBOXES:
                    return None
                if os.access(f"{folder}/runs/{container}", os.F_OK):
                    name = folder.rpartition("/")[2]
                    return name if _fits(name) else None
    return None


def _entries(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in islice(entries, _MOST_SANDBOXES)]
    except OSError:
        return []


def _fits(value: str) -> bool:
    return len(value) <= _LONGEST_VALUE and value.isprintable()


def _pids(path: str) -> list[int]:
    try:
        return sorted(int(line) for line in _read(path).splitlines())
    except (OSError, ValueError):
        return []


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, _LONGEST_FILE)
    finally:
        os.close(file)
