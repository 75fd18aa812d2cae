"""`shipper completion`: a script for bash, zsh or fish that completes commands, options and their values.

The script is made of what argparse knows. Names of apps, hosts and fields are asked of the server while somebody
types: for a second at most, and silently. Only names of plain characters are offered: they were written by strangers,
and a shell would run some of them.
"""

import argparse
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Final

from shipper.cli import ask
from shipper.errors import ShipperError
from shipper.record.levels import LEVELS

SHELLS: Final = ("bash", "zsh", "fish")
_EXAMPLES = """\
to use it in every new shell:
  shipper completion bash > ~/.local/share/bash-completion/completions/shipper
  shipper completion zsh > "${fpath[1]}/_shipper"
  shipper completion fish > ~/.config/fish/completions/shipper.fish
in this one:
  source <(shipper completion bash)
"""
_SECONDS = 1.0
_MOST = 50
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/@%+=][A-Za-z0-9._/@%+=-]{0,127}", re.ASCII)
#: Options and places whose values the server knows.
_ASKED: Final = {"app": "app", "host": "host", "field": "field"}
_LEVEL_OPTIONS: Final = ("level", "min_level")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands, options and names",
        description="Print a script that completes commands, options and names.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=(*SHELLS, "values"), help="of which shell (values: what the scripts call)")
    parser.add_argument("field", nargs="?", choices=tuple(_ASKED), help=argparse.SUPPRESS)
    parser.add_argument("prefix", nargs="?", default="", help=argparse.SUPPRESS)
    ask.add_source(parser)
    parser.set_defaults(function=_completion)


def _completion(options: argparse.Namespace) -> int:
    if options.shell == "values":
        for name in values(options):
            print(name)
        return 0
    from shipper.cli import PARTS, completion_scripts, parser_of

    print(completion_scripts.SCRIPTS[options.shell](list(tables(parser_of(PARTS)))), end="")
    return 0


def values(options: argparse.Namespace) -> list[str]:
    """Return names that begin with what was typed; none when there is no server, or it does not tell in a second."""
    found: list[object] = []
    options.timeout = min(options.timeout, _SECONDS)
    with suppress(ShipperError, KeyError, TypeError, AttributeError), closing(ask.source_of(options)) as source:
        if options.field == "field":
            fields = source.get("/api/v1/fields", {})["fields"]
            found = [name for one in fields for name in (one.get("short"), one.get("name")) if name]
        else:
            asked = {"field": options.field, "prefix": options.prefix, "limit": _MOST}
            found = list(source.get("/api/v1/values", asked)["values"])
    names = dict.fromkeys(str(name) for name in found)
    return [name for name in names if name.startswith(options.prefix) and _PLAIN.fullmatch(name)][:_MOST]


class Table:
    """What can stand behind one command."""

    def __init__(self, path: str, about: str, parser: argparse.ArgumentParser) -> None:
        #: "", "search", "generate rsyslog".
        self.path = path
        self.about = about
        #: Words of the next place: commands below, or choices.
        self.words: list[str] = []
        #: What the server knows of the next place; "" when nothing.
        self.asked = ""
        #: Option → (what it is for, kind of its value): "" none, "words a b", "asked app", "file", "any".
        self.options: dict[str, tuple[str, str]] = {}
        for action in parser._actions:
            self._add(action)

    def _add(self, action: argparse.Action) -> None:
        if action.help == argparse.SUPPRESS:
            return
        if action.option_strings:
            for name in action.option_strings:
                self.options[name] = (_about(action), _kind(action))
        elif action.choices and not self.words:
            self.words = [str(choice) for choice in action.choices]
        elif action.dest in _ASKED and not self.asked:
            self.asked = _ASKED[action.dest]


def tables(parser: argparse.ArgumentParser, path: str = "", about: str = "") -> Iterator[Table]:
    """Return what can stand behind a command, and behind all commands below it."""
    yield Table(path, about, parser)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            abouts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, below in action.choices.items():
                yield from tables(below, f"{path} {name}".strip(), abouts.get(name, ""))


def _kind(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices:
        return f"words {' '.join(map(str, action.choices))}"
    if action.dest in _LEVEL_OPTIONS:
        return f"words {' '.join(LEVELS)}"
    if action.dest in _ASKED:
        return f"asked {_ASKED[action.dest]}"
    return "file" if action.metavar in ("FILE", "FOLDER", "PATH", "DIRECTORY") else "any"


def _about(action: argparse.Action) -> str:
    """Return what an option is for in a few words."""
    return (action.help or "").split(" (")[0].split("; ")[0].replace("%%", "%")[:80].strip()
