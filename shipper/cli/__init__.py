"""The command `shipper`: run the product, ask it, generate what it needs."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from shipper import __version__
from shipper.errors import ShipperError

#: Files with commands, in the order of the help.
PARTS = (
    "demo",
    "run",
    "search",
    "tail",
    "request",
    "context",
    "top",
    "accounts",
    "bundle",
    "completion",
    "generate",
    "host",
    "doctor",
    "haproxy",
    "deploy",
    "retention",
    "usage",
    "setup",
    "cluster",
    "tokens",
)
#: They run on every machine, in little memory: nothing of the other commands is imported for them.
_ALONE = ("host", "doctor")

_EPILOG = """\
examples:
  shipper demo                            see the product live, with sample traffic
  shipper run --config shipper.yaml       receive, store and answer
  shipper request 6f1c2a9e                the whole story of one request
  shipper search "timed out" --since 1h   records of the last hour
  shipper top --patterns 'level:error'    errors that are alike: how often, and since when
  shipper bundle 6f1c2a9e                 all of it in one file
"""


def parser_of(parts: Sequence[str]) -> argparse.ArgumentParser:
    """Return what reads the commands of some files of this folder."""
    parser = argparse.ArgumentParser(
        prog="shipper",
        description="Centralised logging for a Mesos/Marathon cluster: every line searchable, and accounted for.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"shipper {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for part in parts:
        import_module(f"shipper.cli.{part}").add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done or found, 1 nothing found, 2 an error that the text explains."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = parser_of(given[:1] if given and given[0] in _ALONE else PARTS)
    options = parser.parse_args(given)
    try:
        return int(options.function(options))
    except ShipperError as error:
        from shipper.api.visible import visible  # only here: no other command pays for it

        print(f"error: {visible(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
