"""Who wrote a datagram, with a real Docker daemon: never a wrong container or task, and how many are found."""

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from shipper.host.docker_lines import TAG, DockerLine, DockerLines
from shipper.host.intake import Intake
from shipper.host.origins import Origin, Origins
from shipper.host.processes import last_cgroup_id
from tests.servers.docker import Container, Docker
from tests.servers.process import wait_until


@dataclass(frozen=True)
class Heard:
    """One datagram, who is said to have written it, and how long finding that out took."""

    data: bytes
    origin: Origin
    seconds: float

    @property
    def members(self) -> dict[str, str]:
        parsed: dict[str, str] = orjson.loads(b'{"":""' + self.origin.json + b"}")
        del parsed[""]
        return parsed


class Listener:
    """Reads a socket as the reader does, in a thread, and asks at once who wrote."""

    def __init__(self, folder: Path, origins: Origins, *, pidfds: bool = True) -> None:
        self.path = folder / "log"
        self.origins = origins
        self.heard: list[Heard] = []
        self._pidfds = pidfds
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self.path.chmod(0o666)
        self._stopping, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        os.close(self._stop)
        self._thread.join()
        os.close(self._stopping)
        self._socket.close()

    def about(self, text: str) -> list[Heard]:
        """What has this text in it, so far."""
        return [each for each in list(self.heard) if text.encode() in each.data]

    def wait(self, count: int, text: str = "", seconds: float = 60) -> list[Heard]:
        """What has this text in it, as soon as there is so much."""
        wait_until(lambda: len(self.about(text)) >= count, seconds, f"{count} x {text!r}")
        found = self.about(text)
        assert len(found) == count
        return found

    def _run(self) -> None:
        intake = Intake(self._socket)
        tick = 0.0
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._stopping], [], [], 1)
            if self._stopping in ready:
                return
            if time.monotonic() >= tick:
                tick = time.monotonic() + 1
                self.origins.tick(tick)
            while datagram := intake.read():
                began = time.perf_counter()
                origin = self.origins.origin(datagram.pid, datagram.pidfd if self._pidfds else None)
                self.heard.append(Heard(datagram.data, origin, time.perf_counter() - began))
                if datagram.pidfd is not None:
                    os.close(datagram.pidfd)


Listen = Callable[..., Listener]


@pytest.fixture
def listen(docker: Docker, run_dir: Path) -> Iterator[Listen]:
    """Start a listener: `configured`: Docker's own files may be read; `pidfds`: as kernels from 6.5 on give them."""
    with contextlib.ExitStack() as stack:

        def start(*, configured: bool = True, pidfds: bool = True) -> Listener:
            data = f"{docker.directory}/root" if configured else ""
            listener = Listener(run_dir, Origins(docker_data=data), pidfds=pidfds)
            stack.callback(listener.close)
            return listener

        yield start


@contextlib.contextmanager
def logging(docker: Docker, listener: Listener, task: str, script: str) -> Iterator[Container]:
    """A container of a task that logs into the listener's socket."""
    env = {"MESOS_TASK_ID": task, "MARATHON_APP_ID": f"/shop/{task}", "PASSWORD": "hush"}
    options = ["--volume", f"{listener.path}:/dev/log"]
    with docker.run("sh", "-c", script, env=env, options=options) as container:
        yield container


def told(container: Container, task: str) -> dict[str, str]:
    return {"container": container.id, "task": task, "app": f"/shop/{task}"}


def loop(count: int, each: str) -> str:
    return f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); {each}; done"


@pytest.mark.parametrize("pidfds", [True, False])
@pytest.mark.parametrize("configured", [True, False])
def test_long_lived_processes_are_all_known(docker: Docker, listen: Listen, configured: bool, pidfds: bool) -> None:
    listener = listen(configured=configured, pidfds=pidfds)
    with contextlib.ExitStack() as stack:
        containers = {}
        for name in ("red", "green", "blue"):
            script = f"({loop(300, f'echo {name} $i')}; exec sleep 60) | logger"
            containers[name] = stack.enter_context(logging(docker, listener, name, script))
        for name, container in containers.items():
            for heard in listener.wait(300, f": {name} "):
                assert heard.members == told(container, name)
    assert (listener.origins.resolved, listener.origins.unresolved) == (900, 0)


@pytest.mark.parametrize("pidfds", [True, False])
def test_processes_that_write_once_and_end(docker: Docker, listen: Listen, pidfds: bool) -> None:
    listener = listen(pidfds=pidfds)
    with contextlib.ExitStack() as stack:
        containers = {}
        for name in ("red", "green"):
            script = f"while [ ! -e /go ]; do sleep 0.05; done; {loop(200, f'logger {name} $i')}; exec sleep 60"
            containers[name] = stack.enter_context(logging(docker, listener, name, script))
        for container in containers.values():
            container.exec("touch", "/go")
        for name, container in containers.items():
            assert_found(f"in a loop, {name}", listener.wait(200, f": {name} "), told(container, name), pidfds)
        for number in range(20):
            containers["red"].exec("logger", f"exec {number}")
        assert_found("docker exec", listener.wait(20, ": exec "), told(containers["red"], "red"), pidfds)


def assert_found(what: str, heard: list[Heard], expected: dict[str, str], pidfds: bool) -> None:
    counts = Counter(orjson.dumps(each.members) for each in heard)
    right = counts.pop(orjson.dumps(expected), 0)
    unknown = counts.pop(b"{}", 0)
    slowest = max(each.seconds for each in heard) * 1000
    print(f"{what}, {'with' if pidfds else 'without'} pidfd: {right} of {len(heard)} found, {slowest:.1f} ms at most")
    assert not counts, "wrong"
    assert right + unknown == len(heard)
    if pidfds and ended_processes_have_a_cgroup():
        assert right == len(heard)


def ended_processes_have_a_cgroup() -> bool:
    """Whether this kernel (6.15 and later) says it; and Docker's containers have version 2 cgroups here."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = os.pidfd_open(pid)
    os.waitpid(pid, 0)
    try:
        return last_cgroup_id(pidfd) is not None and any(
            Path("/sys/fs/cgroup", name).exists() for name in ("cgroup.controllers", "unified")
        )
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("configured", [True, False])
def test_a_process_cannot_claim_another_task(docker: Docker, listen: Listen, configured: bool) -> None:
    listener = listen(configured=configured)
    with logging(docker, listener, "victim", "exec sleep 60"), logging(docker, listener, "me", "exec sleep 60") as me:
        forged = {"MESOS_TASK_ID": "victim", "MARATHON_APP_ID": "/shop/victim"}
        me.exec("sh", "-c", "(echo forged; sleep 60) | logger", env=forged, detach=True)
        for heard in listener.wait(1, "forged"):
            assert heard.members == told(me, "me")
        me.exec("sh", "-c", "MESOS_TASK_ID=victim; export MESOS_TASK_ID; logger again; sleep 0.2", env=forged)
        for heard in listener.wait(1, "again"):
            assert heard.members == told(me, "me")


def test_a_first_process_that_changes_its_environment_is_known_by_dockers_file(docker: Docker, listen: Listen) -> None:
    listener = listen()
    script = "export MESOS_TASK_ID=victim; exec sh -c '(echo renamed; sleep 60) | logger'"
    with logging(docker, listener, "me", script) as me:
        for heard in listener.wait(1, "renamed"):
            assert heard.members == told(me, "me")


def test_containers_that_live_for_one_line(docker: Docker, listen: Listen) -> None:
    listener = listen()
    right = 0
    for number in range(10):
        with logging(docker, listener, f"once-{number}", f"exec logger 'once {number}.'") as container:
            (heard,) = listener.wait(1, f"once {number}.")
            assert heard.members in ({}, told(container, f"once-{number}"))
            right += bool(heard.members)
    print(f"containers of one line: {right} of 10 found")
    if ended_processes_have_a_cgroup():
        assert right >= 5


def test_the_host_itself_is_known_without_a_container(listen: Listen) -> None:
    listener = listen()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.sendto(b"<13>here", str(listener.path))
        (heard,) = listener.wait(1)
    assert (heard.origin.json, heard.origin.known, heard.origin.dockerd) == (b"", True, False)


def test_a_hung_daemon_stops_nothing(docker: Docker, listen: Listen) -> None:
    listener = listen(configured=False)
    with logging(
        docker, listener, "red", f"sleep 1; ({loop(200, 'echo hung $i')}; exec sleep 60) | logger"
    ) as container:
        docker.process.signal(signal.SIGSTOP)
        try:
            heard = listener.wait(200, "hung", 30)
        finally:
            docker.process.signal(signal.SIGCONT)
        assert all(each.members == told(container, "red") for each in heard)


def driver(listener: Listener) -> list[str]:
    """The options of Docker's syslog driver, as hosts are told to set it."""
    options = {"syslog-address": f"unixgram://{listener.path}", "syslog-format": "rfc5424micro"}
    options |= {"tag": TAG, "env": "MESOS_TASK_ID"}
    return ["--log-driver", "syslog", *(part for each in options.items() for part in ("--log-opt", "=".join(each)))]


def lines_of(listener: Listener, *containers: Container) -> list[DockerLine]:
    """Every line of containers that have ended: the daemon sends the last before it says that they have."""
    for container in containers:
        container.wait()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.sendto(b"<13>the end", str(listener.path))
    listener.wait(1, "the end")
    docker_lines = DockerLines(listener.origins.container)
    found = []
    for heard in listener.heard[:-1]:
        assert heard.origin.dockerd
        found += docker_lines.feed(heard.data, 0)
    return found + docker_lines.due(1)


def test_long_lines_of_the_driver_are_one_line_again(docker: Docker, listen: Listen) -> None:
    listener = listen()
    script = "head -c 40003 /dev/zero | tr '\\0' a; echo; echo '  after - it  '; head -c 16384 /dev/zero | tr '\\0' b"
    env = {"MESOS_TASK_ID": "shop_api.1"}
    with docker.run("sh", "-c", f"{script}; sleep 0.2", env=env, options=driver(listener)) as container:
        lines = lines_of(listener, container)
    assert [line.message for line in lines] == [b"a" * 40003, b"  after - it  ", b"b" * 16384]
    for line in lines:
        assert (line.pri, line.stream, line.truncated) == (30, "stdout", False)
        assert line.origin.json == b',"container":"%s","task":"shop_api.1"' % container.id.encode()


def test_streams_of_two_containers_at_once(docker: Docker, listen: Listen) -> None:
    listener = listen()
    script = "long=$(head -c 20000 /dev/zero | tr '\\0' {0}); " + loop(20, "echo {0}$i$long; echo {0}$i$long. >&2")
    with contextlib.ExitStack() as stack:
        containers = {
            name: stack.enter_context(docker.run("sh", "-c", script.format(name), options=driver(listener)))
            for name in ("x", "y")
        }
        lines = lines_of(listener, *containers.values())
    for name, container in containers.items():
        for stream, pri, end in (("stdout", 30, ""), ("stderr", 27, ".")):
            own = [line for line in lines if line.origin.json == b',"container":"%s"' % container.id.encode()]
            texts = [line.message.decode() for line in own if (line.stream, line.pri) == (stream, pri)]
            assert texts == [f"{name}{number}{name * 20000}{end}" for number in range(1, 21)]
    assert len(lines) == 80


@pytest.mark.parametrize("task", ["a b\t☃ ]", "x\ny", "z" * 300, "", "-", "a 1 b - c"])
def test_no_task_breaks_the_header(docker: Docker, listen: Listen, task: str) -> None:
    listener = listen()
    env = {"MESOS_TASK_ID": task}
    with docker.run("echo", "hello - world", env=env, options=driver(listener)) as container:
        (line,) = lines_of(listener, container)
    assert (line.stream, line.message) == ("stdout", b"hello - world")
    assert line.origin.json.startswith(b',"container":"%s"' % container.id.encode())
