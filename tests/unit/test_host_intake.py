"""The container socket: who wrote is what the kernel says, and what a writer passes along is closed."""

import array
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.host.intake import Datagram, Intake
from shipper.host.stamp import LONGEST_MESSAGE


@pytest.fixture
def container(run_dir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container:
        container.bind(str(run_dir / "log"))
        yield container


@pytest.fixture
def writer(container: socket.socket) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as writer:
        writer.connect(container.getsockname())
        yield writer


def closed(datagram: Datagram | None) -> Datagram:
    assert datagram is not None
    if datagram.pidfd is not None:
        os.close(datagram.pidfd)
    return datagram


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_kernel_names_the_writer(container: socket.socket, writer: socket.socket) -> None:
    intake = Intake(container)
    assert intake.read() is None
    writer.send(b"<14>hello")
    found = intake.read()
    assert found is not None
    assert (found.data, found.pid, found.truncated) == (b"<14>hello", os.getpid(), False)
    if found.pidfd is not None:
        assert f"Pid:\t{os.getpid()}\n" in Path(f"/proc/self/fdinfo/{found.pidfd}").read_text()
        os.close(found.pidfd)


def test_an_empty_datagram_is_one(container: socket.socket, writer: socket.socket) -> None:
    intake = Intake(container)
    writer.send(b"")
    assert closed(intake.read()).data == b""


@pytest.mark.parametrize("count", [1, 2, 30, 253])
def test_passed_files_are_closed(container: socket.socket, writer: socket.socket, count: int) -> None:
    intake = Intake(container)
    before = open_files()
    passed = array.array("i", [0] * count)
    for number in range(10):
        writer.sendmsg([b"<14>%d" % number], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        found = closed(intake.read())
        assert (found.data, found.pid) == (b"<14>%d" % number, os.getpid())
    assert open_files() == before


def test_what_is_longer_than_a_message_is_marked(container: socket.socket, writer: socket.socket) -> None:
    intake = Intake(container)
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    writer.send(b"x" * 200_000)
    found = closed(intake.read())
    assert found.truncated
    assert len(found.data) > LONGEST_MESSAGE
    writer.send(b"short")
    assert closed(intake.read()).data == b"short"
