"""The settings of a host: what may differ between hosts, checked before any of it stands in a file."""

import re
from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from shipper import config

#: What a Unix socket's address can hold (sun_path of 108 bytes, one of them the final NUL).
LONGEST_SOCKET: Final = 107
#: What ends a string, starts a variable or separates values in one of the languages that the files are written in.
_UNSAFE: Final = re.compile(r"""["'`\\$%,:;{}#\x00-\x1f\x7f-\x9f\u2028\u2029]""")
_LONGEST_PATH: Final = 1024
_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})", re.ASCII)
#: Quantities as people write them. Sizes are decimal, as disks are sold.
_QUANTITY: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?([A-Za-z]+)", re.ASCII)
_BYTES: Final = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SECONDS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
#: What a record takes in rsyslog's queue on disk, in bytes: measured 1,050 for messages of 400.
RECORD_BYTES: Final = 1100
#: Limits of what a host may hold; below, a queue file of warnings would not fit twice.
_LEAST_BYTES, _MOST_BYTES = 8 * 10**6, 10**14


class Settings(config.Settings):
    """What may differ between hosts. Every value is checked, as it ends up inside quotes in a configuration."""

    socket: str = Field(default="/run/shipper/log", description="socket that containers mount as /dev/log")
    relay_socket: str = Field(default="/run/shipper/relay", description="socket between `shipper host` and rsyslogd")
    status_socket: str = Field(default="/run/shipper/status", description="socket that `shipper host status` asks")
    work_directory: str = Field(default="/var/spool/shipper", description="where waiting records are kept on disk")
    config_directory: str = Field(default="/etc/shipper", description="where these files lie on the host")
    program: str = Field(default="/opt/shipper/bin/shipper", description="the command shipper on the host")
    shipper_host: str = Field(
        default="127.0.0.1", pattern=r"^[A-Za-z0-9._:-]{1,253}$", description="host of the shipper: HAProxy's address"
    )
    shipper_port: int = Field(default=5140, ge=1, le=65535, description="RELP port of the shipper")
    backends: list[str] = Field(
        default=[], max_length=64, description="host:port of each shipper, for the HAProxy piece, separated by commas"
    )
    host_name: str = Field(
        default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9.-]{0,252})?$", description="name of this host; default: its own"
    )
    hold: str = Field(
        default="2 GB", description='what is kept while no shipper answers: "2 GB", or "6 hours" of records_per_second'
    )
    records_per_second: int = Field(default=500, ge=1, le=100_000, description="what a host writes, if hold is a time")
    stdout: Literal["sandbox", "docker", "none"] = Field(
        default="none", description="where the output of tasks is read: one source, never both"
    )
    sandboxes: str = Field(default="/var/lib/mesos", description="Mesos agent's work_dir, for stdout=sandbox")
    files: list[str] = Field(
        default=[], max_length=64, description="patterns of more files to read, separated by commas"
    )
    journal: bool = Field(default=False, description="read the host's journal (package rsyslog's imjournal)")
    queue_records: int = Field(default=20_000, ge=12_000, le=1_000_000, description="most records in memory, per queue")
    heartbeat_seconds: int = Field(default=10, ge=1, le=60, description="how often a host reports its figures")
    relp_window: int = Field(
        default=512, ge=256, le=10_000, description="most records sent and not yet answered, per queue"
    )
    tls: Literal["", "openssl", "gnutls"] = Field(default="", description="RELP over TLS with this library")
    tls_ca: str = Field(default="/etc/shipper/tls/ca.pem", description="certificate that signed the shippers'")
    tls_cert: str = Field(default="/etc/shipper/tls/host.pem", description="this host's certificate")
    tls_key: str = Field(default="/etc/shipper/tls/host.key", description="its key")
    tls_peer: str = Field(
        default="shipper",
        pattern=r"^[A-Za-z0-9*][A-Za-z0-9.*-]{0,252}$",
        description="name in the shippers' certificates",
    )

    @field_validator(
        "socket", "relay_socket", "status_socket", "work_directory", "config_directory", "program", "sandboxes",
        "tls_ca", "tls_cert", "tls_key",
    )  # fmt: skip
    @classmethod
    def _path(cls, path: str) -> str:
        if not path.startswith("/") or _UNSAFE.search(path) or "//" in path or path != path.rstrip("/ "):
            raise ValueError("must be an absolute path without quotes and other characters of configuration languages")
        if {".", ".."} & set(path.split("/")):
            raise ValueError("must not contain . or ..")
        # A file name that is no text cannot stand in a configuration: UnicodeEncodeError is a ValueError.
        if len(path.encode()) > _LONGEST_PATH:
            raise ValueError(f"longer than {_LONGEST_PATH} bytes")
        return path

    @field_validator("socket", "relay_socket", "status_socket")
    @classmethod
    def _fits(cls, path: str) -> str:
        if len(path.encode()) > LONGEST_SOCKET:
            raise ValueError(f"longer than the {LONGEST_SOCKET} bytes that the address of a Unix socket can have")
        return path

    @field_validator("backends", "files", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        return [part.strip(" ") for part in value.split(",") if part.strip(" ")] if isinstance(value, str) else value

    @field_validator("backends")
    @classmethod
    def _addresses(cls, addresses: list[str]) -> list[str]:
        for address in addresses:
            found = _ADDRESS.fullmatch(address)
            if found is None or not 1 <= int(found[1]) <= 65535:
                raise ValueError("must be host:port, IPv6 addresses in brackets")
        return addresses

    @field_validator("files")
    @classmethod
    def _patterns(cls, patterns: list[str]) -> list[str]:
        return [cls._path(pattern) for pattern in patterns]

    @field_validator("hold")
    @classmethod
    def _quantity(cls, words: str) -> str:
        found = _QUANTITY.fullmatch(words.strip())
        unit = found[2].lower() if found else ""
        if found is None or not (unit in _BYTES or unit.removesuffix("s") in _SECONDS):
            raise ValueError('must be a size or a time: "500 MB", "2 GB", "6 hours", "2 days"')
        return words.strip()

    @model_validator(mode="after")
    def _holds_enough(self) -> Self:
        if not _LEAST_BYTES <= self.queue_bytes <= _MOST_BYTES:
            raise ValueError(f"hold: {self.hold!r} is {self.queue_bytes:,} bytes, outside 8 MB to 100 TB")
        return self

    @property
    def queue_bytes(self) -> int:
        """What all queues of the host may take on disk together, in bytes."""
        found = _QUANTITY.fullmatch(self.hold)
        if found is None:
            return 0  # refused when it was set; model_copy does not check
        number, unit = float(found[1]), found[2].lower()
        if unit in _BYTES:
            return int(number * _BYTES[unit])
        return int(number * _SECONDS[unit.removesuffix("s")] * self.records_per_second * RECORD_BYTES)


def read(values: Mapping[str, object]) -> Settings:
    """Return the settings that the values stand for; ConfigError names the key that is wrong."""
    return config.checked(Settings, values, "rsyslog")
