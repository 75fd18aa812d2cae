"""The status socket: who asks gets an answer, and nobody can make the holder wait."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.errors import ConfigError
from shipper.host import mounts, status
from tests.servers.process import Process


@pytest.fixture
def server(run_dir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(run_dir / "status"))
        server.listen(16)
        server.setblocking(False)
        yield server


def test_who_asks_is_answered(server: socket.socket) -> None:
    found = []
    asking = threading.Thread(target=lambda: found.append(status.ask(server.getsockname())))
    asking.start()
    while asking.is_alive():
        status.answer(server, b'{"pid":7}')
    asking.join()
    assert found == [{"pid": 7}]


def test_peers_that_read_nothing_do_not_hold_the_holder(server: socket.socket) -> None:
    peers = []
    for _ in range(10):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.connect(server.getsockname())
        peers.append(peer)
    peers[0].close()
    before = time.monotonic()
    status.answer(server, b"x" * 10_000_000)  # more than any buffer takes
    assert time.monotonic() - before < 1
    for peer in peers:
        peer.close()


def test_no_holder_is_said(run_dir: Path) -> None:
    with pytest.raises(ConfigError, match="nobody answers; is `shipper host run` running"):
        status.ask(str(run_dir / "status"))


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"\xff"])
def test_an_answer_that_is_no_state_is_refused(server: socket.socket, answer: bytes) -> None:
    said: list[str] = []

    def ask() -> None:
        with pytest.raises(ConfigError) as refused:
            status.ask(server.getsockname())
        said.append(str(refused.value))

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        status.answer(server, answer)
    asking.join()
    assert len(said) == 1
    assert "\n" not in said[0]


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0, reason="no mount namespaces here"
)
def test_who_has_the_socket_mounted_is_named(server: socket.socket, run_dir: Path) -> None:
    path = server.getsockname()
    assert mounts.deaf_without(path) == ""
    (run_dir / "mounted").touch()
    script = f"mount --bind {path} {run_dir}/mounted && echo mounted && exec sleep 60"
    with Process(["unshare", "-m", "sh", "-c", script], log=run_dir / "log") as other:
        other.wait_until(lambda: b"mounted" in other.log.read_bytes(), what="it is mounted")
        other.wait_until(lambda: mounts.deaf_without(path) == f"sleep (pid {other.pid})", what="it is named")
    assert mounts.deaf_without(str(run_dir / "nothing")) == ""
