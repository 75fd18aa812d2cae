"""Every generated file of a host passes the check of its own program, and works with it where that can be tried."""

import asyncio
import contextlib
import http.client
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shipper.generate import docker as docker_generator
from shipper.generate import haproxy as haproxy_generator
from shipper.generate import host_readme, rsyslog, systemd, without_systemd, write
from shipper.generate import nginx as nginx_generator
from tests.contract.parsing import fields_of, stamped
from tests.integration.host import Host
from tests.integration.rsyslog import RelpReceiver
from tests.servers import ROOT
from tests.servers.available import require_docker, unavailable
from tests.servers.docker import Docker
from tests.servers.process import Process, accepts, free_port, wait_until

ODD = {"socket": "/srv/a b(x)&y/log", "work_directory": "/var/wörk (1)", "config_directory": "/etc/ship per"}


def program_of_this_system(name: str) -> str:
    return shutil.which(name) or unavailable(f"{name} is not on this machine")


def run(*argv: str | Path) -> tuple[int, str]:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def held(run_dir: Path) -> Iterator[socket.socket]:
    """A socket as systemd holds it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(run_dir / "log"))
        listening.settimeout(20)
        yield listening


@pytest.mark.parametrize("values", [{}, ODD], ids=["default", "odd"])
def test_systemd_accepts_the_units(run_dir: Path, values: dict[str, object]) -> None:
    analyze = program_of_this_system("systemd-analyze")
    program = run_dir / "ship per"  # that the program can be run is part of the check
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    write(systemd.generate(rsyslog.read({**values, "program": str(program)})), run_dir)
    units = sorted((run_dir / "rsyslog/systemd").iterdir())
    assert len(units) == 3
    assert run(analyze, "--man=no", "--recursive-errors=no", "verify", *units) == (0, "")
    program.unlink()
    code, said = run(analyze, "--man=no", "--recursive-errors=no", "verify", *units)
    assert code == 1, "the check does see what is wrong"
    assert "is not executable" in said


@pytest.mark.parametrize("values", [{}, ODD], ids=["default", "odd"])
def test_systemd_makes_the_directories(run_dir: Path, values: dict[str, object]) -> None:
    tmpfiles = program_of_this_system("systemd-tmpfiles")
    settings = rsyslog.read(values)
    (config,) = (path for path in write(systemd.generate(settings), run_dir) if path.name == "shipper.conf")
    assert run(tmpfiles, f"--root={run_dir}/root", "--clean", config) == (0, "")
    (run_dir / "root").mkdir()
    code, said = run(tmpfiles, f"--root={run_dir}/root", "--create", config)
    if "Operation not permitted" in said:
        unavailable("systemd-tmpfiles: only root makes directories for root")
    assert (code, said) == (0, "")
    assert (run_dir / f"root{settings.work_directory}").stat().st_mode & 0o777 == 0o700
    assert (run_dir / f"root{Path(settings.socket).parent}").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_shells_accept_the_script(run_dir: Path, shell: str) -> None:
    for values in ({}, ODD):
        (script,) = write(without_systemd.generate(rsyslog.read(values)), run_dir)
        assert run(program_of_this_system(shell), "-n", script) == (0, "")


@pytest.mark.parametrize(
    "values",
    [
        {},
        ODD,
        {"socket": "/" + "x" * (haproxy_generator.LONGEST_SOCKET - 1)},
        {"shipper_host": "::1", "backends": ["[::1]:31001", "10.0.0.5:31001", "name.that.nobody.knows.invalid:31001"]},
    ],
    ids=["default", "odd", "long", "backends"],
)  # fmt: skip
def test_haproxy_accepts_its_piece(run_dir: Path, haproxy: str, values: dict[str, object]) -> None:
    (config,) = write(haproxy_generator.generate(rsyslog.read(values)), run_dir)
    code, said = run(haproxy, "-c", "-f", config)
    assert code == 0, said
    assert "ALERT" not in said
    # A name that nobody knows today is said and left out; the rest of the host's HAProxy starts.
    warnings = [line for line in said.splitlines() if "[WARNING]" in line]
    assert len(warnings) == sum(".invalid:" in backend for backend in rsyslog.read(values).backends), said


def test_haproxy_passes_bytes_on_and_logs_to_the_socket(run_dir: Path, haproxy: str, held: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as shipper, socket.create_server(("127.0.0.1", 0)) as gone:
        port = free_port()
        ports = [shipper.getsockname()[1], gone.getsockname()[1]]
        gone.close()
        values = {"socket": held.getsockname(), "shipper_port": port, "backends": [f"127.0.0.1:{one}" for one in ports]}
        (config,) = write(haproxy_generator.generate(rsyslog.read(values)), run_dir)
        with Process([haproxy, "-db", "-f", config], log=run_dir / "haproxy.log") as process:
            process.wait_until(lambda: accepts(port), what=f"port {port} accepts")
            for _ in range(4):  # every second one would go to the shipper that is gone
                with socket.create_connection(("127.0.0.1", port), timeout=20) as rsyslogd:
                    rsyslogd.sendall(b"1 open 0\n")
                    _take(shipper, b"1 open 0\n")
            wait_until(lambda: b"shipper shipper/shipper-1" in held.recv(65536), 60, "HAProxy logs a connection")


def _take(shipper: socket.socket, expected: bytes) -> None:
    """Take connections until one brings the bytes: the others are HAProxy's checks."""
    shipper.settimeout(20)
    while True:
        connection, _ = shipper.accept()
        with connection:
            connection.settimeout(20)
            with contextlib.suppress(ConnectionError):
                if connection.recv(len(expected), socket.MSG_WAITALL) == expected:
                    return


def _nginx_config(directory: Path, port: int, socket_path: str) -> Path:
    (piece,) = write(nginx_generator.generate(rsyslog.read({"socket": socket_path})), directory)
    temporary = "\n".join(
        f"  {kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = directory / "nginx.conf"
    config.write_text(
        f"pid {directory}/pid;\nerror_log {directory}/start.log;\ndaemon off;\nmaster_process off;\nevents {{}}\n"
        f"http {{\n{temporary}\n  include {piece};\n  server {{ listen 127.0.0.1:{port}; return 404; }}\n}}\n"
    )
    return config


@pytest.mark.parametrize("path", ["/run/shipper/log", ODD["socket"], "/" + "x" * 106])
def test_nginx_accepts_its_piece(run_dir: Path, nginx: str, path: str) -> None:
    config = _nginx_config(run_dir, free_port(), path)
    code, said = run(nginx, "-t", "-p", run_dir, "-e", run_dir / "start.log", "-c", config)
    assert (code, "[warn]" in said, "[emerg]" in said) == (0, False, False), said


def test_nginx_writes_what_the_shipper_reads(run_dir: Path, nginx: str, held: socket.socket) -> None:
    port = free_port()
    config = _nginx_config(run_dir, port, held.getsockname())
    argv: list[str | Path] = [nginx, "-p", run_dir, "-e", run_dir / "start.log", "-c", config]
    with Process(argv, log=run_dir / "nginx.log") as process:
        process.wait_until(lambda: accepts(port), what=f"port {port} accepts")
        for headers in ({"X-Request-ID": "abc12345", "User-Agent": 'a"}\\\n\t'.strip() + "\x01"}, {}):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            client.request("GET", "/cart?id=%22", headers=headers)
            assert client.getresponse().status == 404
            client.close()
        records = [_record(held), _record(held)]
    assert records[0]["http.request.id"] == "abc12345"
    assert re.fullmatch("[0-9a-f]{32}", records[1]["http.request.id"])
    for record in records:
        assert record["message"] == "GET /cart 404"
        assert (record["http.response.status_code"], record["url.path"], record["url.query"]) == (
            404,
            "/cart",
            "id=%22",
        )
        assert (record["http.request.method"], record["client.ip"]) == ("GET", "127.0.0.1")
        assert record["event.duration"] >= 0


def _record(held: socket.socket) -> dict[str, Any]:
    pri, message = held.recv(65536).decode().split(">", 1)
    return fields_of(stamped(message, pri=pri.removeprefix("<")))


def test_docker_logs_container_and_task_to_the_held_socket(run_dir: Path, held: socket.socket) -> None:
    require_docker()
    settings = rsyslog.read({"socket": held.getsockname(), "stdout": "docker"})
    (config,) = write(docker_generator.generate(settings), run_dir)
    daemon = Docker(run_dir)
    with_our_file = run_dir / "dockerd"
    with_our_file.write_text(f'#!/bin/sh\nexec "{daemon._dockerd}" --config-file "{config}" "$@"\n')
    with_our_file.chmod(0o755)
    daemon._dockerd = str(with_our_file)
    daemon.start()
    try:
        for environment, task in (({"MESOS_TASK_ID": "shop.1-2"}, "shop.1-2"), ({}, "-")):
            with daemon.run("echo", "said and done", env=environment) as container:
                assert container.wait() == 0
                said = held.recv(65536).decode()
                assert re.fullmatch(rf"<30>1 \S+ \S+ {container.id}/{task} \d+ \S+ - said and done\n?", said), said
    finally:
        daemon.stop()


def rights() -> list[str]:
    """A command that runs the rest of its line with the rights of the service, and no more."""
    (named,) = re.findall(r"^CapabilityBoundingSet=(.*)$", _service(rsyslog.read({})), flags=re.MULTILINE)
    bounding = ",".join(["-all", *(right.lower().replace("cap_", "+") for right in named.split())])
    command = [program_of_this_system("setpriv"), f"--bounding-set={bounding}", "--no-new-privs"]
    code, said = run(*command, "true")
    return command if code == 0 else unavailable(f"setpriv cannot take rights away here: {said.strip()}")


def _service(settings: rsyslog.Settings) -> str:
    return systemd.generate(settings)["rsyslog/systemd/shipper-host.service"]


def test_the_rights_of_the_service_are_those_it_needs(run_dir: Path) -> None:
    of_nobody = run_dir / "sandbox"
    of_nobody.mkdir(mode=0o700)
    (of_nobody / "stdout").write_text("said")
    with_rights = rights()
    os.chown(of_nobody, 65534, 65534)
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "600"]
    with Process(argv, log=run_dir / "log", env={"MESOS_TASK_ID": "shop.1"}) as task:
        task.wait_until(lambda: psutil.Process(task.pid).name() == "sleep", what="the task runs")
        environ = f"/proc/{task.pid}/environ"
        code, said = run(*with_rights, "cat", environ, of_nobody / "stdout")
        assert code == 0, said
        assert "MESOS_TASK_ID=shop.1" in said
        assert said.endswith("said")
        for wanted in (environ, of_nobody / "stdout"):
            assert run("setpriv", "--bounding-set=-all", "--no-new-privs", "cat", wanted)[0] == 1, "needs no right"


class Activated(Host):
    """A host whose command is the unit's, with the unit's rights, and whose socket systemd's own program hands over."""

    @property
    def argv(self) -> list[str]:
        socket_activate = program_of_this_system("systemd-socket-activate")
        (command,) = self.unit("ExecStart")
        return [*rights(), socket_activate, "--datagram", f"--listen={self.socket}", *command]

    def unit(self, key: str) -> list[list[str]]:
        """The commands under a key of the service."""
        program = self.directory / "ship per"
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m shipper "$@"\n')
        program.chmod(0o755)
        paths = {name: self.settings[name] for name in ("socket", "relay_socket", "status_socket", "work_directory")}
        text = _service(rsyslog.read({**paths, "config_directory": str(self.config.parent), "program": str(program)}))
        return [shlex.split(value) for value in re.findall(rf"^{key}=(.*)$", text, flags=re.MULTILINE)]

    def ready(self) -> bool:
        """Started by the first record, as by systemd."""
        if not super().ready():
            with contextlib.suppress(OSError), self.writer() as writer:
                writer.setblocking(False)
                writer.send(b"<14>first")
            return False
        return True


async def test_the_commands_of_the_unit_do_what_they_say(run_dir: Path, rsyslogd: str) -> None:
    async with RelpReceiver() as receiver, Activated(rsyslogd, run_dir, receiver.port) as host:
        assert host.status()["held_by"] == "systemd"
        host.write(b"<14>through")
        await receiver.wait_for(lambda: any(b"through" in payload for payload in receiver.payloads))
        before = host.rsyslogd()
        for command in host.unit("ExecReload"):
            code, said = await asyncio.to_thread(run, *command)
            assert code == 0, said
        await asyncio.to_thread(wait_until, lambda: host.rsyslogd() not in (0, before), 30, "rsyslogd is another")


def test_the_certificates_of_the_readme_fit_together(run_dir: Path) -> None:
    openssl = program_of_this_system("openssl")
    text = host_readme.generate(rsyslog.read({}))["rsyslog/README.md"]
    (block,) = (block for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) if "openssl req" in block)
    subprocess.run(["sh", "-eu"], input=block, cwd=run_dir, check=True, capture_output=True, text=True, timeout=120)
    for name in ("shipper.example", "web-3.example"):
        verify = (openssl, "verify", "-x509_strict", "-CAfile", run_dir / "ca.crt", "-verify_hostname")
        assert run(*verify, name, run_dir / f"{name}.crt") == (0, f"{run_dir}/{name}.crt: OK\n")
        assert run(*verify, "other.example", run_dir / f"{name}.crt")[0] != 0
