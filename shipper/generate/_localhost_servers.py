"""Which tasks serve a port, how HAProxy checks them, and which shipper is the first choice of a host."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv6Address
from typing import Any, Final

from shipper.cluster.model import App, Task
from shipper.generate._localhost_labels import HOST, Entrance, Problem, check_of, shown

#: Tasks that get new connections. One that starts is not ready, one that is killed is left to end what it has; one
#: that is out of the master's sight may well be up, and HAProxy checks it. Old versions of Marathon give no state.
SERVING: Final = frozenset({"", "TASK_RUNNING", "TASK_LOST", "TASK_UNREACHABLE"})
#: A path goes to `option httpchk` as one word without quotes, so it has no character that HAProxy reads otherwise.
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/?&=%+:-]{0,511}", re.ASCII)
#: Marathon's defaults, and limits in which HAProxy takes them.
_INTERVAL, _TIMEOUT, _FAILURES, _MOST = 60, 20, 3, 3600


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """One task, as HAProxy reaches it."""

    host: str
    port: int
    task_id: str

    @property
    def name(self) -> str:
        """Its name in a section: 10_0_0_5_31001."""
        return f"{re.sub('[.:]', '_', self.host)}_{self.port}"

    @property
    def address(self) -> str:
        """Its address in HAProxy's spelling."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def servers(entrance: Entrance, healthy: Collection[str], problems: list[Problem]) -> list[Server]:
    """Return who serves a port, sorted; `healthy` are tasks whose last known health check was good."""
    found: dict[str, Server] = {}
    for task in _ready(entrance.app, healthy):
        port = task.ports[entrance.index] if entrance.index < len(task.ports) else 0
        if not 1 <= port <= 65535:
            continue
        if not _is_host(task.host):
            problems.append(
                Problem(entrance.app.id, f"a task is on {shown(task.host)}, which is no host name: left out")
            )
            continue
        server = Server(task.host, port, task.id)
        found[server.name] = min(server, found.get(server.name, server))
    return sorted(found.values())


def check_lines(app: App, index: int, problems: list[Problem]) -> tuple[list[str], str]:
    """Return the backend's lines and the words of each server for the health check that the app has on this port."""
    check = check_of(app, index)
    if check is None or check.get("protocol") in ("COMMAND", "MESOS_COMMAND"):
        return [], ""
    lines = [f"  timeout check {max(1, _number(check.get('timeoutSeconds'), _TIMEOUT))}s"]
    if check.get("protocol", "HTTP") in ("HTTP", "MESOS_HTTP"):
        path = check.get("path") or "/"
        if isinstance(path, str) and _PATH.fullmatch(path):
            lines.insert(0, f"  option httpchk GET {path}")
        else:
            text = f"the path {shown(str(path))} of its health check cannot be asked by HAProxy: only the connection is"
            problems.append(Problem(app.id, text))
    # Marathon kills at the failure after the last that it allows; until then the task is not given up here either.
    fall = _number(check.get("maxConsecutiveFailures"), _FAILURES) + 1
    return lines, f" check inter {max(1, _number(check.get('intervalSeconds'), _INTERVAL))}s fall {fall}"


def by_preference(shippers: Iterable[Server], host_name: str) -> list[Server]:
    """Return shippers in the order in which a host prefers them: rendezvous hashing.

    Each pair of host and task has a weight of its own, so when a task comes only the hosts that prefer it move, and
    when it goes only those that it had.
    """

    def weight(server: Server) -> bytes:
        return blake2b(f"{host_name}\0{server.task_id}".encode(errors="backslashreplace"), digest_size=8).digest()

    return sorted(shippers, key=lambda server: (weight(server), server), reverse=True)


def _ready(app: App, healthy: Collection[str]) -> list[Task]:
    serving = [task for task in app.tasks if task.state in SERVING and task.healthy is not False]
    # Not checked yet: it waits while others are known to be good. After Marathon has changed its leader none is.
    known = any(task.healthy for task in serving)
    return [task for task in serving if task.healthy or not known or task.id in healthy]


def _is_host(host: str) -> bool:
    if ":" not in host:
        return HOST.fullmatch(host) is not None
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host


def _number(value: Any, default: int) -> int:
    """Return a whole number of Marathon's answer within limits; the default when it is something else."""
    return min(value, _MOST) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default
