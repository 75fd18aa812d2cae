"""What Marathon refuses about an app definition, as pairs of a path and a sentence.

Types first (a wrong type is all that is told), then the rules between keys (AppValidation.scala, AppDefinition RAML).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Problem = tuple[str, str]
_NUMBER: Final = (int, float)
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "id": (str,),
    "cmd": (str,),
    "args": (list,),
    "instances": (int,),
    "cpus": _NUMBER,
    "mem": _NUMBER,
    "disk": _NUMBER,
    "env": (dict,),
    "labels": (dict,),
    "constraints": (list,),
    "dependencies": (list,),
    "healthChecks": (list,),
    "readinessChecks": (list,),
    "ports": (list,),
    "portDefinitions": (list,),
    "networks": (list,),
    "container": (dict,),
    "upgradeStrategy": (dict,),
    "uris": (list,),
    "fetch": (list,),
    "requirePorts": (bool,),
    "backoffSeconds": _NUMBER,
    "backoffFactor": _NUMBER,
    "maxLaunchDelaySeconds": _NUMBER,
    "taskKillGracePeriodSeconds": _NUMBER,
    "acceptedResourceRoles": (list,),
}
_ID: Final = re.compile(r"/?([a-z0-9]([a-z0-9.-]*[a-z0-9])?)(/[a-z0-9]([a-z0-9.-]*[a-z0-9])?)*")
_OPERATORS: Final = {"UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"}
_PROTOCOLS: Final = {"HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def problems(given: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with a definition as it was sent; an empty list when it is taken."""
    plain = {key: value for key, value in given.items() if value is not None}
    wrong = list(_wrong_types(plain))
    return wrong or [
        *_identity(plain),
        *_what_to_run(plain),
        *_numbers(plain),
        *_ports(plain),
        *_checks(plain),
        *_constraints(plain),
        *_volumes(plain),
    ]


def _wrong_types(given: Mapping[str, Any]) -> Iterator[Problem]:
    for key, types in _TYPES.items():
        value = given.get(key)
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            yield f"/{key}", f"error.expected.js{types[0].__name__}"
    for key in ("labels", "env"):
        values = given.get(key, {})
        for name, value in values.items() if isinstance(values, dict) else ():
            if not isinstance(value, str) and not (key == "env" and isinstance(value, dict)):
                yield f"/{key}({name})", "error.expected.jsstring"
    for key in ("healthChecks", "readinessChecks", "portDefinitions", "networks", "fetch"):
        values = given.get(key, [])
        if isinstance(values, list) and not all(isinstance(value, dict) for value in values):
            yield f"/{key}", "error.expected.jsobject"
    container = given.get("container")
    if isinstance(container, dict):
        if not isinstance(container.get("docker") or {}, dict):
            yield "/container/docker", "error.expected.jsobject"
        for key in ("volumes", "portMappings"):
            values = container.get(key) or []
            if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
                yield f"/container/{key}", "error.expected.jsarray"


def _identity(given: Mapping[str, Any]) -> Iterator[Problem]:
    name = given.get("id")
    if name is None:
        yield "/id", "error.path.missing"
    elif not _ID.fullmatch(name.rstrip("/")):
        yield "/id", f"must fully match regular expression '{_ID.pattern}'"


def _what_to_run(given: Mapping[str, Any]) -> Iterator[Problem]:
    container = given.get("container") or {}
    image = (container.get("docker") or {}).get("image")
    if "docker" in container and not image:
        yield "/container/docker/image", "error.path.missing"
    programs = ("cmd" in given) + ("args" in given)
    if programs > 1 or (not programs and not image and container.get("type") != "MESOS"):
        yield "/", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."
    if len(given.get("cmd", "xx")) < 2:
        yield "/cmd", "error.minLength"


def _numbers(given: Mapping[str, Any]) -> Iterator[Problem]:
    for key, lowest in (("instances", 0), ("disk", 0), ("backoffSeconds", 0), ("backoffFactor", 1)):
        if given.get(key, lowest) < lowest:
            yield f"/{key}", f"got {given[key]}, expected {lowest} or more"
    for key in ("cpus", "mem"):
        if given.get(key, 1) <= 0:
            yield f"/{key}", f"got {given[key]}, expected more than 0"
    for key, value in (given.get("upgradeStrategy") or {}).items():
        if not isinstance(value, _NUMBER) or not 0 <= value <= 1:
            yield f"/upgradeStrategy/{key}", f"got {value}, expected between 0.0 and 1.0"


def _ports(given: Mapping[str, Any]) -> Iterator[Problem]:
    container = given.get("container") or {}
    docker = container.get("docker") or {}
    mappings = container.get("portMappings") or docker.get("portMappings")
    bridged = docker.get("network") in {"BRIDGE", "USER"} or any(
        network.get("mode", "container") != "host" for network in given.get("networks", [])
    )
    if docker.get("network") and given.get("networks"):
        yield "/", "must not specify both container.docker.network and networks"
    if bridged and given.get("portDefinitions"):
        yield "/portDefinitions", "portDefinitions are only allowed with host networking"
    if mappings and not bridged:
        yield "/container/portMappings", "portMappings are not allowed with host networking"
    if given.get("ports") and given.get("portDefinitions"):
        yield "/", "must not specify both ports and portDefinitions"
    definitions = given.get("portDefinitions", [])
    numbers = [*given.get("ports", []), *(port.get("port", 0) for port in definitions)]
    if not all(isinstance(port, int) and 0 <= port <= 65535 for port in numbers):
        yield "/portDefinitions", "ports must be between 0 and 65535"
    elif _doubled([port for port in numbers if port]):
        yield "/portDefinitions", "Ports must be unique."
    names = [port["name"] for port in [*definitions, *(mappings or [])] if port.get("name")]
    if _doubled(names) or not all(_NAME.fullmatch(str(name)) for name in names):
        yield "/portDefinitions", "Port names must be unique and match [a-z0-9-]."


def _checks(given: Mapping[str, Any]) -> Iterator[Problem]:
    for number, check in enumerate(given.get("healthChecks", [])):
        protocol = check.get("protocol") or "HTTP"
        if protocol not in _PROTOCOLS:
            yield f"/healthChecks({number})/protocol", f"Unknown enum value {protocol}"
        elif protocol == "COMMAND" and not (check.get("command") or {}).get("value"):
            yield f"/healthChecks({number})/command", "error.path.missing"
        elif protocol != "COMMAND" and check.get("port") is None and not _has_port(given, check.get("portIndex")):
            yield f"/healthChecks({number})", "Health check port indices must address an element of the ports array."
    ready = given.get("readinessChecks", [])
    if len(ready) > 1:
        yield "/readinessChecks", "at most one readiness check is allowed"
    for check in ready:
        if check.get("timeoutSeconds", 10) >= check.get("intervalSeconds", 30):
            yield "/readinessChecks(0)/timeoutSeconds", "must be less than intervalSeconds"
        if check.get("portName", "http-api") not in _port_names(given):
            yield "/readinessChecks(0)/portName", "No port definition reference for portName"


def _listed_ports(given: Mapping[str, Any]) -> Sequence[Any]:
    container = given.get("container") or {}
    mappings = container.get("portMappings") or (container.get("docker") or {}).get("portMappings")
    listed = mappings or given.get("portDefinitions")
    return list(given.get("ports", [0]) if listed is None else listed)


def _has_port(given: Mapping[str, Any], index: int | None) -> bool:
    count = len(_listed_ports(given))
    return count == 1 if index is None else isinstance(index, int) and 0 <= index < count


def _port_names(given: Mapping[str, Any]) -> set[str]:
    return {port["name"] for port in _listed_ports(given) if isinstance(port, dict) and port.get("name")}


def _constraints(given: Mapping[str, Any]) -> Iterator[Problem]:
    for number, constraint in enumerate(given.get("constraints", [])):
        path = f"/constraints({number})"
        fine = isinstance(constraint, list) and all(isinstance(part, str) for part in constraint)
        if not fine or len(constraint) not in (2, 3):
            yield path, "must have two or three strings: field, operator, value"
        elif constraint[1] not in _OPERATORS:
            yield path, f"operator must be one of {', '.join(sorted(_OPERATORS))}"
        elif constraint[1] in {"LIKE", "UNLIKE"} and not (len(constraint) == 3 and _is_pattern(constraint[2])):
            yield path, "a regular expression is needed"
        elif constraint[1] in {"MAX_PER", "GROUP_BY"} and not "".join(constraint[2:] or ["1"]).isdigit():
            yield path, "a number is needed"


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _volumes(given: Mapping[str, Any]) -> Iterator[Problem]:
    for number, volume in enumerate((given.get("container") or {}).get("volumes") or []):
        path = f"/container/volumes({number})"
        if volume.get("mode") not in {"RO", "RW"}:
            yield f"{path}/mode", "must be RO or RW"
        if not volume.get("containerPath"):
            yield f"{path}/containerPath", "error.path.missing"
        if not any(volume.get(kind) for kind in ("hostPath", "persistent", "external", "secret")):
            yield path, "must have hostPath, persistent, external or secret"


def _doubled(values: Sequence[Any]) -> bool:
    return len(set(values)) != len(values)
