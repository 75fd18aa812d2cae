"""The apps of programs that are not ours: Elasticsearch and Kibana; nginx in front of them is in `_front`."""

import json
import math
import posixpath
from typing import Final

from shipper.generate._apps import (
    Definition,
    Port,
    beside,
    docker,
    health,
    kill_grace,
    labels,
    mounted,
    on_host,
    resources,
)  # fmt: skip
from shipper.generate._cluster_settings import Settings

#: The image's own folder for data.
_DATA: Final = "/usr/share/elasticsearch/data"
_HOST_DATA: Final = "/var/lib/shipper/elasticsearch"
#: Marathon's volumes and host directories belong to root; the image's user, 1000 in group 0, must write there.
_AS_ELASTICSEARCH: Final = f"chown 1000:0 {_DATA} && exec chroot --userspec=1000:0 /"
_ELASTICSEARCH_OPTIONS: Final = {"user": "root", "ulimit": "nofile=65535:65535"}
#: What the JVM takes beside its heap, as a share of it: Lucene reads through the page cache.
_BESIDE_HEAP: Final = 1.0
#: The image's own file, which is not read when another is named.
_KIBANA_YML: Final = "/usr/share/kibana/config/kibana.yml"


def elasticsearch(settings: Settings) -> Definition:
    """Return one node on each of the named hosts, with data that outlives its task.

    Nodes find each other on a port that is the same everywhere; for all others HAProxy has the HTTP port on 127.0.0.1.
    """
    hosts = settings.elasticsearch_hosts
    seeds = ",".join(f"{host}:{settings.elasticsearch_transport_port}" for host in hosts)
    options = {
        "cluster.name": f"shipper-{settings.cluster}",
        "node.name": "$HOST",
        "network.host": "0.0.0.0",  # noqa: S104 the address it is published with is the host's
        "network.publish_host": "$HOST",
        "http.port": "$PORT0",
        "transport.port": str(settings.elasticsearch_transport_port),
        "discovery.seed_hosts": seeds,
        "cluster.initial_master_nodes": ",".join(hosts),
        "xpack.security.enabled": "false",
    }
    if len(hosts) == 1:
        del options["cluster.initial_master_nodes"], options["discovery.seed_hosts"]
        options["discovery.type"] = "single-node"
    heap = settings.elasticsearch_heap_mb
    ports = [Port("http", settings.elasticsearch_port)]
    arguments = " ".join(f"-E{name}={text}" for name, text in options.items())
    return {
        "id": f"{settings.group}/elasticsearch",
        "cmd": f"{_AS_ELASTICSEARCH} /usr/local/bin/docker-entrypoint.sh elasticsearch {arguments}",
        **resources(1.0, int(heap * (1 + _BESIDE_HEAP))),
        "instances": len(hosts),
        "constraints": [["hostname", "UNIQUE"], ["hostname", "LIKE", "|".join(_exactly(host) for host in hosts)]],
        **_one_at_a_time(len(hosts)),
        **kill_grace(settings, 120),
        **on_host(settings, ports),
        **_with_data(settings),
        "env": {"ES_JAVA_OPTS": f"-Xms{heap}m -Xmx{heap}m"},
        **health("/_cluster/health?local=true", 0, grace=300),
        **labels(settings, "elasticsearch", ports),
    }


def kibana(settings: Settings) -> Definition:
    """Return Kibana, below /kibana of whoever is in front of it.

    Its image takes settings from variables and from arguments; secrets (equal encryption keys for several tasks, the
    service account's token) are in a file, as both of those can be read by others.
    """
    port = Port("http", settings.kibana_port)
    volumes = [mounted(folder) for folder in dict.fromkeys(_kibana_folders(settings))]
    app = {
        "id": f"{settings.group}/kibana",
        "cmd": _kibana_command(settings),
        **resources(0.5, 1536),
        **beside(settings, settings.kibanas),
        **on_host(settings, [port]),
        **docker(settings, settings.kibana_image, volumes=volumes),
        "env": kibana_environment(settings),
        **health("/kibana/api/status", 0, grace=300),
        **labels(settings, "kibana", [port]),
    }
    return {**app, **_needs(settings, "elasticsearch" if settings.elasticsearch == "mesos" else "")}


def kibana_environment(settings: Settings) -> dict[str, str]:
    """Return the settings that Kibana's image knows as variables; no value may have a space.

    The list is in `bin/kibana-docker` of the image, which is made from that of elastic/kibana.
    """
    urls = settings.elasticsearch_urls or [f"http://127.0.0.1:{settings.elasticsearch_port}"]
    found = {
        "ELASTICSEARCH_HOSTS": "[" + ",".join(f'"{url}"' for url in urls) + "]",
        "SERVER_BASEPATH": "/kibana",
        "SERVER_REWRITEBASEPATH": "true",
        "SERVER_HOST": "0.0.0.0",  # noqa: S104 HAProxy of other hosts asks it
        "SERVER_SECURITYRESPONSEHEADERS_DISABLEEMBEDDING": "true",
        # The id that nginx gives a request is in Kibana's own log, and with its questions to Elasticsearch.
        "SERVER_REQUESTID_ALLOWFROMANYIP": "true",
        "TELEMETRY_OPTIN": "false",
        "TELEMETRY_ALLOWCHANGINGOPTINSTATUS": "false",
        "NEWSFEED_ENABLED": "false",
    }
    if settings.front_url:
        found["SERVER_PUBLICBASEURL"] = f"{settings.front_url}/kibana"
    if settings.kibana_ca:
        found["ELASTICSEARCH_SSL_CERTIFICATEAUTHORITIES"] = settings.kibana_ca
    return found


#: What Discover shows before anybody has changed anything; people cannot change what is overridden here.
KIBANA_OVERRIDES: Final = {
    "defaultColumns": ["log.level", "service.name", "message"],
    "dateFormat:tz": "UTC",
    "observability:logSources": ["logs-mesos.*-*"],
}


def _kibana_command(settings: Settings) -> str:
    overrides = json.dumps(KIBANA_OVERRIDES, separators=(",", ":"))
    start = f"SERVER_PORT=$PORT0 exec /usr/local/bin/kibana-docker '--uiSettings.overrides={overrides}'"
    if not settings.secrets_directory:
        return start
    secrets = f"{settings.secrets_directory}/kibana/kibana.yml"
    said = f"{secrets}: cannot be read; Kibana finds its encryption keys there"
    return f'test -r {secrets} || {{ echo "{said}" >&2; exit 1; }}; KBN_CONFIG_PATHS={_KIBANA_YML},{secrets} {start}'


def _kibana_folders(settings: Settings) -> list[str]:
    folders = [posixpath.dirname(settings.kibana_ca)] if settings.kibana_ca else []
    return [*folders, f"{settings.secrets_directory}/kibana"] if settings.secrets_directory else folders


def _exactly(host: str) -> str:
    return host.replace(".", r"\.")


def _one_at_a_time(nodes: int) -> Definition:
    """An upgrade takes away one node, and gives back its host before it takes the next: two cannot share a volume."""
    kept = math.floor((nodes - 1) / nodes * 100) / 100  # Marathon rounds nodes up: 0.67 of three would be three
    return {"upgradeStrategy": {"minimumHealthCapacity": kept, "maximumOverCapacity": 0.0}}


def _with_data(settings: Settings) -> Definition:
    """A volume that Marathon keeps for the node; Marathon 0.9.1 has none: a directory of the host."""
    inside = mounted(_HOST_DATA if settings.marathon == "0.9.1" else "data", _DATA, writable=True)
    volumes = [inside]
    if settings.marathon != "0.9.1":
        size = {"type": "root", "size": settings.elasticsearch_disk_mb}
        # Docker knows nothing of Marathon's volumes: "data" is a directory of the sandbox, mounted where it belongs.
        volumes = [{"containerPath": "data", "mode": "RW", "persistent": size}, inside]
    keys = docker(settings, settings.elasticsearch_image, volumes=volumes, parameters=_ELASTICSEARCH_OPTIONS)
    if settings.marathon == "0.9.1":
        return keys
    return {**keys, "residency": {"taskLostBehavior": "WAIT_FOREVER", "relaunchEscalationTimeoutSeconds": 3600}}


def _needs(settings: Settings, *names: str) -> Definition:
    needed = [f"{settings.group}/{name}" for name in names if name]
    return {"dependencies": needed} if needed else {}
