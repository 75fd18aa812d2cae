"""Who asked what: one JSON line for each question, in a file or in our own log, never a token and never an answer."""

import contextlib
import logging
import os
import queue
import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from shipper import telemetry
from shipper.api.access.tokens import PREFIX
from shipper.api.visible import visible
from shipper.errors import ConfigError

_log = logging.getLogger("shipper.audit")
_own = logging.getLogger(__name__)
_LONGEST: Final = 2000
#: Lines that wait for a slow disk; more are counted and left out, so that a full disk cannot fill the memory.
_MOST_WAITING: Final = 10_000
_TOKEN: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]+")


def cleaned(text: str) -> str:
    """Return a stranger's text for one line: no control characters, no token of ours, at most 2,000 characters."""
    shown = visible(_TOKEN.sub(f"{PREFIX}…", text)).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"


class Audit:
    """Writes lines in a thread of its own, so that no answer waits for the disk; lines keep their order.

    The file is opened again when it was renamed or removed. Opened and closed with the process: `with audit:`.
    """

    def __init__(self, file: str | None = None) -> None:
        """ConfigError when the file cannot be written."""
        self._path = None if file is None else Path(file)
        self._file = -1
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        if self._path is not None:
            try:
                self._open(self._path)
            except OSError as error:
                why = os.strerror(error.errno or 0).lower()
                raise ConfigError(f"api.access.audit_file: {self._path}: {why}") from None

    def __enter__(self) -> Self:
        """Start writing."""
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Write what waits, and close."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(10)
            self._thread = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def tell(self, **line: Any) -> None:
        """Have a line written; it is counted and left out when too many wait."""
        if self._thread is None:
            return
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            telemetry.AUDIT_LINES_LOST.inc()

    def _run(self) -> None:
        while (line := self._waiting.get()) is not None:
            if self._path is None or not self._write(self._path, line):
                _log.info("asked", extra=line)

    def _write(self, path: Path, line: dict[str, Any]) -> bool:
        try:
            if self._moved(path):
                self._open(path)
            os.write(self._file, orjson.dumps(line) + b"\n")
        except OSError as error:
            telemetry.AUDIT_LINES_LOST.inc()
            _own.error("audit_file cannot be written; lines go to the log", extra={"reason": str(error)})
            return False
        return True

    def _open(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        new = os.open(path, flags, 0o640)
        if self._file >= 0:
            os.close(self._file)
        self._file = new

    def _moved(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            there, ours = path.stat(), os.fstat(self._file)
            return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)
        return True
