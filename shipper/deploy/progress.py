"""Says how far something is: one line that is written over on a terminal, a line per news elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

from shipper.deploy.lines import one_line, write

_ERASE = "\r\x1b[K"
_NAME_WIDTH = 24
_LONGEST = 2000


class Progress:
    """One line per thing that is being done; texts of strangers are made safe here."""

    def __init__(self, stream: TextIO, *, columns: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`columns` is the width of the terminal; None: it is none."""
        self._stream = stream
        self._columns = columns
        self._clock = clock
        self._name = self._text = ""
        self._began = 0.0

    def update(self, name: str, text: str) -> None:
        """Say how far `name` is now; said again on a terminal, where the seconds go on."""
        if name != self._name:
            self._name, self._text, self._began = name, "", self._clock()
        if self._columns is not None:
            seconds = f"{self._clock() - self._began:.0f} s"
            line = one_line(f"… {name:<{_NAME_WIDTH}} {seconds:>6}  {text}", self._columns - 1)
            write(self._stream, f"{_ERASE}{line}")
        elif text != self._text:
            self._write(f"… {name:<{_NAME_WIDTH}} {text}")
        self._text = text

    def say(self, text: str) -> None:
        """Write a line that stays; the line that is written over is gone until the next update."""
        if self._columns is not None:
            write(self._stream, _ERASE)
        self._write(text)

    def clear(self) -> None:
        """Take away the line that is written over."""
        if self._columns is not None:
            write(self._stream, _ERASE)
        self._name = self._text = ""

    def _write(self, line: str) -> None:
        write(self._stream, f"{one_line(line, _LONGEST)}\n")
