"""A whole cluster on this machine without images: `shipper demo --cluster`.

The emulator of the tests stands for Mesos, Marathon and Chronos; rsyslogd, HAProxy and the shipper are the real ones.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, Final, TextIO

from shipper import telemetry
from shipper.cluster.settings import ClusterSettings
from shipper.demo import cluster_tour
from shipper.demo.cluster_apps import Machine, definitions
from shipper.demo.cluster_containers import contained
from shipper.demo.cluster_emulator import HOSTS, Emulator, source_folder
from shipper.demo.cluster_host import ClusterHost, haproxy_path
from shipper.demo.cluster_place import folder_of_hosts, free_ports
from shipper.demo.run import Options, ended, lock
from shipper.demo.screen import Screen
from shipper.deploy import files
from shipper.deploy.asking import Limits
from shipper.deploy.outcome import Outcome
from shipper.deploy.progress import Progress
from shipper.deploy.run import Way, carry_out, survey
from shipper.errors import ConfigError
from shipper.generate import rsyslog

#: Service ports of RELP and of the shippers' own HTTP; the API's is the port that a person chooses.
_RELP_PORT: Final = 5140
_SHIPPER_PORT: Final = 5141
_LIMITS: Final = Limits(wait=120, look=0.2)
#: Most requests per second that the samples play.
_MOST_REQUESTS: Final = 50


async def run(options: Options, elasticsearch: str, stopping: asyncio.Event, stream: TextIO) -> None:
    """Show the cluster until `stopping` is set; ConfigError when it cannot. `elasticsearch`: address, "": SQLite."""
    _find_programs()
    directory = options.directory.absolute()
    with lock(directory, options.directory), (directory / "shipper.log").open("a", encoding="utf-8") as log_stream:
        telemetry.set_up_logging("INFO", log_stream)
        screen = Screen(stream, stopping.set)
        if options.seconds is not None:
            asyncio.get_running_loop().call_later(options.seconds, stopping.set)
        with folder_of_hosts(directory / "cluster", screen) as work:
            showing = asyncio.ensure_future(_Cluster(options, elasticsearch, work, screen).show())
            stop = asyncio.ensure_future(stopping.wait())
            await asyncio.wait((showing, stop), return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                screen.say("stopping", "the hosts send what they have")
            stop.cancel()
            await ended(showing)
        screen.say("stopped", f"what they wrote is in {options.directory / 'cluster'} until the next start")


def _find_programs() -> None:
    """Put programs of this installation, and servers that the tests have got, on the PATH of all that is started."""
    cached = source_folder() / ".cache/bin"
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), str(cached), "/usr/sbin", "/sbin"]
    )
    haproxy_path()
    if rsyslog.find() is None:
        raise ConfigError(f"rsyslogd {rsyslog.MISSING}")


class _Cluster:
    """One run of the cluster."""

    def __init__(self, options: Options, elasticsearch: str, work: Path, screen: Screen) -> None:
        self._options = options
        self._elasticsearch = elasticsearch
        self._work = work
        self._screen = screen
        self._folder = options.directory.absolute() / "cluster"
        self._apps = options.directory / "cluster/marathon-apps"

    async def show(self) -> None:
        """Start everything, say what there is, and go on until cancelled; what was started has ended then."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with contextlib.ExitStack() as stack:
            contain = self._contain(stack)
            emulator = Emulator(self._work, self._folder / "emulator.log")
            try:
                await emulator.start()
                machine = self._machine(emulator, contain)
                self._say_what_there_is(machine)
                async with self._hosts(emulator, machine) as hosts:
                    url = f"http://{HOSTS[0]}:{machine.api_port}"
                    request = await cluster_tour.request_to_show(url)
                    self._screen.say("ready", f"in {loop.time() - began:.0f} s")
                    cluster_tour.show(self._screen, url, emulator.marathon, emulator.mesos, self._apps, request)
                    await _together(emulator.watch(), *(host.watch() for host in hosts))
            finally:
                await emulator.stop()

    def _contain(self, stack: contextlib.ExitStack) -> str:
        try:
            return stack.enter_context(contained(self._work))
        except ConfigError as error:
            self._screen.say("samples", f"write to stdout, not to /dev/log of a container: {error}")
            return ""

    def _machine(self, emulator: Emulator, contain: str) -> Machine:
        relp_port, shipper_port, api_port = free_ports((_RELP_PORT, _SHIPPER_PORT, self._options.port))
        if api_port != self._options.port != 0:
            self._screen.say("port", f"{self._options.port} is in use; taking a free one")
        return Machine(
            marathon=emulator.marathon,
            mesos=emulator.mesos,
            relp_port=relp_port,
            shipper_port=shipper_port,
            api_port=api_port,
            data=self._folder / "data",
            elasticsearch=self._elasticsearch,
            contain=contain,
            rate=max(1, min(_MOST_REQUESTS, round(self._options.rate))),
            seed=self._options.seed,
        )

    def _say_what_there_is(self, machine: Machine) -> None:
        self._screen.say("cluster", f"{', '.join(HOSTS)}: emulated hosts of Mesos, with Marathon and Chronos")
        way = "/dev/log" if machine.contain else "stdout"
        self._screen.say("traffic", f"tasks -> {way} -> shipper host -> rsyslogd -> RELP -> HAProxy -> shipper")
        store = f"SQLite in {self._options.directory / 'cluster/data'}: one shipper, as only one can write there"
        self._screen.say("store", machine.elasticsearch or store)

    @contextlib.asynccontextmanager
    async def _hosts(self, emulator: Emulator, machine: Machine) -> AsyncIterator[list[ClusterHost]]:
        """Run the hosts, and on them the product and the samples."""
        for path, text in definitions(machine).items():
            file = self._folder / "marathon-apps" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        hosts = [ClusterHost(emulator.root(host), host, machine.relp_port) for host in HOSTS]
        settings = ClusterSettings(marathon_urls=[emulator.marathon], chronos_urls=[emulator.chronos])
        try:
            await _together(*(host.start(emulator.marathon) for host in hosts), self._deploy(settings, self._apps))
            self._screen.say("hosts", "shipper host, rsyslogd and HAProxy run on each")
            await self._deploy(settings, self._apps / "samples")  # after the log sockets, which they mount
            yield hosts
        finally:
            await asyncio.gather(*(host.stop() for host in hosts))

    async def _deploy(self, settings: ClusterSettings, folder: Path) -> None:
        """Do what `shipper deploy --apps FOLDER` does; ConfigError when something is not as wanted then."""
        with (self._folder / "deploy.log").open("a", encoding="utf-8") as stream:
            progress = Progress(stream, columns=None)
            plan = await survey(files.read(files.in_directory(folder)), settings, _LIMITS, progress)
            outcomes: list[Outcome] = []
            await carry_out(plan, settings, Way(_LIMITS), progress, outcomes.append)
        bad = [outcome for outcome in outcomes if not outcome.good]
        if bad:
            raise ConfigError(f"{bad[0].name} {bad[0].state}: {bad[0].detail}")
        self._screen.say("deploy", ", ".join(outcome.name for outcome in outcomes))


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """Do all at the same time; the first error ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
