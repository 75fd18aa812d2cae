"""Apps to look at on a new cluster: a clock, a web server, a job that tells the time, and the three services of a shop.

They log the way any container does: to /dev/log, which is the socket of the host.
"""

from typing import Final

from shipper.generate._apps import Definition, Port, as_json, docker, health, labels, mounted, on_host, resources
from shipper.generate._cluster_settings import Settings
from shipper.generate._front_start import NGINX_OPTIONS, nginx_of
from shipper.generate._product import SILENT, fetched
from shipper.generate.chronos_jobs import in_docker, job

#: Service port of the sample web server.
WEB_PORT: Final = 9080
SERVICES: Final = ("gateway", "orders", "payments")


def generate(settings: Settings) -> dict[str, str]:
    """Return apps and jobs, by path below the folder of the apps; the same settings give the same bytes."""
    apps = {"date": _date(settings), "nginx": _web(settings)}
    apps |= {service: _service(settings, service) for service in SERVICES}
    files = {f"samples/{name}.json": as_json(app) for name, app in apps.items()}
    return files | {"samples/chronos/date.json": as_json(_date_job(settings))}


def _date(settings: Settings) -> Definition:
    """Return a clock that writes the time every ten seconds."""
    return {
        "id": f"{settings.group}/samples/date",
        "cmd": 'while sleep 10; do logger -t date "it is $(date -u +%T)"; done',
        **_small(settings),
        **docker(settings, settings.busybox_image, volumes=[_log(settings)]),
        **_labels(settings, "date"),
    }


def _web(settings: Settings) -> Definition:
    """Return a web server whose access log goes where all logs go."""
    port = Port("http", WEB_PORT)
    return {
        "id": f"{settings.group}/samples/nginx",
        **nginx_of(_WEB),
        **resources(0.1, 32),
        "instances": 2,
        **on_host(settings, [port]),
        **docker(settings, settings.nginx_image, volumes=[_log(settings)], parameters=NGINX_OPTIONS),
        **health("/health", 0),
        **_labels(settings, "web", [port]),
    }


def _service(settings: Settings, service: str) -> Definition:
    """Return one service of the shop; the three write about the same requests, each its own part."""
    app = {
        "id": f"{settings.group}/samples/{service}",
        "cmd": _service_command(settings, service),
        **_small(settings),
    }
    if settings.package == "image":
        app |= docker(settings, settings.image, volumes=[_log(settings)], parameters=SILENT)
    else:
        app |= fetched(settings)
    return {**app, **_labels(settings, service)}


def _service_command(settings: Settings, service: str) -> str:
    if settings.package == "image":
        return f"exec python -m shipper.demo.service {service} --socket /dev/log"
    return f"exec ./shipper/run shipper.demo.service {service} --socket {settings.log_socket}"


def _date_job(settings: Settings) -> Definition:
    """Return a job that tells the time every two minutes."""
    told = "a sample: tells the time"
    asked = 'logger -t date-job "it is $(date -u +%T), told by a job"'
    made = job(settings, "sample-date", "R/2026-01-01T00:00:00Z/PT2M", told, asked)
    return {**made, **in_docker(settings.busybox_image, volumes=[_log(settings)])}


def _small(settings: Settings) -> Definition:
    return {**resources(0.1, 64), "instances": 1, **on_host(settings, [])}


def _labels(settings: Settings, service: str, ports: list[Port] | None = None) -> Definition:
    found = labels(settings, "sample", ports or [])["labels"]
    return {"labels": {**found, "SHIPPER_SERVICE": service, "SHIPPER_RETENTION_DAYS": "3"}}


def _log(settings: Settings) -> Definition:
    return mounted(settings.log_socket, "/dev/log", writable=True)


_WEB: Final = """\
pid nginx.pid;
events { worker_connections 256; }
http {
  log_format told '$remote_addr "$request" $status $body_bytes_sent request_id=$request_id';
  access_log syslog:server=unix:/dev/log,nohostname,tag=nginx told;
  error_log stderr warn;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen @port@;
    location = /health { access_log off; return 200; }
    location / { return 200 "every request here is one record\\n"; }
  }
}
"""
