"""What people are shown of a record: its id, place in time, service, level; the same on the page and in a terminal."""

from collections.abc import Mapping
from typing import Any

from shipper.record.fields import FIELDS
from shipper.record.levels import LEVELS

UNKNOWN_SERVICE = "(no app)"
_RANK = {level: rank for rank, level in enumerate(LEVELS)}
_PLACE = {"id": -1} | {field.name: place for place, field in enumerate(FIELDS)}


def identify(record: dict[str, Any]) -> dict[str, Any]:
    """Return a stored record with its `id` in front."""
    if "id" in record:
        return record
    series, sequence = record.get("shipper.series", ""), record.get("event.sequence", 0)
    return {"id": f"{series}-{sequence:010d}" if isinstance(sequence, int) else f"{series}-{sequence}", **record}


def service_of(record: Mapping[str, Any]) -> str:
    """Who wrote it: the app, else the program that syslog names."""
    return str(record.get("service.name") or record.get("log.syslog.appname") or UNKNOWN_SERVICE)


def level_rank(record: Mapping[str, Any]) -> int:
    """Place of its level among LEVELS; -1 when it has none."""
    level = record.get("log.level")
    return _RANK.get(level, -1) if isinstance(level, str) else -1


def offset(nanoseconds: int) -> str:
    """A time after the first record: `+0`, `+0.3 ms`, `+12 ms`, `+1.234 s`, `+2 m 03 s`, `+3 h 05 m`."""
    return "+0" if nanoseconds == 0 else f"+{duration(nanoseconds)}"


def duration(nanoseconds: int) -> str:
    """A duration in the unit that reads best."""
    milliseconds = nanoseconds / 1e6
    if milliseconds < 10:
        return f"{milliseconds:.3g} ms"
    if milliseconds < 1000:
        return f"{min(milliseconds, 999):.0f} ms"
    seconds = nanoseconds // 1_000_000_000
    if seconds < 60:
        return f"{nanoseconds // 1_000_000 / 1000:.3f} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds // 60 % 60:02d} m"
    return f"{seconds // 86_400} d {seconds // 3600 % 24:02d} h"


def fields_of(record: dict[str, Any]) -> list[tuple[str, Any]]:
    """All fields of a record, flat: those of the field table in its order, then the rest by name."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    return sorted(flat.items(), key=lambda item: (_PLACE.get(item[0], len(_PLACE)), item[0]))
