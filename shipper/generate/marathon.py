"""The apps of a cluster: what `shipper generate marathon` writes into `marathon-apps/`."""

from typing import Final

from shipper.generate import chronos_jobs, image, marathon_readme, samples
from shipper.generate._apps import (
    Definition,
    Port,
    as_json,
    beside,
    health,
    kill_grace,
    labels,
    on_host,
    readiness,
    resources,
)  # fmt: skip
from shipper.generate._cluster_settings import Settings, read
from shipper.generate._front import front_file, nginx
from shipper.generate._product import RECENT, RECENT_DISK, cluster, command, environment, key_files, product
from shipper.generate._third_party import elasticsearch, kibana

__all__ = ["Settings", "generate", "read"]

#: Seconds between the longest drain and SIGKILL.
_AFTER_DRAIN: Final = 10
#: Where `shipper run` finds its two ports; `::` is every address of the host.
_RELP: Final = """SHIPPER_SOURCES="[{type: relp, host: '::', port: $PORT0}]" SHIPPER_API__PORT=$PORT1"""


def generate(settings: Settings) -> dict[str, str]:
    """Return all files by path; the same settings give the same bytes."""
    checked = read(settings.model_dump())  # nothing unchecked reaches a file, however the settings were made
    apps: dict[str, Definition] = {"shipper": _shipper(checked), "api": _api(checked), "nginx": nginx(checked)}
    if checked.elasticsearch == "mesos":
        apps["elasticsearch"] = elasticsearch(checked)
    if checked.kibana:
        apps["kibana"] = kibana(checked)
    if checked.haproxy == "app":
        apps["haproxy"] = _haproxy(checked)
    files = {f"{name}.json": as_json(app) for name, app in sorted(apps.items())}
    files["nginx.conf"] = front_file(checked)
    files |= chronos_jobs.generate(checked) | samples.generate(checked) | image.generate(checked)
    files |= marathon_readme.generate(checked, files)
    return {f"marathon-apps/{name}": text for name, text in files.items()}


def _shipper(settings: Settings) -> Definition:
    """Return the shippers: RELP first, then health and metrics.

    An old one drains while the new ones beside it take the connections: what it has read it stores and answers, what
    it has not is sent again to a new one.
    """
    ports = [Port("relp", settings.relp_port, "tcp"), Port("http", settings.shipper_port)]
    return {
        "id": f"{settings.group}/shipper",
        "cmd": command(settings, "run", f"{_RELP} {RECENT}"),
        **resources(1.0, 512),
        "disk": RECENT_DISK,
        **beside(settings, settings.shippers),
        **kill_grace(settings, settings.drain_seconds + _AFTER_DRAIN),
        **on_host(settings, ports),
        **product(settings, state=True),
        **environment(
            settings,
            SHIPPER_PIPELINE__DRAIN_SECONDS=_drain_seconds(settings),
            SHIPPER_ENRICHERS=cluster(settings, state=True),
            **key_files(settings, "writing"),
        ),
        **health("/health", 1),
        **readiness(settings, "/ready", "http"),
        **labels(settings, "shipper", ports),
        **_after_elasticsearch(settings),
    }


def _api(settings: Settings) -> Definition:
    """Return processes that only answer: questions never cost a shipper anything."""
    ports = [Port("http", settings.api_port)]
    return {
        "id": f"{settings.group}/api",
        "cmd": command(settings, "run", "SHIPPER_API__PORT=$PORT0"),
        **resources(0.5, 384),
        **beside(settings, settings.apis),
        **kill_grace(settings, settings.drain_seconds + _AFTER_DRAIN),
        **on_host(settings, ports),
        **product(settings),
        **environment(
            settings, SHIPPER_SOURCES=[], **_feed(settings), **_behind_front(settings), **key_files(settings, "reading")
        ),
        **health("/health", 0),
        **readiness(settings, "/ready", "http"),
        **labels(settings, "api", ports),
        **_after_elasticsearch(settings),
    }


def _feed(settings: Settings) -> Definition:
    """Return where a live tail hears of new records: from the shippers that Marathon names, else from the store."""
    if not settings.marathon_urls:
        return {"SHIPPER_ENRICHERS": [{"type": "request_id"}]}
    found: Definition = {"SHIPPER_ENRICHERS": cluster(settings), "SHIPPER_API__FEED__APP": f"{settings.group}/shipper"}
    if settings.secrets_directory:
        found["SHIPPER_API__FEED__TOKEN_FILE"] = f"{settings.secrets_directory}/tokens/feed"
    return found


def _behind_front(settings: Settings) -> Definition:
    """Return what the API takes from nginx in front: the caller's address, who it is, and where Kibana is."""
    found: Definition = {"SHIPPER_API__ACCESS__TRUSTED_PROXIES": settings.front_networks}
    if settings.front_auth != "none":
        found["SHIPPER_API__ACCESS__USER_HEADER"] = "X-Forwarded-User"
        found["SHIPPER_API__ACCESS__PROXY_SECRET_FILE"] = f"{settings.secrets_directory}/front/secret"
    if settings.kibana:
        found["SHIPPER_API__KIBANA_URL"] = "/kibana"
        found["SHIPPER_API__KIBANA_INTERNAL_URL"] = f"http://127.0.0.1:{settings.kibana_port}/kibana"
    return found


def _drain_seconds(settings: Settings) -> int:
    """Return how long a stop may take: with Marathon 0.9.1 Mesos' own limit, 5 s, cannot be changed by an app."""
    return min(settings.drain_seconds, 4) if settings.marathon == "0.9.1" else settings.drain_seconds


def _after_elasticsearch(settings: Settings) -> Definition:
    needs = settings.elasticsearch == "mesos"
    return {"dependencies": [f"{settings.group}/elasticsearch"]} if needs else {}


def _haproxy(settings: Settings) -> Definition:
    """Return what keeps HAProxy of every host true to Marathon, with the host's own shipper: it writes and reloads."""
    urls = ",".join(settings.marathon_urls)
    options = f"--marathon {urls} --host-name $HOST --relp-port {settings.relp_port}"
    return {
        "id": f"{settings.group}/haproxy",
        "cmd": f"exec {settings.host_program} haproxy {options}",
        "user": "root",
        **resources(0.1, 96),
        "instances": settings.agents,
        "constraints": [["hostname", "UNIQUE"]],
        # Without one for a moment HAProxy goes on with the file it has.
        "upgradeStrategy": {"minimumHealthCapacity": 0.0, "maximumOverCapacity": 0.0},
        **on_host(settings, []),
        **labels(settings, "haproxy"),
    }
