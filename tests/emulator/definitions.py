"""App definitions: one inner form (Marathon 1.5 and later) of every form that is accepted, and back for old profiles.

Marathon ignores keys that it does not know, so they are dropped here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.emulator.model import Definition
from tests.emulator.profiles import Profile

SERVICE_PORTS: Final = range(10000, 20001)

#: Keys of version 0.9.1, which its answers carry.
_OLD_KEYS: Final = frozenset(
    [
        "acceptedResourceRoles",
        "args",
        "backoffFactor",
        "backoffSeconds",
        "cmd",
        "constraints",
        "container",
        "cpus",
        "dependencies",
        "disk",
        "env",
        "executor",
        "healthChecks",
        "id",
        "instances",
        "labels",
        "maxLaunchDelaySeconds",
        "mem",
        "ports",
        "requirePorts",
        "storeUrls",
        "upgradeStrategy",
        "uris",
        "user",
        "version",
    ]
)
_KEYS: Final = (_OLD_KEYS - {"ports", "uris", "storeUrls"}) | frozenset(
    [
        "fetch",
        "gpus",
        "ipAddress",
        "killSelection",
        "networks",
        "portDefinitions",
        "readinessChecks",
        "residency",
        "role",
        "secrets",
        "taskKillGracePeriodSeconds",
        "unreachableStrategy",
    ]
)
_DEFAULTS: Final[Mapping[str, Any]] = {
    "instances": 1,
    "cpus": 1.0,
    "mem": 128.0,
    "disk": 0.0,
    "gpus": 0,
    "executor": "",
    "backoffSeconds": 1,
    "backoffFactor": 1.15,
    "requirePorts": False,
    "killSelection": "YOUNGEST_FIRST",
    "env": {},
    "labels": {},
    "constraints": [],
    "dependencies": [],
    "healthChecks": [],
    "readinessChecks": [],
    "fetch": [],
    "secrets": {},
}
_READINESS: Final[Mapping[str, Any]] = {
    "name": "readinessCheck",
    "protocol": "HTTP",
    "path": "/",
    "portName": "http-api",
    "intervalSeconds": 30,
    "timeoutSeconds": 10,
    "httpStatusCodesForReady": [200],
    "preserveLastResponse": False,
}


def merged(current: Definition, given: Mapping[str, Any]) -> Definition:
    """What PUT and PATCH make of an app: the keys given, over the ones it has; still to be normalised."""
    replaced = {"cmd": "args", "args": "cmd", "ports": "portDefinitions", "uris": "fetch"}
    container = given.get("container") or {}
    docker = container.get("docker") or {}
    gone = {replaced[key] for key in given if key in replaced and given[key] is not None}
    if "network" in docker:
        gone |= {"networks"}
    if "container" in given and ("portMappings" in container or "portMappings" in docker):
        gone |= {"portDefinitions"}
    return {key: value for key, value in current.items() if key not in gone} | dict(given)


def normalised(given: Mapping[str, Any], profile: Profile) -> Definition:
    """The definition with one form for each thing and every default filled in; service ports may still be 0."""
    plain = {key: value for key, value in given.items() if value is not None}
    definition = {**_DEFAULTS, "maxLaunchDelaySeconds": profile.max_launch_delay}
    definition |= {key: value for key, value in plain.items() if key in _KEYS}
    definition["id"] = "/" + str(definition["id"]).strip("/")
    if "uris" in plain and "fetch" not in plain:
        definition["fetch"] = [
            {"uri": uri, "extract": True, "executable": False, "cache": False} for uri in plain["uris"]
        ]
    capacity = {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 1.0}
    definition["upgradeStrategy"] = capacity | definition.get("upgradeStrategy", {})
    _normalise_networks(definition, plain)
    ports = len(port_list(definition))
    definition["healthChecks"] = [_health_check(check, ports) for check in definition["healthChecks"]]
    definition["readinessChecks"] = [{**_READINESS, **check} for check in definition["readinessChecks"]]
    if profile.instance_ids:
        definition.setdefault("unreachableStrategy", {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0})
    return definition


def _normalise_networks(definition: Definition, plain: Mapping[str, Any]) -> None:
    container = dict(definition.get("container") or {})
    docker = dict(container.pop("docker", None) or {})
    old_mappings = docker.pop("portMappings", None)
    network = docker.pop("network", None)
    mappings = container.pop("portMappings", None) or old_mappings
    modes = {"BRIDGE": "container/bridge", "USER": "container", "HOST": "host", "NONE": "host"}
    if network is not None or not definition.get("networks"):
        definition["networks"] = [{"mode": modes.get(network or "HOST", "host")}]
    if container or docker:
        container = {"type": "DOCKER" if docker else "MESOS", "volumes": [], **container}
        if docker:
            container["docker"] = {"forcePullImage": False, "privileged": False, "parameters": [], **docker}
        definition["container"] = container
    if definition["networks"][0].get("mode", "container") != "host":
        definition.pop("portDefinitions", None)
        container["portMappings"] = [_mapping(mapping) for mapping in mappings or [{"containerPort": 0}]]
        definition["container"] = {"type": "MESOS", "volumes": [], **container}
        return
    ports = plain.get("portDefinitions")
    if ports is None:
        ports = [{"port": port} for port in plain.get("ports", [0])]
    definition["portDefinitions"] = [{"protocol": "tcp", **port} for port in ports]


def _mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    filled = {"containerPort": 0, "hostPort": 0, "protocol": "tcp", "servicePort": 0, **mapping}
    return {key: value for key, value in filled.items() if key != "networkNames"}


def _health_check(check: Mapping[str, Any], ports: int) -> dict[str, Any]:
    given = {key: value for key, value in check.items() if value is not None}
    protocol = given.get("protocol", "HTTP")
    filled: dict[str, Any] = {
        "protocol": protocol,
        "gracePeriodSeconds": 300,
        "intervalSeconds": 60,
        "timeoutSeconds": 20,
        "maxConsecutiveFailures": 3,
    }
    if protocol.endswith(("HTTP", "HTTPS")):
        filled |= {"path": "/", "ignoreHttp1xx": False}
    if protocol.startswith("MESOS_") or protocol == "COMMAND":
        filled["delaySeconds"] = 15
    if protocol != "COMMAND" and "port" not in given and ports:
        filled["portIndex"] = 0
    return filled | given


def port_list(definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its ports in order, the very dictionaries of the definition: port definitions, or mappings of a container."""
    if "portDefinitions" in definition:
        return list(definition["portDefinitions"])
    return list((definition.get("container") or {}).get("portMappings", []))


def _port_key(definition: Mapping[str, Any]) -> str:
    return "port" if "portDefinitions" in definition else "servicePort"


def service_ports(definition: Mapping[str, Any]) -> list[int]:
    """The ports on which a load balancer serves it."""
    return [int(port[_port_key(definition)]) for port in port_list(definition)]


def assign_service_ports(definition: Definition, before: Iterable[int], taken: Iterable[int]) -> None:
    """Give each port that asks for any a service port: the one it had at this place before, else a free one."""
    key, had, used = _port_key(definition), list(before), {*taken, *service_ports(definition)}
    for number, port in enumerate(port_list(definition)):
        if not port[key]:
            kept = had[number] if number < len(had) and had[number] not in service_ports(definition) else None
            port[key] = kept or next(candidate for candidate in SERVICE_PORTS if candidate not in used)
            used.add(port[key])


def host_ports(definition: Mapping[str, Any]) -> list[int]:
    """What a task asks of its host for each port: this one, or 0 for any."""
    if "portDefinitions" in definition:
        return [port["port"] if definition["requirePorts"] else 0 for port in definition["portDefinitions"]]
    return [port.get("hostPort") or 0 for port in port_list(definition)]


def rendered(definition: Definition, profile: Profile) -> Definition:
    """The definition as an answer of this version of Marathon has it."""
    if not profile.old_networks:
        return dict(definition)
    old = {key: value for key, value in definition.items() if key != "networks"}
    old["ports"] = service_ports(definition)
    old["uris"] = [fetch["uri"] for fetch in definition["fetch"]]
    old["container"] = _old_container(definition)
    if profile.name == "0.9.1":
        old = {key: value for key, value in old.items() if key in _OLD_KEYS} | {"storeUrls": []}
    return old


def _old_container(definition: Definition) -> dict[str, Any] | None:
    container = dict(definition.get("container") or {})
    if not container:
        return None
    mappings = container.pop("portMappings", None)
    if "docker" in container:
        modes = {"host": "HOST", "container": "USER", "container/bridge": "BRIDGE"}
        network = modes[definition["networks"][0].get("mode", "container")]
        container["docker"] = {**container["docker"], "network": network}
        if mappings is not None:
            container["docker"]["portMappings"] = mappings
    return container
