"""The room that Elasticsearch has: of all nodes with data, up to where it makes indices read-only."""

import re
from typing import Any, Final

from shipper.errors import StoreBusy, StoreRejected
from shipper.search.usage import Disk
from shipper.stores._elasticsearch_server import Server

_NODES: Final = "/_nodes/stats/fs?filter_path=nodes.*.fs.total,nodes.*.roles"
_SETTINGS: Final = "/_cluster/settings?include_defaults=true&filter_path=*.cluster.routing.allocation.disk"
_FLOOD: Final = re.compile(r"(\d+(?:\.\d+)?)(%|[kmgt]?b)?", re.IGNORECASE)
_UNITS: Final = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40}
#: Elasticsearch's own defaults of the watermark and of the most room that it leaves free.
_WATERMARK, _HEADROOM = "95%", "100gb"


async def disk_of(server: Server) -> Disk | None:
    """Return total, free and what is kept free, in bytes; None when these credentials may not ask."""
    try:
        nodes = await server.ask("GET", _NODES)
        settings = await server.ask("GET", _SETTINGS)
    except (StoreBusy, StoreRejected) as error:
        if "security_exception" in str(error):
            return None
        raise
    sizes = [
        (int(node["fs"]["total"]["total_in_bytes"]), int(node["fs"]["total"]["available_in_bytes"]))
        for node in (nodes or {}).get("nodes", {}).values()
        if any(role.startswith("data") for role in node["roles"])
    ]
    flood, headroom = _watermark(settings or {})
    kept = sum(kept_free(total, flood, headroom) for total, _ in sizes)
    return Disk(sum(total for total, _ in sizes), sum(free for _, free in sizes), kept) if sizes else None


def _watermark(settings: dict[str, Any]) -> tuple[str, str]:
    """Return the flood-stage watermark and its headroom as they are in force: what was set over the defaults."""
    marks: dict[str, str] = {}
    for level in ("defaults", "persistent", "transient"):
        disk = settings.get(level, {}).get("cluster", {}).get("routing", {}).get("allocation", {}).get("disk", {})
        found = disk.get("watermark", {})
        marks |= {name: value for name, value in found.items() if isinstance(value, str)}
    return marks.get("flood_stage", _WATERMARK), marks.get("flood_stage.max_headroom", _HEADROOM)


def kept_free(total: int, flood: str, headroom: str) -> int:
    """Return the bytes of a disk below which indices become read-only; a watermark is used per cent, or free bytes."""
    found = _FLOOD.fullmatch(flood)
    if found is None:
        return 0
    number, unit = float(found[1]), (found[2] or "").lower()
    if unit and unit != "%":
        return int(number * _UNITS[unit])
    share = number / 100 if unit == "%" else number
    most = _FLOOD.fullmatch(headroom)  # "-1", where the watermark was set by hand: no limit
    limit = float(most[1]) * _UNITS.get((most[2] or "b").lower(), 1) if most else float("inf")
    return int(min(total * max(0.0, 1 - share), limit))
