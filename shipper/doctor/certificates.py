"""When certificates end, read from their files: a PEM file may hold several (RFC 5280, section 4.1)."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_MOST: Final = 32
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def ends(pem: bytes) -> list[datetime]:
    """Return when each certificate of a file ends; ValueError when it holds none, or one that cannot be read."""
    found = [_end(_decoded(block)) for block in _PEM.findall(pem)[:_MOST]]
    if not found:
        raise ValueError("no certificate in it")
    return found


def _decoded(block: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


def _end(der: bytes) -> datetime:
    """Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version OPTIONAL, serialNumber, signature, issuer,
    validity SEQUENCE { notBefore, notAfter }, … } … }.
    """
    _, at, _ = _element(der, 0, _SEQUENCE)
    _, at, _ = _element(der, at, _SEQUENCE)
    if der[at : at + 1] == bytes([_VERSION]):
        _, _, at = _element(der, at)
    for _ in range(3):  # serialNumber, signature, issuer
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at, _SEQUENCE)
    _, _, at = _element(der, at)  # notBefore
    kind, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if kind not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError(f"element {kind:#04x} where the end of the certificate should be")
    # "UTCTime: YYMMDDHHMMSSZ, where YY is greater than or equal to 50, the year SHALL be 19YY".
    century = "" if kind == _GENERALIZED_TIME else "19" if text[:2] >= "50" else "20"
    return datetime.strptime(century + text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(der: bytes, at: int, wanted: int | None = None) -> tuple[int, int, int]:
    """Return tag, start and end of the value of the element at a place."""
    try:
        tag, length = der[at], der[at + 1]
    except IndexError:
        raise ValueError("cut short") from None
    start = at + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(der[start : start + count])
        start += count
    if start + length > len(der) or (wanted is not None and tag != wanted):
        raise ValueError("no certificate")
    return tag, start, start + length
