"""`shipper bundle`: everything about one request or one query in one file that needs no server to be read.

A bundle is a zip or a folder with fixed names; nothing in it is named after what records say:

records.ndjson   the records, one JSON object per line, exactly as the API showed them to this caller
records.db       the same for SQLite and datasette: common fields as columns, all of a record in `document`
story.json       the story of the request, when it is of one
index.html       for people: verdict, first error, services, records; no script, no outside host
manifest.json    the question, the verdict, who, when, and the SHA-256 of every other file
"""

import argparse
import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

from shipper.cli import ask
from shipper.cli.ask import Answers
from shipper.cli.output import Output
from shipper.cli.terminal import count, one_line
from shipper.errors import QueryError

MOST_RECORDS = 100_000
_EXAMPLES = f"""\
A request id gives its story and all of its records; anything else is a query. Only what the server shows is in it.

{ask.TIMES}

examples:
  shipper bundle 6f1c2a9e                              of one request, as shipper-bundle-TIME.zip
  shipper bundle 'level:error' --since 1h --out incident-42.zip
  shipper bundle --app shop-api --since 10m --out incident-42     a folder
  shipper bundle --verify incident-42.zip              are these the files that were made?
  datasette incident-42/records.db
exit code: 0 made or unchanged, 1 nothing found or changed since, 2 error
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    about = "write one file with all records of a request or a query, their story and the verdict"
    parser = ask.add(commands, "bundle", _bundle, about, _EXAMPLES)
    parser.add_argument("query", nargs="?", metavar="ID|QUERY", help="a request id, or a query as for search")
    parser.add_argument("--out", metavar="PATH", help="a new file when it ends in .zip, else a new folder")
    parser.add_argument(
        "--limit", type=ask.count_of, default=MOST_RECORDS, metavar="N", help=f"at most N records ({MOST_RECORDS:,})"
    )
    ask.add_filters(parser)
    # It asks nobody, so it is no command that needs a server.
    parser.add_argument("--verify", metavar="PATH", help="compare a bundle with its hashes, and make none")
    asking = parser.get_default("function")
    parser.set_defaults(function=lambda options: _verify(options.verify) if options.verify else asking(options))


def _bundle(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    from shipper.cli.bundle import content, package

    now = datetime.now(UTC)
    path = Path(options.out or f"shipper-bundle-{now:%Y%m%dT%H%M%SZ}.zip")
    package.must_be_new(path)
    asked = content.question(answers, options)
    if asked is None:
        raise QueryError("a bundle of what? give a request id, a query, or options as --app and --since")
    by = content.Maker(_user(), f"{now:%Y-%m-%dT%H:%M:%SZ}")
    with package.folder_beside(path) as folder:
        made = content.write(folder, answers, asked, options.limit or MOST_RECORDS, by)
        if not made.records:
            out.say("no record matches")
            return 1
        digest = package.finish(folder, path)
    out.write([f"{one_line(path)}  {count(made.records, 'record')}, {made.state}", f"sha256 of its manifest {digest}"])
    for reason in made.reasons:
        out.say(f"warning: {made.state}: {reason}")
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as containers have
        return str(os.getuid())


def _verify(name: str) -> int:
    from shipper.cli.bundle import verify

    digest, problems = verify.verify(Path(name))
    for problem in problems:
        print(one_line(problem))
    if not problems:
        print(f"{one_line(name)}: unchanged, sha256 of its manifest {digest}")
    return 1 if problems else 0
