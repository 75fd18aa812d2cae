"""Generated apps for tests: every kind of cluster, and the rules of Marathon that its schema cannot say."""

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from shipper.generate import marathon

ELSEWHERE: dict[str, object] = {"elasticsearch": "elsewhere", "elasticsearch_urls": "https://es.example:9200"}
_CA: dict[str, object] = {"kibana_ca": "/etc/ca/ca.pem"}
#: What Marathon 0.9.1 knows of an app (its AppDefinition.json).
KEYS_OF_0_9_1 = frozenset({
    "acceptedResourceRoles", "args", "backoffFactor", "backoffSeconds", "cmd", "constraints", "container", "cpus",
    "dependencies", "disk", "env", "executor", "healthChecks", "id", "instances", "labels", "maxLaunchDelaySeconds",
    "mem", "ports", "requirePorts", "storeUrls", "upgradeStrategy", "uris", "user", "version",
})  # fmt: skip


def clusters() -> list[dict[str, object]]:
    """Settings of every kind of cluster."""
    return list(_clusters())


def _clusters() -> Iterator[dict[str, object]]:
    for version, package, haproxy in product(("0.9.1", "1.4", "1.10"), ("image", "archive"), ("systemd", "app")):
        base: dict[str, object] = {"marathon": version, "package": package, "haproxy": haproxy}
        yield base
        yield {**base, **ELSEWHERE, "kibana": False, "hosts": "web-.*", "secrets_directory": "/etc/secrets"}
    yield {"secrets": {"SHIPPER_STORE__API_KEY": "shipper/key"}}
    yield {"elasticsearch_hosts": "one"}
    tls: dict[str, object] = {"front_tls_certificate": "/etc/tls/front.pem", "front_tls_key": "/etc/tls/front.key"}
    for version, auth in product(("0.9.1", "1.10"), ("basic", "header")):
        front = {"front_auth": auth, "front_trusted": "10.0.0.7,fd00::/8", "front_url": "https://logs.example:8443"}
        yield {"marathon": version, **tls, **front, "secrets_directory": "/etc/secrets", "kibanas": 2, **_CA}


def files(**values: object) -> dict[str, str]:
    """The generated files, by path."""
    return marathon.generate(marathon.read(values))


def apps(**values: object) -> dict[str, dict[str, Any]]:
    """The generated apps, by path."""
    found = {path: json.loads(text) for path, text in files(**values).items() if path.endswith(".json")}
    return {path: app for path, app in found.items() if "/chronos/" not in path}


def jobs(**values: object) -> dict[str, dict[str, Any]]:
    """The generated jobs, by path."""
    return {path: json.loads(text) for path, text in files(**values).items() if "/chronos/" in path}


def broken_rules(app: Mapping[str, Any]) -> Iterator[str]:
    """What Marathon's validator refuses beyond its schema (AppValidation.scala), as far as our apps can do it."""
    container = app.get("container", {})
    docker = container.get("docker", {})
    if "cmd" in app and "args" in app:
        yield "cmd and args"
    if "networks" in app and docker.get("network"):
        yield "two ways of naming the network"
    definitions = app.get("portDefinitions", [{"port": port} for port in app.get("ports", [0])])
    yield from _ports(definitions)
    for check in app.get("healthChecks", []):
        if check["protocol"] in ("HTTP", "TCP") and not 0 <= check["portIndex"] < len(definitions):
            yield "a health check of a port that is not there"
    readiness = app.get("readinessChecks", [])
    if len(readiness) > 1 or any(
        check["portName"] not in [port.get("name") for port in definitions]
        or check["timeoutSeconds"] >= check["intervalSeconds"]
        for check in readiness
    ):
        yield "readiness checks"
    if docker.get("parameters") and container["type"] != "DOCKER":
        yield "parameters without Docker"
    yield from _volumes(container.get("volumes", []), app)
    if "uris" in app and "fetch" in app:
        yield "uris and fetch"


def _ports(definitions: list[dict[str, Any]]) -> Iterator[str]:
    fixed = [port["port"] for port in definitions if port["port"]]
    names = [port["name"] for port in definitions if "name" in port]
    if len(set(fixed)) != len(fixed) or len(set(names)) != len(names):
        yield "ports or their names twice"


def _volumes(volumes: list[dict[str, Any]], app: Mapping[str, Any]) -> Iterator[str]:
    persistent = [volume for volume in volumes if "persistent" in volume]
    if any(volume["mode"] != "RW" or volume["containerPath"].startswith("/") for volume in persistent):
        yield "a persistent volume that is read-only or has an absolute path"
    if bool(persistent) != ("residency" in app):
        yield "a persistent volume and no residency, or the reverse"
    if persistent and app["upgradeStrategy"]["maximumOverCapacity"]:
        yield "two tasks on one volume"
