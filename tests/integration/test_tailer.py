"""The tailer as a process beside real tasks: they rotate and end, it is killed; and what it costs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from tests.servers import ROOT
from tests.unit.tailer_world import sandbox

_TASKS = 50
_KILLS = 5


def wait_until(is_true: Callable[[], bool], seconds: float = 60, what: Callable[[], object] = str) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"took too long: {what()}"
        time.sleep(0.02)


class Tail:
    """Starts tailers one after the other on the same folders."""

    def __init__(self, folder: Path, to: str = "") -> None:
        self.sandboxes, self.work = folder / "mesos", folder / "work"
        self.sandboxes.mkdir(exist_ok=True)
        self.work.mkdir(exist_ok=True)
        self._settings = {"sandboxes": str(self.sandboxes), "work_directory": str(self.work), "socket": to}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.integration.tailer_process", json.dumps(self._settings)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def stop(self) -> dict[str, Any]:
        """Stop cleanly and return what it says it did."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return dict(json.loads(said))

    @contextmanager
    def running(self) -> Iterator["Tail"]:
        self.start()
        try:
            yield self
        finally:
            self.kill()


class Receiver:
    """Takes datagrams and keeps each id once, as a store does; touches a file for each line that "begins" something."""

    def __init__(self, path: str, seen: Path | None = None) -> None:
        self._seen = seen
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self.received = 0
        self.by_id: dict[tuple[str, int], bytes] = {}
        self.collisions: list[tuple[bytes, bytes]] = []
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        while datagram := self._socket.recv(2**20):
            record = orjson.loads(datagram[4:])
            first = self.by_id.setdefault((record["series"], int(record["sequence"])), datagram)
            if first != datagram:
                self.collisions.append((first, datagram))
            self.received += 1
            if self._seen is not None and record["message"].endswith(" begins"):
                (self._seen / record["message"]).touch()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


def test_fifty_tasks_and_five_kills(run_dir: Path) -> None:
    tail = Tail(run_dir, str(run_dir / "relay"))
    names = [f"shop_{number}.7f0c" for number in range(_TASKS)]
    seen = run_dir / "seen"
    seen.mkdir()
    command: list[str | Path] = [sys.executable, "-I", ROOT / "tests/integration/task_process.py", tail.sandboxes]
    with (
        Receiver(str(run_dir / "relay"), seen) as receiver,
        tail.running(),
        _started([[*command, name, run_dir] for name in names]) as tasks,
    ):
        for kill in range(_KILLS):
            reached = len(receiver.by_id)
            wait_until(lambda reached=reached: len(receiver.by_id) > reached + 3000)  # type: ignore[misc]
            tail.kill()
            if kill % 2:
                time.sleep(0.3)  # a holder's pause before it starts the next
            tail.start()
        ends = "shop_0.7f0c run 1 stderr 5 begins"
        wait_until(lambda: all(ends.replace("_0", f"_{n}") in (run_dir / names[n]).read_text() for n in range(_TASKS)))
        expected = _written(run_dir, names)
        wait_until(lambda: len(receiver.by_id) >= len(expected), what=lambda: _missing(receiver, expected))
        (run_dir / "go").touch()
        assert [task.wait(60) for task in tasks] == [0] * _TASKS
        expected = _written(run_dir, names)
        wait_until(lambda: len(receiver.by_id) >= len(expected), what=lambda: _missing(receiver, expected))
        said = tail.stop()

    records = [orjson.loads(datagram[4:]) for datagram in receiver.by_id.values()]
    assert sorted((record["task"], record["message"]) for record in records) == expected
    assert receiver.collisions == []
    assert all(record["stream"] in record["message"] for record in records if "last words" not in record["message"])
    last: dict[str, int] = {}
    for series, sequence in receiver.by_id:
        last[series] = max(last.get(series, 0), sequence)
    assert sum(last.values()) == len(receiver.by_id), "numbers have no hole"
    print(f"{len(expected)} lines, {len(last)} generations, {receiver.received - len(expected)} sent again; {said}")


@contextmanager
def _started(commands: Sequence[Sequence[str | Path]]) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [subprocess.Popen(command) for command in commands]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _missing(receiver: Receiver, expected: list[tuple[str, str]]) -> list[tuple[str, str]]:
    records = [orjson.loads(datagram[4:]) for datagram in receiver.by_id.values()]
    return sorted(set(expected) - {(record["task"], record["message"]) for record in records})[:20]


def _written(folder: Path, tasks: list[str]) -> list[tuple[str, str]]:
    return sorted((task, line) for task in tasks for line in (folder / task).read_text().splitlines())


def test_a_stop_and_a_start_repeat_nothing(run_dir: Path) -> None:
    tail = Tail(run_dir, str(run_dir / "relay"))
    log = sandbox(tail.sandboxes) / "stdout"
    with Receiver(str(run_dir / "relay")) as receiver:
        for number in range(3):
            with tail.running():
                with log.open("a") as file:
                    file.write(f"{number}\n" * 1000)
                wait_until(lambda number=number: receiver.received == (number + 1) * 1000)  # type: ignore[misc]
                tail.stop()
    assert len(receiver.by_id) == receiver.received == 3000


@pytest.mark.parametrize("content", ["hole", "lines"])
def test_a_file_of_one_gigabyte_does_not_fill_memory(run_dir: Path, content: str) -> None:
    tail = Tail(run_dir)
    log = sandbox(tail.sandboxes) / "stdout"
    with log.open("wb") as file:
        if content == "hole":
            file.truncate(2**30)
            file.seek(0, os.SEEK_END)
        else:
            block = b"x\n" * 2**20
            for _ in range(16):
                file.write(block)
        file.write(b"\nend\n")
    with tail.running():
        wait_until(lambda: _offset(tail) == log.stat().st_size, 120)
        said = tail.stop()
    print(f"{content}: {said['peak_kib'] / 1024:.1f} MiB at most, {said['seconds']:.1f} s")
    assert said["peak_kib"] < 30 * 1024
    assert (said["lines"], said["cut"]) == ((2, 1) if content == "hole" else (16 * 2**20 + 1, 0))


def _offset(tail: Tail) -> int:
    """Return how far the checkpoint says that the only file was read."""
    try:
        positions = json.loads((tail.work / "tailer.json").read_bytes())["positions"]
        return int(positions[0]["place"][0][0])
    except (FileNotFoundError, IndexError):
        return -1


def test_rate(run_dir: Path) -> None:
    tail = Tail(run_dir)
    lines = 500_000
    for number in range(5):
        line = "2026-11-23 10:00:00 INFO com.shop.Cart - order 1234567 received from 10.0.0.1 in 12 ms é\n"
        (sandbox(tail.sandboxes, f"shop.{number}") / "stdout").write_text(line * (lines // 5))
    with tail.running():
        wait_until(lambda: (tail.work / "tailer.json").exists())
        process = tail.process
        assert process is not None
        wait_until(lambda: _quiet(process.pid))
        said = tail.stop()
    assert said["lines"] == lines
    rate = lines / said["cpu_seconds"]
    print(f"{rate:,.0f} lines per CPU second")
    assert rate > 50_000


def _quiet(pid: int) -> bool:
    return _share(pid, 1) < 0.07


def _share(pid: int, seconds: float) -> float:
    """Measure how much of a core a process takes."""
    times = psutil.Process(pid).cpu_times
    began, before = time.monotonic(), sum(times()[:2])
    time.sleep(seconds)
    return (sum(times()[:2]) - before) / (time.monotonic() - began)


def test_cost_of_two_thousand_idle_sandboxes(run_dir: Path) -> None:
    tail = Tail(run_dir)
    for number in range(2000):
        run = sandbox(tail.sandboxes, f"shop.{number}")
        (run / "stdout").write_text("started\n")
        (run / "stderr").touch()
    with tail.running():
        process = tail.process
        assert process is not None
        wait_until(lambda: (tail.work / "tailer.json").exists() and _quiet(process.pid), 60)
        share = _share(process.pid, 10)
        resident = psutil.Process(process.pid).memory_info().rss / 2**20
        said = tail.stop()
    print(f"{share:.1%} of a core, {resident:.1f} MiB")
    assert said["lines"] == 2000
    assert share < 0.1
    shutil.rmtree(tail.sandboxes)
