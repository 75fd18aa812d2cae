"""`shipper context`: the lines before and after a record."""

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from shipper.cli import ask
from shipper.cli.ask import Answers
from shipper.cli.columns import Columns, chosen
from shipper.cli.http import NotFound
from shipper.cli.output import Output
from shipper.cli.search import RecordsShown
from shipper.cli.terminal import BOLD, DIM, Style, one_line

KINDS = ("task", "stream", "series", "host")
_EXAMPLES = """\
The id of a record is in --json and in the column id. Lines are in the order in which their host numbered them.

examples:
  shipper search 'level:error' --columns id,time,app,message
  shipper context 1ab2cd3ef4gh5n-0000000017            20 lines before and after, of the same task
  shipper context 1ab2cd3ef4gh5n-0000000017 -B 5 -A 100 --kind host
exit code: 0 found, 1 no such record, 2 error
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = ask.add(commands, "context", _context, "show the lines before and after a record", _EXAMPLES)
    parser.add_argument("id", metavar="RECORD_ID", help="id of the record: series-number")
    parser.add_argument("--at", metavar="TIME", help="its time, or nanoseconds since 1970: finds it quicker")
    parser.add_argument("--kind", choices=KINDS, help="whose lines (default: the closest that the record names)")
    for short, name in (("-B", "before"), ("-A", "after")):
        parser.add_argument(
            short,
            f"--{name}",
            type=ask.count_of,
            default=20,
            metavar="N",
            help=f"so many lines {name} it (default 20, most 500)",
        )
    parser.add_argument("--columns", metavar="NAMES", help="which columns, with commas between (default: what fits)")
    ask.add_forms(parser, "raw")


def _context(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    parameters = {"at": _at(options.at), "kind": options.kind, "before": options.before, "after": options.after}
    try:
        found = answers.get(f"/api/v1/records/{quote(options.id, safe='')}/context", parameters)
    except NotFound as error:
        out.say(str(error))
        return 1
    if out.form == "text":
        out.write(_lines(found, out.style, options.columns, asked=bool(options.before and options.after)))
    else:
        RecordsShown(out, options.columns).show([*found["before"], found["record"], *found["after"]])
    for note in found["incomplete"]:
        out.say(f"warning: possibly incomplete: {note}")
    return 0


def _at(text: str | None) -> int | None:
    """Return the nanoseconds since 1970 that a person gave; QueryError when it is no time."""
    if text is None or (text.isascii() and text.isdecimal() and len(text) > 12):
        return None if text is None else int(text[:19])
    from shipper.search import times

    return times.parse(text, time.time_ns())


def _lines(found: Mapping[str, Any], style: Style, names: str | None, asked: bool) -> Iterator[str]:
    """Lay out a record and its neighbours; `asked` for on both sides, none is worth saying."""
    record = found["record"]
    yield style.paint(f"{one_line(found['kind'])} of {one_line(record.get('id', ''))}", BOLD)
    columns = Columns(style, columns=chosen(names, style))
    columns.see((*found["before"], record, *found["after"]))
    for one in found["before"]:
        yield from columns.lines(one, " ")
    yield from columns.lines(record, ">")
    for one in found["after"]:
        yield from columns.lines(one, " ")
    if not found["before"] and not found["after"] and asked:
        yield style.paint("it has no neighbours of this kind", DIM)
