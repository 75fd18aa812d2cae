"""Records in columns: which ones, how wide they are, and what stands in them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shipper.api.shown import level_rank, service_of
from shipper.cli.terminal import BOLD, DIM, Style, cells, fit, message_lines, one_line
from shipper.errors import QueryError
from shipper.record.levels import LEVELS
from shipper.search import names

#: Short names beside those of the query language; every field's full name may be used, too.
FIELDS = {
    **names.SHORT,
    "container": "container.id",
    "logger": "log.logger",
    "path": "url.path",
    "sequence": "event.sequence",
}
#: For spreadsheets, and for terminals of at least this width; narrower ones get fewer.
ALL = ("time", "level", "host", "app", "message")
_BY_WIDTH = ((90, ALL), (70, ("time", "level", "app", "message")), (0, ("time", "level", "message")))
_MOST_COLUMNS = 32
_MOST_NAME = 20
_MOST_OTHER = 40
_FIXED = {"time": 23, "level": 9}
_NARROWEST_MESSAGE = 30

_LEVELS = {"trace": "2", "debug": "2", "info": "36", "notice": "32", "warn": "33", "error": "31"}
_FATAL = "1;97;41"


def chosen(text: str | None, style: Style) -> tuple[str, ...]:
    """Return the names of the columns that were asked for, else those that fit; QueryError for too many or none."""
    if text is None:
        width = style.width
        return ALL if width is None else next(fitting for least, fitting in _BY_WIDTH if width >= least)
    wanted = tuple(name.strip() for name in text.split(",") if name.strip())
    if not wanted or len(wanted) > _MOST_COLUMNS:
        raise QueryError(f"--columns: 1 to {_MOST_COLUMNS} names with commas between (short: {' '.join(FIELDS)})")
    for name in wanted:
        if name not in FIELDS and name != "id" and names.kind_of(name) is None:
            raise QueryError(f"--columns: no field {one_line(name)}: {one_line(names.suggestion(name))}")
    return wanted


def value_of(record: Mapping[str, Any], column: str) -> Any:
    """Return what a record has in a column; None for nothing. A key below a flattened field is found, too."""
    if column in ("app", "service"):
        return service_of(record)
    name = FIELDS.get(column, column)
    if name in record:
        return record[name]
    for place, char in enumerate(name):
        inner = record.get(name[:place]) if char == "." else None
        if isinstance(inner, Mapping):
            return inner.get(name[place + 1 :])
    return None


def row_of(record: Mapping[str, Any], columns: Sequence[str]) -> list[object]:
    """Return a record as a row of CSV."""
    return [value_of(record, column) for column in columns]


class Columns:
    """Lays out records; columns are as wide as the values seen, up to a limit. The last one takes what is left."""

    def __init__(self, style: Style, clock_only: bool = False, columns: Sequence[str] | None = None) -> None:
        self._style = style
        self._clock_only = clock_only
        *self._heads, self._last = columns or chosen(None, style)
        self._widths = dict.fromkeys(self._heads, 1) | _FIXED | ({"time": 12} if clock_only else {})

    def see(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Make room for the values of records that come next."""
        growing = [name for name in self._heads if name not in _FIXED]
        for record in records:
            for name in growing:
                most = _MOST_NAME if name in ("host", "app") else _MOST_OTHER
                self._widths[name] = max(self._widths[name], min(most, cells(self._text(record, name))))

    def lines(self, record: Mapping[str, Any], front: str = "", app_code: str = "") -> list[str]:
        """Return the lines of one record; `front` stands before its columns."""
        style = self._style
        head = [(front, BOLD)] if front else []
        for name in self._heads:
            text, width = self._text(record, name), self._widths[name]
            if style.width is None:  # a pipe: nothing is cut
                text += " " * (width - cells(text))
            head.append((text if style.width is None else fit(text, width), _code(record, name, app_code)))
        painted = " ".join(style.paint(text, code) for text, code in head)
        indent = sum(cells(text) + 1 for text, _ in head)
        below = style.width is not None and bool(head) and style.width - indent < _NARROWEST_MESSAGE
        if below:
            indent = 2
        last = record.get("message", "") if self._last == "message" else self._text(record, self._last)
        lines = message_lines(last, style, indent)
        if below:
            return [painted.rstrip(), *(f"  {line}".rstrip() for line in lines)]
        first = f"{painted} {lines[0]}" if head else lines[0]
        return [first.rstrip(), *((" " * indent + line).rstrip() for line in lines[1:])]

    def _text(self, record: Mapping[str, Any], name: str) -> str:
        value = value_of(record, name)
        if name == "time":
            time = fit(one_line(value or "")[:23].replace("T", " ").removesuffix("Z"), 23)
            return time[11:] if self._clock_only else time
        if value is None or value == "":
            return "-"
        return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _code(record: Mapping[str, Any], name: str, app_code: str) -> str:
    if name == "level":
        level = record.get("log.level")
        return _FATAL if level_rank(record) > LEVELS.index("error") else _LEVELS.get(str(level), "")
    return app_code if name == "app" else DIM if name in ("time", "host") else ""
