"""The commands that ask: search, request, ledger, dead-letters. They speak HTTP to a running shipper, nothing else."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from shipper.cli import ledger, terminal
from shipper.errors import QueryError, ShipperError, StoreBusy

DEFAULT_URL = "http://127.0.0.1:8080"
MOST_PER_PAGE = 1000
_MOST_BYTES = 512 * 2**20
_TIMES = 'times: 15m, 2h, 7d (so long ago), 2026-11-22, "2026-11-22 14:00", "yesterday 14:00"; all in UTC'

_SEARCH_EXAMPLES = f"""\
{_TIMES}

examples:
  shipper search --since 15m                           what happened in the last 15 minutes
  shipper search "timed out" --app shop-api            messages with these two words
  shipper search '"timed out"' --min-level error       ... next to each other, in errors
  shipper search --host web-3 --since "yesterday 14:00" --until "yesterday 15:00" --order oldest
  shipper search --app shop-api --limit 0 --json       every record, one JSON object per line
exit code: 0 found, 1 nothing found, 2 error
"""
_REQUEST_EXAMPLES = """\
examples:
  shipper request 6f1c2a9e
  shipper request 6f1c2a9e --json | jq -r '.message'
exit code: 0 found, 1 no record carries this id, 2 error
"""
_LEDGER_HELP = """\
With --json: a line per series, then a line per host (those have "state").

examples:
  shipper ledger                                       every series and every host
  shipper ledger --host web-3                          one host, and what happened on it
  shipper ledger --json | jq -r 'select(.alarm) | .host'
exit code: 0 found, 1 nothing in the ledger, 2 error
"""


_AGO = re.compile(r"-\d")


class _NotFound(ShipperError):
    """The server answered 404."""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to a parser; each sets `function`, which takes the options and returns the exit code."""
    search = _add(commands, "search", _search, "find records by words, app, host, level and time", _SEARCH_EXAMPLES)
    search._negative_number_matcher = _AGO  # "--since -15m" has a value, not an option
    search.add_argument("text", nargs="?", metavar="TEXT", help='words of the message; "in quotes": next to each other')
    search.add_argument("--app", help="name of the app, exactly")
    search.add_argument("--host", help="name of the host, exactly")
    search.add_argument("--level", action="append", default=[], help="this level; may be repeated")
    search.add_argument("--min-level", metavar="LEVEL", help="this level and all that are more important")
    search.add_argument("--request-id", metavar="ID", help="request id, exactly")
    search.add_argument("--since", metavar="TIME", help="earliest time, included")
    search.add_argument("--until", metavar="TIME", help="latest time, not included")
    search.add_argument("--limit", type=_count, default=100, metavar="N", help="at most so many, 0: all (default 100)")
    search.add_argument(
        "--order", choices=("newest", "oldest"), default="newest", help="which comes first (default newest)"
    )
    request = _add(commands, "request", _request, "tell the whole story of one request across apps", _REQUEST_EXAMPLES)
    request.add_argument("id", metavar="ID", help="the request id")
    account = _add(
        commands, "ledger", _ledger, "account for every record of every host: settled, or missing and why", _LEDGER_HELP
    )
    account.add_argument("--host", help="of one host only")
    letters = _add(
        commands, "dead-letters", _dead_letters, "list records that no store would take, with the reason", ""
    )
    letters.add_argument("action", nargs="?", choices=("list",), default="list", help="list them (the default)")
    letters.add_argument("--limit", type=_count, default=100, metavar="N", help="at most so many (default 100)")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    ask: Callable[[argparse.Namespace], int],
    about: str,
    epilog: str,
) -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        name, help=about, description=about.capitalize() + ".", epilog=epilog, formatter_class=formatter
    )
    url = os.environ.get("SHIPPER_URL") or DEFAULT_URL
    parser.add_argument("--json", action="store_true", help="one JSON object per line, exactly as stored")
    parser.add_argument("--url", default=url, help=f"where shipper answers (default $SHIPPER_URL or {DEFAULT_URL})")
    parser.add_argument("--timeout", type=float, default=35.0, metavar="SECONDS", help="how long to wait (default 35)")
    parser.set_defaults(function=lambda options: _to_a_reader(ask, options))
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise argparse.ArgumentTypeError(f"not a count: {text!r}")
    return int(text)


def _to_a_reader(ask: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a command whose reader may go away (`| head`) or cannot show every character."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = ask(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more: that is no error, and Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _search(options: argparse.Namespace) -> int:
    parameters = {
        "text": options.text,
        "app": options.app,
        "host": options.host,
        "level": options.level,
        "min_level": options.min_level,
        "request_id": options.request_id,
        "start": options.since,
        "end": options.until,
        "order": options.order,
    }
    columns = terminal.Columns(terminal.style_of(sys.stdout))
    found = 0
    for records in _pages(options, parameters):
        found += len(records)
        columns.see(records)
        for record in records:
            _write([json.dumps(record, ensure_ascii=False)] if options.json else columns.lines(record))
    if not found:
        _say("no record matches")
    return 0 if found else 1


def _pages(options: argparse.Namespace, parameters: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Return as many pages of records as are asked for; say at the end what is not among them."""
    left = options.limit or None
    incomplete: dict[str, None] = {}
    while True:
        parameters["limit"] = min(MOST_PER_PAGE, left or MOST_PER_PAGE)
        page = fetch(options, "/api/v1/records", parameters)
        yield page["records"]
        incomplete.update(dict.fromkeys(page["incomplete"]))
        left = None if left is None else left - len(page["records"])
        if page["next_cursor"] is None or left == 0:
            break
        # What was relative to now stays what it was for the first page.
        parameters |= {"cursor": page["next_cursor"], **page["searched"]}
    for note in incomplete:
        _say(f"warning: possibly incomplete: {note}")
    if page["next_cursor"] is not None:
        _say(f"these are the first {options.limit:,}; there are more (--limit 0: all)")


def _request(options: argparse.Namespace) -> int:
    from urllib.parse import quote

    try:
        story = fetch(options, f"/api/v1/requests/{quote(options.id, safe='')}")
    except _NotFound as error:
        _say(str(error))
        return 1
    if options.json:
        _write(json.dumps(record, ensure_ascii=False) for record in story["records"])
        for note in story["incomplete"]:
            _say(f"warning: possibly incomplete: {note}")
    else:
        _write(terminal.story_lines(story, terminal.style_of(sys.stdout)))
    return 0 if story["records"] else 1


def _ledger(options: argparse.Namespace) -> int:
    found = fetch(options, "/api/v1/ledger", {"host": options.host})
    anything = bool(found["series"] or found["hosts"])
    if options.json:
        _write(json.dumps(line, ensure_ascii=False) for line in (*found["series"], *found["hosts"]))
    elif anything:
        _write(ledger.ledger_lines(found, terminal.style_of(sys.stdout)))
    else:
        _say("nothing in the ledger")
    for note in found["incomplete"]:
        _say(f"warning: {note}")
    return 0 if anything else 1


def _dead_letters(options: argparse.Namespace) -> int:
    limit = min(options.limit or MOST_PER_PAGE, MOST_PER_PAGE)
    letters = fetch(options, "/api/v1/dead-letters", {"limit": limit})["dead_letters"]
    if options.json:
        _write(json.dumps(letter, ensure_ascii=False) for letter in letters)
    else:
        _write(terminal.letter_lines(letters, terminal.style_of(sys.stdout)))
    if not letters:
        _say("no dead letters")
    return 0 if letters else 1


def _write(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _say(text: str) -> None:
    """Say something beside the answer, where it does not end up in a pipe."""
    sys.stdout.flush()
    print(terminal.one_line(text), file=sys.stderr)


def fetch(options: argparse.Namespace, path: str, parameters: dict[str, Any] | None = None) -> Any:
    """Return the answer of the API to a question; ShipperError in one line says why there is none."""
    # Imported here: `shipper --help` must not wait for it.
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.parse import urlencode
    from urllib.request import Request

    base = options.url.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise QueryError(f"not a URL: {terminal.one_line(base)} (it begins with http:// or https://)")
    given = {name: value for name, value in (parameters or {}).items() if value not in (None, "", [])}
    query = f"?{urlencode(given, doseq=True, errors='replace')}" if given else ""
    try:
        request = Request(base + path + query, headers={"Accept": "application/json"})  # noqa: S310 -- checked above
        with _opener().open(request, timeout=options.timeout) as answer:
            return _read(answer, base)
    except HTTPError as error:
        with error:
            raise _refused(error, base) from None
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise StoreBusy(
            f"cannot reach {base} ({_reason(error)}): is shipper running? set SHIPPER_URL or --url"
        ) from None


def _opener() -> Any:
    """Return what opens URLs without redirects and without proxies: what is asked goes to `--url` and nowhere else."""
    from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

    class NoRedirects(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return build_opener(ProxyHandler({}), NoRedirects())


def _read(answer: Any, base: str) -> Any:
    body = answer.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise StoreBusy(f"{base} answered more than {_MOST_BYTES:,} bytes")
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StoreBusy(f"what answers at {base} is not shipper: set SHIPPER_URL or --url")
    return found


def _refused(error: Any, base: str) -> ShipperError:
    """Return what an answer other than 200 means."""
    try:
        message = str(json.loads(error.read(2**20))["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return StoreBusy(f"what answers at {base} is not shipper (HTTP {error.code}): set SHIPPER_URL or --url")
    message = terminal.one_line(message)
    if error.code == 404:
        return _NotFound(message)
    return QueryError(message) if error.code == 400 else StoreBusy(message)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.errno and cause.strerror:
        return cause.strerror.lower()
    return terminal.one_line(cause) or type(cause).__name__
