"""What a host says of itself: the reports of its reader and the statistics of its rsyslogd. Figures, no documents."""

import re
from typing import Any, Final

import orjson

from shipper.record import Record

#: Values of `input` that bring figures.
INPUTS: Final = frozenset({"report", "impstats"})
#: Longest figures and their longest name, in bytes.
LONGEST: Final = 64 * 1024
_LONGEST_NAME: Final = 255
#: How rsyslog names an action that its configuration does not name ("action-3-omrelp").
_UNNAMED: Final = re.compile(r"action[- ]\d+[- ](.+)", re.ASCII)


def read(record: Record, source: str) -> None:
    """Set `report` and leave the figures, one JSON object, as the message.

    What is not right stays an ordinary record, tagged "report_invalid".
    """
    text = record.body
    if source == "impstats":
        text = text[max(text.find("{"), 0) :]  # rsyslog can write "@cee: " before it
    figures = _object(text)
    name = None if figures is None else _name(figures, source)
    if name is None:
        record.tag("report_invalid")
        return
    record.report = name
    record.fields["message"], record.body = text, ""


def _object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is, when every store can keep it."""
    if len(text) > LONGEST or len(text.encode()) > LONGEST:
        return None
    try:
        figures = orjson.loads(text)
        orjson.dumps(figures)  # refuses what is nested too deeply
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return figures if isinstance(figures, dict) else None


def _name(figures: dict[str, Any], source: str) -> str | None:
    """Return the name of figures; "" for those that nobody needs, None when they have no right one."""
    if source == "report":
        return _valid(figures.get("report"))
    name, origin = _valid(figures.get("name")), figures.get("origin")
    if name is None or not isinstance(origin, str):
        return None
    return name if _is_needed(name, origin) else ""


def _is_needed(name: str, origin: str) -> bool:
    """Queues, the socket, and actions that send: those that are named, as ours are, or of omrelp."""
    if origin == "core.action":
        unnamed = _UNNAMED.fullmatch(name)
        return unnamed is None or unnamed[1] == "omrelp"
    return origin in ("core.queue", "imuxsock")


def _valid(name: object) -> str | None:
    return name if isinstance(name, str) and 0 < len(name.encode()) <= _LONGEST_NAME else None
