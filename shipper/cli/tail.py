"""`shipper tail`: records as they are written, through restarts of the server."""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from shipper.api.feed_seen import Seen
from shipper.cli import ask
from shipper.cli._events import Event, Events, Lost
from shipper.cli.ask import Answers
from shipper.cli.http import query_of
from shipper.cli.output import Output
from shipper.cli.search import RecordsShown
from shipper.cli.terminal import count
from shipper.errors import QueryError, StoreBusy

#: Pause before connecting again, in seconds, before jitter; it doubles up to the longest.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_EXAMPLES = """\
Shows each record within a second of its writing. Says on stderr what was skipped when this side was too slow, and
reconnects without a gap when the server goes away for a while.

examples:
  shipper tail                                    everything
  shipper tail 'level:error' --app shop-api       errors of one app
  shipper tail '"timed out"' --back 20            the last 20 first, then what comes
  shipper tail 'app:shop-api' --json | jq -r .message
  shipper tail 'app:shop-api and level:error' --for 60 --count 1   wait for one, a minute at most
exit code: 0 found, 1 nothing found (--for), 2 error, 130 Ctrl-C
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = ask.add(commands, "tail", _tail, "follow records as they are written", _EXAMPLES)
    parser.add_argument("query", nargs="?", metavar="QUERY", help="words or the query language, as of search")
    ask.add_filters(parser)
    parser.add_argument("--back", type=ask.count_of, default=0, metavar="N", help="show the last N first (most 1000)")
    parser.add_argument("--for", dest="for_seconds", type=ask.seconds, metavar="SECONDS", help="end after so long")
    parser.add_argument("--count", type=ask.count_of, default=0, metavar="N", help="end after N records")
    parser.add_argument("--columns", metavar="NAMES", help="which columns, with commas between (default: what fits)")
    ask.add_forms(parser, "raw")
    parser.set_defaults(pager=False)


def _tail(options: argparse.Namespace, _: Answers, out: Output) -> int:
    if options.since or options.until:
        raise QueryError("a tail begins now and has no end: --back N shows older ones, shipper search a time range")
    if options.store is not None:
        raise QueryError("a tail follows a server, not files: leave --store out, set --url")
    events = Events(options.url, ask.token_of(options), options.timeout)
    until = None if options.for_seconds is None else time.monotonic() + options.for_seconds
    filters = ask.filters_of(options, options.query)
    shown = RecordsShown(out, options.columns)
    seen = Seen()
    found = 0
    for event in _follow(events, {**filters, "back": options.back or None}, until, out):
        if event.name != "record":
            _beside(event, out)
        elif seen.add(str(event.data.get("id"))):
            shown.show([event.data])
            sys.stdout.flush()
            found += 1
            if found == options.count:
                break
    if found or options.for_seconds is None:
        return 0
    out.say("no record matched")
    return 1


def _follow(events: Events, parameters: dict[str, Any], until: float | None, out: Output) -> Iterator[Event]:
    """Give events until the time is over, connecting again when the connection is lost."""
    connected = False
    pause = _FIRST_PAUSE
    while True:
        try:
            for event in events.read("/api/v1/tail" + query_of(parameters), until):
                connected = True
                pause = _FIRST_PAUSE
                if event is not None:
                    yield event
        except Lost as lost:
            if not connected:
                raise StoreBusy(f"cannot follow ({lost}): is shipper running? set SHIPPER_URL or --url") from None
            if pause == _FIRST_PAUSE:
                out.say("connection lost, reconnecting")
        else:
            return
        seconds = pause * random.uniform(0.5, 1.5)  # noqa: S311  jitter, not a secret
        if until is not None and time.monotonic() + seconds >= until:
            time.sleep(max(0.0, until - time.monotonic()))
            return
        time.sleep(seconds)
        pause = min(pause * 2, _LONGEST_PAUSE)
        if events.last_id:
            parameters = {**parameters, "back": None}


def _beside(event: Event, out: Output) -> None:
    if event.name == "skipped":
        number = event.data.get("count")
        told = count(number, "record") if isinstance(number, int) else "records"
        out.say(f"skipped {told}: {event.data.get('reason', '')}")
    elif event.name == "note":
        out.say(f"note: {event.data.get('text', '')}")
