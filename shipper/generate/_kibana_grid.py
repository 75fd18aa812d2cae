"""What a dashboard is: rows of charts and saved searches, in Kibana's grid of 48 columns."""

from dataclasses import dataclass

from shipper.generate._kibana_lens import Chart


@dataclass(frozen=True, slots=True)
class Shown:
    """A chart, or a saved search by its name, and how many of the 48 columns it takes."""

    what: Chart | str
    width: int


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, all of the same height (in rows of 20 pixels)."""

    height: int
    panels: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard; `name` is what its id is made of, `since` the time that it opens with."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]
    since: str = "now-24h"
