"""What a reader can do about a record: the commands that lead to the task and the container that wrote it."""

import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from shipper.cluster import enter
from shipper.errors import ClusterRefused

#: Docker's id of a container; other container ids are Mesos's own, and say nothing to Docker.
_DOCKER_ID: Final = re.compile(r"[0-9a-f]{12,64}")
#: What may stand in a command for a shell: ids are strangers' text.
_SHOWABLE: Final = re.compile(r"[!-~][ -~]{0,1023}")


def actions_of(record: Mapping[str, Any]) -> Mapping[str, str]:
    """Return commands by what they do: `shell`, `sandbox`, `where`; none for a record that no task wrote."""
    is_job = record.get("orchestrator.resource.type") == "job"
    names = ("host.name", "container.id", "orchestrator.resource.id", "orchestrator.resource.name")
    host, container, task, app = (value if isinstance(value := record.get(name), str) else "" for name in names)
    return _actions(host, container, task, "" if is_job else app)


@lru_cache(maxsize=4096)
def _actions(host: str, container: str, task: str, app: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    if _DOCKER_ID.fullmatch(container):
        with suppress(ClusterRefused):  # of a host's name that is none no command is made
            found["shell"] = enter.ways(enter.Target(task, host, container))[0].line
    if _may_be_named(task):
        found.setdefault("shell", shlex.join(("shipper", "shell", task)))
        found["sandbox"] = shlex.join(("shipper", "sandbox", task))
    if _may_be_named(app):
        found["where"] = shlex.join(("shipper", "where", app))
    return found


def _may_be_named(text: str) -> bool:
    """An id that begins with a dash would be an option."""
    return bool(_SHOWABLE.fullmatch(text)) and not text.startswith("-")
