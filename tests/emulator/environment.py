"""What a task of Marathon's is called, and which environment and command line it is given, by version of Marathon."""

import re
import uuid
from collections.abc import Mapping, Sequence

from tests.emulator import definitions
from tests.emulator.model import Agent, App, Command, Definition, Docker, Task, Volume, World

#: Labels longer than this (key or value) do not reach the environment.
_KEY_LIMIT, _VALUE_LIMIT = 493, 512


def new_task(world: World, app: App, version: str, agent: Agent, ports: Sequence[int]) -> Task:
    """A task of this version of the app, not started yet, with an id of its own."""
    definition = app.versions[version]
    safe, unique = app.id.lstrip("/").replace("/", "_"), uuid.uuid1()
    prefix = "instance-" if world.profile.instance_ids else "marathon-"
    return Task(
        id=f"{safe}.instance-{unique}._app.1" if world.profile.instance_ids else f"{safe}.{unique}",
        name=".".join(reversed(app.id.strip("/").split("/"))),
        framework=world.marathon,
        agent=agent,
        owner=app.id,
        version=version,
        instance_id=f"{safe}.{prefix}{unique}",
        labels=definition["labels"],
        ports=tuple(ports),
        cpus=definition["cpus"],
        mem=definition["mem"],
        disk=definition["disk"],
        docker=_is_docker(definition),
        kill_grace_seconds=definition.get("taskKillGracePeriodSeconds", Task.kill_grace_seconds),
    )


def command(world: World, task: Task, definition: Definition) -> Command:
    """What the task runs; an app that has neither cmd nor args gives an empty argument vector."""
    argv = ("/bin/sh", "-c", definition["cmd"]) if "cmd" in definition else tuple(definition.get("args", ()))
    volumes = (definition.get("container") or {}).get("volumes", [])
    own = {key: value for key, value in definition["env"].items() if isinstance(value, str)}
    return Command(
        argv=argv,
        env={**_marathon(world, task, definition), **_ports(task, definition), **own},
        volumes=tuple(
            Volume(volume["containerPath"], volume["hostPath"], volume["mode"] == "RO")
            for volume in volumes
            if "hostPath" in volume
        ),
        docker=_docker(world, task, definition) if task.docker else None,
        fetch=tuple(fetch["uri"] for fetch in definition["fetch"]),
    )


def _is_docker(definition: Definition) -> bool:
    return (definition.get("container") or {}).get("type") == "DOCKER"


def _docker(world: World, task: Task, definition: Definition) -> Docker:
    container = definition["container"]
    published = zip(container.get("portMappings", ()), task.ports, strict=False)
    return Docker(
        image=container["docker"]["image"],
        shell="cmd" in definition,
        label=world.profile.docker_label,
        parameters=tuple((one["key"], one["value"]) for one in container["docker"]["parameters"]),
        published=tuple(
            f"{host_port}:{port['containerPort'] or host_port}/{port['protocol']}" for port, host_port in published
        ),
    )


def _marathon(world: World, task: Task, definition: Definition) -> dict[str, str]:
    env = {
        "HOST": task.agent.host,
        "MARATHON_APP_ID": task.owner,
        "MARATHON_APP_VERSION": task.version,
        "MESOS_TASK_ID": task.id,
    }
    if not world.profile.rich_env:
        return env
    image = (definition.get("container") or {}).get("docker", {}).get("image")
    env |= {"MARATHON_APP_DOCKER_IMAGE": image} if image else {}
    env |= {f"MARATHON_APP_RESOURCE_{name.upper()}": str(float(definition[name])) for name in ("cpus", "mem", "disk")}
    env["MARATHON_APP_RESOURCE_GPUS"] = str(definition["gpus"])
    return env | _labels(definition["labels"])


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    short = {
        re.sub(r"[^A-Za-z0-9_]+", "_", key.upper()): value
        for key, value in labels.items()
        if len(key) < _KEY_LIMIT and len(value) < _VALUE_LIMIT
    }
    return {"MARATHON_APP_LABELS": " ".join(short)} | {
        f"MARATHON_APP_LABEL_{key}": value for key, value in short.items()
    }


def _ports(task: Task, definition: Definition) -> dict[str, str]:
    if not task.ports:
        return {}
    env = {"PORT": str(task.ports[0]), "PORTS": ",".join(map(str, task.ports))}
    asked = definitions.port_list(definition)
    for number, (port, host_port) in enumerate(zip(asked, task.ports, strict=True)):
        env[f"PORT{number}"] = str(host_port)
        requested = port.get("containerPort", port.get("port"))
        if requested:
            env[f"PORT_{requested}"] = str(host_port)
        if port.get("name"):
            env[f"PORT_{re.sub('[^A-Z0-9_]+', '_', port['name'].upper())}"] = str(host_port)
    return env
