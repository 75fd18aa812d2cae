r"""Syslog as RFC 5424: `<34>1 2026-11-22T12:48:34.123Z web-3 shop 7 ID47 [x@1 a="b"] message`.

Without the `<34>` when a host stamped the record, as rsyslog took it. What does not have a header by the RFC is left to
the other parsers; a header with structured data that cannot be read keeps that in its message, tagged
"structured_data_invalid" or, with too many names, "structured_data_limits".
"""

import re
from typing import Any, Final

from shipper.parsers import _values
from shipper.parsers._known_keys import clean_key
from shipper.parsers._syslog import add_hostname, add_pri, pid_of, split_pri
from shipper.record import Record, times

#: Most names, of elements and parameters together, that structured data may have.
MOST_NAMES: Final = 64
_LONGEST_HOSTNAME: Final = 255
#: Longest APP-NAME, PROCID and MSGID together: the RFC allows 48, 128 and 32, but task ids are longer.
_LONGEST: Final = 1024

_NAME: Final = re.compile(r"[^ =\]\"\[]{1,128}")
#: Section 6.3.3: `"`, `\` and `]` MUST be escaped; a `]` within the quotes that is not, as many write it, is plain.
_PARAMETER: Final = re.compile(r' +([^ =\]"]{1,128})="([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r'\\(["\\\]])')


def parse(record: Record) -> bool:
    """Read the header and structured data; MSG stays in `body`."""
    if not record.body.startswith(("1 ", "<")):
        return False
    pri, rest = split_pri(record)
    header = rest.split(" ", 6)
    if header[0] != "1" or len(header) != 7:
        return False
    _, stamp, hostname, appname, procid, msgid, rest = header
    moved = times.utc(stamp) if "T" in stamp else None
    if (moved is None and stamp != "-") or "" in header[:6] or len(appname) + len(procid) + len(msgid) > _LONGEST:
        return False
    if len(hostname) > _LONGEST_HOSTNAME:
        return False
    if pri:
        add_pri(record, pri)
    fields = record.fields
    if moved is not None:
        fields["@timestamp"] = moved
    if hostname != "-":
        add_hostname(record, hostname)
    if appname != "-":
        fields["log.syslog.appname"] = appname
    if msgid != "-":
        fields["log.syslog.msgid"] = msgid
    if procid != "-":
        fields["log.syslog.procid"] = procid
        if (pid := pid_of(procid)) is not None:
            record.add({"process.pid": pid})
    message = rest[2:] if rest[:2] == "- " else _after_structured_data(record, rest)
    # Section 6.4: a MSG in UTF-8 starts with the BOM, which is not part of the text.
    record.body = message.removeprefix("\ufeff")
    return True


def _after_structured_data(record: Record, rest: str) -> str:
    """Read structured data at the start of `rest` into the record and return what follows it. Section 6.3."""
    if rest == "-" or not rest:
        return ""
    data: dict[str, dict[str, Any]] = {}
    place = names = 0
    while rest[place : place + 1] == "[":
        name = _NAME.match(rest, place + 1)
        if name is None:
            break
        names += 1
        element = data.setdefault(clean_key(name[0]), {})
        place = name.end()
        while (parameter := _PARAMETER.match(rest, place)) is not None:
            names += 1
            if names > MOST_NAMES:
                break
            _add(element, clean_key(parameter[1]), parameter[2])
            place = parameter.end()
        if names > MOST_NAMES:
            record.tag("structured_data_limits")
            return rest
        if rest[place : place + 1] != "]":
            break
        place += 1
    else:
        if place and rest[place : place + 1] in ("", " "):
            record.fields["log.syslog.structured_data"] = data
            return rest[place + 1 :]
    record.tag("structured_data_invalid")
    return rest


def _add(element: dict[str, Any], name: str, value: str) -> None:
    """Add a parameter; one that is repeated, as the RFC allows, becomes a list."""
    value = _ESCAPED.sub(r"\1", value)
    if not _values.fits(value):
        value = _values.cut(value)
    old = element.get(name)
    if old is None:
        element[name] = value
    elif isinstance(old, list):
        old.append(value)
    else:
        element[name] = [old, value]
