"""What every command that asks has in common: where answers come from, how they are shown, what errors look like."""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from shipper.cli.http import Limited, Server
from shipper.cli.output import Output, output_of
from shipper.cli.terminal import cells, nobody_reads, one_line
from shipper.cli.waiting import Waiting
from shipper.errors import ConfigError, QueryError, ShipperError

DEFAULT_URL = "http://127.0.0.1:8080"
TIMES = 'times: 15m, 2h, 7d (so long ago), 2026-11-22, "2026-11-22 14:00", "yesterday 14:00"; all in UTC'
_AGO = re.compile(r"-\d")
#: An error in another parameter says so first.
_OTHER = re.compile(r"(?!query:)[a-z_]+: ")
#: How the parameters of the API are called here, in the errors that are about them.
_OPTIONS = {
    "start": "--since",
    "end": "--until",
    "min_level": "--min-level",
    "before_start": "--before",
    "before_end": "--before-until",
}
_PARAMETER = re.compile(rf"\b(?:{'|'.join(_OPTIONS)})\b")
_OF_PARAMETER = re.compile(rf"{_PARAMETER.pattern}(?:: | is not before )")
_LONGEST_TOKEN = 512
#: How often and how long, in seconds, a server that says "not so fast" is waited for.
_MOST_WAITS, _LONGEST_WAIT = 5, 60
#: Columns of a question that are shown around the place of an error.
_SHOWN = 72


class Source(Protocol):
    """Where answers come from: a server, or the files of a store."""

    #: How people call it.
    name: str

    def get(self, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a question; ShipperError in one line says why there is none."""

    def close(self) -> None:
        """Close what is open."""


class Answers:
    """Asks a source, and says on a terminal how long that takes."""

    def __init__(self, source: Source, waiting: Waiting) -> None:
        self.source = source
        self.waiting = waiting

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return the answer to a question; ShipperError in one line says why there is none.

        One that asks page after page is held to the server's limit: it waits as long as the server says.
        """
        for _ in range(_MOST_WAITS):
            with self.waiting:
                try:
                    return self.source.get(path, parameters or {})
                except Limited as limited:
                    if limited.seconds > _LONGEST_WAIT:
                        raise
                    time.sleep(limited.seconds)
        return self.source.get(path, parameters or {})


Ask = Callable[[argparse.Namespace, Answers, Output], int]


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, ask: Ask, about: str, epilog: str
) -> argparse.ArgumentParser:
    """Add a command that asks; it sets `function`, which takes the options and returns the exit code."""
    parser = commands.add_parser(
        name,
        help=about,
        description=f"{about[:1].upper()}{about[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source(parser)
    parser.set_defaults(function=lambda options: run(ask, options))
    return parser


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where answers come from."""
    where = parser.add_argument_group("where answers come from")
    url = os.environ.get("SHIPPER_URL") or DEFAULT_URL
    either = where.add_mutually_exclusive_group()
    either.add_argument("--url", default=url, help=f"where shipper answers (default $SHIPPER_URL or {DEFAULT_URL})")
    either.add_argument(
        "--store", metavar="FOLDER", help="ask the files of an SQLite store (its store.path), no server"
    )
    where.add_argument("--cluster", metavar="NAME", help="which one, when that folder has more than one")
    where.add_argument("--token-file", metavar="FILE", help="file with the token (default: $SHIPPER_TOKEN)")
    where.add_argument("--timeout", type=seconds, default=35.0, metavar="SECONDS", help="how long to wait (default 35)")


def add_forms(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add the options that say how answers are shown; `more` are forms that not every command has (raw)."""
    shown = parser.add_argument_group("how answers are shown")
    form = shown.add_mutually_exclusive_group()
    about = {
        "json": "one JSON object per line, exactly as answered",
        "csv": "rows for a spreadsheet; what begins like a formula gets an apostrophe in front",
        "raw": "the messages alone: exactly into a pipe, made visible on a terminal",
    }
    for name in ("json", "csv", *more):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, default="text", help=about[name])
    shown.add_argument("--color", "--colour", choices=("auto", "always", "never"), default="auto", help="default auto")
    shown.add_argument("--no-pager", dest="pager", action="store_false", help="write to the terminal, without $PAGER")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose records beside a query."""
    parser._negative_number_matcher = _AGO  # "--since -15m" has a value, not an option
    chosen = parser.add_argument_group("which records")
    chosen.add_argument("--app", help="name of the app, exactly, or its Marathon id (/shop/api)")
    chosen.add_argument("--host", help="name of the host, exactly")
    chosen.add_argument("--level", action="append", default=[], help="this level; may be repeated")
    chosen.add_argument("--min-level", metavar="LEVEL", help="this level and all that are more important")
    chosen.add_argument("--request-id", metavar="ID", help="request id, exactly")
    chosen.add_argument("--since", metavar="TIME", help="earliest time, included")
    chosen.add_argument("--until", metavar="TIME", help="latest time, not included")


def filters_of(options: argparse.Namespace, query: str | None) -> dict[str, Any]:
    """Return the parameters that choose records."""
    return {
        "query": query,
        "app": options.app,
        "host": options.host,
        "level": options.level,
        "min_level": options.min_level,
        "request_id": options.request_id,
        "start": options.since,
        "end": options.until,
    }


def count_of(text: str) -> int:
    """Read a count."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        raise argparse.ArgumentTypeError(f"not a count: {one_line(text)!r:.80}")
    return int(text)


def seconds(text: str) -> float:
    """Read a number of seconds."""
    try:
        found = float(text)
    except ValueError:
        found = 0
    if not 0 < found <= 86_400:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {one_line(text)!r:.80}")
    return found


def token_of(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> str:
    """Return the token to show: of --token-file, else of $SHIPPER_TOKEN; "" for none. ConfigError when it is none."""
    token, where = environment.get("SHIPPER_TOKEN", ""), "$SHIPPER_TOKEN"
    if options.token_file:
        where = f"--token-file {one_line(options.token_file)}"
        try:
            with Path(options.token_file).open(errors="replace") as file:
                token = file.read(_LONGEST_TOKEN + 100)
        except OSError as error:
            raise ConfigError(f"{where}: {error.strerror}") from None
        if not token.strip():
            raise ConfigError(f"{where}: there is no token in it")
    token = token.strip()
    if len(token) > _LONGEST_TOKEN or any(not "!" <= char <= "~" for char in token):
        raise ConfigError(f"{where}: not a token (one word of at most {_LONGEST_TOKEN} ASCII characters)")
    return token


def source_of(options: argparse.Namespace) -> Source:
    """Return where answers come from, as the options say."""
    if options.store is None:
        if options.cluster is not None:
            raise QueryError("--cluster chooses among the files of --store: a server has one cluster, set --url")
        return Server(options.url, token_of(options), options.timeout)
    from shipper.cli.embedded import Embedded  # brings the whole application: only when it is asked for

    return Embedded(options.store, options.cluster, options.timeout)


def run(ask: Ask, options: argparse.Namespace) -> int:
    """Run a command whose reader may go away (`| head`, `q` in a pager) or cannot show every character."""
    if sys.stdout is None:
        raise ShipperError("there is nowhere to write to: stdout is closed")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    out = output_of(
        getattr(options, "form", "text"), getattr(options, "color", "auto"), getattr(options, "pager", False)
    )
    try:
        with closing(source_of(options)) as source, out:
            code = ask(options, Answers(source, Waiting(lambda: not out.paged)), out)
        sys.stdout.flush()
    except BrokenPipeError:
        if not out.paged:
            nobody_reads()  # that is no error
        return 0
    except QueryError as error:
        raise pointed(in_options(error), getattr(options, "query", None)) from None
    except OSError as error:  # those of a source are errors of ours already
        nobody_reads()
        raise ShipperError(f"the answer cannot be written: {error.strerror}") from None
    return code


def in_options(error: QueryError) -> QueryError:
    """Return an error about a parameter of the API as one about the option that sets it here."""
    text = str(error)
    if not _OF_PARAMETER.match(text):
        return error
    ours, quote, theirs = text.partition("'")
    return QueryError(_PARAMETER.sub(lambda found: _OPTIONS[found[0]], ours) + quote + theirs, error.position)


def pointed(error: QueryError, query: str | None) -> QueryError:
    """Return an error in a query with the query below it, and a caret where it went wrong."""
    place = error.position
    if query is None or place is None or not 0 <= place <= len(query) or _OTHER.match(str(error)):
        return error
    start = max(0, place - _SHOWN // 2)
    before, after = one_line(query[start:place]), one_line(query[place : start + _SHOWN])
    cut = "…" if start else ""
    more = "…" if start + _SHOWN < len(query) else ""
    caret = " " * cells(cut + before) + "^"
    return QueryError(f"{error}\n  {cut}{before}{after}{more}\n  {caret}", place)
