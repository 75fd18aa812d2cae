"""`shipper run` and `shipper check-config`."""

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from shipper.cli.config_options import add_config

if TYPE_CHECKING:
    from shipper.api.serve import Addresses
    from shipper.config import Config


#: What is read, in order.
_CONFIG = "YAML file; SHIPPER_… variables come on top (default: $SHIPPER_CONFIG, else built-in defaults)"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser("run", help="receive, store and answer", description="Receive, store and answer.")
    add_config(parser, _CONFIG)
    parser.set_defaults(function=_run)
    parser = commands.add_parser(
        "check-config", help="check the configuration and print it", description="Check the configuration and print it."
    )
    add_config(parser, _CONFIG)
    parser.set_defaults(function=_check)


def _check(options: argparse.Namespace) -> int:
    import yaml

    from shipper import config
    from shipper.api.access import entrance

    loaded = config.load(options.config)
    entrance.check(loaded.api)
    print(yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False), end="")
    print(f"# {options.config or 'defaults and environment'}: ok", file=sys.stderr)
    return 0


def _run(options: argparse.Namespace) -> int:
    import uvloop

    from shipper import config, telemetry

    loaded = config.load(options.config)
    telemetry.set_up_logging(loaded.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(loaded))


async def _serve(loaded: "Config") -> int:
    import logging

    from shipper.api.serve import serve

    log = logging.getLogger("shipper")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    def started(addresses: "Addresses") -> None:
        log.info("started", extra={"http": addresses.http, **dict(addresses.sources)})

    try:
        await serve(loaded, stopping, started)
    except TimeoutError:
        log.error("the stop took too long; what was not acknowledged will be sent again")  # noqa: TRY400  no bug
        return 1
    log.info("stopped: everything accepted is stored")
    return 0
