"""What set-up shows and asks: one line per step and per change, and whether it may be done."""

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any, Final

from shipper.cli.terminal import BOLD, DIM, GREEN, RED, YELLOW, one_line, style_of
from shipper.deploy.lines import write
from shipper.errors import ConfigError

_COLOURS: Final = {
    "create": GREEN, "created": GREEN, "change": YELLOW, "changed": GREEN, "unchanged": DIM, "later": DIM,
    "blocked": RED, "invalidate": YELLOW, "invalidated": GREEN, "overwrite": RED, "overwritten": GREEN,
    "remove": RED, "removed": GREEN, "left": DIM, "old": YELLOW,
}  # fmt: skip
_WIDTH: Final = max(map(len, _COLOURS))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all parts of set-up have."""
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="one JSON object per step")


class Shown:
    """Where a set-up is told: a terminal, a pipe or a program."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._json: bool = options.json
        self._yes: bool = options.yes
        self._style = style_of(sys.stdout)

    def step(self, word: str, what: str, name: str, lines: Iterable[str] = ()) -> None:
        """Tell one step: what becomes of what, and its changes below."""
        if self._json:
            self._object({"step": word, "what": what, "name": name, "changes": list(lines)})
            return
        style = self._style
        padding = " " * (_WIDTH - len(word))
        painted = style.paint(word, _COLOURS.get(word, ""))
        write(sys.stdout, f"{painted}{padding}  {one_line(what)} {style.paint(one_line(name), BOLD)}\n")
        for line in lines:
            write(sys.stdout, f"{' ' * _WIDTH}  {one_line(line)}\n")

    def say(self, text: str) -> None:
        """Say something beside the steps."""
        write(sys.stderr, f"{one_line(text)}\n")

    def agree(self, count: int) -> None:
        """Come back only if it may be done; ConfigError when not, or when nobody can be asked."""
        if self._yes:
            return
        if not sys.stdin.isatty():
            raise ConfigError("nothing was changed: nobody can be asked here; add --yes, or --dry-run to look only")
        write(sys.stderr, f"do {'this' if count == 1 else f'these {count}'}? [y/N] ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise ConfigError("nothing was changed")

    def _object(self, value: dict[str, Any]) -> None:
        write(sys.stdout, f"{json.dumps(value)}\n")
