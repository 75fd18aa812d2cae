"""`marathon-apps/README.md`: what each file is and the steps to a running cluster, as JSON has no comments."""

from collections.abc import Mapping
from typing import Final

from shipper.generate._cluster_settings import Settings
from shipper.generate._fill import fill
from shipper.generate.image import USER_ID

_ABOUT: Final = {
    "shipper.json": "the shippers: RELP on service port {relp_port}, health and metrics on {shipper_port}",
    "api.json": "API and page on {api_port}; receives nothing",
    "nginx.json": "nginx on {front}: the page at `/`, Kibana at `/kibana`",
    "elasticsearch.json": "one node on each of {elasticsearch_hosts}",
    "kibana.json": "Kibana on {kibana_port}, below `/kibana`",
    "haproxy.json": "keeps HAProxy of every host true to Marathon",
    "chronos/retention.json": "job: deletes daily what is older than {retention_days} days or an app's label says",
    "chronos/ledger.json": "job: the ledger of every host, once an hour, as a log of its own",
    "chronos/check.json": "job: `shipper doctor host` somewhere, every 15 minutes; fails when logging does",
    "samples/date.json": "sample: writes the time every ten seconds",
    "samples/nginx.json": "sample: a web server whose access log is a log like any other",
    "samples/gateway.json": "sample: the shop's gateway, JSON",
    "samples/orders.json": "sample: the shop's orders, logfmt",
    "samples/payments.json": "sample: the shop's payments, plain text with stack traces",
    "samples/chronos/date.json": "sample job: tells the time every two minutes",
    "Dockerfile": "recipe of the image",
    "Dockerfile.dockerignore": "what the recipe sees",
    "nginx.conf": "what nginx.json carries, for an nginx that you run yourself",
}


def generate(settings: Settings, files: Mapping[str, str]) -> dict[str, str]:
    """Return the page; `files` are those it lists, by their path beside it."""
    front = f"{settings.front_port}"
    if settings.front_tls_certificate:
        front = f"{settings.front_tls_port} (TLS; {front} leads there)"
    hosts = ", ".join(settings.elasticsearch_hosts)
    shown = {**settings.model_dump(), "elasticsearch_hosts": hosts, "front": front}
    rows = "\n".join(f"| `{name}` | {_ABOUT[name].format_map(shown)} |" for name in files)
    values = {
        "files": rows,
        "group": settings.group,
        "marathon": settings.marathon,
        "package": _IMAGE if settings.package == "image" else _ARCHIVE,
        "image": settings.image,
        "archive": settings.archive,
        "state": _STATE.replace("@directory@", settings.state_directory) if settings.state_directory else "",
        "elasticsearch": _ON_MESOS if settings.elasticsearch == "mesos" else _ELSEWHERE,
        "secrets": _secrets(settings),
        "grace": _OLD if settings.marathon == "0.9.1" else _NEW,
        "drain": str(settings.drain_seconds + 10),
        "user": str(USER_ID),
    }
    return {"README.md": fill(fill(_PAGE, values), values)}


def _secrets(settings: Settings) -> str:
    if settings.secrets:
        names = ", ".join(f"`{name}` = `{source}`" for name, source in settings.secrets.items())
        return (
            f"Marathon's secrets, which must exist before the apps: {names}.\n"
            "Chronos knows none; for its jobs set `secrets_directory` too."
        )
    if settings.secrets_directory:
        return (
            f"`{settings.secrets_directory}` on every host, mounted read-only: its `shipper.yaml` holds what no app\n"
            "may show (`store: {api_key: …}`), readable for user @user@ only. The apps' environment comes on top.\n"
            f"`{settings.secrets_directory}/tokens` must exist: one file for each token that may ask the API, named\n"
            "after who uses it: the token in its first line and, if wanted, `scopes: tail` and `apps: /shop/*` below.\n"
            "The one named `feed`, with `scopes: admin`, is what live tails at the API read the shippers with."
            + (_KEY_FILES if settings.elasticsearch_keys else "")
            + (_KIBANA_FILE if settings.kibana else "")
            + _FRONT_FILES[settings.front_auth]
        ).replace("@directory@", settings.secrets_directory)
    return (
        "None is used. Set `secrets_directory` (files on the hosts) or `secrets` (Marathon's) when you need some.\n"
        "Until `secrets_directory` is set, everybody who reaches the API's port may read every record\n"
        "(`SHIPPER_API__ACCESS__OPEN`)."
    )


_PAGE: Final = """\
# The apps of shipper

Written by `shipper generate marathon`; change its settings, not these files. For Marathon @marathon@ and newer, group
`@group@`. The settings are options of that command, or keys of the YAML file given with `--settings`.

| file | what |
|---|---|
@files@

## Steps

1. Set up the hosts: [../rsyslog/README.md](../rsyslog/README.md).
2. @package@
@state@3. @elasticsearch@
4. See what would change, then do it; the samples come by themselves, and last:

   ```
   shipper deploy --apps marathon-apps --marathon http://marathon:8080 --dry-run
   shipper deploy --apps marathon-apps --marathon http://marathon:8080 --chronos http://chronos:4400
   shipper deploy --apps marathon-apps --marathon http://marathon:8080 --samples
   ```

   Without `shipper deploy`: `curl -X PUT -H 'Content-Type: application/json' -d @marathon-apps/shipper.json
   http://marathon:8080/v2/apps@group@/shipper`, in the order elasticsearch, shipper, api, kibana, nginx.

## Secrets

@secrets@

## What to know

- Every app has the label `SHIPPER_ROLE`. `shipper deploy` changes no app without it unless told (`--adopt`).
- Ports that the files name are *service* ports: HAProxy of every host has them on 127.0.0.1 (`shipper haproxy`, or
  marathon-lb by the `HAPROXY_` labels). Host ports are whatever Mesos offers; the apps find them in `$PORT0`, `$PORT1`.
- Shippers spread over the hosts by `GROUP_BY hostname`, one on each while there are enough hosts. Not `UNIQUE`: an
  upgrade starts every new one beside the old ones, which end only when the new are ready, so it needs twice their room.
  An old one answers what it has read, then its hosts connect to a new one; what it did not answer is sent again.
- @grace@
- `health` kills a shipper that hangs; that the store is away only makes it not ready, and kills none.

## What was tried

Every file is checked against Marathon's own schema. Shippers, API, the sample web server and the shop ran on an
emulated Marathon, nginx in front as a process with its generated configuration, the archive with a bare Python. Not
run, as no registry of images could be reached: the image, the containers of Elasticsearch and Kibana, `compose.yaml`.
Their text is checked only.
"""
_KIBANA_FILE: Final = """
`@directory@/kibana/kibana.yml` must exist, readable for user 1000: what Kibana's tasks must have in common,
`xpack.security.encryptionKey`, `xpack.encryptedSavedObjects.encryptionKey` and `xpack.reporting.encryptionKey` (32
characters or more each), and `elasticsearch.serviceAccountToken` when Elasticsearch asks who it is."""
_KEY_FILES: Final = """
`@directory@/elasticsearch` must hold what `shipper setup keys --directory` writes, readable for user @user@ only. A
running app reads its file again when it changes: keys are rotated without a restart."""
_PROOF_FILE: Final = """
`@directory@/front/secret`: one line, `openssl rand -hex 32`, readable for root and user @user@. With it nginx proves
to the API that it is nginx, as HAProxy passes on what anybody on a host sends."""
_FRONT_FILES: Final = {
    "none": "",
    "basic": f"""{_PROOF_FILE}
`@directory@/front/htpasswd`: a line for each person, `htpasswd -B` or `openssl passwd -apr1`, readable for user 101,
read again for each request. Programs send a token instead (`Authorization: Bearer shp_…`), but not to Kibana.""",
    "header": f"""{_PROOF_FILE}
Who asks says the proxy in front of nginx, in `X-Forwarded-User`; nginx must be out of reach for all others at the
addresses in `front_trusted`.""",
}
_IMAGE: Final = """\
Build the image and bring it to a registry that the hosts reach, or load it on each host (`docker save`, `docker load`):
   `docker build --file marathon-apps/Dockerfile --tag @image@ .`"""
_ARCHIVE: Final = """\
Build the archive on a machine like the hosts (same Python, same kind of machine) and put it where `@archive@`
   leads to from every host: `make archive`, then `build/shipper-….tar.gz`. The hosts need only Python."""
_STATE: Final = """\
   On every host: `install -d -o @user@ -g @user@ @directory@`, where a shipper keeps what it knows of tasks.
"""
_ON_MESOS: Final = """\
On the hosts of Elasticsearch: `sysctl -w vm.max_map_count=262144`, and nothing else on its transport port. Its
   security is switched off: keep that network to yourself, or run Elasticsearch elsewhere. Take
   `cluster.initial_master_nodes` out of its command once the cluster has formed."""
_ELSEWHERE: Final = "Elasticsearch runs elsewhere: 8.19 or 9.x, reachable from every host."
_NEW: Final = """\
A shipper has @drain@ s between SIGTERM and SIGKILL, 10 s more than its drain. Docker must wait as long; start agents
  with `--docker_stop_timeout=@drain@secs --executor_shutdown_grace_period=@drain@secs`."""
_OLD: Final = """\
Marathon 0.9.1 cannot say how long a task may take to end, so the drain is at most 4 s of Mesos' 5 s. Start agents with
  `--docker_stop_timeout=5secs`."""
