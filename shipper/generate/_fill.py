"""What all generators share: templates are filled in one pass, and a value is spelled so that it stays one value.

A path goes into the languages of systemd, sh, HAProxy, nginx, Docker and rsyslog. The characters that mean something in
any of them are refused here, in one line and before a file is written; the rest stands between quotes.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from shipper.errors import ConfigError

#: What ends or opens a string, starts a variable or a specifier, or separates values, in one of the languages.
_MEANS_SOMETHING: Final = frozenset("\"'`\\$%,:")
_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")


class Host(Protocol):
    """The settings of a host that these generators read; `shipper.generate.rsyslog.Settings` has them all."""

    @property
    def socket(self) -> str:
        """Path of the socket that containers write to."""

    @property
    def work_directory(self) -> str:
        """Path of the directory of records that wait on disk."""

    @property
    def relay_socket(self) -> str:
        """Path of the socket between reader and rsyslogd."""

    @property
    def status_socket(self) -> str:
        """Path of the socket that `shipper host status` asks."""

    @property
    def config_directory(self) -> str:
        """Path of the directory that these files are copied to."""

    @property
    def program(self) -> str:
        """Path of the command `shipper` on the host."""

    @property
    def shipper_host(self) -> str:
        """Where rsyslogd sends to."""

    @property
    def shipper_port(self) -> int:
        """Port that rsyslogd sends to."""

    @property
    def hold(self) -> str:
        """How much a host keeps while no shipper answers, in words ("2 GB")."""

    @property
    def tls(self) -> str:
        """TLS library of rsyslogd; empty: no TLS."""

    @property
    def stdout(self) -> str:
        """Where the stdout of tasks is read: "sandbox", "docker" or "none"."""

    @property
    def backends(self) -> Sequence[str]:
        """The shippers behind the host's HAProxy, each "host:port"."""


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in the place of `@name@`; in one pass, so that a value is never looked into."""
    return re.sub(r"@([a-z_]+)@", lambda found: values[found[1]], template)


def refusal(name: str, text: str) -> ConfigError:
    """Return the error that names a setting which these files cannot have."""
    return ConfigError(f"rsyslog: {name}: {text}")


def path(settings: Host, name: str) -> str:
    """Return a setting that is a path, which every language here can spell between quotes; else ConfigError."""
    value = str(getattr(settings, name))
    # normpath keeps a second slash at the start.
    if not value.startswith("/") or posixpath.normpath(value) != value or value[1:2] in ("", "/"):
        raise refusal(name, "must be an absolute path without `..`, `//` and a `/` at its end")
    if not value.isprintable() or _MEANS_SOMETHING.intersection(value) or value != value.strip():
        raise refusal(name, "must not have quotes, backslashes, $ % , : or characters that cannot be printed")
    return value


def address(value: str) -> str:
    """Return "host:port" of a shipper as it was given; ConfigError when it is none."""
    found = _ADDRESS.fullmatch(value)
    if found is None or not 1 <= int(found[1]) <= 65535:
        raise refusal("backends", f"{value[:100]!r} is not host:port")
    return value


def directories(*paths: str) -> list[str]:
    """Return the directories that these files are in, each once, without those that every system has."""
    parents = (posixpath.dirname(each) for each in paths)
    return [each for each in dict.fromkeys(parents) if each not in ("/", "/run", "/tmp", "/var/run")]  # noqa: S108 left out
