"""The settings of a host, read from host.json, which `shipper generate rsyslog` writes."""

import json
import os
import socket as sockets
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from shipper.errors import ConfigError

#: What a Unix socket's address can hold (sun_path of 108 bytes, one of them the final NUL).
LONGEST_SOCKET: Final = 107
_LONGEST_FILE: Final = 2**20
#: Limits of the numbers, both included.
_RANGES: Final = {
    "backlog_bytes": (2**16, 2**32),
    "queue_limit_bytes": (2**20, 2**50),
    "heartbeat_seconds": (1, 3600),
}
_SOCKETS: Final = ("socket", "relay_socket", "status_socket")


@dataclass(frozen=True, slots=True)
class Settings:
    """What may differ between hosts; every value has been checked."""

    #: What containers mount as /dev/log.
    socket: str = "/run/shipper/log"
    #: What rsyslogd's imuxsock reads; for root alone.
    relay_socket: str = "/run/shipper/relay"
    #: Who connects gets the state of the host as one JSON object.
    status_socket: str = "/run/shipper/status"
    #: Where rsyslogd keeps its queues.
    work_directory: str = "/var/spool/shipper"
    #: The name that records carry; "" in the file: the machine's own.
    host_name: str = ""
    #: The program; "": the one in PATH, /usr/sbin or /sbin.
    rsyslogd: str = ""
    #: The work_dir of the Mesos agent, whose sandboxes are read; "": none.
    sandboxes: str = ""
    #: Patterns of other files to read.
    files: tuple[str, ...] = ()
    #: Most memory for records while rsyslogd is away.
    backlog_bytes: int = 16 * 2**20
    #: What rsyslogd's queues may have on disk, all together; for reports only.
    queue_limit_bytes: int = 2**31
    #: How often a report is sent.
    heartbeat_seconds: int = 10
    #: Where `start` and `shipper.conf` are: the folder of host.json.
    folder: str = ""

    @property
    def has_files(self) -> bool:
        """Whether there is anything for a tailer."""
        return bool(self.sandboxes or self.files)


def load(path: str | Path) -> Settings:
    """Return the settings of a file; ConfigError names the file and the key that is wrong."""
    try:
        data = Path(path).read_bytes()[: _LONGEST_FILE + 1]
        values = json.loads(data)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise ConfigError(f"{path}: is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must be one JSON object")
    known = {field.name: field.default for field in fields(Settings) if field.name != "folder"}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{path}: {key}: unknown key; there are {', '.join(known)}")
        wrong = _wrong(key, value, known[key])
        if wrong:
            raise ConfigError(f"{path}: {key}: {wrong}")
    if "files" in values:
        values["files"] = tuple(values["files"])
    values["host_name"] = values.get("host_name") or sockets.gethostname()
    return Settings(**values, folder=str(Path(path).absolute().parent))


def _wrong(key: str, value: Any, default: Any) -> str:
    """Say what is wrong with a value; "" when nothing is."""
    if key in _RANGES:
        least, most = _RANGES[key]
        fits = type(value) is int and least <= value <= most
        return "" if fits else f"must be a whole number from {least} to {most}"
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) and item.startswith("/") for item in value):
            return "must be a list of absolute patterns"
        return ""
    if not isinstance(value, str) or not value.isprintable():
        return "must be a text"
    if key == "host_name":
        return "must be at most 255 characters" if len(value) > 255 else ""
    if value and not value.startswith("/"):
        return "must be an absolute path"
    if not value and default:
        return "must not be empty"
    if key in _SOCKETS and len(os.fsencode(value)) > LONGEST_SOCKET:
        return f"longer than the {LONGEST_SOCKET} bytes that the address of a Unix socket can have"
    return ""
