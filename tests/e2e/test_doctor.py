"""`shipper doctor host` as an operator runs it: on a host that works, and on hosts where one thing is broken."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host import Host
from tests.servers.docker import Docker
from tests.servers.process import free_port, wait_until
from tests.shipper_process import ShipperProcess
from tests.tls import Authority

#: Checks of containers and of Docker see what else runs on this machine; they have tests of their own.
MACHINE = {"containers", "docker"}
PROGRAM = (sys.executable, "-m", "shipper")


@pytest.fixture
def shipper(run_dir: Path) -> Iterator[ShipperProcess]:
    """A shipper that stores."""
    with ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(run_dir / "data")}) as running:
        yield running


def host_of(rsyslogd: str, run_dir: Path, port: int, **settings: object) -> Host:
    folder = run_dir / "host"
    folder.mkdir()
    return Host(rsyslogd, folder, port, **settings)


def doctor(host: Host, url: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings."""
    argv = [*PROGRAM, "doctor", "host", "--config", str(host.config), "--url", url, "--json", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    worst = {one["verdict"] for one in found}
    assert done.returncode == (2 if "failed" in worst else 1 if "warning" in worst else 0)
    return done.returncode, found


def about(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The one finding of a check."""
    (one,) = (one for one in found if one["check"] == name)
    return one


def test_a_host_that_works(rsyslogd: str, run_dir: Path, shipper: ShipperProcess) -> None:
    with host_of(rsyslogd, run_dir, shipper.port) as host:
        host.write(b"<14>shop: hello")
        wait_until(lambda: shipper.get("/api/v1/ledger")["hosts"], 30, "the host has reported")
        _, found = doctor(host, shipper.url)
        assert {one["check"]: one["verdict"] for one in found if one["check"] not in MACHINE} == dict.fromkeys(
            ("socket", "configuration", "in force", "queue", "drops", "shipper", "ledger", "clock", "limits",
             "rate limits", "canary"), "ok"
        )  # fmt: skip
        canary = about(found, "canary")["found"]
        assert "host +" in canary
        assert "shipper +" in canary
        assert "stored +" in canary
        known = canary.rpartition("written ")[2]
        (record,) = shipper.get(f"/api/v1/records?text={known}")["records"]
        assert record["log.level"] == "info"
        _, found = doctor(host, shipper.url, "--no-canary")
        assert about(found, "canary")["verdict"] == "skipped"
        assert shipper.get("/api/v1/records?text=canary")["records"] == [record]


def test_a_host_over_tls(rsyslogd: str, run_dir: Path) -> None:
    ca = Authority(run_dir / "ca")
    source = {"type": "relp", "port": 0, "tls": {**ca.sign("shipper.example").source, "client_ca": ca.certificate}}
    store = {"type": "sqlite", "path": str(run_dir / "data")}
    with ShipperProcess(run_dir / "shipper", store, sources=[source]) as shipper:
        tls = ca.host("web-3", "openssl", "shipper.example", days=365)
        with host_of(rsyslogd, run_dir, shipper.port, **tls) as host:
            host.write(b"<14>shop: hello")
            wait_until(lambda: shipper.get("/api/v1/ledger")["hosts"], 30, "the host has reported")
            _, found = doctor(host, shipper.url)
    assert "over TLS" in about(found, "shipper")["found"]
    assert about(found, "canary")["verdict"] == "ok"
    told = {one["found"].split()[0]: one["verdict"] for one in found if one["check"] == "tls"}
    assert told == {ca.certificate: "warning", tls["tls_cert"]: "ok"}, "a CA of tests lasts 2 days; no plain sessions"


def test_a_deaf_container_and_a_canary_through_two_that_hear(
    docker: Docker, rsyslogd: str, run_dir: Path, shipper: ShipperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    host = host_of(rsyslogd, run_dir, shipper.port)
    folder = host.directory
    with host, docker.run("sleep", "600", name="deaf", options=["-v", f"{host.socket}:/dev/log"]) as deaf:
        host.stop()  # without systemd that takes the socket away
        host.start()
        by_file = docker.run("sleep", "600", options=["-v", f"{host.socket}:/dev/log"])
        by_folder = docker.run("sleep", "600", options=["-v", f"{folder}:{folder}"])
        with by_file, by_folder:
            code, found = doctor(host, shipper.url)
    assert code == 2
    told = [one for one in found if one["check"] == "containers" and one["verdict"] == "failed"]
    assert f"{deaf.id[:12]} deaf" in told[0]["found"]
    canaries = [one for one in found if one["check"] == "canary"]
    assert [one["verdict"] for one in canaries] == ["ok", "ok"]
    ways = {by_file.id[:12]: "the mounted socket", by_folder.id[:12]: "the mounted directory"}
    for container, way in ways.items():
        assert any(f"through {way} of container {container}" in one["found"] for one in canaries)


def test_the_canary_says_where_it_stopped(rsyslogd: str, run_dir: Path, shipper: ShipperProcess) -> None:
    with host_of(rsyslogd, run_dir, free_port()) as host:
        began = time.monotonic()
        code, found = doctor(host, shipper.url)
        assert time.monotonic() - began < 30
        assert code == 2
        canary = about(found, "canary")
        assert canary["verdict"] == "failed"
        assert "passed to rsyslogd, but the shipper has not had it in 15 s" in canary["found"]
        assert about(found, "shipper")["verdict"] == "failed"
        assert "has never had anything" in about(found, "ledger")["found"]
        _, found = doctor(host, "http://127.0.0.1:1")
        assert about(found, "ledger")["verdict"] == "skipped"
        assert "and passed to rsyslogd; not followed further" in about(found, "canary")["found"]


def test_who_is_not_root_is_told_what_cannot_be_looked_at(rsyslogd: str, run_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    run_dir.chmod(0o755)
    with host_of(rsyslogd, run_dir, free_port()) as host:
        host.work.chmod(0o700)
        host.rsyslog_config.chmod(0o644)
        imported = (
            "encodings.idna, shipper.doctor.examine, shipper.host.status, shipper.host.settings, shipper.api.visible"
        )
        program = (
            f"import os, sys, {imported}, shipper.cli.doctor; os.setgroups([]); os.setresuid(65534, 65534, 65534); "
            "from shipper.cli import main; sys.exit(main(sys.argv[1:]))"
        )
        argv = [sys.executable, "-c", program, "doctor", "host", "--config", str(host.config), "--no-canary"]
        argv += ["--url", "http://127.0.0.1:1"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stdout + done.stderr
    assert "bug" not in done.stdout
    for name in ("configuration", "queue"):
        (line,) = (line for line in done.stdout.splitlines() if line.split()[:2] == ["skipped", name])
        assert line.endswith("run as root")


def test_help_says_what_monitoring_needs() -> None:
    done = subprocess.run([*PROGRAM, "doctor", "host", "--help"], capture_output=True, text=True, check=True)
    assert "0 nothing wrong, 1 warnings only, 2 something failed" in done.stdout
