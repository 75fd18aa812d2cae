"""Real containers through the whole way, counted: every line stored once, with the right container and task."""

import contextlib
import json
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shipper.errors import ConfigError
from shipper.generate import host as host_files
from shipper.generate.rsyslog import read
from tests.e2e.delivery import documents_in_sqlite, tally
from tests.integration.host import Host
from tests.integration.test_origins import ended_processes_have_a_cgroup
from tests.servers.docker import Container, Docker
from tests.servers.process import free_port, wait_until
from tests.shipper_process import ShipperProcess

Document = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """A host and the shipper it sends to, in a folder of their own."""

    docker: Docker
    host: Host
    shipper: ShipperProcess
    data: Path

    def stored(self, text: str) -> list[Document]:
        """Every record with this text that a container or the host wrote and that is stored."""
        try:
            found = documents_in_sqlite(self.data)
        except sqlite3.OperationalError:  # the file is just being made
            return []
        return [one for one in found if text in one["message"] and one["shipper.input"] in ("socket", "docker")]

    def wait(self, count: int, text: str, seconds: float = 60) -> list[Document]:
        """What has this text, as soon as there is so much."""
        wait_until(lambda: len(self.stored(text)) >= count, seconds, f"{count} x {text!r} stored")
        found = self.stored(text)
        assert len(found) == count
        return found

    def logging(self, task: str, script: str) -> "contextlib.AbstractContextManager[Container]":
        """A container of a task with the held socket as its /dev/log."""
        return self.docker.run("sh", "-c", script, env=_env(task), options=["-v", f"{self.host.socket}:/dev/log"])


@pytest.fixture
def way(docker: Docker, rsyslogd: str, run_dir: Path) -> Iterator[Way]:
    with started(docker, rsyslogd, run_dir) as way:
        yield way


@contextlib.contextmanager
def started(docker: Docker, rsyslogd: str, folder: Path, **settings: object) -> Iterator[Way]:
    port, data = free_port(), folder / "data"
    shipper = ShipperProcess(folder / "shipper", {"type": "sqlite", "path": str(data)}, port=port)
    with shipper, Host(rsyslogd, folder, port, **settings) as host:
        yield Way(docker, host, shipper, data)


def _env(task: str) -> dict[str, str]:
    return {"MESOS_TASK_ID": task, "MARATHON_APP_ID": f"/shop/{task}"}


def said(document: Document) -> tuple[str | None, str | None, str | None]:
    """Container, task and app, as a record says them."""
    names = ("container.id", "orchestrator.resource.id", "orchestrator.resource.name")
    container, task, app = (document.get(name) for name in names)
    return container, task, app


def told(container: Container, task: str) -> tuple[str, str, str]:
    return container.id, task, f"/shop/{task}"


def loop(count: int, each: str) -> str:
    return f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); {each}; done"


_ENDINGS = ["stop_rsyslogd", "kill9_rsyslogd", "kill9_reader", "replace_holder"]


def _end(host: Host, what: str) -> None:
    """End a part of the host and wait until it is there again."""
    before = host.status()
    if what == "replace_holder":
        host.running.signal(signal.SIGUSR2)
        changed = ["started_at"]
    else:
        getattr(host, what)()
        changed = ["reader" if "reader" in what else "rsyslogd", "pid"]
    wait_until(lambda: host.ready() and _at(_status(host), changed) not in (None, _at(before, changed)), 30, what)


def _status(host: Host) -> dict[str, Any]:
    """Its state; nothing at the moment in which one holder gives way to the next."""
    try:
        return host.status()
    except ConfigError:
        return {}


def _at(state: dict[str, Any], path: Sequence[str]) -> Any:
    found: Any = state
    for name in path:
        found = None if found is None else found.get(name)
    return found


@pytest.mark.parametrize("what", _ENDINGS)
def test_a_container_never_notices_what_ends_on_the_host(way: Way, what: str) -> None:
    once = loop(100, "logger once $i.; sleep 0.05")
    always = f"({loop(100, 'echo always $i.; sleep 0.05')}; exec sleep 60) | logger"
    with way.logging("once", f"{once}; exec sleep 60"), way.logging("always", always):
        wait_until(lambda: len(way.stored(" 40.")) == 2, 60, "40 lines of both are stored")
        began = time.monotonic()
        _end(way.host, what)
        print(f"{what}: {time.monotonic() - began:.1f} s, then {len(way.stored('.'))} of 200 lines were stored")
        wait_until(lambda: len(way.stored(" 100.")) == 2, 60, "the last lines are stored")
        settled = tally(way.shipper)
    for task in ("once", "always"):
        found = Counter(document["message"] for document in way.stored(f"{task} "))
        print(f"{what}, {task}: {len(found)} of 100, twice {found.total() - len(found)}, missing {settled.missing}")
        assert found == {f"{task} {number}.": 1 for number in range(1, 101)}
    assert (settled.missing, settled.rejected) == (0, 0)


def test_tasks_that_write_at_once_are_never_mistaken(way: Way) -> None:
    tasks = ("red", "green", "blue")
    with contextlib.ExitStack() as stack:
        containers = {}
        for task in tasks:
            writers = " ".join(
                f"({loop(100, f'echo {task} {part} $i.')}; exec sleep 60) | logger &" for part in range(5)
            )
            script = f"while [ ! -e /go ]; do sleep 0.05; done; {writers} wait"
            containers[task] = stack.enter_context(way.logging(task, script))
        for container in containers.values():
            container.exec("touch", "/go")
        way.host.write(*(b"<14>of the host %d." % number for number in range(100)))
        for task, container in containers.items():
            found = way.wait(500, f"{task} ")
            assert {said(document) for document in found} == {told(container, task)}
            assert len({document["process.pid"] for document in found}) == 5
            assert len({document["message"] for document in found}) == 500
    assert {said(document) for document in way.wait(100, "of the host")} == {(None, None, None)}


def test_processes_that_write_one_line_and_end(way: Way) -> None:
    script = f"while [ ! -e /go ]; do sleep 0.05; done; {loop(200, 'logger loop $i.')}; exec sleep 60"
    with way.logging("red", script) as red, way.logging("green", "exec sleep 60") as green:
        red.exec("touch", "/go")
        for number in range(50):
            green.exec("logger", f"exec {number}.")
        for what, count, container, task in (("loop", 200, red, "red"), ("exec", 50, green, "green")):
            found = Counter(said(document) for document in way.wait(count, f"{what} "))
            right, unknown = found.pop(told(container, task), 0), found.pop((None, None, None), 0)
            print(f"{what}: {right} of {count} with their task, {unknown} without")
            assert not found, "wrong"
            # An older kernel does not say where a process was that has ended.
            assert right >= count * (0.95 if ended_processes_have_a_cgroup() else 0.5)


def _driver(host: Host) -> list[str]:
    """The generated options of Docker's daemon, as options of one container."""
    files = host_files.generate(read({"stdout": "docker", "socket": str(host.socket)}))
    daemon = json.loads(files["rsyslog/docker/daemon.json"])
    options = [f"{name}={value}" for name, value in daemon["log-opts"].items()]
    return ["--log-driver", daemon["log-driver"], *(part for each in options for part in ("--log-opt", each))]


_TRACEBACK = """Traceback (most recent call last):
  File "shop.py", line 7, in pay
    raise BankTimeout("no answer")
  shop.bank.BankTimeout: no answer"""


def test_output_that_docker_passes_on(docker: Docker, rsyslogd: str, run_dir: Path) -> None:
    script = "\n".join([
        loop(50, "echo $NAME out $i.; echo $NAME err $i. >&2"),
        "head -c 40003 /dev/zero | tr '\\0' L; echo",
        f"cat >&2 <<'END'\n{_TRACEBACK}\nEND",
        "echo $NAME says goodbye",
    ])  # fmt: skip
    with started(docker, rsyslogd, run_dir, stdout="docker") as way, contextlib.ExitStack() as stack:
        containers = {}
        for task in ("red", "green"):
            env = _env(task) | {"NAME": task}
            container = docker.run("sh", "-c", script, env=env, options=_driver(way.host))
            containers[task] = stack.enter_context(container)
        way.wait(2, "says goodbye")
        for task, container in containers.items():
            assert container.wait() == 0
            mine = [one for one in documents_in_sqlite(way.data) if one.get("container.id") == container.id]
            mine.sort(key=lambda one: (one["shipper.series"], one["event.sequence"]))
            output, errors = ([one for one in mine if one["shipper.stream"] == name] for name in ("stdout", "stderr"))
            numbers = range(1, 51)
            assert [one["message"] for one in output] == [
                *(f"{task} out {number}." for number in numbers), "L" * 40_003, f"{task} says goodbye",
            ]  # fmt: skip
            assert [one["message"] for one in errors] == [
                *(f"{task} err {number}." for number in numbers), *_TRACEBACK.splitlines(),
            ]  # fmt: skip
            assert {one["orchestrator.resource.id"] for one in mine} == {task}
            assert {one["shipper.input"] for one in mine} == {"docker"}


def test_a_container_starts_and_ends_while_rsyslogd_does_nothing(docker: Docker, rsyslogd: str, run_dir: Path) -> None:
    with started(docker, rsyslogd, run_dir, stdout="docker") as way, contextlib.ExitStack() as stack:
        way.host.suspend_rsyslogd()
        containers = []
        for number in range(5):
            script = f"echo first words of {number}; echo last words of {number}"
            container = docker.run("sh", "-c", script, env=_env(f"t{number}"), options=_driver(way.host))
            containers.append(stack.enter_context(container))
            assert container.wait() == 0
        way.host.resume_rsyslogd()
        found = way.wait(10, " words of ")
        assert Counter((one["container.id"], one["orchestrator.resource.id"]) for one in found) == {
            (container.id, f"t{number}"): 2 for number, container in enumerate(containers)
        }
        assert {one["message"] for one in found if one["message"].startswith("last")} == {
            f"last words of {number}" for number in range(5)
        }


def test_a_request_through_two_containers_is_told_in_order(docker: Docker, rsyslogd: str, run_dir: Path) -> None:
    port, data = free_port(), run_dir / "data"
    folders = {name: run_dir / name for name in ("web-3", "web-4")}
    for folder in folders.values():
        folder.mkdir()
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(data)}, port=port)
    with (
        shipper,
        Host(rsyslogd, folders["web-3"], port, host_name="web-3") as front,
        Host(rsyslogd, folders["web-4"], port, host_name="web-4") as back,
        Way(docker, front, shipper, data).logging("gateway", "exec sleep 60") as gateway,
        Way(docker, back, shipper, data).logging("orders", "exec sleep 60") as orders,
    ):
        gateway.exec("logger", "-p", "user.info", "request comes in request_id=e2e-4711")
        orders.exec("logger", "-p", "user.info", "order is taken request_id=e2e-4711")
        orders.exec("logger", "-p", "user.err", "order fails request_id=e2e-4711")
        gateway.exec("logger", "-p", "user.warning", "request fails request_id=e2e-4711")
        wait_until(lambda: len(Way(docker, front, shipper, data).stored("e2e-4711")) == 4, 60, "all are stored")
        story = shipper.get("/api/v1/requests/e2e-4711")
    assert [record["message"].removesuffix(" request_id=e2e-4711") for record in story["records"]] == [
        "request comes in", "order is taken", "order fails", "request fails",
    ]  # fmt: skip
    services = [(one["name"], one["hosts"], one["count"], one["errors"]) for one in story["services"]]
    assert services == [("shop-gateway", ["web-3"], 2, 0), ("shop-orders", ["web-4"], 2, 1)]
    assert story["first_error"]["message"].startswith("order fails")
    assert [said(record) for record in story["records"]][::3] == [told(gateway, "gateway")] * 2
    assert (story["complete"], story["incomplete"], story["holes"]) == (True, [], [])
