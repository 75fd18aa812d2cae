"""The reader as a process of its own, with a socket of the test's in the place of rsyslogd."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.host import docker_lines, reader, shared
from shipper.host.children import Child, fork
from shipper.host.origins import DOCKERD, Origins
from shipper.host.settings import Settings
from shipper.host.shared import Cell, Shared, Snapshot
from shipper.host.stamp import Stamp
from tests.servers.process import wait_until


class Reading:
    """A reader, its two sockets, and what it sent."""

    def __init__(self, folder: Path, predecessors: tuple[Snapshot, ...] = ()) -> None:
        settings = Settings(
            socket=str(folder / "log"),
            relay_socket=str(folder / "relay"),
            work_directory=str(folder),
            host_name="web",
            heartbeat_seconds=3600,
        )
        self.container, self.relay = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        self.container.bind(settings.socket)
        self.relay.bind(settings.relay_socket)
        self.relay.settimeout(10)
        self.shared: Shared = shared.create(folder / "state")
        self.events, self.tell = os.pipe2(os.O_NONBLOCK)
        inherited = reader.Inherited(settings, self.container, self.shared, self.events, (), predecessors)
        self.child = Child("reader")
        self.child.pid = fork(partial(reader.run, inherited), [self.container.fileno(), self.events], signal.SIGKILL)

    def next(self) -> dict[str, str]:
        """The next record that it sends."""
        record: dict[str, str] = orjson.loads(self.relay.recv(2**20).partition(b">")[2])
        return record

    def report(self) -> dict[str, Any]:
        """The next report that it sends, whatever comes before."""
        while (record := self.next())["input"] != "report":
            continue
        found: dict[str, Any] = orjson.loads(record["message"])
        return found

    def send(self, *messages: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as writer:
            writer.connect(self.container.getsockname())
            for message in messages:
                writer.send(message)

    def close(self) -> None:
        self.child.signal(signal.SIGKILL)  # in order it would wait until somebody has read all
        wait_until(lambda: not self.child.running or self.child.ended())
        self.container.close()
        self.relay.close()
        os.close(self.events)
        os.close(self.tell)


@pytest.fixture
def reading(run_dir: Path) -> Iterator[Reading]:
    one = Reading(run_dir)
    yield one
    one.close()


def test_it_reports_at_its_start_and_at_its_end(reading: Reading) -> None:
    first = reading.report()
    assert (first["ended"], first["clean"], [one["last"] for one in first["series"]]) == (False, True, [0, 0])
    reading.send(b"<14>one", b"<11>two", b"<14>three")
    os.write(reading.tell, b'{"at":"now","event":"rsyslogd ended","detail":"signal 9"}\n')
    wait_until(lambda: reading.shared.snapshot()[Cell.N_LAST] == 2)
    reading.child.signal(signal.SIGTERM)
    last = reading.report()
    assert (last["ended"], last["clean"], last["start"]) == (True, True, first["start"])
    assert {one["series"][-1]: (one["last"], one["dropped"]) for one in last["series"]} == {"w": (1, 0), "n": (2, 0)}
    assert last["received"] == last["resolved"] + last["unresolved"] == 3
    wait_until(reading.child.ended)
    assert reading.child.last_exit == "exit 0"
    assert reading.shared.snapshot()[Cell.ENDED] == 1


def test_events_are_in_the_reports_and_the_newest_are_kept(reading: Reading) -> None:
    reading.report()
    for number in range(30):
        os.write(reading.tell, orjson.dumps({"at": "", "event": "rsyslogd ended", "detail": str(number)}) + b"\n")
    reading.send(b"<14>one")
    reading.next()
    reading.child.signal(signal.SIGTERM)
    details = [event["detail"] for event in reading.report()["events"]]
    assert details == [str(number) for number in range(10, 30)]


def test_what_is_in_the_socket_at_the_end_is_read(reading: Reading) -> None:
    reading.report()
    reading.child.signal(signal.SIGSTOP)
    reading.send(*(b"<14>%d" % number for number in range(10)))
    reading.child.signal(signal.SIGTERM)
    reading.child.signal(signal.SIGCONT)
    assert [reading.next()["message"] for _ in range(10)] == [str(number) for number in range(10)]
    assert reading.report()["series"][1]["last"] == 10


def test_predecessors_are_reported_once_each(run_dir: Path) -> None:
    killed = []
    for number in range(2):
        memory = shared.create(run_dir / "older")
        memory.begin(f"0t8k2l4abcd{number}")
        memory.cells[Cell.W_LAST], memory.cells[Cell.N_DROPPED] = 40 + number, 7
        killed.append(memory.snapshot())
    one = Reading(run_dir, tuple(killed))
    try:
        reports = [one.report() for _ in range(3)]
        assert [(r["start"], r["ended"], r["clean"]) for r in reports[:2]] == [
            ("0t8k2l4abcd0", True, False),
            ("0t8k2l4abcd1", True, False),
        ]
        assert reports[1]["series"] == [
            {"series": "0t8k2l4abcd1w", "last": 41, "dropped": 0},
            {"series": "0t8k2l4abcd1n", "last": 0, "dropped": 7},
        ]
        assert reports[2]["clean"]
        assert one.shared.snapshot()[Cell.REPORTED] == 2
    finally:
        one.close()


def test_a_series_ends_long_before_its_numbers_do(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_LAST_SEQUENCE", 5)
    one = Reading(run_dir)
    try:
        first = one.report()
        one.send(*(b"<14>%d" % number for number in range(5)))
        ended, begun = one.report(), one.report()
        assert (ended["start"], ended["ended"], ended["series"][1]["last"]) == (first["start"], True, 5)
        assert (begun["ended"], begun["series"][1]["last"]) == (False, 0)
        assert begun["start"] != first["start"]
        one.send(b"<14>after")
        record = one.next()
        assert (record["series"], record["sequence"]) == (begun["start"] + "n", "1")
    finally:
        one.close()


def test_a_record_that_meets_a_bug_is_counted_and_the_next_is_read(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = Stamp.compose

    def fails(self: Stamp, *arguments: Any, **named: Any) -> tuple[bytes, bool]:
        if b"poison" in arguments[6]:
            raise ValueError("a bug")
        return compose(self, *arguments, **named)

    monkeypatch.setattr(Stamp, "compose", fails)
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)  # pytest's own is closed in the reader
    one = Reading(run_dir)
    try:
        one.report()
        one.send(b"<14>poison", b"<14>after")
        record = one.next()
        assert (record["message"], record["sequence"]) == ("after", "2")
        assert one.shared.snapshot()[Cell.BUGS] == 1
    finally:
        one.close()


def test_dockers_pieces_are_one_record(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Origins, "origin", lambda *_: DOCKERD)  # as if the test were the daemon
    one = Reading(run_dir)
    try:
        one.report()
        tag = b"a" * 64 + b"/shop.1"
        header = b"<27>1 2026-11-23T00:00:00.000000Z web %s 7 %s - " % (tag, tag)
        one.send(header + b"x" * docker_lines.PIECE, header + b"y", header + b"z" * docker_lines.PIECE)
        joined, single = one.next(), one.next()  # the second when no piece has followed in time
        assert joined["message"] == "x" * docker_lines.PIECE + "y"
        assert (joined["input"], joined["stream"], joined["task"]) == ("docker", "stderr", "shop.1")
        assert (joined["series"][-1], joined["pri"], joined["container"]) == ("w", "27", "a" * 64)
        assert single["message"] == "z" * docker_lines.PIECE
        one.send(b"<30>time=now msg=the daemon's own")
        assert one.next()["input"] == "socket"
    finally:
        one.close()
