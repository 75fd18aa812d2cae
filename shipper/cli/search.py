"""`shipper search`: records that match a query."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shipper.cli import ask
from shipper.cli.ask import Answers
from shipper.cli.columns import FIELDS, Columns, chosen, row_of
from shipper.cli.output import Output
from shipper.cli.terminal import Style, count

MOST_PER_PAGE = 1000

_EXAMPLES = f"""\
{ask.TIMES}
query: words, "words next to each other", field:value, field:(a or b), field:va*ue, field >= 500, and or not ( )
columns: {" ".join(FIELDS)} message, or any field's full name

examples:
  shipper search --since 15m                           what happened in the last 15 minutes
  shipper search "timed out" --app shop-api            messages with these two words
  shipper search '"timed out"' --min-level error       ... next to each other, in errors
  shipper search 'app:shop-api and status >= 500 and not path:/health' --since 1h
  shipper search --host web-3 --since "yesterday 14:00" --until "yesterday 15:00" --order oldest
  shipper search --app shop-api --limit 0 --json       every record, one JSON object per line
  shipper search 'level:error' --columns time,app,status,message
exit code: 0 found, 1 nothing found, 2 error
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = ask.add(commands, "search", _search, "find records by a query, app, host, level and time", _EXAMPLES)
    parser.add_argument("query", nargs="?", metavar="QUERY", help="words or the query language, see below")
    ask.add_filters(parser)
    parser.add_argument("--limit", type=ask.count_of, default=100, metavar="N", help="at most N, 0: all (default 100)")
    parser.add_argument(
        "--order", choices=("newest", "oldest"), default="newest", help="which comes first (default newest)"
    )
    parser.add_argument("--columns", metavar="NAMES", help="which columns, with commas between (default: what fits)")
    ask.add_forms(parser, "raw")


def _search(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    parameters = {**ask.filters_of(options, options.query), "order": options.order}
    shown = RecordsShown(out, options.columns)
    found = 0
    missing = Missing()
    for records in pages(answers, parameters, options.limit, missing):
        found += len(records)
        shown.show(records)
    for note in missing.notes:
        out.say(f"warning: possibly incomplete: {note}")
    if missing.more:
        out.say(f"these are the first {options.limit:,}; there are more (--limit 0: all)")
    if not found:
        out.say("no record matches")
    return 0 if found else 1


class RecordsShown:
    """Writes records in the form that was asked for, page by page."""

    def __init__(self, out: Output, columns: str | None) -> None:
        self._out = out
        # A file has every column, also when it is looked at on a narrow terminal.
        self._names = chosen(columns, out.style if out.form == "text" else Style())
        self._columns = Columns(out.style, columns=self._names)
        self._begun = False

    def show(self, records: list[dict[str, Any]]) -> None:
        """Write some more."""
        out = self._out
        if out.form == "json":
            out.json(records)
        elif out.form == "raw":
            out.raw(record.get("message", "") for record in records)
        elif out.form == "csv":
            out.csv([] if self._begun else [self._names])
            out.csv(row_of(record, self._names) for record in records)
        else:
            self._columns.see(records)
            out.write(line for record in records for line in self._columns.lines(record))
        self._begun = True


@dataclass(slots=True)
class Missing:
    """What is not among the records of an answer."""

    #: Why some may be missing, each once.
    notes: dict[str, None] = field(default_factory=dict)
    #: Whether more match than were asked for.
    more: bool = False


def pages(
    answers: Answers, parameters: Mapping[str, Any], limit: int, missing: Missing
) -> Iterator[list[dict[str, Any]]]:
    """Return as many pages of records as are asked for (0: all); `missing` knows at the end what is not among them."""
    left = limit or None
    asked = dict(parameters)
    seen = 0
    while True:
        asked["limit"] = min(MOST_PER_PAGE, left or MOST_PER_PAGE)
        page = answers.get("/api/v1/records", asked)
        yield page["records"]
        seen += len(page["records"])
        answers.waiting.note = f"{count(seen, 'record')} so far"
        missing.notes.update(dict.fromkeys(page["incomplete"]))
        missing.more = page["next_cursor"] is not None
        left = None if left is None else left - len(page["records"])
        if not missing.more or left == 0:
            return
        # What was relative to now stays what it was for the first page.
        asked |= {"cursor": page["next_cursor"], **page["searched"]}
