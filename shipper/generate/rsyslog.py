"""rsyslog on a host: an instance of our own that stamps every record and keeps it until the shipper has taken it.

`shipper.conf` is its configuration, `start` the only way to start it: the series of a start must be new.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError, field_validator

from shipper import config
from shipper.errors import ConfigError
from shipper.generate import write

#: What a Unix socket's address can hold (sun_path of 108 bytes, one of them the final NUL).
LONGEST_SOCKET: Final = 107

#: What to do without it, after the name of the program.
MISSING: Final = "is missing: install the packages rsyslog and rsyslog-relp"

#: What ends a string or starts a variable, in rsyslog's language or in sh.
_UNSAFE: Final = re.compile(r"""["'`\\$%\x00-\x1f\x7f]""")


class Settings(config.Settings):
    """What may differ between hosts. Every value is checked, as it ends up inside quotes in a configuration."""

    socket: str = Field(default="/run/shipper/log", description="socket that programs write to, as to /dev/log")
    work_directory: str = Field(default="/var/spool/shipper", description="where waiting records are kept on disk")
    shipper_host: str = Field(
        default="127.0.0.1", pattern=r"^[A-Za-z0-9._:-]{1,253}$", description="host of the shipper"
    )
    shipper_port: int = Field(default=5140, ge=1, le=65535, description="RELP port of the shipper")
    host_name: str = Field(
        default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9.-]{0,252})?$", description="name of this host; default: its own"
    )
    queue_records: int = Field(default=10_000, ge=1000, le=1_000_000, description="most records in memory, per queue")
    queue_disk_bytes: int = Field(default=2**30, ge=2**20, description="most bytes on disk, per queue")
    relp_window: int = Field(
        default=512, ge=2, le=10_000, description="most records sent and not yet answered, per queue"
    )
    own_messages: bool = Field(default=True, description="rsyslogd's own messages are records, too")

    @field_validator("socket", "work_directory")
    @classmethod
    def _path(cls, path: str) -> str:
        if not path.startswith("/") or _UNSAFE.search(path):
            raise ValueError("must be an absolute path without quotes, backslashes, $, % and control characters")
        path.encode()  # a file name that is no text cannot stand in a configuration: UnicodeEncodeError is a ValueError
        return path

    @field_validator("socket")
    @classmethod
    def _fits(cls, path: str) -> str:
        if len(path.encode()) > LONGEST_SOCKET:
            raise ValueError(f"longer than the {LONGEST_SOCKET} bytes that the address of a Unix socket can have")
        return path


def read(values: Mapping[str, object]) -> Settings:
    """Return the settings that the values stand for; ConfigError names the key that is wrong."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"rsyslog: {key}: {first['msg'].removeprefix('Value error, ')}") from None


def generate(settings: Settings) -> dict[str, str]:
    """Return the files of a host, by path; the same settings give the same bytes."""
    checked = read(settings.model_dump())  # nothing unchecked reaches a file, however the settings were made
    values = {name: _word(value) for name, value in checked.model_dump().items()}
    if not checked.host_name:
        values["local_host_name"] = "# localHostname is not set: records carry the name that the host has"
    else:
        values["local_host_name"] = f'localHostname="{checked.host_name}"  # records carry this name'
    sends = {queue: _fill(_SEND, values | {"queue": queue}) for queue in ("warning", "normal")}
    return {
        "rsyslog/shipper.conf": _fill(_CONFIG, values | sends),
        "rsyslog/start": _fill(_START, values | {"missing": MISSING}),
    }


def find() -> str | None:
    """Return the path of rsyslogd, also where only root's PATH leads; None when this machine has none."""
    return shutil.which("rsyslogd", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))


def check(settings: Settings, program: str) -> str | None:
    """Return None when rsyslogd (`program`) accepts what these settings give, else why not, in one line.

    The real work directory may not exist on this machine, so another takes its place.
    """
    with tempfile.TemporaryDirectory(prefix="shipper-check-") as directory:
        here = settings.model_copy(update={"work_directory": directory})
        config_file, _ = write(generate(here), Path(directory))
        environment = {**os.environ, "SHIPPER_SERIES": "check0"}
        argv = [program, "-N1", "-f", str(config_file)]
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


def _word(value: object) -> str:
    """Spell a value as rsyslog does."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in the place of `@name@`; in one pass, so that a value is never looked into."""
    return re.sub(r"@([a-z_]+)@", lambda found: values[found[1]], template)


_CONFIG: Final = r"""# Written by `shipper generate rsyslog`; change its settings, not this file.
# An rsyslogd of our own beside the host's: it reads one socket, stamps each record and sends it to the shipper.
# Start it with `start` and nothing else: that gives SHIPPER_SERIES a value that no earlier start has had.

global(
  workDirectory="@work_directory@"  # queues on disk; must exist, one per instance
  @local_host_name@
  maxMessageSize="64k"                          # the default of 8k cuts without a mark
  parser.escapeControlCharactersOnReceive="off" # else a tab arrives as the four characters #011
  processInternalMessages="@own_messages@"  # "exiting on signal 15" is the goodbye of a series
)

module(load="imuxsock" SysSock.Use="off")       # never the host's own /dev/log
module(load="mmsequence")
module(load="omrelp")

# All values are strings: the PRI <999> prints as `invld`, which is no JSON number.
template(name="record" type="list" option.jsonf="on") {
  constant(outname="v" value="1" format="jsonf")
  property(outname="series"    name="$!series"                             format="jsonf")
  property(outname="sequence"  name="$!sequence"                           format="jsonf")
  property(outname="host_time" name="timegenerated"   dateFormat="rfc3339" format="jsonf") # with the host's offset
  property(outname="host"      name="$myhostname"                          format="jsonf")
  property(outname="input"     name="inputname"                            format="jsonf")
  property(outname="pri"       name="pri"                                  format="jsonf")
  property(outname="container" name="$!container"                          format="jsonf") # nobody sets it yet
  property(outname="message"   name="rawmsg-after-pri"                     format="jsonf") # parsed by the shipper
}

input(
  type="imuxsock"
  Socket="@socket@"
  CreatePath="on"
  RateLimit.Interval="0"                        # a limit here drops records that no counter shows
  UseSpecialParser="off"                        # it takes RFC 5424 for something else and cuts the first word
  ParseHostname="off"                           # a local writer sends no host name: its first word is text
  UseSysTimeStamp="on"                          # the receive time; what the writer said stays in the message
  ruleset="stamp"
)

# Runs in the thread that reads, before any queue: a record that is sent twice carries the same stamp twice.
# Each class of importance has a series, a queue and a connection of its own, so a hole belongs to one queue.
# mmsequence, as a counter in a global variable gives a number twice when two inputs write at once.
# The queues are the actions' own: with a queue of the ruleset, a stop while the shipper is away loses some records.
ruleset(name="stamp" queue.type="Direct") {
  if $syslogseverity <= 4 then {                # warning and above
    set $!series = getenv("SHIPPER_SERIES") & "w";
    action(type="mmsequence" mode="instance" from="1" to="2147483647" var="$!sequence")
@warning@
  } else {                                      # the rest, of which much may come: it never pushes out a warning
    set $!series = getenv("SHIPPER_SERIES") & "n";
    action(type="mmsequence" mode="instance" from="1" to="2147483647" var="$!sequence")
@normal@
  }
}

# What rsyslogd itself has to say goes the same way, but for what is said again with every try while the shipper is
# away (it can only arrive when that is over) and for a warning about the low marks, which are meant.
if not ($msg contains [
  "error opening connection to remote peer",
  "could not connect to remote server",
  "high water mark is set quite low"
]) then call stamp
"""

_SEND: Final = r"""    action(
      name="@queue@"
      type="omrelp"
      target="@shipper_host@"
      port="@shipper_port@"
      template="record"
      windowSize="@relp_window@"
      conn.timeout="10"
      timeout="90"                              # longer than the shipper ever holds back its answers
      action.resumeRetryCount="-1"              # try for ever
      action.resumeInterval="1"                 # the default of 30 s is how late a restart would make records
      action.resumeIntervalMax="5"              # the pause grows with each failure, up to this
      queue.type="LinkedList"
      queue.filename="@queue@"  # makes it disk-assisted
      queue.size="@queue_records@"
      queue.timeoutEnqueue="0"                  # full: drop at once; the default holds every writer for 2 s
      queue.highWatermark="200"                 # spool early: what is only in memory dies with kill -9
      queue.lowWatermark="50"
      queue.checkpointInterval="100"
      queue.dequeueBatchSize="128"
      queue.maxDiskSpace="@queue_disk_bytes@"
      queue.maxFileSize="16m"
      queue.saveOnShutdown="on"
      queue.timeoutShutdown="5000"              # how long a stop waits for a shipper that does not answer
    )                                           # no rebindInterval: closing a good session loses its window"""

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

# A running rsyslogd would ignore what it does not understand, and log nothing to nowhere: check first.
if ! said=$("$rsyslogd" -N1 -f "$config" 2>&1); then
  case $said in
    *"module 'omrelp'"*) refuse "$rsyslogd has no omrelp.so: install the package rsyslog-relp" ;;
  esac
  refuse "$config is refused: $(printf '%s\n' "$said" | grep -v 'config validation run' | head -n 1)"
fi
exec "$rsyslogd" -n -iNONE -f "$config"
"""
