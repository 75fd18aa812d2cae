"""rsyslog on a host: an instance of our own that keeps every record until the shipper has taken it.

`shipper.conf` is its configuration, `start` the only way to start it: the series of a start must be new; `host.json`
is what `shipper host` reads.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shipper.generate import write
from shipper.generate._fill import fill
from shipper.generate._host_settings import LONGEST_SOCKET, Settings, read

__all__ = ["LONGEST_SOCKET", "MISSING", "Settings", "check", "find", "generate", "read"]

#: What to do without it, after the name of the program.
MISSING: Final = "is missing: install the packages rsyslog and rsyslog-relp"
#: What reports may take on disk; the rest is for what containers write.
_HEARTBEAT_BYTES: Final = 2**20
#: Records that one exchange with the shipper takes; of reports few, so that what has left their queue was answered.
_BATCH: Final = 256
_HEARTBEAT_WINDOW: Final = 32
#: Most bytes of one file of a queue: what is sent frees the disk file by file.
_FILE_BYTES: Final = 16 * 2**20
#: About 24 days, in milliseconds: whoever writes into this queue waits, as what it reads can wait.
_FOR_EVER: Final = 2**31 - 1


def generate(settings: Settings) -> dict[str, str]:
    """Return the files of rsyslogd and of `shipper host`, by path; the same settings give the same bytes."""
    checked = read(settings.model_dump())  # nothing unchecked reaches a file, however the settings were made
    return {
        "rsyslog/shipper.conf": _configuration(checked),
        "rsyslog/start": fill(_START, {"missing": MISSING, "work_directory": checked.work_directory}),
        "rsyslog/host.json": json.dumps(_host(checked), indent=2) + "\n",
    }


def find() -> str | None:
    """Return the path of rsyslogd, also where only root's PATH leads; None when this machine has none."""
    return shutil.which("rsyslogd", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))


def check(settings: Settings, program: str) -> str | None:
    """Return None when rsyslogd (`program`) accepts what these settings give, else why not, in one line.

    The real work directory and certificates may not exist on this machine, so others take their place.
    """
    with tempfile.TemporaryDirectory(prefix="shipper-check-") as directory:
        certificate = Path(directory, "certificate")
        certificate.touch()
        files = {name: str(certificate) for name in ("tls_ca", "tls_cert", "tls_key")}
        here = settings.model_copy(update={"work_directory": directory, **files})
        write(generate(here), Path(directory))
        environment = {**os.environ, "SHIPPER_SERIES": "check0"}
        argv = [program, "-N1", "-f", f"{directory}/rsyslog/shipper.conf"]
        try:
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)  # noqa: S603 no shell
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{program} cannot be run: {error}"
    if done.returncode == 0:
        return None
    if "module 'omrelp'" in done.stderr:
        return f"{program} has no omrelp.so: install the package rsyslog-relp"
    said = [line for line in done.stderr.splitlines() if "config validation run" not in line]
    return said[0] if said else f"{program} -N1 ended with {done.returncode}"


def _host(settings: Settings) -> dict[str, object]:
    """What `shipper host` reads."""
    return {
        "socket": settings.socket,
        "relay_socket": settings.relay_socket,
        "status_socket": settings.status_socket,
        "work_directory": settings.work_directory,
        "host_name": settings.host_name,
        "sandboxes": settings.sandboxes if settings.stdout == "sandbox" else "",
        "files": settings.files,
        "queue_limit_bytes": settings.queue_bytes,
        "heartbeat_seconds": settings.heartbeat_seconds,
    }


def _configuration(settings: Settings) -> str:
    rest = settings.queue_bytes - _HEARTBEAT_BYTES
    journal = rest // 10 if settings.journal else 0
    warning = (rest - journal) // 5
    values = {
        "work_directory": settings.work_directory,
        "relay_socket": settings.relay_socket,
        "heartbeat_seconds": str(settings.heartbeat_seconds),
        "local_host_name": "# localHostname is not set: records carry the name that the host has",
        "tls_library": f' tls.tlslib="{settings.tls}"' if settings.tls else "",
        "journal_input": _JOURNAL_INPUT if settings.journal else "",
        "journal": "",
        "journal_first": "",
        "heartbeat": _send(settings, "heartbeat", "composed", _HEARTBEAT_BYTES, window=_HEARTBEAT_WINDOW),
        "warning": _send(settings, "warning", "relayed", warning),
        "normal": _send(settings, "normal", "relayed", rest - journal - warning),
    }
    if settings.host_name:
        values["local_host_name"] = f'localHostname="{settings.host_name}"  # records carry this name'
    if settings.journal:
        values["journal"] = fill(_JOURNAL, {"send": _send(settings, "journal", "composed", journal, wait=_FOR_EVER)})
        values["journal_first"] = 'if $inputname == "imjournal" then call journal\nelse '
    return fill(_CONFIG, values)


def _send(settings: Settings, queue: str, template: str, size: int, *, wait: int = 0, window: int | None = None) -> str:
    """One queue and its connection; `size` in bytes on disk, `wait` in milliseconds for room in it."""
    values = {
        "queue": queue,
        "template": template,
        "shipper_host": settings.shipper_host,
        "shipper_port": str(settings.shipper_port),
        "tls": fill(_TLS, _tls(settings)) if settings.tls else "",
        "window": str(settings.relp_window if window is None else window),
        "batch": str(_BATCH if window is None else window // 2),
        "queue_records": str(settings.queue_records),
        "bytes": str(size),
        "file_bytes": str(min(_FILE_BYTES, size // 4)),
        "wait": str(wait),
    }
    return fill(_SEND, values)


def _tls(settings: Settings) -> Mapping[str, str]:
    return {name: str(getattr(settings, name)) for name in ("tls_ca", "tls_cert", "tls_key", "tls_peer")}


_CONFIG: Final = r"""# Written by `shipper generate rsyslog`; change its settings, not this file.
# An rsyslogd of our own beside the host's: bounded queues on disk and RELP, started by `shipper host`, which numbers
# each record and knows its container. Nobody else writes to its socket.

global(
  workDirectory="@work_directory@"  # queues on disk; must exist, one per instance
  @local_host_name@
  maxMessageSize="1m"                           # the default of 8k cuts without a mark; the reader cuts with one
  parser.escapeControlCharactersOnReceive="off" # else a tab arrives as the four characters #011
  processInternalMessages="on"                  # what rsyslogd itself has to say is a record, too
)

module(load="imuxsock" SysSock.Use="off")       # never the host's own /dev/log
module(load="mmsequence")
module(load="omrelp"@tls_library@)
module(
  load="impstats"                               # counters of queues: the heartbeat of this rsyslogd
  interval="@heartbeat_seconds@"
  format="json"
  resetCounters="off"                           # a lost report costs nothing
  ruleset="own"
  log.file="/dev/stderr"                        # `shipper host` reads them, too: it wakes a queue that sleeps
)
@journal_input@
# A relayed record is complete: one JSON object, written by the reader or the tailer of `shipper host`.
template(name="relayed" type="string" string="%rawmsg-after-pri%\n")

# The same form for what rsyslogd itself adds. All values are strings: a wrong PRI prints as `invld`, no JSON number.
template(name="composed" type="string" string="%$!record%\n")
template(name="own" type="list" option.jsonf="on") {
  constant(outname="v" value="1" format="jsonf")
  property(outname="series"    name="$!series"                             format="jsonf")
  property(outname="sequence"  name="$!sequence"                           format="jsonf")
  property(outname="host_time" name="timegenerated"   dateFormat="rfc3339" format="jsonf") # with the host's offset
  property(outname="host"      name="$myhostname"                          format="jsonf")
  property(outname="input"     name="inputname"                            format="jsonf")
  property(outname="pri"       name="pri"                                  format="jsonf")
  property(outname="message"   name="$!text"                               format="jsonf") # parsed by the shipper
}

input(
  type="imuxsock"
  Socket="@relay_socket@"  # held by `shipper host`, so nothing is lost while rsyslogd restarts
  RateLimit.Interval="0"                        # a limit here drops records that no counter shows
  UseSpecialParser="off"                        # it would look for a syslog header in the object
  ParseHostname="off"
  ruleset="relay"
)

# Runs in the thread that reads. Two classes of importance, each with a series, a queue and a connection of its own:
# the many unimportant never push out a warning, and a hole in a series belongs to one queue.
# The queues are the actions' own: with a queue of the ruleset, a stop while the shipper is away loses some records.
ruleset(name="relay" queue.type="Direct") {
  if $syslogfacility == 23 then {               # local7: reports of the reader
    set $!record = $rawmsg-after-pri;
    call heartbeat
  } else if $syslogseverity <= 4 then {         # warning and above
@warning@
  } else {
@normal@
  }
}

# impstats and rsyslogd's own messages: numbered here, as no reader sees them, in a series of this start of rsyslogd.
# mmsequence, as a counter in a global variable gives a number twice when two inputs write at once.
ruleset(name="own" queue.type="Direct") {
  set $!series = getenv("SHIPPER_SERIES") & "h";
  action(type="mmsequence" mode="instance" from="1" to="2147483647" var="$!sequence")
  set $!text = $rawmsg-after-pri;
  set $!record = exec_template("own");
  call heartbeat
}

# A queue of its own: reports arrive though the others are full, and say so. Its window is small, so that reports leave
# it only while the shipper answers: the holder takes that for a sign, and must not be wrong (`queues.py`).
ruleset(name="heartbeat" queue.type="Direct") {
@heartbeat@
}
@journal@
# All but what is said again with every try while the shipper is away (it can only arrive when that is over) and for a
# warning about low marks, which are meant.
@journal_first@if not ($msg contains [
  "error opening connection to remote peer",
  "could not connect to remote server",
  "is set quite low"
]) then call own
"""

_SEND: Final = r"""    action(
      name="@queue@"
      type="omrelp"
      target="@shipper_host@"
      port="@shipper_port@"@tls@
      template="@template@"
      windowSize="@window@"  # never below dequeueBatchSize: each batch would wait for answers
      conn.timeout="10"
      timeout="90"                              # longer than the shipper ever holds back its answers
      action.resumeRetryCount="-1"              # try for ever
      action.resumeInterval="1"                 # the default of 30 s is how late a restart would make records
      action.resumeIntervalMax="5"              # the pause grows with each failure, up to this
      queue.type="LinkedList"
      queue.filename="@queue@"  # makes it disk-assisted
      queue.size="@queue_records@"
      queue.timeoutEnqueue="@wait@"  # ms; 0: full means drop at once, the default holds the reader for 2 s
      queue.highWatermark="2000"                # above it records go to disk; what is in memory dies with kill -9
      queue.lowWatermark="500"
      queue.dequeueSlowdown="20000"             # microseconds after each batch: a disk file's worker ends when it has
                                                # nothing to send, and what comes then falls asleep. A pause fills it
      queue.dequeueBatchSize="@batch@"  # two of them are lost when rsyslogd stops while no shipper answers
      queue.workerThreads="2"                   # the second one takes over while the first closes its connection
      queue.workerThreadMinimumMessages="1"
      queue.checkpointInterval="500"            # each is a write to disk: with 100 a busy disk was the limit
      queue.maxDiskSpace="@bytes@"
      queue.maxFileSize="@file_bytes@"
      queue.saveOnShutdown="on"
      queue.timeoutShutdown="4000"              # how long a stop waits for a shipper that does not answer
    )                                           # no rebindInterval: closing a good session loses its window"""

_TLS: Final = r"""
      tls="on"                                  # both sides show a certificate
      tls.caCert="@tls_ca@"
      tls.myCert="@tls_cert@"
      tls.myPrivKey="@tls_key@"
      tls.authMode="name"
      tls.permittedPeer=["@tls_peer@"]"""

_JOURNAL_INPUT: Final = r"""
module(
  load="imjournal"
  StateFile="journal.state"                     # in the work directory
  PersistStateInterval="100"
  IgnorePreviousMessages="on"                   # a new host starts with now, not with months of history
  Ratelimit.Interval="0"                        # the default drops above 20,000 records in 10 minutes
)
"""

_JOURNAL: Final = r"""
# The journal can wait, so its queue makes its reader wait instead of dropping.
ruleset(name="journal" queue.type="Direct") {
  set $!series = getenv("SHIPPER_SERIES") & "j";
  action(type="mmsequence" mode="instance" from="1" to="2147483647" var="$!sequence")
  set $!text = $syslogtag & $msg;
  set $!record = exec_template("own");
@send@
}
"""

_START: Final = r"""#!/bin/sh
# Written by `shipper generate rsyslog`; change its settings, not this file.
# Starts rsyslogd in the foreground on shipper.conf, with a series that no earlier start has had.
# usage: start [-f CONFIG] [-r RSYSLOGD]
set -eu

refuse() {
  echo "start: $1" >&2
  exit 1
}

config=$(dirname -- "$0")/shipper.conf
rsyslogd=rsyslogd
PATH=$PATH:/usr/sbin:/sbin
while getopts :f:r: option; do
  case $option in
    f) config=$OPTARG ;;
    r) rsyslogd=$OPTARG ;;
    *) refuse "usage: start [-f CONFIG] [-r RSYSLOGD]" ;;
  esac
done

command -v -- "$rsyslogd" >/dev/null || refuse "$rsyslogd @missing@"
case $config in /*) ;; *) config=$PWD/$config ;; esac
[ -r "$config" ] || refuse "cannot read $config"
work='@work_directory@'
[ -d "$work" ] || mkdir -p -- "$work" 2>/dev/null || refuse "cannot make the work directory $work"

# Series: the second of the start in hexadecimal, so that series sort by age, and eight random digits, as a hundred
# hosts may start in one second and an id is nothing but series and number.
second=$(date +%s)
SHIPPER_SERIES=$(printf '%08x' "$second")$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
export SHIPPER_SERIES
# Sockets that are handed over are meant for this process, which becomes rsyslogd.
[ -z "${LISTEN_FDS:-}" ] || export LISTEN_PID=$$

# A running rsyslogd would ignore what it does not understand, and log nothing to nowhere: check first.
if ! said=$("$rsyslogd" -N1 -f "$config" 2>&1); then
  case $said in
    *"module 'omrelp'"*) refuse "$rsyslogd has no omrelp.so: install the package rsyslog-relp" ;;
  esac
  refuse "$config is refused: $(printf '%s\n' "$said" | grep -v 'config validation run' | head -n 1)"
fi
exec "$rsyslogd" -n -iNONE -f "$config"
"""
