"""nginx in front of API, page and Kibana: the app that runs it, and the configuration that it carries."""

import posixpath
from typing import Final

from shipper.generate import _front_auth, _front_places
from shipper.generate._apps import Definition, Port, beside, docker, health, labels, mounted, on_host, resources
from shipper.generate._cluster_settings import Settings
from shipper.generate._front_start import FRONT_OPTIONS, PORT, PRIVATE, TLS_PORT, front_of
from shipper.generate.nginx import LOG_FORMAT


def nginx(settings: Settings) -> Definition:
    """Return nginx in front: the API and its page at /, Kibana at /kibana; it reaches both through HAProxy."""
    ports = [Port("http", settings.front_port)]
    if settings.front_tls_certificate:
        ports.append(Port("https", settings.front_tls_port, "tcp"))
    return {
        "id": f"{settings.group}/nginx",
        **front_of(settings, front_config(settings)),
        **resources(0.1, 128),
        **beside(settings, 2),
        **on_host(settings, ports),
        **docker(settings, settings.nginx_image, volumes=_volumes(settings), parameters=FRONT_OPTIONS),
        **health("/nginx-health", 0),
        **labels(settings, "nginx", ports, settings.front_names),
        "dependencies": [f"{settings.group}/api"],
    }


def front_config(settings: Settings) -> str:
    """Return the configuration; `@port@`, `@tls_port@` and `@private@` in it stand for what only the task knows."""
    parts = [
        _TOP.replace("@log_format@", _indented(_log_format(settings), 2)),
        _front_auth.who_asks(settings),
        _PROXIED.replace("@secret@", _front_auth.secret(settings)),
        _front_places.upstreams(settings),
    ]
    serving = _front_auth.asked(settings) + _front_places.places(settings)
    if settings.front_tls_certificate:
        port = "" if settings.front_tls_port == 443 else f":{settings.front_tls_port}"
        parts.append(_REDIRECT.replace("@https@", port))
        tls = _TLS.replace("@certificate@", settings.front_tls_certificate).replace("@key@", settings.front_tls_key)
        parts.append(_SERVER.replace("@listen@", tls).replace("@serving@", serving))
    else:
        parts.append(_SERVER.replace("@listen@", _PLAIN).replace("@serving@", serving))
    return "\n".join(part for part in parts if part) + "}\n"


def front_file(settings: Settings) -> str:
    """Return the configuration for an nginx that somebody starts without Marathon, on the service ports."""
    known = {PORT: settings.front_port, TLS_PORT: settings.front_tls_port}
    config = front_config(settings).replace(PRIVATE, f"{settings.secrets_directory}/front")
    for name, port in known.items():
        config = config.replace(name, str(port))
    return config


def _log_format(settings: Settings) -> str:
    """The line of every nginx; and who asked, as Kibana's free licence has no audit (a 401: who that claims to be)."""
    if settings.front_auth == "none":
        return LOG_FORMAT
    return LOG_FORMAT.replace("\"}';", '","user_id":"$shipper_user"}\';')


def _volumes(settings: Settings) -> list[Definition]:
    """The log socket of the host, and the folders of the files that the configuration names."""
    files = [settings.front_tls_certificate, settings.front_tls_key]
    folders = [posixpath.dirname(file) for file in files if file]
    if settings.front_auth != "none":
        folders.append(f"{settings.secrets_directory}/front")
    return [
        mounted(settings.log_socket, "/dev/log", writable=True),
        *(mounted(folder) for folder in dict.fromkeys(folders)),
    ]


def _indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in text.splitlines())


_TOP: Final = """\
# Written by `shipper generate marathon`; change its settings, not this file. Needs nginx 1.15.3 with its module `sub`.
pid nginx.pid;
worker_processes 2;
worker_rlimit_nofile 16384;
events { worker_connections 4096; }

http {
  server_tokens off;
  default_type text/plain;
  absolute_redirect off;
  # Nothing is written to disk but the pid: what does not fit into memory waits for its client.
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;

  # The id that came with the request if it is one, else a new one; every program behind gets it.
  map $http_x_request_id $shipper_request_id {
    default $request_id;
    "~^(?<shipper_given_id>[A-Za-z0-9._:/+=@-]{4,128})$" $shipper_given_id;
  }
@log_format@
  # One record per request, with the others of the host; what goes wrong is in the task's own stderr.
  access_log "syslog:server=unix:/dev/log,facility=local1,severity=info,tag=nginx,nohostname" shipper;
  error_log stderr warn;

  client_header_timeout 10s;
  client_body_timeout 30s;
  send_timeout 60s;
  keepalive_timeout 65s;
  reset_timedout_connection on;
  # Links to a question in Kibana are long.
  large_client_header_buffers 4 16k;
  client_max_body_size 64k;
  gzip on;
  gzip_proxied any;
  gzip_vary on;
  gzip_min_length 1000;
  gzip_types application/json application/x-ndjson application/javascript text/javascript text/css text/plain
    image/svg+xml;
"""
_PROXIED: Final = """\
  # Files whose link changes when they do are kept; for all others the answer's own word stands.
  map "$uri?$arg_v $upstream_status" $shipper_kept {
    default $upstream_http_cache_control;
    "~^/static/[A-Za-z0-9._-]+\\?[0-9a-f]{10} (200|304)$" "public, max-age=31536000, immutable";
  }
  # What HAProxy says while it has no task of a program, and only that, is HTML that names no character set.
  map "$shipper_retry $upstream_status $upstream_http_content_type" $shipper_retry_after {
    default $shipper_retry;
    " 503 text/html" 10;
  }
  proxy_hide_header Cache-Control;
  proxy_hide_header X-Content-Type-Options;
  proxy_hide_header X-Request-ID;
  proxy_hide_header X-Frame-Options;

  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  # What a client says of these is replaced, never added to.
  proxy_set_header Forwarded "";
  proxy_set_header X-Real-IP "";
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Proto $shipper_scheme;
  proxy_set_header X-Request-ID $shipper_request_id;
  proxy_set_header X-Forwarded-User $shipper_user;
  proxy_set_header Authorization $shipper_authorization;
  @secret@
  proxy_connect_timeout 5s;
  proxy_send_timeout 60s;
  proxy_read_timeout 65s;
  proxy_buffer_size 16k;
  proxy_buffers 16 16k;
  proxy_max_temp_file_size 0;
  proxy_request_buffering off;
"""
_REDIRECT: Final = """\
  server {
    listen @port@;
    location = /nginx-health { access_log off; return 200; }
    location / { return 308 https://$host@https@$request_uri; }
  }
"""
_PLAIN: Final = "listen @port@;"
_TLS: Final = """\
listen @tls_port@ ssl;
    ssl_certificate @certificate@;
    ssl_certificate_key @key@;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
    ssl_session_cache shared:shipper_tls:2m;
    ssl_session_tickets off;
    add_header Strict-Transport-Security max-age=31536000 always;"""
_SERVER: Final = """\
  server {
    @listen@
    # All headers are here: a location that added one would lose these.
    add_header Cache-Control $shipper_kept always;
    add_header Retry-After $shipper_retry_after always;
    add_header X-Request-ID $shipper_request_id always;
    add_header X-Content-Type-Options nosniff always;
    add_header X-Frame-Options SAMEORIGIN always;
    set $shipper_retry "";

@serving@  }
"""
