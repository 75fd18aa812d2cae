"""Tasks that write into Mesos sandboxes, through the whole way, counted: stored once, or named by the ledger."""

import contextlib
import functools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.delivery import documents_in_sqlite, wait_settled
from tests.integration.host import Host
from tests.servers import ROOT
from tests.servers.process import free_port, wait_until
from tests.shipper_process import ShipperProcess

TASKS = 50


class Tasks:
    """Processes that write, rotate their files and run again (see tests/integration/task_process.py)."""

    def __init__(self, folder: Path, sandboxes: Path) -> None:
        self.names = [f"shop_{number}.7f0c" for number in range(TASKS)]
        self._folder = folder
        (folder / "seen").mkdir()
        program: list[str | Path] = [sys.executable, "-I", ROOT / "tests/integration/task_process.py", sandboxes]
        self._processes = [subprocess.Popen([*program, name, folder]) for name in self.names]

    def written(self) -> Counter[tuple[str, str]]:
        """Task and text of all lines so far."""
        return Counter((name, line) for name in self.names for line in self._manifest(name).splitlines())

    def have_run_twice(self) -> bool:
        """Whether all wait for `end`."""
        return all("run 1 stderr 5 begins" in self._manifest(name) for name in self.names)

    def tell_seen(self, messages: Iterable[str]) -> None:
        """Tell the tasks what is stored: they truncate no file before something of it was read."""
        for message in messages:
            if message.endswith(" begins"):
                (self._folder / "seen" / message).touch()

    def end(self) -> None:
        """Let them write their last words, remove their sandboxes and end."""
        (self._folder / "go").touch()
        assert [process.wait(60) for process in self._processes] == [0] * TASKS

    def _manifest(self, name: str) -> str:
        path = self._folder / name
        return path.read_text() if path.exists() else ""

    def __enter__(self) -> "Tasks":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


class Stored:
    """The messages of files, read from the store's own files as they come."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._last: dict[Path, int] = {}
        self.count = 0

    def new(self) -> list[str]:
        """Those that were not asked for yet."""
        found: list[str] = []
        for path in self._data.rglob("records-*.db"):
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                question = "SELECT rowid, document FROM records WHERE rowid > ? ORDER BY rowid"
                with contextlib.suppress(sqlite3.OperationalError):  # the file is just being made
                    for row, document in database.execute(question, (self._last.get(path, 0),)):
                        self._last[path] = row
                        found.append(orjson.loads(document)["message"])
        self.count += len(found)
        return found


def test_fifty_tasks_are_stored_whatever_is_killed(rsyslogd: str, run_dir: Path) -> None:
    port, data, sandboxes = free_port(), run_dir / "data", run_dir / "mesos"
    sandboxes.mkdir()
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(data)}, port=port)
    with (
        shipper,
        Host(rsyslogd, run_dir, port, stdout="sandbox", sandboxes=str(sandboxes)) as host,
        Tasks(run_dir, sandboxes) as tasks,
    ):
        stored = Stored(data)

        def reached(goal: int) -> bool:
            tasks.tell_seen(stored.new())
            return stored.count >= goal or tasks.have_run_twice()

        for goal, kill in ((1500, _kill_tailer), (4000, Host.kill9_rsyslogd), (8000, _kill_tailer), (10**9, None)):
            wait_until(functools.partial(reached, goal), 120, f"{goal} lines are stored, or all are written")
            if kill is not None:
                kill(host)
        wait_settled(shipper, tasks.written().total(), letters="f")
        tasks.end()
        written = tasks.written()
        settled = wait_settled(shipper, written.total(), letters="f")
        series = _series(shipper)
        events = Counter(event["event"] for event in host.status()["events"])
    found = _from_files(data)
    _compare(written, found, series)
    print(f"{written.total()} lines in {len(series)} generations: {settled}; {dict(events)}")
    assert events["rsyslogd ended"] == 1
    assert events["tailer ended"] >= 2
    assert settled.rejected == 0, "read again, a line was another record"


def _compare(written: Counter[tuple[str, str]], found: list[dict[str, Any]], series: list[dict[str, Any]]) -> None:
    """Every line is stored once, or its number is a hole in a series of its task."""
    stored = Counter((one["orchestrator.resource.id"], one["message"]) for one in found)
    assert not stored - written, "stored twice, or with the wrong task"
    task_of = {one["shipper.series"]: one["orchestrator.resource.id"] for one in found}
    lost = Counter[str]()
    for (task, _), count in (written - stored).items():
        lost[task] += count
    missing = Counter[str]()
    for one in series:
        missing[task_of[one["series"]]] += one["missing"]
    assert +missing == lost, "the ledger names another loss"
    assert len({(one["shipper.series"], one["event.sequence"]) for one in found}) == len(found)
    for one in found:
        assert one["log.file.path"].endswith(f"/{one['shipper.stream']}")
        assert f"/executors/{one['orchestrator.resource.id']}/runs/" in one["log.file.path"]
    _assert_offsets(found)


def _assert_offsets(found: list[dict[str, Any]]) -> None:
    """A line begins where the one before it ended."""
    ends: dict[tuple[str, int], int] = {}
    for one in found:
        ends[one["shipper.series"], one["event.sequence"] + 1] = one["log.offset"] + len(one["message"].encode()) + 1
    for one in found:
        place = one["shipper.series"], one["event.sequence"]
        assert one["log.offset"] == ends.get(place, 0 if place[1] == 1 else one["log.offset"])


def _kill_tailer(host: Host) -> None:
    os.kill(host.status()["tailer"]["pid"], signal.SIGKILL)


def _from_files(data: Path) -> list[dict[str, Any]]:
    return [one for one in documents_in_sqlite(data) if one["shipper.input"] == "file"]


def _series(shipper: ShipperProcess) -> list[dict[str, Any]]:
    return [one for one in shipper.get("/api/v1/ledger")["series"] if one["series"].endswith("f")]


def test_what_a_killed_rsyslogd_had_in_memory_is_read_again(rsyslogd: str, run_dir: Path) -> None:
    """Without a shipper for longer than any lag, so that only the files still have it."""
    port, data, sandboxes = free_port(), run_dir / "data", run_dir / "mesos"
    run = sandboxes / "slaves/s0/frameworks/f0/executors/shop.1/runs/6f1c2a9e-1111-4222-8333-444455556666"
    run.mkdir(parents=True)
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(data)}, port=port)
    with Host(rsyslogd, run_dir, port, stdout="sandbox", sandboxes=str(sandboxes)) as host:
        (run / "stdout").write_text("".join(f"line {number}\n" for number in range(100)))
        wait_until(lambda: _read_at(host.work), 60, "the file is read")
        reports = host.status()["forwarded"]
        wait_until(lambda: host.status()["forwarded"] >= reports + 5, 60, "five reports have gone, one each second")
        host.kill9_rsyslogd()
        with shipper:
            settled = wait_settled(shipper, 100, letters="f")
            assert (settled.stored, settled.missing) == (100, 0)
    found = [one for one in documents_in_sqlite(data) if one["shipper.input"] == "file"]
    found.sort(key=lambda one: one["event.sequence"])  # two workers of the queue bring them
    assert [one["message"] for one in found] == [f"line {number}" for number in range(100)]


def _read_at(work: Path) -> bool:
    """Whether the tailer notes a time at which it read something."""
    return any(time.strftime("%Y-%m-") in path.read_text() for path in work.glob("tailer.j*"))
