"""`shipper demo --cluster` as people start it: all that it says works, and a stop leaves nothing behind."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from shipper.demo.cluster_apps import Machine, definitions
from shipper.demo.cluster_containers import contained
from shipper.errors import ConfigError
from tests.servers import ROOT
from tests.servers.process import Process, wait_until

SHIPPER = Path(sys.executable).with_name("shipper")
READY_SECONDS = 120
SAMPLES = "/shipper/samples"


def _said(folder: Path) -> str:
    return (folder / "said").read_text()


def _value(folder: Path, name: str) -> str:
    """The first word of the line that is about this."""
    found = re.search(rf"^{name} +(\S+)", _said(folder), re.MULTILINE)
    assert found is not None, _said(folder)
    return found[1]


def _do(folder: Path, part: str) -> str:
    """Do what it says can be tried; what that writes."""
    (line,) = [line for line in _said(folder).splitlines() if f"shipper {part} " in line]
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=60, cwd=folder)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


def _records(url: str, app: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v1/records?app={app}", timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)["records"]
    return found


def _start(folder: Path, *arguments: str) -> Process:
    argv: list[str | Path] = [SHIPPER, "demo", "--cluster", "--port", "0", "--dir", "demo", *arguments]
    return Process(argv, log=folder / "said", cwd=folder)


def _left(folder: Path) -> list[str]:
    """What still runs and has to do with this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if _alive(process) and str(folder) in f"{process.cmdline()} {process.environ()}":
                found.append(f"{process.pid} {process.cmdline()}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _groups(pid: int) -> list[Path]:
    return [*Path("/sys/fs/cgroup").glob(f"shipper-demo-{pid}"), *Path("/sys/fs/cgroup").glob(f"*/shipper-demo-{pid}")]


def test_a_cluster_is_shown_and_a_stop_leaves_nothing(rsyslogd: str, haproxy: str, run_dir: Path) -> None:
    with _start(run_dir) as demo:
        demo.wait_until(lambda: "Ctrl-C stops" in _said(run_dir), READY_SECONDS, "it is ready")
        url, marathon = _value(run_dir, "page"), _value(run_dir, "marathon").removesuffix("/v2/apps")

        shown = _do(run_dir, "apps")
        for app in ("/shipper/shipper", *(f"{SAMPLES}/{name}" for name in ("date", "gateway", "orders", "payments"))):
            assert app in shown
        clocks = _do(run_dir, "where")
        assert all(host in clocks for host in ("127.0.1.1", "127.0.1.2", "127.0.1.3"))
        assert '"service.name":"shipper"' in _do(run_dir, "sandbox")
        story = _do(run_dir, "request")
        assert {"gateway", "orders", "payments"} <= set(story.split())
        assert "unchanged  /shipper/shipper" in _do(run_dir, "deploy")

        argv: list[str | Path] = [SHIPPER, "where", f"{SAMPLES}/orders", "--marathon", marathon, "--json"]
        where = json.loads(subprocess.run(argv, capture_output=True, timeout=60, check=True).stdout)
        (task,) = where["tasks"]
        record = _records(url, "orders")[0]
        assert record["orchestrator.resource.name"] == f"{SAMPLES}/orders"
        assert record["orchestrator.resource.id"] == task["task"]
        assert record["marathon.app.version"] == task["version"]
        assert record["host.name"] == task["host"]
        # A process that has ended when its line is looked at, like logger, belongs to its task, too.
        wait_until(lambda: _records(url, "date"), 60, "a line of the clock")

        children = psutil.Process(demo.pid).children(recursive=True)
        assert {"rsyslogd", "haproxy"} <= {child.name() for child in children}
        demo.signal(signal.SIGINT)
        assert demo.wait(90) == 0
        assert not [child for child in children if _alive(child)]
    assert "stopped" in _said(run_dir)
    assert _left(run_dir) == []
    assert _groups(demo.pid) == []
    assert not [path for path in run_dir.rglob("*") if path.is_socket()]
    assert {path.name for path in run_dir.iterdir()} == {"said", "demo"}


def test_a_stop_while_it_starts_leaves_nothing(rsyslogd: str, haproxy: str, run_dir: Path) -> None:
    with _start(run_dir) as demo:
        demo.wait_until(lambda: "store " in _said(run_dir), READY_SECONDS, "hosts are being started")
        demo.signal(signal.SIGINT)
        assert demo.wait(90) == 0
    assert _left(run_dir) == []
    assert _groups(demo.pid) == []
    assert not [path for path in run_dir.rglob("*") if path.is_socket()]


def test_a_killed_demo_takes_all_with_it(rsyslogd: str, haproxy: str, run_dir: Path) -> None:
    with _start(run_dir) as demo:
        demo.wait_until(lambda: "hosts " in _said(run_dir), READY_SECONDS, "hosts run")
        demo.signal(signal.SIGKILL)
        demo.wait(30)
    wait_until(lambda: not _left(run_dir), 60, "all has ended")

    def next_start_removes_its_groups() -> bool:
        with suppress(ConfigError), contained(run_dir):
            pass
        return not _groups(demo.pid)

    wait_until(next_start_removes_its_groups, 30)


def _machine(folder: Path, **values: Any) -> Machine:
    known: dict[str, Any] = {"relp_port": 5140, "api_port": 8080, "shipper_port": 5141, "data": folder, "rate": 5}
    urls = {"marathon": "http://127.0.0.1:1", "mesos": "http://127.0.0.1:2", "elasticsearch": ""}
    return Machine(**known, **urls | {"contain": "", "seed": ""} | values)


def test_sqlite_has_one_shipper_and_elasticsearch_three_with_an_api(tmp_path: Path) -> None:
    made = definitions(_machine(tmp_path))
    assert "api.json" not in made
    shipper = json.loads(made["shipper.json"])
    assert (shipper["instances"], shipper["env"]["SHIPPER_STORE__TYPE"]) == (1, "sqlite")
    assert [port["port"] for port in shipper["portDefinitions"]] == [5140, 8080]
    made = definitions(_machine(tmp_path, elasticsearch="http://127.0.0.1:9200"))
    shipper, api = json.loads(made["shipper.json"]), json.loads(made["api.json"])
    assert (shipper["instances"], api["instances"]) == (3, 2)
    assert [port["port"] for port in api["portDefinitions"]] == [8080]


def test_samples_are_containers_or_write_to_stdout(tmp_path: Path) -> None:
    inside = definitions(_machine(tmp_path, contain=". /contain", seed="a b"))
    orders = json.loads(inside["samples/orders.json"])
    assert orders["cmd"].startswith(". /contain && exec python ")
    assert orders["cmd"].endswith(" --socket /dev/log --rate 5 --seed 'a b'")
    assert orders["container"]["volumes"][0]["containerPath"] == "/dev/log"
    for path, text in definitions(_machine(tmp_path)).items():
        sample = json.loads(text)
        command = sample.get("cmd") or sample["command"]
        assert "container" not in sample, path
        assert "/dev/log" not in command, path
        assert "logger" not in command, path


def test_without_the_source_it_says_so(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "shipper", tmp_path / "shipper", ignore=shutil.ignore_patterns("__pycache__"))
    argv = [sys.executable, "-B", "-m", "shipper", "demo", "--cluster"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --cluster needs the source of shipper")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["shipper"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--elasticsearch", "http://127.0.0.1:9200"], "--elasticsearch is for --cluster"),
        (["--cluster", "--elasticsearch", "here"], "argument --elasticsearch: here is not http://host:port"),
        (["--cluster", "--dir", "/proc/none"], "--dir /proc/none"),
    ],
)
def test_what_is_wrong_is_said(rsyslogd: str, haproxy: str, run_dir: Path, arguments: list[str], says: str) -> None:
    done = subprocess.run([SHIPPER, "demo", *arguments], capture_output=True, text=True, timeout=120, cwd=run_dir)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert not list(run_dir.iterdir())
