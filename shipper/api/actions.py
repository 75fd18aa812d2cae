"""What a reader can do about a record: commands that lead to the task and the container that wrote it, and links."""

import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from shipper.api.links import context_url, kibana_url, record_url, request_url, same_url, siblings_url, task_url
from shipper.cluster import enter
from shipper.errors import ClusterRefused

#: Docker's id of a container; other container ids are Mesos's own, and say nothing to Docker.
_DOCKER_ID: Final = re.compile(r"[0-9a-f]{12,64}")
#: What may stand in a command for a shell, without quotes of its own: ids are strangers' text.
_SHOWABLE: Final = re.compile(r"[!#-&(-\[\]-_a-~][ !#-&(-\[\]-_a-~]{0,1023}")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do: a command for a terminal, or a link: below this server's address, or Kibana's."""

    #: shell, sandbox, where; task, siblings, same, request, context, kibana, record.
    name: str
    command: str = ""
    url: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as answers have it: name, and command or url."""
        return {"name": self.name, "command": self.command} if self.command else {"name": self.name, "url": self.url}


def actions_of(record: dict[str, Any], kibana: str | None = None) -> list[Action]:
    """Return what the fields of a record allow: commands only for one that a task wrote, then links."""
    request = record.get("http.request.id")
    links = (
        Action("task", url=task_url(record)),
        Action("siblings", url=siblings_url(record)),
        Action("same", url=same_url(record)),
        Action("request", url=request_url(request) if isinstance(request, str) else ""),
        Action("context", url=context_url(record)),
        Action("kibana", url=kibana_url(record, kibana)),
        Action("record", url=record_url(record)),
    )
    return [*commands_of(record), *(link for link in links if link.url)]


def commands_of(record: Mapping[str, Any]) -> tuple[Action, ...]:
    """Return the commands `shell`, `sandbox` and `where`; none for a record that no task wrote."""
    is_job = record.get("orchestrator.resource.type") == "job"
    names = ("host.name", "container.id", "orchestrator.resource.id", "orchestrator.resource.name")
    host, container, task, app = (value if isinstance(value := record.get(name), str) else "" for name in names)
    return _commands(host, container, task, "" if is_job else app)


@lru_cache(maxsize=4096)
def _commands(host: str, container: str, task: str, app: str) -> tuple[Action, ...]:
    found: dict[str, str] = {}
    if _DOCKER_ID.fullmatch(container):
        with suppress(ClusterRefused):  # of a host's name that is none no command is made
            found["shell"] = enter.ways(enter.Target(task, host, container))[0].line
    if _may_be_named(task):
        found.setdefault("shell", shlex.join(("shipper", "shell", task)))
        found["sandbox"] = shlex.join(("shipper", "sandbox", task))
    if _may_be_named(app):
        found["where"] = shlex.join(("shipper", "where", app))
    return tuple(Action(name, command) for name, command in found.items())


def _may_be_named(text: str) -> bool:
    """An id that begins with a dash would be an option."""
    return bool(_SHOWABLE.fullmatch(text)) and not text.startswith("-")
