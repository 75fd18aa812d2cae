"""`shipper request`: the whole story of one request across apps."""

import argparse
from urllib.parse import quote

from shipper.cli import ask, story_shown
from shipper.cli.ask import Answers
from shipper.cli.http import NotFound
from shipper.cli.output import Output
from shipper.cli.search import RecordsShown

_EXAMPLES = """\
It begins with the verdict (complete, possibly incomplete or incomplete, and why), the first error, who took part when,
who called whom and who is usually part of it but silent; then come all records, in the order of corrected clocks.

examples:
  shipper request 6f1c2a9e
  shipper request 6f1c2a9e --json | jq -r '.message'
  shipper request 6f1c2a9e --story-json | jq .verdict
exit code: 0 found, 1 no record carries this id, 2 error
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = ask.add(commands, "request", _request, "tell the whole story of one request across apps", _EXAMPLES)
    parser.add_argument("id", metavar="ID", help="the request id")
    parser.add_argument("--columns", metavar="NAMES", help="columns of --csv, with commas between")
    ask.add_forms(parser, "raw")
    parser.add_argument(
        "--story-json", dest="form", action="store_const", const="story", help="all of the story, one JSON object"
    )


def _request(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    try:
        story = answers.get(f"/api/v1/requests/{quote(options.id, safe='')}")
    except NotFound as error:
        out.say(str(error))
        return 1
    if out.form == "story":
        out.json([story])
    elif out.form == "text" and story["records"]:
        out.write(story_shown.lines(story, out.style))
    else:
        RecordsShown(out, options.columns).show(story["records"])
        state, reasons = story_shown.verdict_of(story)
        for reason in reasons:
            out.say(f"warning: {state}: {reason}")
    return 0 if story["records"] else 1
