"""HAProxy on a host: rsyslogd sends to this machine, and HAProxy knows which shippers are up."""

from typing import Final

from shipper.generate._fill import fill, path, refusal
from shipper.generate._host_settings import Settings

#: Bytes of a socket's path that HAProxy takes.
LONGEST_SOCKET: Final = 97

#: Addresses of the host itself: rsyslogd sends to a HAProxy there.
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def generate(settings: Settings) -> dict[str, str]:
    """Return the piece of HAProxy's configuration, by path; the same settings give the same bytes.

    Nothing when rsyslogd sends to another machine: then no HAProxy of this host is on the way.
    """
    if settings.shipper_host not in LOOPBACK:
        return {}
    socket = path(settings, "socket")
    if len(socket.encode()) > LONGEST_SOCKET:
        raise refusal("socket", f"longer than the {LONGEST_SOCKET} bytes that HAProxy takes")
    values = {
        "bind": "[::1]" if settings.shipper_host == "::1" else "127.0.0.1",
        "port": str(settings.shipper_port),
        "socket": socket,
        "heartbeat": str(settings.heartbeat_seconds),
        "passed": _ENCRYPTED if settings.tls else _PLAIN,
        "servers": "".join(_SERVER.format(number, backend) for number, backend in enumerate(settings.backends, 1))
        or _NONE,
    }
    return {"rsyslog/haproxy/shipper.cfg": fill(_CONFIG, values)}


_PLAIN: Final = "It passes RELP on as it is."
_ENCRYPTED: Final = (
    "It passes TLS on as it is: the shipper's certificate is checked by rsyslogd, and HAProxy has no key."
)
_SERVER: Final = "  server shipper-{} {} check\n"
_NONE: Final = """\
  # No server yet. `shipper generate rsyslog --backends HOST:PORT,HOST:PORT` writes them here. Where marathon-lb writes
  # this host's HAProxy configuration, the app of shipper brings a section like this: leave this file out.
"""

_CONFIG: Final = """\
# Written by `shipper generate rsyslog`; change its settings, not this file.
# A further file for this host's HAProxy (`haproxy -f haproxy.cfg -f shipper.cfg`): the rsyslogd of this host sends to
# @bind@:@port@, and a shipper that is up gets it. @passed@

listen shipper
  bind @bind@:@port@
  mode tcp
  balance leastconn

  # HAProxy's own log is a record like any other. With `chroot`, mount the socket below it: see README.md.
  log '@socket@' format rfc5424 local0
  option tcplog

  # A connection lives as long as rsyslogd, which says something every @heartbeat@ s and waits 90 s for an answer.
  # A limit shorter than these breaks a good connection, and what was on its way is sent twice.
  timeout client 1h
  timeout server 1h
  timeout connect 5s
  # A peer that is gone without a word is noticed by the kernel.
  option clitcpka
  option srvtcpka
  # A shipper that does not take the connection is given up for the next one.
  option redispatch 1
  retries 3

  # Down after 3 failures (6 s), up after 2. A shipper that stops takes no new connection but answers what it has read,
  # which takes less; one that is lost is given up with its connections, and rsyslogd sends the rest to another.
  # init-addr none: a name that nobody knows today must not keep the whole HAProxy from starting.
  default-server inter 2s fall 3 rise 2 on-marked-down shutdown-sessions init-addr last,libc,none
@servers@"""
