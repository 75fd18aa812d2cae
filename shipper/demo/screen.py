"""What the demo says: lines, and on a terminal one line below them that counts."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from shipper import telemetry


class Screen:
    """Writes to a stream; `on_gone` is called once when nobody reads it any more."""

    def __init__(self, stream: TextIO, on_gone: Callable[[], None]) -> None:
        self._stream = stream
        self._on_gone: Callable[[], None] | None = on_gone
        self._counting = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._before = stored()

    def say(self, name: str, text: str) -> None:
        """Write one line: what it is about, and the rest."""
        self._write(f"{self._clear}{name:8} {text}".rstrip() + "\n")

    def count(self, seconds: float, dropped: int) -> None:
        """On a terminal: show how many records are stored, and how many came in the last so many seconds."""
        now = stored()
        if self._counting:
            lost = f", {dropped:,} not taken from the services" if dropped else ""
            self._write(f"{self._clear}{now:,} records stored, {(now - self._before) / seconds:.0f} per second{lost}")
        self._before = now

    def end_counting(self) -> None:
        """Remove the counting line."""
        self._write(self._clear)
        self._counting = False

    @property
    def _clear(self) -> str:
        return "\r\x1b[K" if self._counting else ""

    def _write(self, text: str) -> None:
        if self._on_gone is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            gone, self._on_gone = self._on_gone, None
            gone()


def stored() -> int:
    """Return how many records this process has stored."""
    return int(telemetry.REGISTRY.get_sample_value("shipper_records_settled_total", {"fate": "stored"}) or 0)


def command() -> str:
    """Return how this program was called, as one would type it here."""
    called = Path(sys.argv[0])
    if called.name != "shipper":
        return f"{_here(Path(sys.executable))} -m shipper"
    return _here(called)


def _here(path: Path) -> str:
    """Return a path as seen from the current directory, when it is below it."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 no symlink of a .venv is to be followed
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)
