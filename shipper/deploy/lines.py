"""Lines for people: made safe to look at, and written for as long as somebody reads."""

import os
from typing import TextIO

from shipper.api.visible import visible


def one_line(text: object, longest: int = 100) -> str:
    """Return a stranger's text as it may be shown: one line, cut, with every unsafe character escaped."""
    line = visible(str(text)).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def write(stream: TextIO, text: str) -> None:
    """Write at once. A reader that went away (`| head`) must not end what is being done: the rest goes nowhere."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
