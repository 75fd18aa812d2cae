"""The product as apps run it: how its command is written, and the settings that it finds in its environment."""

from typing import Any, Final

from shipper.generate._apps import Definition, docker, mounted, value
from shipper.generate._cluster_settings import Settings

#: What the product may do in its container: nothing but read its files and use the network.
CONFINED: Final = {
    "read-only": "true",
    "tmpfs": "/tmp:size=64m",  # noqa: S108 its own, in its container
    "cap-drop": "ALL",
    "security-opt": "no-new-privileges",
}
#: The same for a container that serves nothing over HTTP.
SILENT: Final = {**CONFINED, "no-healthcheck": "true"}
#: The recent copy of a shipper in its sandbox, as a variable of its command, and the disk that is asked for it, in MB.
RECENT: Final = 'SHIPPER_PIPELINE__RECENT__DIRECTORY="$MESOS_SANDBOX/recent"'
RECENT_DISK: Final = 1280
#: Where the archive lies in the sandbox once Mesos has unpacked it.
UNPACKED: Final = "./shipper/run"


def command(settings: Settings, arguments: str, variables: str = "") -> str:
    """Return what /bin/sh runs: `shipper` with arguments, and variables that hold what Mesos decides."""
    program = "shipper" if settings.package == "image" else f"{UNPACKED} shipper"
    return " ".join(part for part in (variables, "exec", program, arguments) if part)


def product(settings: Settings, *, state: bool = False) -> Definition:
    """Return how the product comes to a host: the image, confined, or the archive that Mesos fetches and unpacks.

    With `state` it may write into the state directory of the host.
    """
    if settings.package == "image":
        volumes = secret_files(settings)
        if state and settings.state_directory:
            volumes.append(mounted(settings.state_directory, writable=True))
        return docker(settings, settings.image, volumes=volumes, parameters=CONFINED)
    return fetched(settings)


def secret_files(settings: Settings) -> list[Definition]:
    """Return the volumes that show a container the files with secrets."""
    return [mounted(settings.secrets_directory)] if settings.secrets_directory else []


def key_files(settings: Settings, purpose: str) -> dict[str, str]:
    """Return the variables that name an app its API key of Elasticsearch, as `shipper setup keys` writes the files."""
    if not settings.elasticsearch_keys:
        return {}
    folder = f"{settings.secrets_directory}/elasticsearch"
    found = {"SHIPPER_STORE__API_KEY_FILE": f"{folder}/{purpose}.key"}
    if purpose == "writing":
        found["SHIPPER_STORE__REPAIR_API_KEY_FILE"] = f"{folder}/repairing.key"
    return found


def cluster(settings: Settings, *, state: bool = False) -> list[dict[str, Any]]:
    """Return the enrichers of a process that asks Marathon; with `state` it keeps what it knows of tasks."""
    known = f"{settings.state_directory}/registry.json" if state and settings.state_directory else None
    urls = {"marathon_urls": settings.marathon_urls, "mesos_urls": settings.mesos_urls}
    return [{"type": "request_id"}, {"type": "marathon", **urls, "registry_file": known}]


def fetched(settings: Settings) -> Definition:
    """Return the key that has Mesos fetch the archive into the sandbox."""
    if settings.marathon == "0.9.1":
        return {"uris": [settings.archive]}
    return {"fetch": [{"uri": settings.archive, "extract": True}]}


def environment(settings: Settings, **more: object) -> Definition:
    """Return `env`, and the secrets it refers to: settings that are no secret, as `SHIPPER_…` variables."""
    urls = settings.elasticsearch_urls
    if settings.elasticsearch == "mesos":
        urls = [f"http://127.0.0.1:{settings.elasticsearch_port}"]
    found: dict[str, Any] = {
        "SHIPPER_CLUSTER": value(settings.cluster),
        "SHIPPER_API__HOST": value("::"),
        **_access(settings),
        "SHIPPER_STORE__TYPE": "elasticsearch",
        "SHIPPER_STORE__URLS": value(urls),
        "SHIPPER_STORE__RETENTION_DAYS": value(settings.retention_days),
        "SHIPPER_STORE__REPLICAS": value(settings.replicas),
        **{name: value(one) for name, one in more.items()},
    }
    if settings.secrets_directory:
        found["SHIPPER_CONFIG"] = f"{settings.secrets_directory}/shipper.yaml"
    if not settings.secrets:
        return {"env": found}
    found |= {name: {"secret": _key(name)} for name in settings.secrets}
    return {"env": found, "secrets": {_key(name): {"source": source} for name, source in settings.secrets.items()}}


def _access(settings: Settings) -> dict[str, str]:
    """Return who may ask: those with a token among the secrets; without secrets everybody who reaches the port."""
    if settings.secrets_directory:
        return {"SHIPPER_API__ACCESS__TOKENS_DIRECTORY": value(f"{settings.secrets_directory}/tokens")}
    return {"SHIPPER_API__ACCESS__OPEN": value(True)}


def _key(variable: str) -> str:
    """Return the name under which an app refers to a secret of its own."""
    return variable.lower().replace("_", "-")
