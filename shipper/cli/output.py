"""Where answers go: text, JSON, CSV or bare messages, to a terminal through a pager or into a pipe.

No text of a stranger steers a terminal: text and CSV have every control and invisible character as an escape, also in
a pipe; JSON has them as `\\uXXXX`, which reads back exactly; `--raw` is exact in a pipe and made visible on a terminal.
"""

import csv
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

from shipper.api.visible import UNSAFE, visible
from shipper.cli.terminal import Style, one_line, style_of

#: What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Output:
    """The answer's way out; used as a context, which ends the pager."""

    def __init__(self, form: str = "text", style: Style | None = None, pager: Sequence[str] = ()) -> None:
        self.form = form
        self.style = style or Style()
        self._pager = pager
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start nothing yet: the pager comes with the first line."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Let the reader read to the end; Ctrl-C is the pager's now."""
        if self._process is None or self._process.stdin is None:
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it was left before the end
        finally:
            self._process.wait()
            signal.signal(signal.SIGINT, before)

    @property
    def paged(self) -> bool:
        """Whether a pager has the terminal."""
        return self._process is not None

    def write(self, lines: Iterable[str]) -> None:
        """Write lines; BrokenPipeError when nobody reads any more."""
        stream = self._stream()
        for line in lines:
            stream.write(f"{line}\n")

    def json(self, values: Iterable[Any]) -> None:
        """Write one JSON object per line."""
        self.write(json_line(value) for value in values)

    def raw(self, texts: Iterable[object]) -> None:
        """Write texts: exactly into a pipe, made visible on a terminal."""
        on_terminal = self.style.width is not None
        self.write(visible(str(text)) if on_terminal else str(text) for text in texts)

    def csv(self, rows: Iterable[Sequence[object]]) -> None:
        """Write rows for a spreadsheet."""
        self.write(csv_line(row) for row in rows)

    def say(self, text: str) -> None:
        """Say something beside the answer, where it does not end up in a pipe."""
        sys.stdout.flush()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{one_line(text)}\n")
        else:
            print(one_line(text), file=sys.stderr)

    def _stream(self) -> IO[str]:
        if self._process is None and self._pager:
            try:
                self._process = _page(self._pager)
            except OSError:  # the pager is not there
                self._pager = ()
        if self._process is not None and self._process.stdin is not None:
            return self._process.stdin
        return sys.stdout


def _page(argv: Sequence[str]) -> subprocess.Popen[str]:
    sys.stdout.flush()
    return subprocess.Popen(  # noqa: S603  the program that the person chose
        argv,
        stdin=subprocess.PIPE,
        text=True,
        encoding=sys.stdout.encoding,
        errors="backslashreplace",
        env={"LESS": "FRX", **os.environ},  # one screen is not paged, colours pass
    )


def output_of(
    form: str, colour: str = "auto", paged: bool = True, environment: Mapping[str, str] = os.environ
) -> Output:
    """Return the way out for what the options say: colours and pager only on a terminal, colours also when asked."""
    style = style_of(sys.stdout, environment)
    if colour != "auto":
        style = Style(colour=colour == "always", width=style.width)
    if form != "text":
        style = Style(width=style.width)
    wanted = paged and sys.stdout.isatty() and environment.get("TERM") != "dumb"
    return Output(form, style, _pager_of(environment, shutil.which) if wanted else ())


def _pager_of(environment: Mapping[str, str], which: Callable[[str], str | None]) -> list[str]:
    """Return the pager that there is: $PAGER, else less; [] for none (also $PAGER empty or cat)."""
    try:
        argv = shlex.split(environment.get("PAGER", "less -R"))
    except ValueError:
        return []
    return argv if argv and argv[0] != "cat" and which(argv[0]) else []


def json_line(value: Any) -> str:
    r"""Return a value as JSON in one line, without a character that steers a terminal: those are `\uXXXX`."""
    return UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], json.dumps(value, ensure_ascii=False))


def csv_line(row: Sequence[object]) -> str:
    """Return one row of CSV; texts that begin like a formula get an apostrophe in front."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_csv_cell(value) for value in row])
    return text.getvalue()[:-1]


def _csv_cell(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ("'" if text.startswith(_FORMULA) else "") + visible(text)
