"""Any text: the message is the text. Finds the level that it states, a time in front with its zone, and logfmt."""

import re
from typing import Any, Final

from shipper.parsers._known_keys import Reading, TooMuch
from shipper.record import Record, levels, times

#: How far into a text its level is looked for.
_HEAD: Final = 120

_WORDS: Final = (
    *("TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERR", "ERROR", "SEVERE"),
    *("CRIT", "CRITICAL", "FATAL", "ALERT", "EMERG", "EMERGENCY", "PANIC"),
)
_ANY: Final = "|".join(form for word in _WORDS for form in (word, word.lower(), word.capitalize()))
_END: Final = r"(?![A-Za-z0-9_])"
#: A level in capitals, in brackets, or named as such. Every branch starts with a character of its own: the search then
#: skips to the next of these, which makes it several times as fast.
_LEVEL: Final = re.compile(
    "|".join(
        [
            *(word + _END for word in _WORDS),
            rf"\[({_ANY})\]",
            f"<({_ANY})>",
            *(rf"{key}\"?\s?[=:]\s?[\"']?({_ANY}){_END}" for key in ("level", "lvl", "severity")),
        ]
    )
)
_OPENING: Final = re.compile(rf"({_ANY})(?::| -)(?: |$)")
#: glog's and Kubernetes' line head: "W1122 23:48:34.123456 7 cart.cc:12] …".
_GLOG: Final = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.", re.ASCII)
_TIME: Final = re.compile(
    r"\[?(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d{1,30})?(?:[Zz]|[+-]\d\d:?\d\d))(?![0-9A-Za-z])", re.ASCII
)

_LOGFMT_START: Final = re.compile(r"[A-Za-z_@][A-Za-z0-9_.@-]{0,127}=", re.ASCII)
_PAIR: Final = re.compile(
    r"([A-Za-z_@][A-Za-z0-9_.@/-]{0,127})=(?:\"([^\"\\]*(?:\\.[^\"\\]*)*)\"(?=\s|$)|([^\s\"]\S*|(?=\s|$)))\s*", re.ASCII
)
#: One of these makes pairs a record.
_TELLING: Final = frozenset(
    {"level", "lvl", "severity", "msg", "message", "time", "ts", "timestamp", "request_id", "req_id"}
)
_MOST_PAIRS: Final = 256
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def parse(record: Record) -> bool:
    """Take what is left as the message, unless a parser before found one. Never returns False."""
    fields, text = record.fields, record.body
    if "message" in fields:
        return True
    if "=" in text and _LOGFMT_START.match(text) is not None and _logfmt(record, text):
        return True
    fields["message"] = text
    level = find_level(text)
    if level is not None:
        fields["log.level"] = level
    if "@timestamp" not in fields and "-" in text[4:6]:
        _add_time(record, text)
    return True


def find_level(text: str) -> str | None:
    """Return the level that a line of text states, if it does."""
    found = _LEVEL.search(text, 0, _HEAD)
    while found is not None:
        start = found.start()
        if not start or not (text[start - 1].isalnum() or text[start - 1] == "_"):
            return levels.normalise(found[found.lastindex or 0])
        found = _LEVEL.search(text, start + 1, _HEAD)
    head = text[:11]
    if head[1:5].isdecimal():
        found = _GLOG.match(text)
    elif ":" in head or " -" in head:
        found = _OPENING.match(text)
    return None if found is None else levels.normalise(found[1])


def _add_time(record: Record, text: str) -> None:
    """Take the time that a text starts with, when it names its zone: what it does not name the host knows better."""
    found = _TIME.match(text)
    moved = times.utc(found[1]) if found else None
    if moved is not None:
        record.fields["@timestamp"] = moved


def _logfmt(record: Record, text: str) -> bool:
    """Read a line that is nothing but `key=value` pairs, one of them telling; "msg" may be missing."""
    pairs: dict[str, Any] = {}
    place = count = 0
    while place < len(text):
        pair = _PAIR.match(text, place)
        count += 1
        if pair is None or count > _MOST_PAIRS:
            return False
        key, quoted, bare = pair.groups()
        pairs[key] = bare if quoted is None else _unescape(quoted)
        place = pair.end()
    if len(pairs) < 2 or _TELLING.isdisjoint(pairs):
        return False
    reading = Reading(record)
    try:
        reading.read(pairs)
    except TooMuch:
        return False
    reading.fill(text)
    return True


def _unescape(quoted: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), quoted) if "\\" in quoted else quoted
