"""The commands by which a person gets into a task, and tools that look at it from outside. Nothing is run here.

Names of hosts and containers are strangers' text: one that is not what such a name looks like is refused, and
everything is quoted for the shells that will read it.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.cluster._answers import number, objects
from shipper.cluster.model import App, Task
from shipper.errors import ClusterRefused

#: Image of the debug container: has a shell and little else, and is small.
DEBUG_IMAGE: Final = "busybox"
_HOST: Final = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9._:%-]{0,254}")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,127}")
_CONTAINER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_TASK_ID: Final = re.compile(r"[ -~]{1,1024}")
_FOLDER: Final = re.compile(r"/[ -~]{0,4095}")
_NAMESPACES: Final = "--mount --uts --ipc --net --pid"


@dataclass(frozen=True, slots=True)
class Target:
    """One task as it is entered; `container` is Docker's name of it or id, "" for a task that runs without Docker."""

    task_id: str
    host: str
    container: str = ""
    #: Its folder on the host, for a task without Docker.
    sandbox: str = ""

    def __post_init__(self) -> None:
        """Refuse what no such name looks like."""
        _check("host", self.host, _HOST)
        if self.container:
            _check("container", self.container, _CONTAINER)
        else:
            _check("task", self.task_id, _TASK_ID)
            _check("folder", self.sandbox, _FOLDER)

    @property
    def pid(self) -> str:
        """A shell's words for the id of its first process, on its host."""
        if self.container:
            return f"\"$(docker inspect --format '{{{{.State.Pid}}}}' {shlex.quote(self.container)})\""
        names = [shlex.quote(f"{name}={self.task_id}") for name in ("MESOS_TASK_ID", "mesos_task_id")]  # Chronos's last
        return f'"$(grep -lszxF -e {names[0]} -e {names[1]} /proc/[0-9]*/environ | cut -d/ -f3 | sort -n | head -n 1)"'


@dataclass(frozen=True, slots=True)
class Way:
    """One way in: its name, what it is good for, and the command, exactly."""

    name: str
    purpose: str
    command: tuple[str, ...]

    @property
    def line(self) -> str:
        """The command as a shell reads it."""
        return shlex.join(self.command)


def ways(target: Target, user: str = "", image: str = DEBUG_IMAGE) -> list[Way]:
    """Return the ways into a task, the usual one first; as `user` on its host, with `image` for a debug container."""
    _check("image", image, _IMAGE)
    enter = f"nsenter --target {target.pid} {_NAMESPACES} sh"
    if not target.container:
        return [
            Way("exec", "a shell in its sandbox", _ssh(target, user, f"cd {shlex.quote(target.sandbox)} && exec sh")),
            Way("nsenter", "a shell beside its first process; as root", _ssh(target, user, enter)),
        ]
    name = shlex.quote(target.container)
    debug = (
        f"docker run --rm -it --pid container:{name} --network container:{name} --cap-add SYS_PTRACE "
        f"{shlex.quote(image)} sh"
    )
    return [
        Way("exec", "a shell in the container", _ssh(target, user, f"docker exec -it {name} sh")),
        Way("nsenter", "Docker before 1.3; as root", _ssh(target, user, enter)),
        Way("debug", "a container beside it: it has no shell (its files: /proc/1/root)", _ssh(target, user, debug)),
    ]


def hints(target: Target, app: App, task: Task, tools: Sequence[str], user: str = "") -> list[Way]:
    """Return the commands of the tools that an app's owner says work from outside (label SHIPPER_TOOLS)."""
    return list(_hints(target, app, task, tools, user))


def _hints(target: Target, app: App, task: Task, tools: Sequence[str], user: str) -> Iterator[Way]:
    for tool in tools:
        name, _, place = tool.partition(":")
        port = _host_port(app, task, int(place)) if place.isascii() and place.isdecimal() else 0
        address = f"[{target.host}]:{port}" if ":" in target.host else f"{target.host}:{port}"
        if name == "pprof" and port:
            yield Way(
                name,
                "where a Go program spends its time",
                ("go", "tool", "pprof", f"http://{address}/debug/pprof/profile"),
            )
        elif name == "jconsole" and port:
            yield Way(name, "threads and memory of a Java program", ("jconsole", address))
        elif name == "gdb":
            yield Way(name, "its threads and their stacks; as root", _ssh(target, user, f"gdb -p {target.pid}"))
        elif name == "strace":
            yield Way(name, "its system calls; as root", _ssh(target, user, f"strace -f -p {target.pid}"))


def _host_port(app: App, task: Task, port: int) -> int:
    """The port of the task's host that leads to a port as its owner names it: in the container, else a service port."""
    named = [_container_ports(app), list(app.service_ports)]
    for ports in named:
        if port in ports and ports.index(port) < len(task.ports):
            return task.ports[ports.index(port)]
    return port if 0 < port < 65536 else 0


def _container_ports(app: App) -> list[int]:
    for container in objects([app.definition.get("container")]):
        for network in (container, *objects([container.get("docker")])):
            if mappings := objects(network.get("portMappings")):
                return [number(one.get("containerPort")) for one in mappings]
    return []


def _ssh(target: Target, user: str, remote: str) -> tuple[str, ...]:
    if user:
        _check("user", user, _USER)
    return ("ssh", "-t", *(("-l", user) if user else ()), target.host, remote)


def _check(what: str, value: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(value):
        raise ClusterRefused(f"{value[:100]!a} is not the name of a {what}; no command is made of it", 400)
