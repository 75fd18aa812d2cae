"""One spelling for every level: what applications, loggers and syslog call severity, normalised for `log.level`."""

from typing import Final

#: Ordered from the least to the most important; the only values that `log.level` takes.
LEVELS: Final = ("trace", "debug", "info", "notice", "warn", "error", "critical", "alert", "emergency")

#: `log.level` of a syslog severity 0..7 (RFC 5424 section 6.2.1).
OF_SEVERITY: Final = ("emergency", "alert", "critical", "error", "warn", "notice", "info", "debug")

_SPELLINGS: Final = {
    "trace": "trace", "finest": "trace", "finer": "trace", "verbose": "trace", "silly": "trace",
    "debug": "debug", "dbg": "debug", "fine": "debug", "d": "debug",
    "info": "info", "information": "info", "informational": "info", "inf": "info", "i": "info", "config": "info",
    "log": "info", "audit": "info",
    "notice": "notice",
    "warn": "warn", "warning": "warn", "wrn": "warn", "w": "warn",
    "error": "error", "err": "error", "e": "error", "severe": "error", "failure": "error",
    "critical": "critical", "crit": "critical", "fatal": "critical", "f": "critical", "c": "critical",
    "alert": "alert",
    "emergency": "emergency", "emerg": "emergency", "panic": "emergency",
}  # fmt: skip

#: bunyan and pino count 10 (trace) to 60 (fatal); syslog counts 0 to 7.
_NUMBERS: Final = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "critical"}


#: Looked up first, as nearly every logger writes one of these three forms.
_WORDS: Final = {form: level for word, level in _SPELLINGS.items() for form in (word, word.upper(), word.capitalize())}
_LONGEST: Final = 20


def normalise(value: object) -> str | None:
    """Return the level that a word or number means, or None when it means none that we know."""
    if isinstance(value, str):
        found = _WORDS.get(value)
        if found is not None or len(value) > _LONGEST:
            return found
        word = value.strip().lower()
        if word.isascii() and word.isdecimal():
            return _of_number(int(word))
        return _WORDS.get(word)
    if isinstance(value, int) and not isinstance(value, bool):
        return _of_number(value)
    return None


def _of_number(number: int) -> str | None:
    return OF_SEVERITY[number] if 0 <= number <= 7 else _NUMBERS.get(number)


def at_least(level: str) -> tuple[str, ...]:
    """Return `level` and all that are more important; ValueError when there is no such level."""
    return LEVELS[LEVELS.index(level) :]
