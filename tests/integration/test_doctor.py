"""Checks of `shipper doctor host` against what they look at: containers, rsyslogd, HAProxy, TLS, a full socket."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shipper.doctor import configuration, container_socket, deaf, queue, reach
from shipper.doctor import docker as docker_check
from shipper.doctor.containers import Container as Found
from shipper.doctor.containers import deaf_after_restart, deaf_containers
from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding
from shipper.host import settings
from tests.integration.haproxy import HAProxy
from tests.integration.host import Host
from tests.integration.rsyslog import RelpReceiver
from tests.servers.docker import Container, Docker
from tests.servers.process import free_port, wait_until
from tests.tls import Authority


def examination_of(host: Host) -> Examination:
    """An examination of a host, with its state if it runs."""
    found = Examination(host.config, settings.load(host.config), "", host.status, "http://127.0.0.1:1")
    if host.process is not None and host.process.running:
        found.state = host.status()
    return found


def bind(path: Path) -> socket.socket:
    """A socket that is made anew, as by somebody who does not hold it."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(str(path))
    path.chmod(0o666)
    return bound


def is_up(container: Container) -> bool:
    return Path(f"/proc/{container.init_pid}/comm").read_text() == "sleep\n"


def test_containers_that_are_deaf_are_named(docker: Docker, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    path, other = run_dir / "log", run_dir / "other"
    env = {"MESOS_TASK_ID": "shop.1", "MARATHON_APP_ID": "/shop", "PASSWORD": "hush"}
    link = f"ln -s {path} /dev/log && exec sleep 60"
    here = Examination(run_dir / "host.json", settings.Settings(socket=str(path)), "", dict, "")
    with contextlib.ExitStack() as stack:

        def run(*command: str, **how: Any) -> Container:
            return stack.enter_context(docker.run(*command, **how))

        first = bind(path)
        deaf_one = run("sleep", "60", name="deaf-one", env=env, options=["-v", f"{path}:/dev/log"])
        follows = run("sh", "-c", link, options=["-v", f"{run_dir}:{run_dir}"])
        stack.enter_context(bind(other))
        elsewhere = run("sleep", "60", name="elsewhere", options=["-v", f"{other}:/dev/log"])
        first.close()
        stack.enter_context(bind(path))
        healthy = run("sleep", "60", options=["-v", f"{path}:/dev/log"])
        without = run("sleep", "60")
        ours = (deaf_one, follows, elsewhere, healthy, without)
        wait_until(lambda: all(is_up(each) for each in ours), what="all run")

        assert _of(deaf_containers(str(path)), ours) == {deaf_one.id}
        assert _of(deaf_after_restart(str(path)), ours) == {healthy.id}
        found = list(deaf.check(here))
        told = {finding.verdict.value: finding for finding in found}
        assert f"{deaf_one.id[:12]} deaf-one (task shop.1)" in told["failed"].found
        assert "restart each of them" in told["failed"].advice
        assert f"{elsewhere.id[:12]} elsewhere" in told["warning"].found
        for each in (follows, healthy, without):
            assert each.id[:12] not in told["failed"].found + told["warning"].found
        assert not any("hush" in finding.found for finding in found)
        with pytest.raises(AssertionError):
            deaf_one.exec("sh", "-c", "logger hello && echo taken | grep -q nothing")
        ways = {one.id: one.way for one in here.containers.containers}
        assert (ways[healthy.id].by_file, ways[follows.id].by_file) == (True, False)

        docker.command("restart", deaf_one.id)
        wait_until(lambda: is_up(deaf_one), what="it runs again")
        assert deaf_one.id not in _of(deaf_containers(str(path)), ours)


def _of(found: Iterable[Found], ours: tuple[Container, ...]) -> set[str]:
    """Their ids, without those of other daemons that may run on this machine."""
    return {each.id for each in found} & {each.id for each in ours}


def test_the_docker_daemon_says_its_driver(docker: Docker, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Examination(run_dir / "host.json", settings.Settings(), "", dict, "")
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    (found,) = docker_check.check(here)
    assert (found.verdict, "log driver json-file" in found.found) == ("ok", True)
    (run_dir / "docker").mkdir()
    (run_dir / "docker/daemon.json").touch()
    (found,) = docker_check.check(here)
    assert found.verdict == "warning"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{run_dir}/none")
    assert [one.verdict for one in docker_check.check(here)] == ["skipped"]
    with bind(run_dir / "none"):
        assert [one.verdict for one in docker_check.check(here)] == ["failed"]


def test_a_socket_that_nobody_reads(run_dir: Path) -> None:
    path = run_dir / "log"
    state = {"held_by": "holder", "reader": {"pid": os.getpid()}}
    here = Examination(run_dir / "host.json", settings.Settings(socket=str(path)), "", dict, "", state=state)
    with bind(path):
        (found,) = container_socket.check(here)
        assert found.verdict == "ok"
        assert f"{os.getpid()}" in found.found
        path.chmod(0o600)
        (found,) = container_socket.check(here)
        assert (found.verdict, "mode 0600" in found.found) == ("failed", True)
        with bind(path):
            (found,) = container_socket.check(here)
            assert (found.verdict, found.found[:9]) == ("warning", "2 sockets")
    with bind(path), contextlib.ExitStack() as writers:
        for _ in range(8):  # one alone is stopped by its own buffer, before the socket is full
            writer = writers.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            writer.setblocking(False)
            writer.connect(str(path))
            with contextlib.suppress(BlockingIOError):
                while True:
                    writer.send(b"x")
        (found,) = container_socket.check(here)
        assert (found.verdict, "took nothing in 2 s" in found.found) == ("failed", True)
    (found,) = container_socket.check(here)
    assert "Connection refused: nobody holds it" in found.found


def test_configuration_that_is_refused_or_not_in_force(rsyslogd: str, run_dir: Path) -> None:
    with Host(rsyslogd, run_dir, free_port()) as host:
        assert _verdicts(configuration.check(examination_of(host))) == {"configuration": "ok", "in force": "ok"}
        soon = time.time() + 3600
        os.utime(host.config, (soon, soon))
        (_, found) = configuration.check(examination_of(host))
        assert (found.verdict, str(host.config) in found.found) == ("warning", True)
        host.rsyslog_config.write_text(host.rsyslog_config.read_text() + "\nnonsense(\n")
        os.utime(host.rsyslog_config, (soon, soon))
        refused, stale = configuration.check(examination_of(host))
        assert (refused.verdict, stale.verdict) == ("failed", "warning")
        assert "error" in refused.found
        assert "shipper host reload" in stale.advice
    here = examination_of(host)
    here.refused = "host.json: no"
    assert _verdicts(configuration.check(here)) == {"configuration": "failed"}


async def test_what_waits_is_told_with_its_size(rsyslogd: str, run_dir: Path) -> None:
    async with Host(rsyslogd, run_dir, port := free_port()) as host:
        lines = [b"<14>shop: record %d of many" % number for number in range(9000)]
        await asyncio.to_thread(host.write, *lines)
        await asyncio.to_thread(wait_until, lambda: _waits(host) >= 9000, 60, "all of them wait")
        waiting, drops = await _queue(examination_of(host))
        assert (waiting.verdict, drops.verdict) == ("ok", "ok")
        on_disk, in_memory = (int(part.split()[-2].replace(",", "")) for part in _parts(waiting.found))
        assert on_disk > 1000
        assert 9000 <= on_disk + in_memory <= 9000 + 2  # one in the hand of each worker is queued again
        assert ", oldest " in waiting.found
        async with RelpReceiver(port) as receiver:
            await receiver.wait_for(lambda: sum(b"of many" in one for one in receiver.payloads) >= 9000, 60)
            async with asyncio.timeout(60):
                while not waiting.found.startswith("about 0 records on disk, "):
                    waiting, _ = await _queue(examination_of(host))
            assert waiting.verdict == "ok"
            assert "oldest" not in waiting.found


def _parts(found: str) -> tuple[str, str]:
    """What it says of the disk and of memory: `about 12 records`, `3 records`."""
    parts = re.fullmatch(r"(about .*?) on disk.*?, ([0-9,]+ records?) in memory; .*", found)
    assert parts is not None, found
    return parts[1], parts[2]


def _waits(host: Host) -> int:
    return sum((host.status()["queue_records"] or {}).values())


async def _queue(here: Examination) -> list[Finding]:
    return await asyncio.to_thread(lambda: list(queue.check(here)))


def test_a_queue_that_is_full_and_drops(run_dir: Path) -> None:
    state = {"queue_bytes": 950, "queue_limit_bytes": 1000, "backlog_records": 0, "dropped": 0, "series": {}}
    dropping = {**state, "dropped": 7, "series": {"n": {"name": "abcn", "dropped": 7}}}
    here = Examination(
        run_dir / "host.json", settings.Settings(work_directory=str(run_dir)), "", lambda: dropping, "", state=state
    )
    waiting, drops = queue.check(here)
    assert (waiting.verdict, drops.verdict) == ("failed", "failed")
    assert "950 B of 1000 B taken (95 %)" in waiting.found
    assert "dropped 7 records since it was started (7 of abcn), 7 in the last second" in drops.found
    here.state, old = {**dropping, "queue_bytes": 10}, time.time() - 3600
    here.ask = lambda: here.state
    (run_dir / "normal.00000001").touch()
    os.utime(run_dir / "normal.00000001", (old, old))
    waiting, drops = queue.check(here)
    assert (waiting.verdict, drops.verdict) == ("warning", "warning")
    assert ", oldest 60 min," in waiting.found
    (run_dir / "normal.qi").write_text("<OPB:1:qqueue:1:\n+iQueueSize:2:1:0:\n>End\n")
    waiting, _ = queue.check(here)
    assert waiting.verdict == "ok", "a queue that was emptied keeps its last file"


def _verdicts(found: Iterator[Finding]) -> dict[str, str]:
    return {finding.name: finding.verdict.value for finding in found}


def _to(run_dir: Path, port: int, **tls: object) -> Examination:
    """A host that sends to this port."""
    host = Host("/bin/true", run_dir, port, **tls)
    return Examination(host.config, settings.load(host.config), "", dict, "")


async def test_the_way_to_a_shipper(run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        (found,) = await asyncio.to_thread(lambda: list(reach.check(_to(run_dir, receiver.port))))
        assert (found.verdict, "opens a RELP session in" in found.found) == ("ok", True)
        assert receiver.payloads == []
    (found,) = reach.check(_to(run_dir, receiver.port))
    assert (found.verdict, "Connection refused" in found.found) == ("failed", True)


def test_a_proxy_without_a_shipper_behind_it(haproxy: str, run_dir: Path) -> None:
    with HAProxy(haproxy, run_dir, port := free_port(), [free_port()]):
        (found,) = reach.check(_to(run_dir, port))
    assert found.verdict == "failed"
    assert "takes the connection, but no RELP session opens" in found.found


def test_something_else_answers(run_dir: Path) -> None:
    with _Server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        (found,) = reach.check(_to(run_dir, server.port))
    assert (found.verdict, "the answer is b'HTTP/1.1 400" in found.found) == ("failed", True)


class _Server:
    """Answers every connection with the same bytes, over TLS when it has a context."""

    def __init__(self, answer: bytes, context: ssl.SSLContext | None = None) -> None:
        self._answer, self._context = answer, context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(5)
                if self._context is None:
                    self._talk(connection)
                    continue
                with self._context.wrap_socket(connection, server_side=True) as session:
                    self._talk(session)

    def _talk(self, session: socket.socket) -> None:
        session.recv(4096)
        session.sendall(self._answer)
        session.recv(4096)


OPENED = b"1 rsp 39 200 OK\nrelp_version=0\ncommands=syslog\n"


@pytest.fixture
def authority(run_dir: Path) -> Authority:
    return Authority(run_dir / "ca")


def _context(authority: Authority, name: str) -> ssl.SSLContext:
    """That of a server which wants a certificate of this CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = authority.sign(name)
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _tls(run_dir: Path, port: int, authority: Authority, days: int = 365, peer: str = "shipper.example") -> Examination:
    return _to(run_dir, port, **authority.host("web-3", "openssl", peer, days=days))


@pytest.mark.parametrize("peer", ["shipper.example", "*.example"])
def test_the_way_over_tls(run_dir: Path, authority: Authority, peer: str) -> None:
    with _Server(OPENED, _context(authority, "shipper.example")) as server:
        way, ca, host = reach.check(_tls(run_dir, server.port, authority, peer=peer))
    assert (way.verdict, "over TLS" in way.found) == ("ok", True)
    assert (ca.verdict, host.verdict) == ("warning", "ok"), "the CA of tests lasts 2 days"


def test_certificates_that_end(run_dir: Path, authority: Authority) -> None:
    with _Server(OPENED, _context(authority, "shipper.example")) as server:
        _, _, host = reach.check(_tls(run_dir, server.port, authority, days=10))
    assert (host.verdict, "ends in 9 d" in host.found) == ("warning", True)


def test_a_shipper_with_another_name_or_another_ca(run_dir: Path, authority: Authority) -> None:
    with _Server(OPENED, _context(authority, "shipper.example")) as server:
        here = _tls(run_dir, server.port, authority, peer="other.example")
        found = next(reach.check(here))
        assert (found.verdict, "is for shipper.example, not other.example" in found.found) == ("failed", True)
        shutil.copy(Authority(run_dir / "second").certificate, authority.certificate)
        found = next(reach.check(here))
        assert (found.verdict, "no TLS session: " in found.found) == ("failed", True)


def test_a_shipper_that_needs_no_tls_is_found_out(run_dir: Path, authority: Authority) -> None:
    with _Server(OPENED) as server:
        found = list(reach.check(_tls(run_dir, server.port, authority)))
    assert (found[0].verdict, found[-1].verdict) == ("failed", "failed")
    assert "opens RELP sessions without TLS" in found[-1].found
