"""systemd on a host: the socket that containers write to, held by systemd itself, the service that reads it, and the
one that keeps HAProxy true to Marathon's apps.
"""

from typing import Final

from shipper.generate._fill import directories, fill, path
from shipper.generate._host_settings import Settings


def generate(settings: Settings) -> dict[str, str]:
    """Return the units and the directories that they need, by path; the same settings give the same bytes."""
    names = ("socket", "work_directory", "relay_socket", "status_socket", "config_directory", "program")
    values = {name: path(settings, name) for name in names}
    sockets = directories(values["socket"], values["relay_socket"], values["status_socket"])
    values["written"] = " ".join(f'"{each}"' for each in dict.fromkeys([*sockets, values["work_directory"]]))
    values["hardening"] = _HARDENING
    values["socket_directories"] = "\n".join(f'd "{each}" - - - -' for each in sockets)
    units = {
        "rsyslog/systemd/shipper-host.socket": fill(_SOCKET, values),
        "rsyslog/systemd/shipper-host.service": fill(_SERVICE, values),
    }
    if settings.shipper_host in SERVED:
        units["rsyslog/systemd/shipper-haproxy.service"] = fill(_HAPROXY, {**values, "options": _options(settings)})
    return {**units, "rsyslog/tmpfiles.d/shipper.conf": fill(_TMPFILES, values)}


def _options(settings: Settings) -> str:
    """What `shipper haproxy` must know of the settings of a host: where rsyslogd sends to, and where logs go."""
    named = f' --host-name "{settings.host_name}"' if settings.host_name else ""
    return f'--relp-port {settings.shipper_port} --log-socket "{path(settings, "socket")}"{named}'


#: Where rsyslogd sends to when the HAProxy that `shipper haproxy` looks after takes it: that listens on IPv4 only.
SERVED: Final = ("127.0.0.1", "localhost")

_SOCKET: Final = """\
# Written by `shipper generate rsyslog`; change its settings, not this file.
# The socket that containers write to. systemd holds it, so it outlives whatever reads it: a container that has mounted
# it never has to open it again. Never restart this unit: that makes a new socket, and mounts of the old one stay deaf.

[Unit]
Description=Socket that containers log to
# Containers that mount the socket do not start while it is missing.
Before=docker.service mesos-slave.service mesos-agent.service

[Socket]
ListenDatagram=@socket@
# Every user in every container may write.
SocketMode=0666
DirectoryMode=0755
# The kernel says who wrote; it must be asked to before the first record, so not by the reader.
PassCredentials=yes
# The path stays when the unit is stopped: a container that starts then gets a socket and no directory of that name.
RemoveOnStop=no
# However often the service fails, the socket stays. The default closes it after 20 starts within 2 s.
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
"""

#: What no service of ours needs; it ends the section [Service], and the file.
_HARDENING: Final = """\
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""

_SERVICE: Final = """\
# Written by `shipper generate rsyslog`; change its settings, not this file.
# Reads the socket of shipper-host.socket and what tasks write to files, and runs the rsyslogd that sends it on.

[Unit]
Description=Ships the logs of this host
Requires=shipper-host.socket
# Up before the containers, and stopped after them: their last words are read.
After=shipper-host.socket
Before=docker.service mesos-slave.service mesos-agent.service
# Started again for ever. When systemd gives up on a service, it closes its socket.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=10
# The longest that a service which cannot start holds up Docker at boot.
TimeoutStartSec=20
ExecStart="@program@" host run --config "@config_directory@/host.json"
# A host.json that cannot be used fails here, with the reason; so does a shipper.conf that rsyslogd -N1 refuses. The old
# one stays in force then.
ExecReload="@program@" host run --check --config "@config_directory@/host.json"
ExecReload="@program@" host reload --socket "@status_socket@"
Restart=always
RestartSec=200ms
# SIGTERM goes to the holder alone: it stops its children in order, so that what was read is kept.
KillMode=mixed
TimeoutStopSec=40
SyslogIdentifier=shipper-host

# One descriptor for each file that is followed.
LimitNOFILE=65536
# A host that is short of memory needs its logs most; and a child that does too much ends alone, and is started again.
OOMScoreAdjust=-500
OOMPolicy=continue
MemoryMax=1G

# It runs as root and may do three things that no other user may: see which container a process is in (PTRACE), read the
# files of every task (DAC_READ_SEARCH), and be quick where a writer is gone in a millisecond (NICE). An rsyslogd of
# 8.2212 to 8.2304 that was built with libcap-ng wants more and says "capng_apply": delete the line there.
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_SYS_NICE
NoNewPrivileges=yes
UMask=0077
# Everything is read-only but these. No RuntimeDirectory=: systemd would delete the socket with it.
ProtectSystem=strict
ReadWritePaths=@written@
# No PrivateTmp= and no ProtectProc=: sandboxes may be in /tmp, and all processes must be seen.
@hardening@"""

_HAPROXY: Final = """\
# Written by `shipper generate rsyslog`; change its settings, not this file.
# Keeps this host's HAProxy true to Marathon's apps: each on its service port of 127.0.0.1, shipper's RELP port, too.

[Unit]
Description=This host's HAProxy serves Marathon's apps
Wants=network-online.target
After=network-online.target haproxy.service
# Started again for ever: meanwhile HAProxy goes on with the file that it has.
StartLimitIntervalSec=0

[Service]
ExecStart="@program@" haproxy --config "@config_directory@/shipper.yaml" @options@
Restart=always
RestartSec=2
SyslogIdentifier=shipper-haproxy
MemoryMax=1G

# It runs as root, of whom alone systemd takes `systemctl reload haproxy`, with two more rights: HAProxy's check of a
# file reads keys of others (DAC_READ_SEARCH), and whether a port below 1024 is free is tried (NET_BIND_SERVICE).
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
UMask=0077
# Everything is read-only but the folder of HAProxy's files, in which it makes a new one and renames it.
ProtectSystem=strict
ReadWritePaths=/etc/haproxy
PrivateTmp=yes
@hardening@"""

_TMPFILES: Final = """\
# Written by `shipper generate rsyslog`; change its settings, not this file.
# Directories that must be there before the socket, made at every boot. Nothing in them is ever cleaned up.
@socket_directories@
# Records that wait for a shipper: for nobody else to read.
d "@work_directory@" 0700 root root -
"""
