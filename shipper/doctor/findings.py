"""What a check says: a verdict, one sentence of what was found and, unless all is well, one of what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    #: It could not be made; `found` says why. That alone is no reason to wake anybody.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. Texts may carry names that strangers chose: escape them before they are shown."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


_EXIT_CODES: Final = {Verdict.OK: 0, Verdict.SKIPPED: 0, Verdict.WARNING: 1, Verdict.FAILED: 2}


def exit_code(findings: Iterable[Finding]) -> int:
    """Return what monitoring reads: 0 nothing is wrong, 1 warnings only, 2 something failed."""
    return max((_EXIT_CODES[finding.verdict] for finding in findings), default=0)


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, Verdict.OK, found)


def warning(name: str, found: str, advice: str) -> Finding:
    """Nothing is lost yet, or only what was meant to be."""
    return Finding(name, Verdict.WARNING, found, advice)


def failed(name: str, found: str, advice: str) -> Finding:
    """Records are lost, or will be."""
    return Finding(name, Verdict.FAILED, found, advice)


def skipped(name: str, reason: str) -> Finding:
    """It could not be looked at."""
    return Finding(name, Verdict.SKIPPED, reason)


def size(number: float) -> str:
    """Return a number of bytes in the unit that reads best: "512 B", "1.5 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TiB"


def span(seconds: float) -> str:
    """Return a duration as people say it: "12 ms", "3.4 s", "5 min", "2 h", "3 d"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.1f} s"


def some(names: list[str], most: int = 10) -> str:
    """Return a list for one sentence, its end only counted."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def many(number: int, noun: str) -> str:
    """Return "1 record", "1,200 records"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
