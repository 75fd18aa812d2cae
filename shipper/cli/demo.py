"""`shipper demo`: see the whole product live on this machine."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shipper.errors import ConfigError

if TYPE_CHECKING:
    from shipper.demo.run import Options

_EPILOG = """\
The real rsyslogd is used when it is installed (packages rsyslog and rsyslog-relp), else a socket of shipper's own.
Everything is written below --dir; its own log is in shipper.log there.

With --cluster the same happens on a small cluster: three emulated hosts, each with rsyslogd and HAProxy, on which
Marathon runs the shipper, the API and the services as tasks. It needs HAProxy, too, and the source of shipper.
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "demo",
        help="see the product live, with sample traffic",
        description="Run the whole product on this machine, with three small services that log into it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=_port, default=8080, help="of the page and the API (default 8080; in use: a free one)"
    )
    parser.add_argument(
        "--dir", type=Path, default=Path(".shipper-demo"), help="all is kept there (default .shipper-demo)"
    )
    parser.add_argument("--rate", type=_positive, default=5.0, metavar="N", help="requests per second (default 5)")
    parser.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds (default: at Ctrl-C)")
    parser.add_argument(
        "--seed", default="", metavar="TEXT", help="the same seed gives the same requests (default: new ones)"
    )
    parser.add_argument("--cluster", action="store_true", help="on an emulated cluster of Mesos and Marathon")
    parser.add_argument(
        "--elasticsearch", type=_url, metavar="URL", help="with --cluster: three shippers that store there"
    )
    parser.set_defaults(function=_demo)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to 65535")
    return port


def _url(text: str) -> str:
    found = urlsplit(text)
    if found.scheme not in ("http", "https") or not found.hostname or "@" in found.netloc:
        raise argparse.ArgumentTypeError(f"{text} is not http://host:port, without user and password")
    return text.rstrip("/")


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and below 1,000,000")
    return number


def _demo(arguments: argparse.Namespace) -> int:
    import uvloop

    from shipper.demo.run import Options

    if arguments.elasticsearch and not arguments.cluster:
        raise ConfigError("--elasticsearch is for --cluster: the demo without stores in SQLite")
    options = Options(arguments.dir, arguments.port, arguments.rate, arguments.seconds, arguments.seed)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_until_signal(options, arguments))
        except TimeoutError:
            print(f"error: the stop took too long, see {options.directory / 'shipper.log'}", file=sys.stderr)
            return 1
    return 0


async def _until_signal(options: "Options", arguments: argparse.Namespace) -> None:
    from shipper.demo.run import run

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if arguments.cluster:
        from shipper.demo import cluster

        await cluster.run(options, arguments.elasticsearch or "", stopping, sys.stdout)
    else:
        await run(options, stopping, sys.stdout)
