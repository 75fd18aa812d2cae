"""What text looks like in a terminal and in a pipe: columns, colours, and no byte by which a stranger steers it."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from shipper.api.visible import visible

#: A message of more lines than this is cut on a terminal; in a pipe never.
MOST_LINES = 20
_TAB = "    "
_NARROWEST_MESSAGE = 30

_RESET = "\x1b[0m"
#: What `Style.paint` takes.
BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"


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


def second(text: str) -> str:
    """Return a time to the second: 2026-11-22 14:00:05."""
    return one_line(text)[:19].replace("T", " ")


def nobody_reads() -> None:
    """Let what is not written yet to stdout go nowhere: Python would complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
