"""Syslog as it is in the wild: `<34>Nov 22 23:48:34 web-3 shop[7]: message`, RFC 3164 and its many relatives.

- PRI: only in records that no host stamped (rsyslog took it from the others).
- Stamp: `Nov 22 23:48:34`, `Nov  2 …`, with a year, with a fraction, as Cisco writes it after a PRI
  (`<189>12: router-1: *Nov 22 23:48:34.123 UTC: %SYS-5-…:`), RFC 3339, or none.
- Host or tag? A tag is a word that ends in `:` or in `[…]` and `:` (`shop:`, `shop[7]:`, `sshd(pam_unix)[7]:`). The
  first word after the stamp is the tag when it looks like one; else it is the host when the second word does; else
  there is neither and all is message, for `just a message` would give a host "just".
- Without PRI and such a stamp (none, or RFC 3339) only `tag[7]: …` is a tag, as every second line of text has a colon.

What the stamp does not say is assumed and noted: the year that puts it nearest to when the host read the record
("year"), the host's offset ("zone"), and, when the host read it within two seconds of a stamp of whole seconds, the
host's finer time ("fraction").
"""

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timezone
from functools import lru_cache
from typing import Any, Final, NamedTuple

from shipper.parsers._syslog import add_hostname, add_pri, is_hostname, pid_of, split_pri
from shipper.record import Record, Shared, levels, times

_MONTHS: Final = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_MONTH_NAMES: Final = tuple(calendar.month_abbr)

_BSD: Final = re.compile(
    r"([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: (\d{4}))? (\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?"
    r"(?: (UTC|GMT|[A-Z]{3,5}(?=:)))?:?(?: |$)",
    re.ASCII,
)
#: What Cisco writes in front of the stamp: number, host, and `*` or `.` for a clock that is not synchronised.
_CISCO: Final = re.compile(r"(?:: )?(?:\d{1,10}: +)?(?:([0-9A-Za-z._-]{1,255}): +)?[*.]?", re.ASCII)
_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:[.,]\d{1,30})?)([Zz]|[+-]\d\d:?\d\d)?:? ", re.ASCII)
_TAG: Final = re.compile(r"([^\s:\[\]\"={}<>]{1,400})(?:\[([^\]\s]{1,128})\])?")
#: A tag that no `: ` follows: at the end of the text, or with its process id.
_TIGHT: Final = re.compile(
    r"([^\s:\[\]\"={}<>]{1,400}(?:\[[^\]\s]{1,128}\])?):$|([^\s:\[\]\"={}<>]{1,400}\[\d{1,10}\])(?:: ?| )", re.ASCII
)
#: Longest tag with its process id.
_LONGEST: Final = 530
#: What a stamp of syslog(3) leaves open.
_ASSUMED: Final = ("year", "zone", "fraction")


class _Stamp(NamedTuple):
    timestamp: str
    assumed: tuple[str, ...]
    rest: str
    hostname: str = ""


class _Header(NamedTuple):
    hostname: str
    tag: Mapping[str, Any]
    message: str


def parse(record: Record) -> bool:
    """Read PRI, stamp, host and tag as far as they are there; what follows stays in `body`."""
    fields = record.fields
    if "log.syslog.appname" in fields:
        return False  # RFC 5424 had its header
    body, host_time = record.body, record.host_time
    if not host_time or body[:16] != _as_bsd(host_time[:19]):
        return _parse_any(record)
    # Nearly every record from a local socket: stamped in the very second in which the host read it.
    fields["@timestamp"] = fields["event.created"]
    fields["shipper.assumed"] = _ASSUMED
    end = body.find(": ", 16, 16 + _LONGEST)
    shared = _with_tag(record.shared, body[16:end]) if end > 0 else None
    if shared is not None:
        record.shared = shared
        record.body = body[end + 2 :]
        return True
    header = _split_header(body[16:])
    if header is None:
        record.body = body[16:]
    else:
        _add_header(record, header)
    return True


@lru_cache(maxsize=4096)
def _with_tag(shared: Shared, head: str) -> Shared | None:
    tag = _tag(head)
    return None if tag is None else shared | {**tag, "service.name": tag["log.syslog.appname"]}


def _parse_any(record: Record) -> bool:
    pri, text = split_pri(record)
    bsd = _bsd(record, text, cisco=pri != "")
    stamp = bsd or _iso(record, text)
    rest = stamp.rest if stamp else text
    header = _split_header(rest, after_stamp=stamp is not None)
    if not pri and not bsd and (header is None or "process.pid" not in header.tag):
        return False
    if pri:
        add_pri(record, pri)
    if stamp is not None:
        record.fields["@timestamp"] = stamp.timestamp
        for assumed in stamp.assumed:
            record.assume(assumed)
        if stamp.hostname:
            add_hostname(record, stamp.hostname)
    if header is None:
        record.body = rest
    else:
        _add_header(record, header)
    return True


def _add_header(record: Record, header: _Header) -> None:
    if header.hostname:
        add_hostname(record, header.hostname)
    record.add(dict(header.tag))
    record.body = header.message


def _split_header(text: str, *, after_stamp: bool = True) -> _Header | None:
    """Split what follows the stamp into host, tag and message; None when there is no tag (see the rule above)."""
    found = _split_tag(text)
    if found is not None:
        return _Header("", *found)
    hostname, _, rest = text.partition(" ")
    if not after_stamp or not is_hostname(hostname) or _is_level(hostname):
        return None
    found = _split_tag(rest)
    return None if found is None else _Header(hostname, *found)


def _split_tag(text: str) -> tuple[Mapping[str, Any], str] | None:
    head, colon, message = text.partition(": ")
    if not colon or len(head) > _LONGEST or " " in head or (tag := _tag(head)) is None:
        tight = _TIGHT.match(text)
        if tight is None or (tag := _tag(tight[1] or tight[2])) is None:
            return None
        message = text[tight.end() :]
    return tag, message


@lru_cache(maxsize=4096)
def _tag(head: str) -> Mapping[str, Any] | None:
    """Return the fields of a tag ("shop", "sshd(pam_unix)[7]"); None when it is none: "ERROR" is a level."""
    found = _TAG.fullmatch(head)
    if found is None:
        return None
    appname, procid = found.groups()
    if procid is None:
        return None if _is_level(appname) else {"log.syslog.appname": appname}
    pid = pid_of(procid)
    stated = {} if pid is None else {"process.pid": pid}
    return {"log.syslog.appname": appname, "log.syslog.procid": procid, **stated}


def _is_level(word: str) -> bool:
    return word.isupper() and levels.normalise(word) is not None


@lru_cache(maxsize=4096)
def _as_bsd(host_second: str) -> str:
    """Write a second of the host's clock ("2026-11-02T23:48:34") as syslog(3) does: "Nov  2 23:48:34 "."""
    return f"{_MONTH_NAMES[int(host_second[5:7])]} {int(host_second[8:10]):2d} {host_second[11:19]} "


def _bsd(record: Record, text: str, *, cisco: bool) -> _Stamp | None:
    """Read `Nov 22 23:48:34` and its relatives at the start of a text."""
    prefix = _CISCO.match(text) if cisco else None
    found = _BSD.match(text, prefix.end() if prefix else 0)
    if found is None or found[1] not in _MONTHS:
        return None
    month, day, year, clock, digits, zone = found.groups()
    reference = record.fields.get("event.created") or times.from_ns(record.received_at)
    known_zone = zone in ("UTC", "GMT")
    offset = UTC if known_zone else times.offset_of(record.host_time)
    resolved = _resolve(f"{month} {day} {clock}", year or "", offset, reference[:19])
    if resolved is None:
        return None
    second, late = resolved
    assumed = (*(() if year else ("year",)), *(() if known_zone else ("zone",)))
    if digits:
        timestamp = f"{second}.{digits}Z"
    elif 0 <= late < 2:
        timestamp, assumed = reference, (*assumed, "fraction")
    else:
        timestamp = f"{second}Z"
    return _Stamp(timestamp, assumed, text[found.end() :], (prefix[1] if prefix else None) or "")


@lru_cache(maxsize=8192)
def _resolve(stamp: str, year: str, offset: timezone, reference: str) -> tuple[str, int] | None:
    """Return the UTC second of a stamp and by how many seconds the reference is later; None when there is no such day.

    Without a year: the one that puts the stamp nearest to the reference (UTC, whole seconds), so that Dec 31 read on
    Jan 1 is last year's and Jan 1 read on Dec 31 (a clock in front of ours) is next year's; Feb 29 is a leap year's.
    """
    month, day, clock = stamp.split(" ")
    hour, minute, second = clock.split(":")
    if second > "60":
        return None
    now = datetime.fromisoformat(reference + "+00:00")
    nearest: datetime | None = None
    for candidate in (int(year),) if year else range(now.year - 8, now.year + 9):
        try:
            there = datetime(candidate, _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59))
            moved = there.replace(tzinfo=offset).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
        if 1970 <= moved.year <= 2261 and (nearest is None or abs(moved - now) < abs(nearest - now)):
            nearest = moved
    if nearest is None:
        return None
    return nearest.strftime("%Y-%m-%dT%H:%M:%S"), int((now - nearest).total_seconds())


def _iso(record: Record, text: str) -> _Stamp | None:
    """Read an RFC 3339 time at the start of a text; without a zone it is read in the host's."""
    found = _ISO.match(text)
    if found is None:
        return None
    zone = found[2] or str(times.offset_of(record.host_time)).removeprefix("UTC") or "Z"
    timestamp = times.utc(found[1] + zone)
    if timestamp is None:
        return None
    return _Stamp(timestamp, () if found[2] else ("zone",), text[found.end() :])
