"""`shipper demo` as people start it: it shows a request, ends cleanly, and leaves nothing behind."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.servers.process import Process, wait_until

SHIPPER = Path(sys.executable).with_name("shipper")


def _start(folder: Path, directory: str, *arguments: str) -> Process:
    argv: list[str | Path] = [SHIPPER, "demo", "--port", "0", "--dir", directory, *arguments]
    return Process(argv, log=folder / "said", cwd=folder)


def _said(folder: Path) -> str:
    return (folder / "said").read_text()


@pytest.mark.parametrize("way", ["rsyslog", "socket"])
def test_a_live_request_is_shown_and_a_stop_leaves_nothing(rsyslogd: str, run_dir: Path, way: str) -> None:
    # A name that cannot stand in rsyslog's configuration: the demo does without.
    directory = "demo" if way == "rsyslog" else "my $demo"
    with _start(run_dir, directory) as demo:
        demo.wait_until(lambda: "Ctrl-C stops" in _said(run_dir), 60, "a request is shown")
        assert (f"shipper host -> {rsyslogd} -> RELP" in _said(run_dir)) == (way == "rsyslog")
        assert ("without rsyslog" in _said(run_dir)) == (way == "socket")
        shown = re.search(r"^ +(\S.* request [0-9a-f]{12} --url \S+)$", _said(run_dir), re.MULTILINE)
        assert shown is not None, _said(run_dir)
        story = subprocess.run(shlex.split(shown[1]), capture_output=True, text=True, timeout=60, cwd=run_dir)
        assert story.returncode == 0, story.stderr
        for service in ("gateway", "orders", "payments"):
            assert service in story.stdout
        assert "complete" in story.stdout
        children = psutil.Process(demo.pid).children(recursive=True)
        # Holder, reader and rsyslogd.
        assert len(children) == (3 if way == "rsyslog" else 0)
        assert demo.stop(30) == 0
        assert not [child for child in children if child.is_running()]
    assert re.search(r"^stopped +\d+ records stored", _said(run_dir), re.MULTILINE)
    assert {path.name for path in run_dir.iterdir()} == {"said", directory}
    assert not [path for path in run_dir.rglob("*") if path.is_socket()]


@pytest.mark.alone
def test_a_hundred_requests_per_second_are_stored(rsyslogd: str, run_dir: Path) -> None:
    with _start(run_dir, "demo", "--seconds", "3", "--rate", "100") as demo:
        assert demo.wait(60) == 0
    stopped = re.search(r"^stopped +([\d,]+) records stored", _said(run_dir), re.MULTILINE)
    assert stopped is not None
    assert int(stopped[1].replace(",", "")) > 300


def test_the_host_is_started_again(rsyslogd: str, run_dir: Path) -> None:
    with _start(run_dir, "demo") as demo:
        demo.wait_until(lambda: "Ctrl-C stops" in _said(run_dir), 60, "a request is shown")
        (first,) = psutil.Process(demo.pid).children()
        first.kill()
        wait_until(lambda: [child for child in psutil.Process(demo.pid).children() if child.pid != first.pid], 60)
        assert "shipper host ended and is started again" in (run_dir / "demo/shipper.log").read_text()


def test_a_killed_demo_takes_its_host_with_it(rsyslogd: str, run_dir: Path) -> None:
    with _start(run_dir, "demo") as demo:
        demo.wait_until(lambda: "Ctrl-C stops" in _said(run_dir), 60, "a request is shown")
        children = psutil.Process(demo.pid).children(recursive=True)
        psutil.Process(demo.pid).kill()
        demo.wait()
        wait_until(lambda: not any(map(_alive, children)), 60, "holder, reader and rsyslogd have ended")


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_two_demos(run_dir: Path) -> None:
    with _start(run_dir, "demo") as first:
        first.wait_until(lambda: "page" in _said(run_dir), 60, "it runs")
        port = re.search(r"http://127.0.0.1:(\d+)", _said(run_dir))
        assert port is not None
        second = subprocess.run(
            [SHIPPER, "demo", "--dir", "demo"], capture_output=True, text=True, timeout=60, cwd=run_dir
        )
        assert second.returncode == 2
        assert second.stderr == "error: another demo runs in demo: stop it, or choose another --dir\n"
        third = subprocess.run(
            [SHIPPER, "demo", "--dir", "other", "--port", port[1], "--seconds", "0.5"],
            capture_output=True, text=True, timeout=60, cwd=run_dir,
        )  # fmt: skip
        assert third.returncode == 0, third.stderr
        assert f"{port[1]} is in use; taking a free one" in third.stdout


def test_a_path_too_long_for_a_socket(run_dir: Path) -> None:
    deep = "d" * 110
    with _start(run_dir, deep, "--seconds", "1") as demo:
        assert demo.wait(60) == 0
    short = re.search(r"^sockets +in (\S+),", _said(run_dir), re.MULTILINE)
    assert short is not None
    assert not Path(short[1]).exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--dir", "/proc/none"], "--dir /proc/none"),
        (["--port", "70000"], "--port"),
        (["--rate", "0"], "--rate"),
        (["--seconds", "x"], "--seconds"),
    ],
)
def test_what_is_wrong_is_said(run_dir: Path, arguments: list[str], says: str) -> None:
    done = subprocess.run([SHIPPER, "demo", *arguments], capture_output=True, text=True, timeout=60, cwd=run_dir)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert not list(run_dir.iterdir())
