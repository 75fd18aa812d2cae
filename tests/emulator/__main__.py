"""The program `python -m tests.emulator --work DIR`: one line of JSON says where it listens; it runs until SIGTERM."""

import argparse
import asyncio
import json
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.emulator import chronos, follower, guard, marathon, mesos
from tests.emulator.docker import Docker
from tests.emulator.engine import Engine
from tests.emulator.model import make_world
from tests.emulator.profiles import PROFILES
from tests.emulator.running import Runner

LOCALHOST = "127.0.0.1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for sandboxes and the hosts' files")
    parser.add_argument("--profile", choices=PROFILES, default="1.10")
    parser.add_argument("--agents", default="127.0.1.1,127.0.1.2,127.0.1.3", help="loopback addresses")
    parser.add_argument("--user", default="", help="ask for HTTP Basic credentials")
    parser.add_argument("--password", default="")
    parser.add_argument("--token", default="", help="ask for DC/OS's `Authorization: token=…`")
    parser.add_argument("--time-scale", type=float, default=1.0, help="of health intervals and back-off")
    parser.add_argument("--docker-host", default="", help="run apps of type DOCKER as containers of this daemon")
    parser.add_argument("--port", type=int, default=0, help="Marathon's; 0 for any")
    parser.add_argument("--follower", action="store_true", help="a second Marathon, which does not lead")
    return parser.parse_args()


async def _serve(stack: AsyncExitStack, app: web.Application, host: str, port: int = 0) -> int:
    """Answer there until the end; the port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port)
    await site.start()
    return int(runner.addresses[0][1])


async def _run(arguments: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    work = arguments.work.resolve()
    world = make_world(work, PROFILES[arguments.profile], arguments.agents.split(","), arguments.time_scale)
    async with AsyncExitStack() as stack:
        stack.callback(_guard(work).communicate)  # its input ends, so it looks once more and ends, too
        runner = Runner(world, Docker(arguments.docker_host) if arguments.docker_host else None)
        stack.push_async_callback(runner.close)
        engine = Engine(world, runner)
        stack.push_async_callback(engine.close)
        for agent in world.agents.values():
            agent.port = await _serve(stack, mesos.agent(world, agent), agent.host)
        urls = await _serve_marathon(stack, engine, arguments) | {
            "mesos": f"http://{LOCALHOST}:{await _serve(stack, mesos.master(world), LOCALHOST)}",
            "chronos": f"http://{LOCALHOST}:{await _serve(stack, chronos.application(world, runner), LOCALHOST)}",
        }
        agents = {agent.host: f"http://{agent.host}:{agent.port}" for agent in world.agents.values()}
        print(json.dumps({**urls, "agents": agents}), flush=True)
        await stopping.wait()
        engine.events.cut()  # else the listeners' connections are waited for


async def _serve_marathon(stack: AsyncExitStack, engine: Engine, arguments: argparse.Namespace) -> dict[str, str]:
    """The leader, and the follower when there is to be one."""
    authorization = f"token={arguments.token}" if arguments.token else ""
    if arguments.user:
        authorization = aiohttp.BasicAuth(arguments.user, arguments.password).encode()
    port = arguments.port or _free_port()
    address = f"{LOCALHOST}:{port}"
    await _serve(stack, marathon.application(engine, address, authorization), LOCALHOST, port)
    urls = {"marathon": f"http://{address}"}
    if arguments.follower:
        other = await _serve(stack, follower.application(urls["marathon"], "follower"), LOCALHOST)
        urls["follower"] = f"http://{LOCALHOST}:{other}"
    return urls


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def _guard(work: Path) -> "subprocess.Popen[bytes]":
    """Ends the tasks when this process ends without doing so, for its standard input closes then."""
    return subprocess.Popen(
        [sys.executable, "-I", guard.__file__, str(work)], stdin=subprocess.PIPE, start_new_session=True
    )


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
