"""The text of each section of HAProxy's file for one host."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.generate._fill import fill
from shipper.generate._localhost_labels import Entrance, Problem
from shipper.generate._localhost_servers import Server, by_preference, check_lines, servers


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the file, and how many tasks are named in it."""

    text: str = ""
    servers: int = 0


def top(header: str, log_socket: str, hard_stop_seconds: int) -> Part:
    """Return what all sections share."""
    return Part(fill(_TOP, {"header": header, "log": log_socket, "hard_stop": str(hard_stop_seconds)}))


def by_name(names: Mapping[str, Entrance], address: str, port: int) -> Part:
    """Return the port that goes by host name; nothing when there is no name."""
    if not names:
        return Part()
    # One name a line, as HAProxy takes 64 words; without the port that a client may add.
    rules = [
        f"  use_backend {names[name].section} if {{ req.hdr(host),field(1,:),lower -m str {name} }}\n"
        for name in sorted(names)
    ]
    values = {"address": address, "port": str(port), "access": ACCESS, "rules": "".join(rules)}
    return Part(fill(_BY_NAME, values))


def port(entrance: Entrance, address: str, healthy: Collection[str], problems: list[Problem]) -> Part:
    """Return one port of an app and the tasks behind it."""
    lines, words = check_lines(entrance.app, entrance.index, problems)
    found = servers(entrance, healthy, problems)
    values = {
        "name": entrance.section,
        "address": address,
        "port": str(entrance.port),
        "access": ACCESS,
        "check": "".join(f"{line}\n" for line in lines),
        "servers": "".join(f"  server {server.name} {server.address}{words}\n" for server in found),
    }
    return Part(fill(_HTTP if entrance.mode == "http" else _TCP, values), len(found))


def relp(
    shippers: Sequence[Entrance],
    address: str,
    port: int,
    host_name: str,
    healthy: Collection[str],
    problems: list[Problem],
) -> Part:
    """Return the port of all of shipper's apps: one task is this host's, the others follow one after the other."""
    if not shippers:
        return Part()
    found: dict[str, Server] = {}
    for entrance in shippers:
        for server in servers(entrance, healthy, problems):
            found.setdefault(server.name, server)
    lines = [
        f"  server {server.name} {server.address} check {_BACKUP if place else _FIRST}\n"
        for place, server in enumerate(by_preference(found.values(), host_name))
    ]
    return Part(fill(_RELP, {"address": address, "port": str(port), "servers": "".join(lines)}), len(lines))


def nothing(name: str) -> Part:
    """Return what HAProxy has when there is nothing to serve; without a listener it does not start."""
    return Part(fill(_NOTHING, {"name": name}))


#: Back again, the first choice gets the host's connections back.
_FIRST: Final = "on-marked-up shutdown-backup-sessions"
_BACKUP: Final = "backup"

_TOP: Final = """\
@header@ from Marathon's apps, and again when they change: change the apps' labels or
# the options of the command, not this file. HAProxy 2.2 or newer, as master and workers (`haproxy -W`).

global
  # At a reload the old worker keeps its connections, so a task that is being stopped ends what it has. Not for ever:
  # a connection that lives longer is cut, and its client connects again.
  hard-stop-after @hard_stop@s
  # An app that starts and fails without end causes a reload each time: no more old workers than these are kept.
  mworker-max-reloads 30

defaults
  mode tcp
  # HAProxy's own log is a record like any other.
  log '@log@' len 8192 format rfc5424 local0
  option dontlognull
  balance leastconn
  # A task that does not take the connection is given up for the next one.
  option redispatch 1
  retries 3
  timeout connect 5s
  # Who calls an app has limits of its own; these end what both sides have forgotten.
  timeout client 1h
  timeout server 1h
  timeout http-request 30s
  timeout http-keep-alive 30s
  # A name that nobody knows now must not keep HAProxy from starting.
  default-server init-addr libc,none
"""

_NOTHING: Final = """
# Nothing to serve yet, and HAProxy does not start without something to listen on: a socket that has no file.
frontend shipper-nothing
  bind abns@@name@
"""

#: An access log with fields, so that status, duration and request id are found and counted as nginx's are. What a
#: client sent is spelled as JSON. Source: HAProxy's configuration manual, "Custom log format" and the converter `json`.
ACCESS: Final = """\
  http-request capture req.hdr(X-Request-ID) len 128
  log-format '{"message":"%[capture.req.method,json(utf8s)] %[capture.req.uri,field(1,?),json(utf8s)] %ST",\
"request_id":"%[capture.req.hdr(0),json(utf8s)]","method":"%[capture.req.method,json(utf8s)]",\
"path":"%[capture.req.uri,field(1,?),json(utf8s)]","status":"%ST","bytes":"%B","duration_ms":"%Tt",\
"client_ip":"%ci","frontend":"%f","backend":"%b","server":"%s","termination":"%ts"}'
"""

_BY_NAME: Final = """
frontend shipper-http
  bind @address@:@port@
  mode http
@access@  option idle-close-on-response
@rules@"""

_RELP: Final = """
# Records of this host, to one shipper while it is up, so that it sees all of them; the others follow in this order. The
# order differs between hosts, and changes only for hosts whose shipper comes or goes.
listen shipper-relp
  bind @address@:@port@
  option tcplog
  # A peer that is gone without a word is noticed by the kernel.
  option clitcpka
  option srvtcpka
  # Down after 3 failures (6 s), up after 2; the connections of one that is down are closed, and what was not answered
  # is sent again.
  default-server inter 2s fall 3 rise 2 on-marked-down shutdown-sessions
@servers@"""

_TCP: Final = """
frontend @name@
  bind @address@:@port@
  option tcplog
  default_backend @name@

backend @name@
@check@@servers@"""

_HTTP: Final = """
frontend @name@
  bind @address@:@port@
  mode http
@access@  option idle-close-on-response
  default_backend @name@

backend @name@
  mode http
  option forwardfor
@check@@servers@"""
