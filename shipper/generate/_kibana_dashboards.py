"""Dashboards as saved objects: rows of charts and searches in Kibana's grid of 48 columns."""

from dataclasses import dataclass
from typing import Any

from shipper.generate import _kibana_boards, _kibana_boards_shipper
from shipper.generate._kibana_grid import Board, Row, Shown
from shipper.generate._kibana_lens import Chart
from shipper.generate._kibana_objects import SavedObject, object_id, query, saved, text
from shipper.generate._kibana_searches import search_id

_OPTIONS = {
    "hidePanelTitles": False,
    "syncColors": False,
    "syncCursor": True,
    "syncTooltips": False,
    "useMargins": True,
}


@dataclass(frozen=True, slots=True)
class _Panel:
    """A panel and what the dashboard must refer to for it."""

    panel: dict[str, Any]
    references: list[dict[str, str]]


def dashboards() -> list[SavedObject]:
    """Return the dashboards."""
    return [_object(board) for board in (*_kibana_boards.BOARDS, *_kibana_boards_shipper.BOARDS)]


def _object(board: Board) -> SavedObject:
    panels = _panels(board.rows)
    attributes = {
        "description": board.description,
        "kibanaSavedObjectMeta": {"searchSourceJSON": text({"filter": [], "query": query("")})},
        "optionsJSON": text(_OPTIONS),
        "panelsJSON": text([one.panel for one in panels]),
        "refreshInterval": {"pause": True, "value": 60_000},
        "timeFrom": board.since,
        # Without this Kibana forgets the times and shows 15 minutes.
        "timeRestore": True,
        "timeTo": "now",
        "title": board.title,
        "version": 1,
    }
    references = [reference for one in panels for reference in one.references]
    return saved("dashboard", object_id("dashboard", board.name), attributes, references)


def _panels(rows: tuple[Row, ...]) -> list[_Panel]:
    """Lay the rows under each other, what is in a row side by side."""
    found: list[_Panel] = []
    y = 0
    for row in rows:
        x = 0
        for shown in row.panels:
            place = {"h": row.height, "i": str(len(found)), "w": shown.width, "x": x, "y": y}
            found.append(_panel(shown, place))
            x += shown.width
        y += row.height
    return found


def _panel(shown: Shown, place: dict[str, Any]) -> _Panel:
    index = place["i"]
    if isinstance(shown.what, Chart):
        return _by_value(shown.what, index, place)
    name = f"panel_{index}"
    panel = {
        "embeddableConfig": {"enhancements": {}},
        "gridData": place,
        "panelIndex": index,
        "panelRefName": name,
        "type": "search",
    }
    return _Panel(panel, [{"id": search_id(shown.what), "name": f"{index}:{name}", "type": "search"}])


def _by_value(chart: Chart, index: str, place: dict[str, Any]) -> _Panel:
    panel = {
        "embeddableConfig": {"attributes": chart.attributes(), "enhancements": {}},
        "gridData": place,
        "panelIndex": index,
        "title": chart.title,
        "type": "lens",
    }
    # What a panel refers to stands at the dashboard, too: an import looks only there.
    hoisted = [{**reference, "name": f"{index}:{reference['name']}"} for reference in chart.references]
    return _Panel(panel, hoisted)
