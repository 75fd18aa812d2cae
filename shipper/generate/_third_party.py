"""The apps of programs that are not ours: Elasticsearch, Kibana, and nginx in front of API and Kibana."""

import math
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
#: SIGQUIT lets nginx end what it has begun.
NGINX_OPTIONS: Final = {"read-only": "true", "stop-signal": "SIGQUIT"}
#: Marathon's volumes and host directories belong to root; the image's user, 1000 in group 0, must write there.
_AS_ELASTICSEARCH: Final = f"chown 1000:0 {_DATA} && exec chroot --userspec=1000:0 /"
_ELASTICSEARCH_OPTIONS: Final = {"user": "root", "ulimit": "nofile=65535:65535"}
#: What the JVM takes beside its heap, as a share of it: Lucene reads through the page cache.
_BESIDE_HEAP: Final = 1.0


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
    """Return Kibana, below /kibana of whoever is in front of it."""
    port = Port("http", settings.kibana_port)
    urls = settings.elasticsearch_urls or [f"http://127.0.0.1:{settings.elasticsearch_port}"]
    app = {
        "id": f"{settings.group}/kibana",
        "cmd": "SERVER_PORT=$PORT0 exec /usr/local/bin/kibana-docker",
        **resources(0.5, 1536),
        **beside(settings, 1),
        **on_host(settings, [port]),
        **docker(settings, settings.kibana_image),
        "env": {
            "ELASTICSEARCH_HOSTS": "[" + ",".join(f'"{url}"' for url in urls) + "]",
            "SERVER_BASEPATH": "/kibana",
            "SERVER_REWRITEBASEPATH": "true",
            "SERVER_HOST": "0.0.0.0",  # noqa: S104 HAProxy of other hosts asks it
            "TELEMETRY_OPTIN": "false",
        },
        **health("/kibana/api/status", 0, grace=300),
        **labels(settings, "kibana", [port]),
    }
    return {**app, **_needs(settings, "elasticsearch" if settings.elasticsearch == "mesos" else "")}


def nginx(settings: Settings) -> Definition:
    """Return nginx in front: the API and its page at /, Kibana at /kibana; it reaches both through HAProxy."""
    port = Port("http", settings.front_port)
    app = {
        "id": f"{settings.group}/nginx",
        **nginx_of(front_config(settings)),
        **resources(0.1, 64),
        **beside(settings, 2),
        **on_host(settings, [port]),
        **docker(settings, settings.nginx_image, parameters=NGINX_OPTIONS),
        **health("/nginx-health", 0),
        **labels(settings, "nginx", [port], settings.front_names),
    }
    return {**app, **_needs(settings, "api")}


def front_config(settings: Settings) -> str:
    """Return the configuration of nginx in front; `@port@` stands for the port that it listens on."""
    kibana = _NGINX_KIBANA.replace("@kibana@", str(settings.kibana_port)) if settings.kibana else ""
    return f"{_NGINX.replace('@api@', str(settings.api_port))}{kibana}  }}\n}}\n"


def nginx_of(config: str) -> Definition:
    """Return how nginx starts on a configuration that the app carries itself: nothing has to lie on the hosts.

    `@port@` in it becomes the port that Mesos gave; its relative paths are in the sandbox.
    """
    start = """printf %s "$NGINX_CONF" | sed "s/@port@/$PORT0/" > "$MESOS_SANDBOX/nginx.conf\""""
    run = """exec nginx -p "$MESOS_SANDBOX/" -c "$MESOS_SANDBOX/nginx.conf" -e stderr -g 'daemon off;'"""
    return {"cmd": f"{start} && {run}", "env": {"NGINX_CONF": config}}


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


_NGINX: Final = """\
pid nginx.pid;
worker_processes 2;
events { worker_connections 1024; }
http {
  access_log off;
  error_log stderr warn;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  server {
    listen @port@;
    location = /nginx-health { return 200; }
    location / {
      proxy_pass http://127.0.0.1:@api@;
      # What is followed live comes line by line.
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
"""
_NGINX_KIBANA: Final = """\
    location /kibana {
      proxy_pass http://127.0.0.1:@kibana@;
    }
"""
