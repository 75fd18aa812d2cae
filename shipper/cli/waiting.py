"""Saying on a terminal that an answer takes long: nothing in a pipe, nothing for what is quick."""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from shipper.cli.terminal import one_line

#: A wait shorter than this is not spoken of.
QUIET_SECONDS = 2.0
_CLEAR = "\r\x1b[K"


class Waiting:
    """A context around each wait; `note` is said with it, and may change meanwhile."""

    def __init__(
        self, allowed: Callable[[], bool], stream: TextIO | None = None, quiet_seconds: float = QUIET_SECONDS
    ) -> None:
        self.note = ""
        self._stream = stream or sys.stderr
        self._allowed = allowed
        self._quiet = quiet_seconds
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._began: float | None = None

    def __enter__(self) -> Self:
        """Begin to wait."""
        if self._began is None:
            self._began = time.monotonic()
        if self._stream.isatty() and self._allowed():
            self._ended.clear()
            self._thread = threading.Thread(target=self._tell, args=(self._began,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Take back what was said."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._thread = None

    def _tell(self, began: float) -> None:
        """Say every second how long it takes, in one line that is taken back at the end; the first waits count too."""
        said = False
        wait = max(0.05, began + self._quiet - time.monotonic())
        while not self._ended.wait(wait):
            note = f", {one_line(self.note)}" if self.note else ""
            self._stream.write(f"{_CLEAR}asking for {time.monotonic() - began:.0f} s{note}")
            self._stream.flush()
            said, wait = True, 1.0
        if said:
            self._stream.write(_CLEAR)
            self._stream.flush()
