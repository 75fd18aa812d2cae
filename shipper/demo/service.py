"""One of the shop's three services as a program of its own: `python -m shipper.demo.service orders --socket /dev/log`.

Without a socket it writes its lines to stdout.

The services do not call each other. Each plays the same requests, which the same seed gives, at the same seconds of the
clock, and writes its own part of them: together they tell whole stories, on however many hosts they run.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shipper.demo.services import Shop
from shipper.demo.writer import Writer

SERVICES: Final = ("gateway", "orders", "payments")


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--socket", type=Path, help="log socket to write to (default: lines to stdout)")
    parser.add_argument("--rate", type=int, default=2, choices=range(1, 51), metavar="N", help="requests per second")
    parser.add_argument("--seed", default="shop", help="the same for all three")
    options = parser.parse_args()
    asyncio.run(_until_signal(options))


async def _until_signal(options: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if options.socket is None:
        await play(options.service, _print, options.rate, options.seed, stopping)
        return
    writer = Writer(options.socket)
    try:
        await play(options.service, writer.send, options.rate, options.seed, stopping)
    finally:
        writer.close()


def _print(message: bytes) -> bool:
    """Write a message without its syslog header."""
    sys.stdout.buffer.write(message.partition(b"]: ")[2] + b"\n")
    sys.stdout.buffer.flush()
    return True


async def play(service: str, send: Callable[[bytes], bool], rate: int, seed: str, stopping: asyncio.Event) -> None:
    """Play the requests of each second of the clock from its start on, and write the part of one service."""
    tag = f" {service}[".encode()
    shop = Shop(lambda message: tag in message[:64] and send(message), seed=seed)
    async with asyncio.TaskGroup() as running:
        while not stopping.is_set():
            second = int(time.time()) + 1
            for number in range(rate):
                running.create_task(_request(shop, second, number, f"{seed} {second} {number}"))
            try:
                await asyncio.wait_for(stopping.wait(), second - time.time() + 0.5)
            except TimeoutError:
                continue


async def _request(shop: Shop, second: int, number: int, seed: str) -> None:
    """Play one request somewhere in its second, the same place for all services."""
    place = random.Random(seed).random()  # noqa: S311 no secret
    await asyncio.sleep(max(0.0, second + place - time.time()))
    await shop.request(second * 100 + number)


if __name__ == "__main__":
    main()
