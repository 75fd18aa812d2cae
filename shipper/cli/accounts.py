"""`shipper ledger` and `shipper dead-letters`: the account of every record, and what no store would take."""

import argparse
from collections.abc import Mapping
from typing import Any

from shipper.cli import ask, ledger
from shipper.cli.ask import Answers
from shipper.cli.output import Output

_MOST_LETTERS = 1000
_LEDGER_HELP = """\
With --json: a line per series, then a line per host (those have "state"); --csv has the series alone.

examples:
  shipper ledger                                       every series and every host
  shipper ledger --host web-3                          one host, and what happened on it
  shipper ledger --json | jq -r 'select(.alarm) | .host'
exit code: 0 found, 1 nothing in the ledger, 2 error
"""
_LETTERS_HELP = """\
examples:
  shipper dead-letters                                 when, why, from where
  shipper dead-letters --json | jq -r .original        the records themselves
exit code: 0 found, 1 there are none, 2 error
"""
_SERIES = ("host", "series", "last", "settled", "duplicates", "missing")
_LETTER = ("received_at", "reason", "host", "id", "detail", "original")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    about = "account for every record of every host: settled, or missing and why"
    parser = ask.add(commands, "ledger", _ledger, about, _LEDGER_HELP)
    parser.add_argument("--host", help="of one host only")
    ask.add_forms(parser)
    about = "list records that no store would take, with the reason"
    parser = ask.add(commands, "dead-letters", _dead_letters, about, _LETTERS_HELP)
    parser.add_argument("action", nargs="?", choices=("list",), default="list", help="list them (the default)")
    parser.add_argument("--limit", type=ask.count_of, default=100, metavar="N", help="at most so many (default 100)")
    ask.add_forms(parser)


def _ledger(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    found = answers.get("/api/v1/ledger", {"host": options.host})
    anything = bool(found["series"] or found["hosts"])
    if out.form == "json":
        out.json((*found["series"], *found["hosts"]))
    elif out.form == "csv":
        out.csv([_SERIES, *(_series_row(line) for line in found["series"])])
    elif anything:
        out.write(ledger.ledger_lines(found, out.style))
    if not anything:
        out.say("nothing in the ledger")
    for note in found["incomplete"]:
        out.say(f"warning: {note}")
    return 0 if anything else 1


def _series_row(line: Mapping[str, Any]) -> list[object]:
    return [sum(line[name].values()) if name == "settled" else line[name] for name in _SERIES]


def _dead_letters(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    limit = min(options.limit or _MOST_LETTERS, _MOST_LETTERS)
    letters = answers.get("/api/v1/dead-letters", {"limit": limit})["dead_letters"]
    if out.form == "json":
        out.json(letters)
    elif out.form == "csv":
        out.csv([_LETTER, *([letter.get(name) for name in _LETTER] for letter in letters)])
    else:
        out.write(ledger.letter_lines(letters, out.style))
    if not letters:
        out.say("no dead letters")
    return 0 if letters else 1
