"""A host without systemd: one script for whatever starts programs there."""

import shlex
from typing import Final

from shipper.generate._fill import directories, fill, path
from shipper.generate._host_settings import Settings


def generate(settings: Settings) -> dict[str, str]:
    """Return the script, by path; the same settings give the same bytes."""
    names = ("socket", "work_directory", "relay_socket", "status_socket", "config_directory", "program")
    values = {name: path(settings, name) for name in names}
    sockets = directories(values["socket"], values["relay_socket"], values["status_socket"])
    filled = {
        "socket_directories": " ".join(shlex.quote(each) for each in sockets),
        "work_directory": shlex.quote(values["work_directory"]),
        "program": shlex.quote(values["program"]),
        "config": shlex.quote(f"{values['config_directory']}/host.json"),
    }
    return {"rsyslog/run": fill(_RUN, filled)}


_RUN: Final = """\
#!/bin/sh
# Written by `shipper generate rsyslog`; change its settings, not this file.
# Runs `shipper host run` in the foreground, for a host without systemd: let runit, supervisord or `@reboot` of cron
# start it as root, before Docker and the Mesos agent, and start it again when it ends.
#
# Here the program itself holds the socket that containers write to. rsyslogd and the reader may end and start again
# behind it, and `shipper host restart` puts a new version in place. But when the program ends, its next start makes a
# new socket: containers that have mounted the old one are deaf. Give them the directory of the socket.
set -eu

# A Unix socket queues so many records while its reader is busy; systemd sets 512, the kernel's default is 10.
queue=/proc/sys/net/unix/max_dgram_qlen
if [ -w "$queue" ] && [ "$(cat "$queue")" -lt 512 ]; then
  echo 512 >"$queue"
fi

for directory in @socket_directories@; do
  (umask 022 && mkdir -p -- "$directory")
done
umask 077
mkdir -p -- @work_directory@
exec @program@ host run --config @config@
"""
