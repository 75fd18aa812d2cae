"""What both syslog formats share: PRI and the fields of a header. Everything in a header can be written by anybody."""

import re
from functools import lru_cache
from typing import Final

from shipper.record import Record

_PRI: Final = re.compile(r"<(\d{1,3})>", re.ASCII)
_HOSTNAME: Final = re.compile(r"[0-9A-Za-z._:%-]{1,255}", re.ASCII)
_LARGEST_PID: Final = 2**31 - 1


def split_pri(record: Record) -> tuple[str, str]:
    """Return the PRI in front of `body` ("<34>" as "34") and the rest; "" when there is none.

    A record that a host stamped has none: rsyslog took it, so what looks like one is the application's text.
    """
    body = record.body
    if record.host or body[:1] != "<" or "log.syslog.facility.code" in record.fields:
        return "", body
    found = _PRI.match(body)
    return (found[1], body[found.end() :]) if found else ("", body)


def add_pri(record: Record, pri: str) -> None:
    """Add facility and severity; a PRI over 191 names none. RFC 5424 section 6.2.1."""
    number = int(pri)
    if number <= 191:
        fields = record.fields
        fields["log.syslog.facility.code"], fields["log.syslog.severity.code"] = divmod(number, 8)


def add_hostname(record: Record, hostname: str) -> None:
    """Add a HOSTNAME as sent; it is the record's host only when no host of ours stamped it."""
    record.fields["log.syslog.hostname"] = hostname
    if not record.host:
        record.fields["host.name"] = hostname


def is_hostname(text: str) -> bool:
    """Whether a text can be a host's name or address."""
    return _HOSTNAME.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def pid_of(procid: str) -> int | None:
    """Return the process id that a PROCID is; None when it is something else."""
    if len(procid) > 10 or not procid.isdecimal() or not procid.isascii() or int(procid) > _LARGEST_PID:
        return None
    return int(procid)
