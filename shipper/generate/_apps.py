"""What all generated apps share: the forms that Marathon's versions know, ports, checks and labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from shipper.generate._cluster_settings import Settings

#: Label that says an app is ours and what part it has; `shipper deploy` changes no app without it.
ROLE: Final = "SHIPPER_ROLE"

#: An app or a job as JSON has it.
Definition = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Port:
    """A port of an app: its name, the service port of HAProxy on 127.0.0.1, and how HAProxy speaks on it."""

    name: str
    service: int
    mode: str = "http"


def as_json(definition: Definition) -> str:
    """Return the text of a file: the same definition gives the same bytes."""
    return json.dumps(definition, indent=2) + "\n"


def value(setting: object) -> str:
    """Return a setting as text of an environment variable, which shipper reads as YAML."""
    if isinstance(setting, str) and yaml.safe_load(setting) == setting:
        return setting
    return json.dumps(setting)


def on_host(settings: Settings, ports: Sequence[Port]) -> Definition:
    """Return the keys of an app on its host's network: service ports given, host ports whatever Mesos offers.

    The program finds them in $PORT0, $PORT1 …
    """
    if settings.marathon == "0.9.1":
        return {"ports": [port.service for port in ports], "requirePorts": False}
    definitions = [{"name": port.name, "port": port.service, "protocol": "tcp"} for port in ports]
    keys: Definition = {"portDefinitions": definitions, "requirePorts": False}
    return {"networks": [{"mode": "host"}], **keys} if settings.marathon == "1.10" else keys


def docker(
    settings: Settings,
    image: str,
    *,
    volumes: Sequence[Definition] = (),
    parameters: Mapping[str, str | Sequence[str]] | None = None,
) -> Definition:
    """Return the keys of an app that runs an image on its host's network; parameters are options of `docker run`."""
    inner: Definition = {"image": image, "forcePullImage": False}
    if settings.marathon != "1.10":
        inner["network"] = "HOST"
    inner["parameters"] = [
        {"key": key, "value": one}
        for key, given in (parameters or {}).items()
        for one in ([given] if isinstance(given, str) else given)
    ]
    return {"container": {"type": "DOCKER", "docker": inner, "volumes": list(volumes)}}


def mounted(path: str, inside: str = "", *, writable: bool = False) -> Definition:
    """Return the volume that shows a path of the host in a container."""
    return {"containerPath": inside or path, "hostPath": path, "mode": "RW" if writable else "RO"}


def labels(settings: Settings, role: str, ports: Sequence[Port] = (), names: Sequence[str] = ()) -> Definition:
    """Return the labels of an app: whose it is, its part, and what HAProxy does with its ports."""
    found = {ROLE: role, "SHIPPER_OWNER": settings.owner}
    if ports:
        found["HAPROXY_GROUP"] = settings.haproxy_group
    for number, port in enumerate(ports):
        found[f"HAPROXY_{number}_MODE"] = port.mode
    if names:
        found["HAPROXY_0_VHOST"] = ",".join(names)
    return {"labels": found}


def health(path: str, port: int, *, grace: int = 60) -> Definition:
    """Return an HTTP check of a port, by its place in the list; in `grace` seconds after a start no failure counts."""
    check = {
        "protocol": "HTTP",
        "path": path,
        "portIndex": port,
        "gracePeriodSeconds": grace,
        "intervalSeconds": 10,
        "timeoutSeconds": 5,
        "maxConsecutiveFailures": 3,
    }
    return {"healthChecks": [check]}


def readiness(settings: Settings, path: str, port: str) -> Definition:
    """Return the check that holds an upgrade until a new task answers 200; Marathon 0.9.1 has none."""
    if settings.marathon == "0.9.1":
        return {}
    check = {
        "name": "ready",
        "protocol": "HTTP",
        "path": path,
        "portName": port,
        "intervalSeconds": 5,
        "timeoutSeconds": 3,
        "httpStatusCodesForReady": [200],
    }
    return {"readinessChecks": [check]}


def kill_grace(settings: Settings, seconds: int) -> Definition:
    """Return how long a task has between SIGTERM and SIGKILL; with Marathon 0.9.1 only Mesos says it."""
    return {} if settings.marathon == "0.9.1" else {"taskKillGracePeriodSeconds": seconds}


def beside(settings: Settings, instances: int) -> Definition:
    """Return instances that spread over the hosts, and an upgrade that starts all new ones before an old one ends.

    GROUP_BY and not UNIQUE: a new one must find room beside the old one, on the same host if there is no other.
    """
    constraints = [["hostname", "GROUP_BY", str(instances)]]
    if settings.hosts:
        constraints.append(["hostname", "LIKE", settings.hosts])
    return {
        "instances": instances,
        "constraints": constraints,
        "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 1.0},
    }


def resources(cpus: float, mem: int) -> Definition:
    """Return what an app asks of a host: CPUs, and memory in MB."""
    return {"cpus": cpus, "mem": mem}
