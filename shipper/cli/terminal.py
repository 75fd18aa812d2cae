"""What answers look like in a terminal and in a pipe: columns, colours, and no byte by which a stranger steers it."""

import os
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from shipper.api.shown import duration, level_rank, moment, offset, service_of
from shipper.api.visible import visible
from shipper.record.levels import LEVELS

#: A message of more lines than this is cut on a terminal; in a pipe never.
MOST_LINES = 20
_TAB = "    "
_NARROWEST_MESSAGE = 30
_MOST_NAME = 20
_LEVEL_WIDTH = 9

_RESET = "\x1b[0m"
#: What `Style.paint` takes.
BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
_LEVELS = {"trace": "2", "debug": "2", "info": "36", "notice": "32", "warn": "33", "error": "31"}
_FATAL = "1;97;41"
_SERVICES = ("34", "35", "32", "33", "36", "94", "95", "92", "93", "96")


@dataclass(frozen=True, slots=True)
class Style:
    """Whether colours are used, and how many columns there are (None: no terminal, nothing is fitted)."""

    colour: bool = False
    width: int | None = None

    def paint(self, text: str, code: str) -> str:
        """Return text in a colour, where colours are used."""
        return f"\x1b[{code}m{text}{_RESET}" if self.colour and code and text else text


def style_of(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Style:
    """Return the style of a stream: colours and columns on a terminal only; NO_COLOR and TERM=dumb are respected."""
    if not stream.isatty():
        return Style()
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    return Style(colour=not plain, width=max(40, shutil.get_terminal_size().columns))


def one_line(text: object) -> str:
    """Return a stranger's text for one line: newlines and tabs are escaped too."""
    return visible(str(text)).replace("\n", "\\n").replace("\t", "\\t")


def cells(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(_width(char) for char in text)


def _width(char: str) -> int:
    if unicodedata.combining(char) or char in "\u200c\u200d" or "\ufe00" <= char <= "\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Return text cut or filled up to `width` columns."""
    missing = width - cells(text)
    if missing >= 0:
        return text + " " * missing
    cut = text[: _reach(text, 0, width - 1)] + "…"
    return cut + " " * (width - cells(cut))


def count(number: int, noun: str) -> str:
    """Return "1 record", "1,200 records"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def wrap(line: str, width: int) -> Iterator[str]:
    """Cut one line into pieces of at most `width` columns, after a space when one is in the last half."""
    start = 0
    while True:
        end = _reach(line, start, width)
        if end >= len(line):
            break
        space = line.rfind(" ", start + (end - start) // 2, end)
        end = end if space < 0 else space + 1
        yield line[start:end]
        start = end
    yield line[start:]


def _reach(line: str, start: int, width: int) -> int:
    """Where the text that fits into `width` columns ends."""
    if line.isascii():
        return start + width
    used = 0
    for place in range(start, len(line)):
        used += _width(line[place])
        if used > width and place > start:
            return place
    return len(line)


def message_lines(text: object, style: Style, indent: int) -> list[str]:
    """Return a message as lines that fit beside `indent` columns; later lines are not indented yet."""
    lines = visible(str(text)).replace("\t", _TAB).split("\n")
    if style.width is None:
        return lines
    room = max(_NARROWEST_MESSAGE, style.width - indent)
    cut = [piece for line in lines for piece in wrap(line, room)]
    if len(cut) > MOST_LINES:
        cut = [*cut[:MOST_LINES], f"… {len(str(text)):,} characters; --json shows all"]
    return cut


def _time(text: object, clock_only: bool = False) -> str:
    """Return a time to the millisecond: 2026-11-22 14:00:05.123, or its clock alone."""
    time = fit(one_line(text)[:23].replace("T", " "), 23)
    return time[11:] if clock_only else time


class Columns:
    """Lays out records; the name columns are as wide as the names seen, up to a limit."""

    def __init__(self, style: Style, clock_only: bool = False) -> None:
        self._style = style
        self._clock_only = clock_only
        self._host = self._app = 1

    def see(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Make room for the names of records that come next."""
        for record in records:
            host, app = _names(record)
            self._host = max(self._host, min(_MOST_NAME, cells(host)))
            self._app = max(self._app, min(_MOST_NAME, cells(app)))

    def lines(self, record: Mapping[str, Any], front: str = "", app_code: str = "") -> list[str]:
        """Return the lines of one record; `front` stands before its columns."""
        style = self._style
        host, app = _names(record)
        if style.width is not None:
            host, app = fit(host, self._host), fit(app, self._app)
        else:  # a pipe: nothing is cut
            host, app = host.ljust(self._host), app.ljust(self._app)
        head = [
            (front, BOLD),
            (_time(record.get("@timestamp", ""), self._clock_only), DIM),
            _level(record),
            (host, DIM),
            (app, app_code),
        ]
        painted = " ".join(style.paint(text, code) for text, code in head if text)
        indent = sum(cells(text) + 1 for text, _ in head if text)
        below = style.width is not None and style.width - indent < _NARROWEST_MESSAGE
        if below:
            indent = 2
        lines = message_lines(record.get("message", ""), style, indent)
        if below:
            return [painted.rstrip(), *(f"  {line}".rstrip() for line in lines)]
        return [f"{painted} {lines[0]}".rstrip(), *((" " * indent + line).rstrip() for line in lines[1:])]


def _names(record: Mapping[str, Any]) -> tuple[str, str]:
    return one_line(record.get("host.name") or "-"), one_line(service_of(record))


def _level(record: Mapping[str, Any]) -> tuple[str, str]:
    level = record.get("log.level")
    word = level if isinstance(level, str) else "-"
    code = _FATAL if level_rank(record) > LEVELS.index("error") else _LEVELS.get(word, "")
    return fit(one_line(word), _LEVEL_WIDTH), code


def story_lines(story: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Return the story of a request: who, how long, first error, whether it is complete, then every record."""
    records: Sequence[Mapping[str, Any]] = story["records"]
    began = moment(records[0])
    length = duration(moment(records[-1]) - began)
    codes = {service["name"]: _SERVICES[n % len(_SERVICES)] for n, service in enumerate(story["services"])}
    title = style.paint(f"request {one_line(story['request_id'])}", BOLD)
    start = _time(records[0].get("@timestamp", "")).rstrip()
    yield f"{title}  {count(len(records), 'record')}, {length}, from {start} UTC"
    yield from _service_lines(story["services"], began, codes, style)
    error = story["first_error"]
    if error is not None:
        at = offset(moment(error) - began)
        first, *rest = message_lines(error.get("message", ""), style, 2)
        yield f"{style.paint('first error', RED)}  {at}  {one_line(service_of(error))}: {first}"
        yield from (f"  {line}" for line in rest)
    yield from verdict_lines(story, style)
    yield ""
    one_day = len({str(record.get("@timestamp"))[:10] for record in records}) == 1
    columns = Columns(style, clock_only=one_day)
    columns.see(records)
    offsets = [offset(moment(record) - began) for record in records]
    width = max(map(len, offsets))
    for at, record in zip(offsets, records, strict=True):
        yield from columns.lines(record, at.rjust(width), codes.get(service_of(record), ""))


def _service_lines(
    services: Sequence[Mapping[str, Any]], began: int, codes: Mapping[str, str], style: Style
) -> Iterator[str]:
    rows = []
    for service in services:
        first, last = (offset(moment({"@timestamp": service[end]}) - began) for end in ("first", "last"))
        hosts = [one_line(host) for host in service["hosts"]]
        where = ", ".join(hosts[:4]) + (f" and {len(hosts) - 4} more" if len(hosts) > 4 else "")
        rows.append((service, one_line(service["name"]), first, last, count(service["count"], "record"), where))
    names, firsts, lasts, counts = (max(cells(str(row[place])) for row in rows) for place in range(1, 5))
    for service, name, first, last, records, where in rows:
        errors = style.paint(f", {count(service['errors'], 'error')}", RED) if service["errors"] else ""
        on = style.paint(f"  on {where}", DIM) if where else ""
        app = style.paint(fit(name, min(names, 2 * _MOST_NAME)), codes[service["name"]])
        yield f"  {app}  {first.rjust(firsts)} … {last.ljust(lasts)}  {records.rjust(counts)}{errors}{on}"


def verdict_lines(story: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Say whether something is missing in a story, and what."""
    if story["complete"]:
        yield style.paint("complete", GREEN) + " as far as the ledger knows"
        return
    yield style.paint("possibly incomplete", YELLOW)
    yield from (f"  {one_line(note)}" for note in story["incomplete"])


def second(text: str) -> str:
    """Return a time to the second: 2026-11-22 14:00:05."""
    return one_line(text)[:19].replace("T", " ")


def letter_lines(letters: Iterable[Mapping[str, Any]], style: Style) -> Iterator[str]:
    """Return dead letters: when, why, from where, and the store's own words below."""
    for letter in letters:
        time = style.paint(fit(second(str(letter.get("received_at", ""))), 19), DIM)
        reason = style.paint(fit(one_line(letter.get("reason", "")), 12), RED)
        yield f"{time} {reason} {one_line(letter.get('host') or '-')} {one_line(letter.get('id', ''))}"
        yield from (f"  {line}" for line in message_lines(letter.get("detail", ""), style, 2))
