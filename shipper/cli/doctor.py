"""`shipper doctor host`: what is wrong with logging on this host, and what to do."""

import argparse
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shipper.errors import ConfigError

if TYPE_CHECKING:
    from shipper.doctor.examination import Examination
    from shipper.doctor.findings import Finding

_CONFIG: Final = "/etc/shipper/host.json"
_URL: Final = "http://127.0.0.1:8080"
_NAME_WIDTH: Final = 13
_COLOURS: Final = {"ok": "32", "warning": "33", "failed": "31", "skipped": "2"}
_DESCRIPTION: Final = """\
Look at everything between the containers of this host and the store: one line per check, and what to do where
something is wrong. Run it as root. It takes less than 30 seconds and changes nothing; it writes one record of its own
(local0.info, program shipper-doctor) and follows it into the store.
"""
_EPILOG: Final = """\
examples:
  shipper doctor host --url http://shipper.example:8080
  shipper doctor host --json --no-canary | jq -r 'select(.verdict == "failed") | .found'
exit code, as monitoring reads it: 0 nothing wrong, 1 warnings only, 2 something failed. A check that could not be made
("skipped") says why and changes nothing.
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    doctor = commands.add_parser("doctor", help="say what is wrong, and what to do", description="Look for faults.")
    actions = doctor.add_subparsers(title="what to look at", metavar="WHAT", required=True)
    host = actions.add_parser(
        "host",
        help="logging on this host, from the containers to the store",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    url = os.environ.get("SHIPPER_URL") or _URL
    host.add_argument("--config", metavar="FILE", default=_CONFIG, help="host.json (default: %(default)s)")
    host.add_argument("--url", default=url, help=f"where shipper answers (default $SHIPPER_URL or {_URL})")
    host.add_argument("--json", action="store_true", help="one JSON object per finding")
    host.add_argument("--no-canary", action="store_true", help="write no record")
    host.set_defaults(function=_host)


def _host(options: argparse.Namespace) -> int:
    from shipper.doctor.examine import examine
    from shipper.doctor.findings import exit_code

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show every character
    findings: list[Finding] = []
    try:
        for finding in _with_progress(examine(_examination(options), with_canary=not options.no_canary), options):
            findings.append(finding)
            for line in [_json(finding)] if options.json else _lines(finding, colour=_colours()):
                print(line, flush=True)
    except BrokenPipeError:  # `| head`: nobody reads the rest, and Python must not complain at exit either
        from shipper.cli.terminal import nobody_reads

        nobody_reads()
    return exit_code(findings)


def _examination(options: argparse.Namespace) -> "Examination":
    from shipper.doctor.examination import Examination
    from shipper.host import settings, status

    refused = ""
    try:
        loaded = settings.load(options.config)
    except ConfigError as error:
        refused, loaded = str(error), settings.Settings()
    return Examination(
        config=Path(options.config),
        settings=loaded,
        refused=refused,
        ask=lambda: status.ask(loaded.status_socket),
        url=options.url,
    )


def _with_progress(findings: Iterable["Finding"], options: argparse.Namespace) -> Iterator["Finding"]:
    """Say on a terminal that more is to come, in a line that the next finding takes the place of."""
    shown = sys.stdout.isatty() and not options.json
    waiting = "… looking\r"
    if shown:
        print(waiting, end="", flush=True)
    for finding in findings:
        if shown:
            print("\x1b[K", end="")
        yield finding
        if shown:
            print(waiting, end="", flush=True)
    if shown:
        print("\x1b[K", end="", flush=True)


def _colours() -> bool:
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def _lines(finding: "Finding", *, colour: bool) -> list[str]:
    word = f"{finding.verdict:<7}"
    if colour:
        word = f"\x1b[{_COLOURS[finding.verdict]}m{word}\x1b[0m"
    lines = [f"{word}  {finding.name:<{_NAME_WIDTH}}  {_visible(finding.found)}"]
    if finding.advice:
        lines.append(f"{'':7}  {'':{_NAME_WIDTH}}  → {_visible(finding.advice)}")
    return lines


def _visible(text: str) -> str:
    """Return a text for one line, without what could steer a terminal: it may hold names that strangers chose."""
    from shipper.api.visible import visible

    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _json(finding: "Finding") -> str:
    values: dict[str, Any] = {"check": finding.name, "verdict": finding.verdict, "found": finding.found}
    return json.dumps({**values, "advice": finding.advice})
