"""TLS of one connection as bytes in, bytes out: the socket, and when to read it, stay the connection's own.

So all that holds for a plain connection holds for an encrypted one: what the kernel holds of a broken one is read, a
handshake counts as a connection from its first byte, and either side can be closed while the other still speaks.
"""

import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from shipper.errors import WireError

#: Most bytes of a peer's side of the handshake. A chain of three certificates with large keys takes about 6 KiB.
_HANDSHAKE_BYTES: Final = 32 * 1024
#: Most plain bytes of one TLS record (RFC 8446, 5.1).
_RECORD_BYTES: Final = 16 * 1024
#: How a TLS connection begins: a record of the type handshake, version 3.x.
_HANDSHAKE_RECORD: Final = b"\x16\x03"
#: OpenSSL's words that need others for an operator.
_MEANING: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate",
    "UNSUPPORTED_PROTOCOL": "the peer speaks no TLS of version 1.2 or newer",
    "NO_SHARED_CIPHER": "the peer has no cipher in common with us; has it a certificate?",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not know the CA that signed our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer says that our certificate has expired",
}
#: Codes of OpenSSL for a chain that does not end in a CA we know (X509_V_ERR_…).
_UNKNOWN_CA: Final = frozenset({2, 18, 19, 20, 21})


class TlsError(WireError):
    """A handshake failed, or what was encrypted is broken."""


def begins_tls(data: bytes) -> bool:
    """Return True for the first bytes of a peer that speaks TLS."""
    return data.startswith(_HANDSHAKE_RECORD)


class Tunnel:
    """One connection's TLS, the server's side."""

    def __init__(self, context: ssl.SSLContext, allowed: re.Pattern[str] | None) -> None:
        """`allowed` is what one of the names in the peer's certificate must match; None: any."""
        self._received = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)
        self._allowed = allowed
        #: Bytes of the handshake so far.
        self.begun = 0
        #: True once the handshake is done and the peer is one that may speak.
        self.ready = False
        #: True once the peer said that it will send no more.
        self.ended = False
        #: What is wrong; nothing is read after it.
        self.error: TlsError | None = None

    def receive(self, data: bytes) -> bytes:
        """Return what is in `data` in plain; look at `error`, `ended` and `outgoing` afterwards."""
        if self.error is not None or self.ended:
            return b""
        plain: list[bytes] = []
        try:
            if not self.ready:
                self._check_beginning(data)
            self._received.write(data)
            if not self.ready:
                self._handshake()
            while not self.ended:
                plain.append(self._tls.read(_RECORD_BYTES))
                self.ended = not plain[-1]
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = TlsError(_explain(error))
        except TlsError as error:
            self.error = error
        return b"".join(plain)

    def send(self, octets: bytes) -> None:
        """Encrypt, for `outgoing`; nothing for a peer that has not shown yet who it is."""
        if not self.ready or self.error is not None:
            return
        left = memoryview(octets)
        while left:
            left = left[self._tls.write(left) :]

    def end(self) -> None:
        """Say that we will send no more, for `outgoing`."""
        if self.ready and self.error is None:
            with suppress(ssl.SSLError):  # it wants the peer's word, too, which may never come
                self._tls.unwrap()

    def outgoing(self) -> bytes:
        """Return the bytes that the peer must be sent, and forget them."""
        return self._to_send.read()

    def _check_beginning(self, data: bytes) -> None:
        if not self.begun and not _HANDSHAKE_RECORD.startswith(data[:2]):
            raise TlsError("the peer does not speak TLS, this source does (set tls on the sender)")
        self.begun += len(data)
        if self.begun > _HANDSHAKE_BYTES:
            raise TlsError(f"a handshake of more than {_HANDSHAKE_BYTES} bytes")

    def _handshake(self) -> None:
        self._tls.do_handshake()
        if self._allowed is not None:
            names = _names(self._tls.getpeercert() or {})
            if not any(self._allowed.fullmatch(name) for name in names):
                shown = ", ".join(repr(name[:80]) for name in names[:3]) or "no name"
                raise TlsError(f"the peer's certificate has {shown}: none of client_names")
        self.ready = True


def _names(certificate: Mapping[str, Any]) -> list[str]:
    """Return the DNS names of a certificate, or its common name when it has none (RFC 6125, 6.4.4)."""
    alternatives = certificate.get("subjectAltName", ())
    subject = certificate.get("subject", ())
    names = [str(value) for kind, value in alternatives if kind == "DNS"]
    return names or [str(value) for part in subject for name, value in part if name == "commonName"]


def _explain(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _UNKNOWN_CA:
            return "the peer's certificate is not signed by client_ca"
        return f"the peer's certificate is refused: {error.verify_message}"
    reason = error.reason or "broken off"
    return _MEANING.get(reason, reason.replace("_", " ").lower())


def proven(context: ssl.SSLContext, certificate: str) -> str:
    """Return why no strict client would take this context's certificate; "" when one would.

    It is shown to a client that trusts this very certificate, so what is left to refuse are its dates and purpose.
    """
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    strict.check_hostname = False
    strict.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    strict.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (strict.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True))
    for _ in range(3):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            except ssl.SSLError as error:
                return _explain(error)
    return ""
