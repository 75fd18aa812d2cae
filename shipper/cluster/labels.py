"""What the owner of an app asks of us by its Marathon labels, and what is wrong with what they wrote.

Labels are a stranger's text: each value has a pattern and a limit, and what does not fit is named in one clean line
and has no effect, so that a typing mistake is never ignored silently.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

#: Labels that begin so are ours.
PREFIX: Final = "SHIPPER_"
#: Marks an app that `shipper deploy` made; asks for nothing.
ROLE: Final = "SHIPPER_ROLE"
#: Names kept for rules that are not there yet: setting one is no mistake, and has no effect.
RESERVED: Final = ("SHIPPER_PARSE", "SHIPPER_MULTILINE", "SHIPPER_REDACT")
#: Problems that are told of one app; more are counted.
MOST_PROBLEMS: Final = 10
#: Days and records per second that may be asked for.
MOST_DAYS: Final = 3650
MOST_BUDGET: Final = 1_000_000
#: Characters of a name or a value that are shown.
_MOST_SHOWN: Final = 40
#: Longest name of a label that is compared with ours.
_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class _Text:
    """A label that is a text: the attribute of `Wishes` that it sets, what it may be, and that in words."""

    attribute: str
    pattern: re.Pattern[str]
    allowed: str


def _name(attribute: str, length: int) -> _Text:
    pattern = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{length - 1}}}", re.ASCII)
    return _Text(attribute, pattern, f"1 to {length} of A-Z a-z 0-9 . _ -, a letter or digit first")


_TEXTS: Final = {
    "SHIPPER_SERVICE": _name("service", 64),
    "SHIPPER_DATASET": _name("dataset", 64),
    "SHIPPER_ENVIRONMENT": _name("environment", 32),
    "SHIPPER_OWNER": _Text(
        "owner",
        re.compile(r"[A-Za-z0-9@#][A-Za-z0-9 ._@#:/+-]{0,127}", re.ASCII),
        "1 to 128 of A-Z a-z 0-9 space . _ @ # : / + -, a letter, digit, @ or # first",
    ),
}
_DAYS: Final = re.compile(r"\d{1,4}", re.ASCII)
_RATE: Final = re.compile(r"\d{1,7}(\.\d{1,3})?", re.ASCII)
_TOOLS: Final = re.compile(r"[a-z0-9][a-z0-9:_-]{0,31}(\s*,\s*[a-z0-9][a-z0-9:_-]{0,31}){0,9}", re.ASCII)
#: Every name that is ours, with what its value may be.
ALLOWED: Final[Mapping[str, str]] = {
    **{name: text.allowed for name, text in _TEXTS.items()},
    "SHIPPER_RETENTION_DAYS": f"a whole number of days, 1 to {MOST_DAYS}",
    "SHIPPER_BUDGET": f"records per second, 1 to {MOST_BUDGET}, such as 200 or 2.5",
    "SHIPPER_TOOLS": "up to 10 names of tools with commas between, such as pprof:6060,strace",
    **dict.fromkeys(RESERVED, "any text: reserved, no effect yet"),
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an app asks for; "" and 0 where it asks for nothing."""

    service: str = ""
    dataset: str = ""
    owner: str = ""
    environment: str = ""
    #: Days that its records are kept.
    retention_days: int = 0
    #: Records per second before debug and info are sampled.
    budget: float = 0
    #: Tools that work on its tasks from outside ("pprof:6060"), for `shipper shell`.
    tools: tuple[str, ...] = ()
    #: Names among `RESERVED` that it sets.
    reserved: tuple[str, ...] = ()
    #: What is wrong, one clean line each, sorted.
    problems: tuple[str, ...] = ()


#: Of an app without labels of ours.
NO_WISHES: Final = Wishes()


def read(labels: Mapping[str, str]) -> Wishes:
    """Return what an app's labels ask for. Never raises: what cannot be used is among `problems`."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    reserved: list[str] = []
    for name, value in labels.items():
        known = _ours(name)
        if known is None:
            continue
        if known != name:
            problems.append(_unknown(name, known))
        elif name in RESERVED:
            reserved.append(name)
        else:
            wish = _wish(name, value.strip()) if isinstance(value, str) else None
            if wish is None:
                problems.append(f"{name}: {shown(value)} is not allowed: must be {ALLOWED[name]}")
            else:
                found[wish[0]] = wish[1]
    if not found and not problems and not reserved:
        return NO_WISHES
    return Wishes(**found, reserved=tuple(sorted(reserved)), problems=_limited(sorted(problems)))


def shown(value: object) -> str:
    """Return a stranger's value in quotes as it may be shown anywhere: short, one line, printable."""
    text = value if isinstance(value, str) else f"({type(value).__name__})"
    clean = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[:_MOST_SHOWN])
    return f'"{clean}…"' if len(text) > _MOST_SHOWN else f'"{clean}"'


def _ours(name: str) -> str | None:
    """Return the name of ours that was meant, "" for one that resembles none, None for a label that is not ours."""
    if name == ROLE:
        return None
    if name in ALLOWED:
        return name
    likely = name[:_LONGEST_NAME].upper().replace("-", "_").replace(".", "_")
    if likely in ALLOWED:
        return likely
    if name[: len(PREFIX)].upper() != PREFIX:
        return None
    nearest = get_close_matches(likely, ALLOWED, n=1, cutoff=0.75)
    return nearest[0] if nearest else ""


def _unknown(name: str, meant: str) -> str:
    hint = f"did you mean {meant}?" if meant else f"known: {', '.join(ALLOWED)}"
    return f"unknown label {shown(name)}: {hint}"


def _wish(name: str, value: str) -> tuple[str, Any] | None:
    """Return the attribute that a label sets, and its value; None when the value is not allowed."""
    text = _TEXTS.get(name)
    if text is not None:
        return (text.attribute, value) if text.pattern.fullmatch(value) else None
    if name == "SHIPPER_RETENTION_DAYS":
        days = int(value) if _DAYS.fullmatch(value) else 0
        return ("retention_days", days) if 1 <= days <= MOST_DAYS else None
    if name == "SHIPPER_BUDGET":
        rate = float(value) if _RATE.fullmatch(value) else 0.0
        return ("budget", rate) if 1 <= rate <= MOST_BUDGET else None
    return ("tools", tuple(re.split(r"\s*,\s*", value))) if _TOOLS.fullmatch(value) else None


def _limited(problems: list[str]) -> tuple[str, ...]:
    if len(problems) <= MOST_PROBLEMS:
        return tuple(problems)
    return (*problems[:MOST_PROBLEMS], f"and {len(problems) - MOST_PROBLEMS} more")
