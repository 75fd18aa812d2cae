"""What a host costs: `shipper host` and a real rsyslogd on one core, writers and a RELP receiver on the other."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.integration.host import Host
from tests.servers import debian, docker
from tests.servers.docker import Container, Docker
from tests.servers.process import wait_until

RATES = (1000, 2500, 5000, 7500, 10_000, 12_500, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000)
SECONDS = 6.0
LATENCY_RATE = 1000
LATENCY_SECONDS = 15.0
WRITERS = 4
START_SECONDS = 3.0
#: A rate that is kept up leaves nothing behind for longer than this.
CATCH_UP_SECONDS = 1.0
#: Of a rate: less than that was not written, because the writers had to wait.
_REACHED = 0.98
#: Of a core: more than that is all of it.
_FULL = 0.93
_TASK = {"MESOS_TASK_ID": "shop_api.7f4f3c9e", "MARATHON_APP_ID": "/shop/api"}
_WRITER = Path(__file__).with_name("host_writer.py")


@dataclass(frozen=True)
class Load:
    """What one rate gave: counts, seconds, milliseconds, and by process CPU seconds and the shares of a core.

    The shares are of the time in which was written; `other` is that of writers and receiver together.
    """

    asked: int
    sent: int
    dropped: int
    seconds: float
    late_seconds: float
    cpu_seconds: dict[str, float]
    cores: dict[str, float]
    other: float
    longest_send_ms: float
    median_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.sent / self.seconds

    @property
    def is_kept_up(self) -> bool:
        """Whether it was written at that rate, nothing was dropped, and nothing was left to do."""
        return not self.dropped and self.rate >= self.asked * _REACHED and self.late_seconds < CATCH_UP_SECONDS

    def cpu_per_million(self, *names: str) -> float:
        """CPU seconds of these processes per million records."""
        return sum(self.cpu_seconds[name] for name in names) / self.sent * 1e6

    def __str__(self) -> str:
        return (
            f"{self.asked:10,} {self.rate:10,.0f} {self.dropped:8,} {self.cpu_per_million('holder', 'reader'):13.1f} "
            f"{self.cpu_per_million('rsyslogd'):13.1f} {sum(self.cores.values()):6.0%} {self.other:6.0%} "
            f"{self.late_seconds:6.1f} {self.longest_send_ms:8.1f} "
            f"{self.median_ms:8.1f} {self.p99_ms:8.1f}"
        )


_HEAD = (
    f"{'asked/s':>10} {'written/s':>10} {'dropped':>8} {'reader CPU/M':>13} {'rsyslogd CPU/M':>14} {'core':>5} "
    f"{'other':>6} {'late s':>6} {'send ms':>8} {'ms':>8} {'p99':>8}"
)


class Bench:
    """A host whose processes have one core, and what measures it, which has another where there is one."""

    def __init__(self, host: Host, receiver: "subprocess.Popen[str]", daemon: Docker | None, core: int) -> None:
        self.host = host
        self._receiver = receiver
        self._docker = daemon
        self._core = core
        pids = {"holder": host.running.pid, "reader": host.reader(), "rsyslogd": host.rsyslogd()}
        self._processes = {name: psutil.Process(pid) for name, pid in {**pids, "receiver": receiver.pid}.items()}

    def load(self, rate: int, seconds: float) -> Load:
        """Write at a rate (0: as fast as the socket takes it), wait until all has come, and measure."""
        dropped, before = self.host.status()["dropped"], self._cpu()
        self._ask("reset")
        start = time.monotonic() + START_SECONDS
        arguments = [str(self.host.socket), str(rate / WRITERS), str(seconds), str(start), str(self._core)]
        said = self._write([sys.executable, "-IS", str(_WRITER), *arguments])
        written = self._since(before)
        sent = sum(int(one["sent"]) for one in said)
        wait_until(lambda: self._has_come(sent, dropped), 120, f"{sent:,} records have come")
        came = self._ask("reset")
        took = max(one["seconds"] for one in said)
        shares = {name: seconds / took for name, seconds in written.items()}
        return Load(
            asked=rate,
            sent=sent,
            dropped=sent - int(came["count"]),
            seconds=took,
            late_seconds=max(0.0, came["last_at"] - max(one["ended_at"] for one in said)),
            cpu_seconds=self._since(before),
            other=shares.pop("receiver") + sum(one["cpu_seconds"] for one in said) / took,
            cores=shares,
            longest_send_ms=max(one["longest_ms"] for one in said),
            median_ms=came["median_ms"],
            p99_ms=came["p99_ms"],
        )

    def _has_come(self, sent: int, dropped_before: int) -> bool:
        state = self.host.status()
        return bool(self._ask("count")["count"] >= sent - (state["dropped"] - dropped_before))

    def _ask(self, what: str) -> dict[str, float]:
        pipes = self._receiver
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        pipes.stdin.write(f"{what}\n")
        pipes.stdin.flush()
        answer: dict[str, float] = json.loads(pipes.stdout.readline())
        return answer

    def _cpu(self) -> dict[str, float]:
        return {name: sum(process.cpu_times()[:2]) for name, process in self._processes.items()}

    def _since(self, before: dict[str, float]) -> dict[str, float]:
        return {name: now - before[name] for name, now in self._cpu().items()}

    def _write(self, argv: Sequence[str]) -> list[dict[str, float]]:
        """Run the writers, half of them in a container where Docker is there; what they say."""
        inside = 0 if self._docker is None else WRITERS // 2
        with contextlib.ExitStack() as stack:
            container = stack.enter_context(self._contained(argv, inside)) if inside else None
            processes = [
                stack.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
                for _ in range(WRITERS - inside)
            ]
            said = [process.communicate()[0] for process in processes]
            if container is not None:
                assert container.wait() == 0, container.logs()
                said += container.logs().splitlines()
        return [json.loads(one) for one in said]

    def _contained(self, argv: Sequence[str], count: int) -> Container:
        """A container of writers: there is no Python in the image, so they have this machine's files as their own."""
        assert self._docker is not None
        command = shlex.join(["chroot", "/host", *argv])
        options = ["--volume", f"{self.host.socket}:{self.host.socket}", "--volume", "/:/host"]
        return self._docker.run("sh", "-c", f"{f'{command} & ' * count} wait", options=options, env=_TASK)


def highest(bench: Bench) -> tuple[Load | None, Load]:
    """Print a row for each rate up to the first that is not kept up; return the last one that was, and that."""
    best = None
    print(_HEAD)
    for rate in RATES:
        load = bench.load(rate, SECONDS)
        print(load, flush=True)
        if not load.is_kept_up:
            break
        best = load
    return best, load


def limit(load: Load) -> str:
    """Say in words what a rate was too much for."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in load.cores.items())
    if sum(load.cores.values()) > _FULL:
        return f"the host's core ({shares})"
    if load.other > _FULL:
        return f"the core of writers and receiver ({load.other:.0%}; the host's: {shares})"
    return f"neither core ({shares}; writers and receiver {load.other:.0%})"


@contextlib.contextmanager
def _pinned(core: int | None) -> Iterator[None]:
    """What is started inside has one core of its own."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _receiver() -> Iterator["subprocess.Popen[str]"]:
    argv = [sys.executable, "-m", "tests.bench.host_receiver"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


@contextlib.contextmanager
def _started(rsyslogd: str, folder: Path) -> Iterator[Bench]:
    cores = sorted(os.sched_getaffinity(0))
    theirs, ours = (cores[0], cores[-1]) if len(cores) > 1 else (None, None)
    with contextlib.ExitStack() as stack:
        with _pinned(ours):
            receiver = stack.enter_context(_receiver())
            daemon = stack.enter_context(docker.running()) if docker.missing() is None else None
        assert receiver.stdout is not None
        host = Host(rsyslogd, folder, int(receiver.stdout.readline()), heartbeat_seconds=10)
        with _pinned(theirs):
            stack.enter_context(host)
        where = "2 of 4 writers in a container" if daemon else f"no container: {docker.missing()}"
        print(f"host: {where}; {'one core for its processes' if theirs is not None else 'only one core for all'}")
        yield Bench(host, receiver, daemon, -1 if ours is None else ours)


def measure_host() -> None:
    """Print what a host costs on this machine, or why that cannot be measured."""
    rsyslogd = debian.find("rsyslogd")
    if rsyslogd is None:
        print("host: not measured: rsyslogd is not in .cache, nor on this machine (make servers)")
        return
    with tempfile.TemporaryDirectory(prefix="shipper-", dir="/tmp") as name, _started(rsyslogd, Path(name)) as bench:
        latency = bench.load(LATENCY_RATE, LATENCY_SECONDS)
        memory = ", ".join(f"{part} {size:.0f} MB" for part, size in bench.host.memory_mb().items())
        best, worse = highest(bench)
        print(f"highest rate without drops: {f'{best.rate:,.0f}/s' if best else 'none of these'}")
        print(f"first limit, at {worse.asked:,}/s: {limit(worse)}" if not worse.is_kept_up else "no limit found")
        print(
            f"write to received at {LATENCY_RATE:,}/s: median {latency.median_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms; "
            f"longest send {latency.longest_send_ms:.1f} ms; memory then: {memory}"
        )
