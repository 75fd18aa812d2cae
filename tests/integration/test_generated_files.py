"""Every generated file of a host passes the check of its own program, and works with it where that can be tried."""

import contextlib
import http.client
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipper.generate import docker as docker_generator
from shipper.generate import haproxy as haproxy_generator
from shipper.generate import host_readme, rsyslog, systemd, without_systemd, write
from shipper.generate import nginx as nginx_generator
from tests.contract.parsing import fields_of, stamped
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
    assert len(units) == 2
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
            wait_until(lambda: b"shipper shipper/shipper-1" in held.recv(65536), 20, "HAProxy logs a connection")


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


def test_rsyslogd_starts_with_no_more_rights_than_the_unit_gives(run_dir: Path, rsyslogd: str) -> None:
    setpriv = program_of_this_system("setpriv")
    unit = systemd.generate(rsyslog.read({}))["rsyslog/systemd/shipper-host.service"]
    (rights,) = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, flags=re.MULTILINE)
    bounding = ",".join(["-all", *(right.lower().replace("cap_", "+") for right in rights.split())])
    config = run_dir / "r.conf"
    config.write_text(
        f'global(workDirectory="{run_dir}")\nmodule(load="imuxsock" SysSock.Use="off")\n'
        f'input(type="imuxsock" Socket="{run_dir}/relay")\naction(type="omfile" file="{run_dir}/out")\n'
    )
    argv: list[str | Path] = [
        setpriv,
        f"--bounding-set={bounding}",
        "--no-new-privs",
        rsyslogd,
        "-n",
        "-iNONE",
        "-f",
        config,
    ]
    code, said = run(setpriv, f"--bounding-set={bounding}", "true")
    if code:
        unavailable(f"setpriv cannot take rights away here: {said.strip()}")
    with Process(argv, log=run_dir / "rsyslogd.log") as process:
        process.wait_until((run_dir / "relay").exists, what="rsyslogd has its socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as writer:
            writer.sendto(b"<14>x: through", str(run_dir / "relay"))
        process.wait_until(
            lambda: (run_dir / "out").exists() and "through" in (run_dir / "out").read_text(), what="out"
        )


def test_the_certificates_of_the_readme_fit_together(run_dir: Path) -> None:
    openssl = program_of_this_system("openssl")
    text = host_readme.generate(rsyslog.read({}))["rsyslog/README.md"]
    (block,) = (block for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) if "openssl req" in block)
    subprocess.run(["sh", "-eu"], input=block, cwd=run_dir, check=True, capture_output=True, text=True, timeout=120)
    for name in ("shipper.example", "web-3.example"):
        verify = (openssl, "verify", "-x509_strict", "-CAfile", run_dir / "ca.crt", "-verify_hostname")
        assert run(*verify, name, run_dir / f"{name}.crt") == (0, f"{run_dir}/{name}.crt: OK\n")
        assert run(*verify, "other.example", run_dir / f"{name}.crt")[0] != 0
