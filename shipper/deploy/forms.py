"""One form for all ways in which a Marathon app can be written, so that definitions can be compared.

Marathon answers with more than it was given (defaults, counts, tasks), and in the form of its own version: `ports` or
`portDefinitions`, `uris` or `fetch`, `container.docker.network` or `networks`.
"""

from collections.abc import Mapping
from posixpath import dirname, join, normpath
from typing import Any, Final

#: Keys of an answer that tell what is, not what was asked for (App in Marathon's RAML, and those of old versions).
_STATE: Final = frozenset({
    "version", "versionInfo", "tasks", "tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "tasksStats",
    "taskStats", "deployments", "lastTaskFailure", "readinessCheckResults", "storeUrls",
})  # fmt: skip
_EMPTIED: Final = ("env", "labels", "constraints", "healthChecks", "readinessChecks", "dependencies")
_NETWORKS: Final = {"BRIDGE": "container/bridge", "HOST": "host", "USER": "container", "NONE": "none"}


def writable(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer of Marathon's as it can be given back to it: without state, and no thing said twice."""
    kept = {key: value for key, value in definition.items() if key not in _STATE and value is not None}
    for newer, older in (("portDefinitions", "ports"), ("fetch", "uris"), ("networks", "ipAddress")):
        if newer in kept:
            kept.pop(older, None)
    container = kept.get("container")
    if isinstance(container, Mapping) and (_mappings(container) or _docker(container).get("network") == "BRIDGE"):
        kept.pop("ports", None)  # the service ports of its mappings, said again
        kept.pop("portDefinitions", None)
    return kept


def replacing(definition: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes `current` become `definition`, also where a key that is not sent keeps its value (before 1.5).

    A key of one value cannot be taken back there; those that hold names or lists can, by an empty one.
    """
    emptied = {key: type(current[key])() for key in _EMPTIED if current.get(key) and key not in definition}
    return {**definition, **emptied}


def absolute(app_id: str, written: str) -> str:
    """Return the id that `written` means in the definition of an app: `../db` beside it, `db` in its group."""
    return normpath(join(dirname(app_id) or "/", written))


def one_form(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition in the newest form; parts that have an unexpected shape stay as they are."""
    form = {key: value for key, value in definition.items() if key not in _STATE and value is not None}
    form["id"] = f"/{str(form.get('id', '')).strip('/')}"
    form["fetch"] = form.get("fetch") or [{"uri": uri} for uri in _list(form.get("uris"))]
    form.pop("uris", None)
    form["constraints"] = [_constraint(one) for one in _list(form.get("constraints"))]
    form["dependencies"] = sorted(absolute(form["id"], str(one)) for one in _list(form.get("dependencies")))
    networks = _networks(form)
    on_host = all(isinstance(one, Mapping) and one.get("mode") == "host" for one in networks)
    form["networks"] = [] if on_host else networks  # the host's is what an app has that names none
    _container(form)
    ports = _ports(form)
    if on_host:
        form["portDefinitions"] = ports
    return form


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _docker(container: Mapping[str, Any]) -> Mapping[str, Any]:
    docker = container.get("docker")
    return docker if isinstance(docker, Mapping) else {}


def _mappings(container: Mapping[str, Any]) -> list[Any]:
    return _list(container.get("portMappings")) or _list(_docker(container).get("portMappings"))


def _constraint(written: object) -> object:
    return written[:-1] if isinstance(written, list) and len(written) == 3 and written[2] == "" else written


def _networks(form: dict[str, Any]) -> list[Any]:
    address = form.pop("ipAddress", None)
    if form.get("networks"):
        return [{"mode": "container", **one} if isinstance(one, Mapping) else one for one in _list(form["networks"])]
    container = form.get("container")
    old = _docker(container).get("network") if isinstance(container, Mapping) else None
    mode = _NETWORKS.get(str(old), "host")
    name = address.get("networkName") if isinstance(address, Mapping) else None
    return [{"mode": "container", "name": name}] if name else [{"mode": mode}]


def _container(form: dict[str, Any]) -> None:
    container = form.get("container")
    if not isinstance(container, Mapping):
        return
    moved = {**container, "portMappings": _mappings(container)}
    if docker := _docker(container):
        moved["docker"] = {key: value for key, value in docker.items() if key not in ("network", "portMappings")}
    form["container"] = moved


def _ports(form: dict[str, Any]) -> list[Any]:
    """Take the ports out of a form; an app that says nothing of ports has one."""
    definitions, ports = form.pop("portDefinitions", None), form.pop("ports", None)
    if definitions is not None:
        return _list(definitions)
    return [{"port": 0}] if ports is None else [{"port": port} for port in _list(ports)]
