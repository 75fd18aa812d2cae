"""Certificates of a source: read and proven usable at the start, and read again when the files have changed."""

import logging
import re
import ssl
import time
from pathlib import Path
from typing import Final, Self

from pydantic import Field, field_validator, model_validator

from shipper.config import Settings
from shipper.errors import ConfigError
from shipper.sources._tls import Tunnel, proven

_log = logging.getLogger(__name__)

#: What a pattern of a name may hold; `*` stands for any characters.
_PATTERN: Final = re.compile(r"[A-Za-z0-9.*_-]{1,253}", re.ASCII)
_Signature = tuple[tuple[int, int, int], ...]


class TlsSettings(Settings):
    """TLS 1.2 or newer, on every connection of the source."""

    certificate: str = Field(description="PEM file: the shipper's certificate, then those between it and the CA")
    key: str = Field(description="PEM file: its key, without a password")
    client_ca: str = Field(
        "", description="PEM file: CA that signed the hosts' certificates; given, a peer must show one of them"
    )
    client_names: list[str] = Field(
        default=[],
        description="names that a peer's certificate may have, `*` for any characters; default: all that the CA signed",
    )

    @field_validator("client_names")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not _PATTERN.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a host (letters, digits, . - _ and * for any of them)")
        return names

    @model_validator(mode="after")
    def _names_need_a_ca(self) -> Self:
        if self.client_names and not self.client_ca:
            raise ValueError("client_names needs client_ca: without it no peer shows a certificate")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are read."""
        return tuple(filter(None, (self.certificate, self.key, self.client_ca)))


class Certificates:
    """What each new connection is given. ConfigError when the files cannot be used at the start."""

    def __init__(self, source: str, settings: TlsSettings) -> None:
        self._source = source
        self._settings = settings
        self._seen = _signature(settings)
        self._context = _load(f"sources[{source}]: tls", settings)
        words = ["[A-Za-z0-9._-]*".join(map(re.escape, name.split("*"))) for name in settings.client_names]
        self._allowed = re.compile("|".join(words), re.ASCII | re.IGNORECASE) if words else None

    def tunnel(self) -> Tunnel:
        """Return the TLS of one new connection, by what the files say now.

        They are looked at with each new connection: the others are past the moment where a certificate counts.
        """
        signature = _signature(self._settings)
        if signature != self._seen:
            self._seen = signature
            self._read_again()
        return Tunnel(self._context, self._allowed)

    def _read_again(self) -> None:
        try:
            self._context = _load("tls", self._settings)
        except ConfigError as error:
            _log.error(
                "changed certificates cannot be used, the old ones stay", extra={"source": self._source, "why": error}
            )
        else:
            _log.info("changed certificates are in use", extra={"source": self._source})


def _signature(settings: TlsSettings) -> _Signature:
    """Return what changes when a file does; zeros for one that is not there."""
    found = []
    for name in settings.files:
        try:
            stat = Path(name).stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def _load(where: str, settings: TlsSettings) -> ssl.SSLContext:
    """Return the context for new connections; ConfigError says in one line which file is wrong and why."""
    _expect(f"{where}.certificate", settings.certificate, b"-----BEGIN CERTIFICATE-----", "no certificate in PEM form")
    _expect(f"{where}.key", settings.key, b"PRIVATE KEY-----", "no private key in PEM form")
    context = _with_certificate(where, settings)
    if why := proven(context, settings.certificate):
        raise ConfigError(f"{where}.certificate: {settings.certificate}: {why} (make a new one)")
    if settings.client_ca:
        _require_clients(f"{where}.client_ca", context, settings.client_ca)
    return context


def _expect(where: str, name: str, mark: bytes, otherwise: str) -> None:
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {name}: {error.strerror}") from None
    if mark not in content:
        raise ConfigError(f"{where}: {name}: {otherwise}")


def _with_certificate(where: str, settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # No resumption: what a certificate was once good for says nothing about now. No renegotiation: it is only a load.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0

    def no_password() -> str:
        raise ConfigError(f"{where}.key: {settings.key}: needs a password (store it without one, readable by us only)")

    try:
        context.load_cert_chain(settings.certificate, settings.key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            why = f"does not match the certificate {settings.certificate}"
            raise ConfigError(f"{where}.key: {settings.key}: {why}") from None
        why = (error.reason or "damaged").replace("_", " ").lower()
        raise ConfigError(f"{where}: {settings.certificate} and {settings.key} cannot be used: {why}") from None
    return context


def _require_clients(where: str, context: ssl.SSLContext, name: str) -> None:
    _expect(where, name, b"-----BEGIN CERTIFICATE-----", "no certificate in PEM form")
    try:
        context.load_verify_locations(name)
    except ssl.SSLError as error:
        raise ConfigError(f"{where}: {name}: {(error.reason or 'damaged').replace('_', ' ').lower()}") from None
    found = context.get_ca_certs()
    if not found:
        raise ConfigError(f"{where}: {name}: not the certificate of a CA (basicConstraints=CA:TRUE)")
    if all(ssl.cert_time_to_seconds(str(one["notAfter"])) < time.time() for one in found):
        raise ConfigError(f"{where}: {name}: expired on {found[0]['notAfter']} (make a new one)")
    context.verify_mode = ssl.CERT_REQUIRED
