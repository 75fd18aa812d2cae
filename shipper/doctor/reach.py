"""The way from this host to the shipper, gone as rsyslogd goes it: TCP, TLS when it is on, a RELP session opened."""

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from shipper.doctor import certificates
from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, ok, skipped, span, warning

_NAME: Final = "shipper"
_TLS: Final = "tls"
_CONNECT_SECONDS: Final = 3.0
_OPEN_SECONDS: Final = 4.0
#: How long a shipper that wants TLS may take to close a connection without it.
_REFUSED_SECONDS: Final = 1.5
_LONGEST_ANSWER: Final = 4096
_OFFERS: Final = b"relp_version=0\nrelp_software=shipper-doctor\ncommands=syslog"
_OPEN: Final = b"1 open %d %b\n" % (len(_OFFERS), _OFFERS)
_CLOSE: Final = b"2 close 0\n"
#: How an answer to it begins.
_ANSWER: Final = b"1 rsp "
_EXPIRES_SOON: Final = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Target:
    """Where shipper.conf sends to; the TLS files are "" without TLS."""

    host: str
    port: int
    ca: str = ""
    cert: str = ""
    key: str = ""
    peer: str = ""

    @property
    def address(self) -> str:
        """It as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def target_of(conf: str) -> Target | None:
    """Return where a shipper.conf sends to; None when it does not say so."""

    def first(name: str) -> str:
        found = re.search(rf'^[^#"\n]*\b{name}=\[?"([^"\n]*)"', conf, re.MULTILINE)
        return found[1] if found else ""

    host, port = first("target"), first("port")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        return None
    if first(r"tls") != "on":
        return Target(host, int(port))
    names = (r"tls\.caCert", r"tls\.myCert", r"tls\.myPrivKey", r"tls\.permittedPeer")
    return Target(host, int(port), *(first(name) for name in names))


def check(examination: Examination) -> Iterator[Finding]:
    """Go the way as rsyslogd does; with TLS, see also that it is needed and how long the certificates last."""
    try:
        target = target_of(examination.shipper_conf())
    except FileNotFoundError:
        yield skipped(_NAME, "there is no shipper.conf that says where to")
        return
    if target is None:
        yield failed(_NAME, "shipper.conf names no shipper", "write it again with `shipper generate rsyslog`")
        return
    yield _way(target)
    if target.ca:
        yield from _lasting(target)
        yield from _refusing(target)


def _way(target: Target) -> Finding:
    began = time.monotonic()
    try:
        connection = socket.create_connection((target.host, target.port), timeout=_CONNECT_SECONDS)
    except OSError as error:
        why = error.strerror or "no answer in time"
        return failed(
            _NAME,
            f"{target.address}: {why}",
            "is it up? systemctl status haproxy on this host, or the shipper itself and the network to it",
        )
    with contextlib.closing(connection):
        try:
            session = _secured(connection, target) if target.ca else connection
        except (OSError, ValueError) as error:
            return failed(
                _NAME, f"{target.address}: no TLS session: {_said(error)}", "compare the CA, names and dates of both"
            )
        with contextlib.closing(session):
            refusal = _opened(session, _OPEN_SECONDS)
    if refusal:
        return failed(
            _NAME,
            f"{target.address} takes the connection, but no RELP session opens: {refusal}",
            "behind HAProxy: no shipper is up there (its log and `shipper_ready` say why); records wait on this host",
        )
    tls = " over TLS" if target.ca else ""
    return ok(_NAME, f"{target.address} opens a RELP session{tls} in {span(time.monotonic() - began)}")


def _secured(connection: socket.socket, target: Target) -> ssl.SSLSocket:
    """Do the handshake as the generated configuration does: both sides show a certificate, the name is compared."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # compared below, as rsyslogd does: a name may have a *
    context.load_verify_locations(target.ca)
    context.load_cert_chain(target.cert, target.key)
    connection.settimeout(_CONNECT_SECONDS)
    session = context.wrap_socket(connection)
    shown = session.getpeercert() or {}
    names = [str(pair[1]) for pair in shown.get("subjectAltName", ()) if pair[0] == "DNS"]
    names += [str(pair[1]) for part in shown.get("subject", ()) for pair in part if pair[0] == "commonName"]
    if not any(fnmatchcase(name.lower(), target.peer.lower()) for name in names):
        session.close()
        raise ValueError(f"the shipper's certificate is for {', '.join(dict.fromkeys(names))}, not {target.peer}")
    return session


def _opened(session: socket.socket, seconds: float) -> str:
    """Open a RELP session and close it; return "" when it was answered with 200, else what happened."""
    deadline = time.monotonic() + seconds
    answer = b""
    try:
        session.settimeout(seconds)
        session.sendall(_OPEN)
        while len(answer) < len(_ANSWER) or not answer.endswith(b"\n"):
            session.settimeout(max(0.01, deadline - time.monotonic()))
            more = session.recv(_LONGEST_ANSWER)
            answer += more
            if not answer.startswith(_ANSWER[: len(answer)]) or len(answer) > _LONGEST_ANSWER:
                return f"the answer is {answer[:40]!r}"
            if not more:
                return "it is closed at once"
        session.sendall(_CLOSE)
    except TimeoutError:
        return f"no answer in {seconds:g} s"
    except OSError as error:
        return _said(error)
    return "" if b" 200 OK" in answer else f"the answer is {answer[:40]!r}"


def _refusing(target: Target) -> Iterator[Finding]:
    """With TLS on, a shipper that also opens sessions without it takes records from anybody."""
    try:
        with socket.create_connection((target.host, target.port), timeout=_CONNECT_SECONDS) as connection:
            refusal = _opened(connection, _REFUSED_SECONDS)
    except OSError:
        return  # said already
    if not refusal:
        yield failed(
            _TLS,
            f"{target.address} opens RELP sessions without TLS, too",
            "set tls on the shipper's RELP source: anybody in the network can write records",
        )


def _lasting(target: Target) -> Iterator[Finding]:
    """Say how long the certificates of this host last."""
    for path in (target.ca, target.cert):
        try:
            left = min(certificates.ends(Path(path).read_bytes())) - datetime.now(UTC)
        except PermissionError:
            raise
        except (OSError, ValueError) as error:
            yield failed(_TLS, f"{path}: {_said(error)}", "put the certificate there; README.md beside it says how")
            continue
        seconds = left.total_seconds()
        renew = "make a new one and `shipper host reload`; README.md beside shipper.conf says how"
        if seconds <= 0:
            yield failed(_TLS, f"{path} ended {span(-seconds)} ago", renew)
        elif seconds < _EXPIRES_SOON:
            yield warning(_TLS, f"{path} ends in {span(seconds)}", renew)
        else:
            yield ok(_TLS, f"{path} lasts {span(seconds)}")


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
