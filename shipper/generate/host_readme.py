"""The README beside the files of a host: how they get there, what each is for, and what is promised when."""

import posixpath
import shlex
from typing import Final

from shipper.generate._fill import fill, path
from shipper.generate._host_settings import Settings
from shipper.generate.haproxy import LOOPBACK
from shipper.generate.systemd import SERVED

_PATHS: Final = (
    "socket", "relay_socket", "status_socket", "work_directory", "config_directory", "program",
    "tls_ca", "tls_cert", "tls_key",
)  # fmt: skip


def generate(settings: Settings) -> dict[str, str]:
    """Return the README, by path; the same settings give the same bytes."""
    values = {name: path(settings, name) for name in _PATHS}
    values |= {f"{name}_word": shlex.quote(value) for name, value in values.items()}
    values["socket_directory"] = posixpath.dirname(values["socket"])
    values["target"] = f"{settings.shipper_host}:{settings.shipper_port}"
    values["hold"] = settings.hold
    values["files"] = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in _files(settings))
    values["stdout"] = fill(_STDOUT[settings.stdout], values)
    values["haproxy"] = "\n\n".join(fill(part, values) for part in _haproxy(settings))
    return {"rsyslog/README.md": fill(_README, values)}


def _haproxy(settings: Settings) -> list[str]:
    if settings.shipper_host not in LOOPBACK:
        return [_NO_HAPROXY]
    return [_HAPROXY, *([_APPS] if settings.shipper_host in SERVED else []), _CHROOT]


def _files(settings: Settings) -> list[tuple[str, str]]:
    files = list(_FILES)
    if settings.stdout == "docker":
        files.append(("docker/daemon.json", "Docker's log driver, for `/etc/docker/daemon.json`"))
    if settings.shipper_host in LOOPBACK:
        files.append(("haproxy/shipper.cfg", "this host's HAProxy: from rsyslogd to a shipper that is up"))
    if settings.shipper_host in SERVED:
        files.append(("systemd/shipper-haproxy.service", "instead of it where shippers are Marathon apps: see HAProxy"))
    return files


_FILES: Final = (
    ("shipper.conf", "rsyslogd's configuration: queues on disk, RELP"),
    ("host.json", "what `shipper host run` reads: paths and limits"),
    ("start", "starts rsyslogd on `shipper.conf` after `rsyslogd -N1`; `shipper host run` calls it"),
    ("systemd/shipper-host.socket", "the socket that containers write to, held by systemd"),
    ("systemd/shipper-host.service", "`shipper host run`: reader, tailer and rsyslogd, watched and started again"),
    ("tmpfiles.d/shipper.conf", "the directories, made at every boot"),
    ("run", "the same for a host without systemd: give it to runit, supervisord or cron"),
    ("nginx/shipper.conf", "for an nginx that logs here: JSON with a request id"),
)

_STDOUT: Final = {
    "sandbox": """\
Stdout and stderr of tasks are read from their Mesos sandboxes, so Docker's log driver stays as it is. Do not point it
here as well: every line would be stored twice.""",
    "docker": """\
Stdout and stderr of containers come from Docker. Merge `docker/daemon.json` into `/etc/docker/daemon.json` and restart
Docker; only containers made after that have the new log driver. Lines wait in 4 MB of Docker's memory per container
and are dropped when it is full, so that no container waits.

Docker opens the socket when a container starts. It is held, so it answers however the rest is doing. One failure is
left: **if `@socket@` is missing, no container starts** (exit code 127). Enable the socket unit before Docker is
pointed here. With `"syslog-address": "udp://SHIPPER:PORT"` a container starts whatever is missing, but its lines go
past this host's queue, and what the network loses is lost.""",
    "none": "Stdout and stderr of tasks are not read: only what is written to the socket.",
}

_HAPROXY: Final = """\
rsyslogd sends to `@target@`, where this host's HAProxy passes it to a shipper that is up. Give HAProxy the second
file (Debian: `EXTRAOPTS="-f @config_directory@/haproxy/shipper.cfg"` in `/etc/default/haproxy`) and check both:

```sh
haproxy -c -f /etc/haproxy/haproxy.cfg -f @config_directory_word@/haproxy/shipper.cfg
```"""

_APPS: Final = """\
Where shippers run as Marathon apps, have `shipper haproxy` write that second file instead, never both: every app on its
service port of 127.0.0.1, shippers on their RELP port, and always as they are now. It needs HAProxy 2.2 or newer and
`@config_directory@/shipper.yaml` with the cluster's addresses:

```yaml
enrichers:
  - {type: marathon, marathon_urls: ["http://10.0.0.5:8080"]}
```

```sh
@program_word@ haproxy --config @config_directory_word@/shipper.yaml --print  # what it would write
cp rsyslog/systemd/shipper-haproxy.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now shipper-haproxy.service
```

Then give HAProxy `/etc/haproxy/shipper-apps.cfg` (Debian: `EXTRAOPTS="-f /etc/haproxy/shipper-apps.cfg"`) and restart
it once. From then on it is reloaded when apps change; until then the unit's log says that HAProxy does not listen."""

_CHROOT: Final = """\
A HAProxy with `chroot` does not see the socket that it logs to. Mount it there, in
`/etc/systemd/system/haproxy.service.d/shipper.conf`:

```ini
[Service]
BindReadOnlyPaths="@socket@:/var/lib/haproxy@socket@"
```"""

_NO_HAPROXY: Final = "rsyslogd sends to the shipper itself: no HAProxy of this host is on the way."

_README: Final = """\
# The files of a host

Written by `shipper generate rsyslog`; change its settings, not these files. Everything that a container, a daemon or a
task writes on this host is numbered, kept on disk while no shipper answers, and sent to `@target@`.

| file | what it is |
|---|---|
@files@

Nothing here writes a log file, so there is nothing to rotate.

## Install

Five steps, as root. Each can be repeated, so they can stand in an Ansible role as they are.

```sh
# 1. the packages; and shipper itself, so that @program@ can be run
apt-get install -y rsyslog rsyslog-relp
# 2. the files
mkdir -p @config_directory_word@
cp -R rsyslog/. @config_directory_word@/
cp rsyslog/systemd/shipper-host.socket rsyslog/systemd/shipper-host.service /etc/systemd/system/
cp rsyslog/tmpfiles.d/shipper.conf /etc/tmpfiles.d/
# 3. the directories
systemd-tmpfiles --create /etc/tmpfiles.d/shipper.conf
# 4. the socket first, then the service
systemctl daemon-reload
systemctl enable --now shipper-host.socket
systemctl enable --now shipper-host.service
# 5. is all well?
@program_word@ doctor host
```

Without systemd: step 1, `mkdir` and the first `cp` of step 2, then let your supervisor start
`@config_directory@/run` before Docker and the Mesos agent.

Where AppArmor confines rsyslogd (Ubuntu), let it at these files: put the lines below into
`/etc/apparmor.d/local/usr.sbin.rsyslogd`, then `apparmor_parser -r /etc/apparmor.d/usr.sbin.rsyslogd`.

```text
"@config_directory@/**" r,
"@work_directory@/{,**}" rwk,
"@relay_socket@" rw,
```

## Containers

Mount the socket where programs expect it:

```sh
docker run -v @socket_word@:/dev/log …
```

That is safe because systemd holds the socket: it stays the same file while everything behind it is restarted. Without
systemd, or where somebody may restart the socket unit, mount its directory (`-v @socket_directory@:@socket_directory@`)
and have programs log to `@socket@`.

@stdout@

An nginx logs here with `include @config_directory@/nginx/shipper.conf;` in `http { }`, where it can see the socket.

## HAProxy

@haproxy@

## Change and restart

| what | how | meanwhile |
|---|---|---|
| a new `shipper.conf` | copy it, `systemctl reload shipper-host` | a configuration that `rsyslogd -N1` refuses is not used |
| a new `host.json`, a new version | `systemctl restart shipper-host`; without systemd `shipper host restart` | the socket keeps 512 records, then writers wait until it is back |
| rsyslogd or the reader ends | nothing: they are started again | as above |
| stop | `systemctl stop shipper-host` | does not last: the next record starts it again |
| take it off for good | `systemctl disable --now shipper-host.service shipper-host.socket` | writers get an error at once |

**Never restart `shipper-host.socket`.** It makes a new socket, and containers that have mounted the old one are deaf
until they are restarted. A changed socket unit needs a new host or a boot.

## See that it works

```sh
@program_word@ host status --socket @status_socket_word@
@program_word@ doctor host
logger -u @socket_word@ -t shop "hello request_id=abc12345"
```

Then look for `abc12345` in the page of shipper, or with `shipper request abc12345`.

## What is promised

Records go by RELP: rsyslogd keeps a record until the shipper has answered that it is stored.

| what fails | what is lost |
|---|---|
| a shipper is restarted, or killed | nothing, as a rule: what has no answer is sent again, and stored once. rsyslogd does not send again what was without an answer when it closed the connection itself: shown as a hole |
| no shipper for long | nothing up to @hold@ on disk in `@work_directory@`; then new records are dropped and counted. Warnings and errors have room of their own |
| the network between | as above |
| rsyslogd is killed (`kill -9`) | what was only in its memory: 200 to 1,400 records when it was measured. The ledger shows which numbers |
| the reader is killed | what it held at that moment, a few records; their numbers are shown |
| the service is down | what writers that do not wait wrote beyond the 512 records that the socket keeps; other writers wait |
| the host loses power | what was not sent, as far as the disk had not written it |
| the disk is full | new records while no shipper answers; shown as a hole |
| a record is larger than 128 KiB | its end, and it says so |

Plain syslog over TCP, for programs that know no RELP, is the lesser way: nobody answers, so a sender takes for
delivered whatever the network has taken. When a shipper or a connection breaks, what was on its way is lost, its
sender does not know, and as it has no numbers, no hole is shown.

## TLS

One certificate for the shippers and one for each host, from a CA of your own. On a machine that is safe:

```sh
openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=shipper CA" \\
  -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt
for name in shipper.example web-3.example; do
  openssl req -newkey rsa:3072 -nodes -subj "/CN=$name" -keyout "$name.key" -out "$name.csr"
  printf 'subjectAltName=DNS:%s\\nauthorityKeyIdentifier=keyid\\nbasicConstraints=CA:FALSE\\n' "$name" >"$name.ext"
  openssl x509 -req -days 825 -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial \\
    -extfile "$name.ext" -out "$name.crt"
done
```

Keep `ca.key` on that machine. On each host `ca.crt` becomes `@tls_ca@`, and its own
`.crt` and `.key` become `@tls_cert@` and `@tls_key@` (mode 0600).
The shippers get `ca.crt` and theirs:

```yaml
sources:
  - type: relp
    host: "::"
    tls: {certificate: shipper.example.crt, key: shipper.example.key, client_ca: ca.crt}
```

Then write these files again:

```sh
shipper generate rsyslog --tls openssl --tls-peer shipper.example
```

Use `--tls gnutls` where rsyslog was built without OpenSSL. A shipper whose certificate has another name than
`--tls-peer` gets nothing: records wait on the host, and rsyslogd says "DISABLING action" and does not try again. Set
the name right, then `systemctl reload shipper-host`: they go out. A host's renewed certificate is read with its next
connection, a shipper's with the next of any host; connections that are open stay.
"""  # noqa: E501 rows of a table
