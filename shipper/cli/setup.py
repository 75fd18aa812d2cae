"""`shipper setup`: what Elasticsearch and Kibana are told before the first record comes."""

import argparse
from importlib import import_module
from typing import Final

#: Files with sub-commands, in the order of the help.
_PARTS: Final = ("setup_elasticsearch", "setup_keys", "setup_kibana")
_EPILOG: Final = """\
examples:
  shipper setup elasticsearch --config shipper.yaml --dry-run         what would change
  shipper setup keys --config shipper.yaml --username elastic --directory /etc/shipper/keys
  shipper setup kibana --help
  shipper setup kibana --url http://localhost:5601 --diff
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "setup",
        help="make Elasticsearch and Kibana ready",
        description="Make Elasticsearch and Kibana ready: look first, then change what carries our mark.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for part in _PARTS:
        import_module(f"shipper.cli.{part}").add_command(parts)
