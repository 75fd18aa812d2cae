"""The parts of `shipper doctor host` that need no host: verdicts, files read, links followed, what is shown."""

import errno
import json
import os
import random
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipper.cli import doctor as command
from shipper.doctor import certificates, containers, docker, examine, findings, hearing, ledger, limits, reach
from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, Verdict
from shipper.errors import ConfigError
from shipper.generate.rsyslog import generate, read
from shipper.host.settings import Settings

# Self-signed for "web-3"; notAfter=Nov 20 04:01:21 2036 GMT (openssl x509 -enddate).
CERTIFICATE = b"""-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUGDIYlR9ePHnRWfapWNB19QCjwHswCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFd2ViLTMwHhcNMjYxMTIzMDQwMTIxWhcNMzYxMTIwMDQwMTIx
WjAQMQ4wDAYDVQQDDAV3ZWItMzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAYr
bCAdLxsGbU8QDd52ZSeliUajwNF3UOwwMsRhLrTHCcXyVTUvXSdBhffmEbARFz78
7sjVwNr4MFku+ULJLKujUzBRMB0GA1UdDgQWBBTZYY2OwuIKlaPgsYo367qV85Af
PjAfBgNVHSMEGDAWgBTZYY2OwuIKlaPgsYo367qV85AfPjAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQCHyTXgNI+n6+3PbIt/49oK1xHToamB+0cJ
DbKybsxxkgIgRQGUkpbLRLBWldnvE7gc7V9c8na5K3YrixbIuPKi2a8=
-----END CERTIFICATE-----
"""
ID = "0123456789abcdef" * 4
UUID = "6d0b9ea2-1b0c-4c52-8c53-0c2f2d3e4f5a"


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([], 0),
        (["ok", "skipped"], 0),
        (["ok", "warning", "skipped"], 1),
        (["failed", "ok", "warning"], 2),
    ],
)
def test_exit_code_is_that_of_the_worst(verdicts: list[str], code: int) -> None:
    assert findings.exit_code(Finding("x", Verdict(word), "") for word in verdicts) == code


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0124, "12 ms"), (3.42, "3.4 s"), (300, "5 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_durations(seconds: float, told: str) -> None:
    assert findings.span(seconds) == told


@pytest.mark.parametrize(
    ("number", "told"), [(512, "512 B"), (1536, "1.5 KiB"), (2**31, "2.0 GiB"), (2**50, "1,024.0 TiB")]
)
def test_sizes(number: int, told: str) -> None:
    assert findings.size(number) == told


def test_a_long_list_is_cut_and_counted() -> None:
    assert findings.some(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert findings.some(["a", "b"], most=2) == "a, b"


@pytest.mark.parametrize(
    ("cgroups", "container"),
    [
        (f"0::/docker/{ID}\n", ID),
        (f"0::/system.slice/docker-{ID}.scope\n", ID),
        (f"4:memory:/docker/{ID}/docker/{'f' * 64}\n", ID),
        (f"0::/kubepods/cri-containerd-{ID}.scope\n", ID),
        (f"2:cpu:/mesos/{UUID}\n0::/\n", UUID),
        (f"0::/mesos/{UUID}/mesos/{UUID[::-1]}\n", UUID),
        ("0::/system.slice/ssh.service\n", ""),
        (f"0::/docker/{ID}0\n", ""),
        ("", ""),
    ],
)
def test_containers_are_known_by_their_cgroup(cgroups: str, container: str) -> None:
    assert containers.container_of(cgroups) == container


def test_a_container_is_described_by_what_people_know() -> None:
    one = containers.Container(ID, 1, hearing.Way(hearing.Hearing.DEAF), task="shop.1", app="/shop")
    assert one.described({ID: "mesos-x"}) == "0123456789ab mesos-x (task shop.1)"
    assert containers.Container(ID, 1, one.way).described() == "0123456789ab"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/dev/log", "/run/shipper/log"),
        ("/dev/up", "/run/shipper/log"),
        ("/run//shipper/./log", "/run/shipper/log"),
        ("/dev/../run/shipper/log", "/run/shipper/log"),
        ("/../../run/shipper/log", "/run/shipper/log"),
        ("/dev/dead", None),
        ("/dev/circle", None),
        ("/run/shipper/log/more", None),
    ],
)
def test_links_are_followed_inside_the_root_folder(tmp_path: Path, path: str, found: str | None) -> None:
    (tmp_path / "run/shipper").mkdir(parents=True)
    (tmp_path / "run/shipper/log").touch()
    (tmp_path / "dev").mkdir()
    for name, target in {
        "log": "/hostlog/log",
        "up": "../../../../hostlog/log",
        "dead": "/none",
        "circle": "circle",
    }.items():
        (tmp_path / "dev" / name).symlink_to(target)
    (tmp_path / "hostlog").symlink_to("/run/shipper")
    assert hearing.resolve(str(tmp_path), path) == found


def test_what_a_path_leads_to(run_dir: Path) -> None:
    path = str(run_dir / "log")
    assert hearing.connected(path) == errno.ENOENT
    Path(path).touch()
    assert hearing.connected(path) == errno.ENOTSOCK
    assert hearing.identity(path) is None
    Path(path).unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.bind(path)
        found = hearing.connected(path, hearing.identity(path))
        assert isinstance(found, socket.socket)
        with found:
            found.send(b"x")
        assert held.recv(10) == b"x"
        assert hearing.connected(path, (0, 0)) == errno.ESTALE
    assert hearing.connected(path) == errno.ECONNREFUSED
    link = run_dir / "link"
    link.symlink_to(path)
    assert hearing.connected(str(link)) == errno.ENOTSOCK, "a link is not followed out of the container"


def test_the_end_of_every_certificate_of_a_file() -> None:
    end = datetime(2036, 11, 20, 4, 1, 21, tzinfo=UTC)
    assert certificates.ends(CERTIFICATE) == [end]
    assert certificates.ends(b"a comment\n" + CERTIFICATE + CERTIFICATE.replace(b"\n", b"\r\n")) == [end, end]


def test_a_file_that_is_no_certificate_is_said_and_nothing_else_is_raised() -> None:
    body = CERTIFICATE.split(b"-----")[2]
    octets = bytearray(b"".join(body.split()))
    random_ = random.Random(1)
    cases = [b"", b"nothing", CERTIFICATE[:100]]
    for size in range(4, len(octets), 4):
        cases.append(_pem(bytes(octets[:size])))
        damaged = bytearray(octets)
        damaged[random_.randrange(200)] = random_.choice(b"ABCabc019+/")
        cases.append(_pem(bytes(damaged)))
    refused = 0
    for case in cases:
        try:
            certificates.ends(case)
        except ValueError:
            refused += 1
    assert refused > 50


def _pem(body: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----\n"


def test_where_a_generated_configuration_sends_to() -> None:
    plain = generate(read({"shipper_host": "::1", "shipper_port": 5141}))["rsyslog/shipper.conf"]
    assert reach.target_of(plain) == reach.Target("::1", 5141)
    assert reach.Target("::1", 5141).address == "[::1]:5141"
    secured = generate(read({"tls": "openssl", "tls_peer": "*.shop.example"}))["rsyslog/shipper.conf"]
    folder = "/etc/shipper/tls"
    assert reach.target_of(secured) == reach.Target(
        "127.0.0.1", 5140, f"{folder}/ca.pem", f"{folder}/host.pem", f"{folder}/host.key", "*.shop.example"
    )
    assert reach.target_of("") is None
    assert reach.target_of('  # target="a"\n port="1"') is None


def test_rate_limits_of_a_generated_configuration() -> None:
    conf = generate(read({"journal": True}))["rsyslog/shipper.conf"]
    assert limits._rates(conf).verdict is Verdict.OK
    wrong = limits._rates(conf.replace('RateLimit.Interval="0" ', 'RateLimit.Interval="5" '))
    assert wrong.verdict is Verdict.FAILED
    assert 'RateLimit.Interval="5"' in wrong.found
    assert 'Interval="600"' in limits._rates(conf.replace('Ratelimit.Interval="0"', 'Ratelimit.Interval="600"')).found


def test_the_limit_of_open_files() -> None:
    assert limits._open_files(Path("/proc/self/limits").read_text()) > 0
    assert limits._open_files("Max open files            1024                 4096                 files\n") == 1024


@pytest.mark.parametrize(
    ("ahead", "verdict"), [(0.4, "ok"), (-1.4, "ok"), (2.0, "warning"), (-30, "warning"), (90, "failed")]
)
def test_clocks_may_differ_by_a_second(ahead: float, verdict: str) -> None:
    assert ledger._clock(ahead, 0.51).verdict == verdict


def test_what_strangers_named_does_not_steer_a_terminal() -> None:
    finding = findings.failed("containers", "deaf: \x1b[2J\u202ename\nnext", "do\tthis")
    lines = command._lines(finding, colour=False)
    assert lines[0] == "failed   containers     deaf: \\x1b[2J\\u202ename\\nnext"
    assert lines[1].endswith("→ do\\tthis")
    assert json.loads(command._json(finding))["found"] == finding.found
    assert "\x1b" not in command._json(finding)
    assert "\x1b[31mfailed " in command._lines(finding, colour=True)[0]


@pytest.fixture
def examination(tmp_path: Path) -> Examination:
    """A host that does not exist."""

    def nobody() -> dict[str, object]:
        raise ConfigError("nobody answers")

    return Examination(tmp_path / "host.json", Settings(socket=str(tmp_path / "log")), "", nobody, "http://127.0.0.1:1")


def test_a_check_that_hangs_costs_its_time_and_no_more(examination: Examination) -> None:
    done = threading.Event()

    def hang(_: Examination) -> Iterator[Finding]:
        yield findings.ok("first", "known")
        done.wait()

    try:
        first, second = examine._Running("slow", hang, examination, 0.05).findings()
    finally:
        done.set()
    assert first.verdict is Verdict.OK
    assert (second.name, second.verdict) == ("slow", Verdict.FAILED)
    assert "no result in 0.05 s" in second.found


def test_a_check_that_breaks_is_a_finding(examination: Examination) -> None:
    def broken(_: Examination) -> Iterator[Finding]:
        yield from ()
        raise RuntimeError("odd")

    def forbidden(_: Examination) -> Iterator[Finding]:
        yield from ()
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/secret")

    (bug,) = examine._Running("x", broken, examination, 5).findings()
    assert (bug.verdict, "RuntimeError('odd')" in bug.found) == (Verdict.FAILED, True)
    (hidden,) = examine._Running("x", forbidden, examination, 5).findings()
    assert (hidden.verdict, hidden.found) == (Verdict.SKIPPED, "/secret may not be looked at; run as root")


def test_a_host_without_anything_is_told_check_by_check(examination: Examination) -> None:
    found = {finding.name: finding for finding in examine.examine(examination)}
    assert found["socket"].verdict is Verdict.FAILED
    assert "is missing" in found["socket"].found
    assert found["configuration"].verdict is Verdict.FAILED
    for name in ("queue", "ledger", "canary", "shipper", "rate limits"):
        assert found[name].verdict is Verdict.SKIPPED, name
    assert all(bool(one.advice) == (one.verdict in ("warning", "failed")) for one in found.values())


def test_a_folder_where_the_socket_should_be(examination: Examination) -> None:
    Path(examination.settings.socket).mkdir()
    found = next(one for one in examine.examine(examination) if one.name == "socket")
    assert "as Docker makes when it mounts a missing socket" in found.found


@pytest.mark.parametrize(
    ("driver", "sandboxes", "piece", "address", "verdict"),
    [
        ("json-file", "", False, "", "ok"),
        ("json-file", "/var/lib/mesos", False, "", "ok"),
        ("syslog", "", True, "unixgram:///run/shipper/log", "ok"),
        ("json-file", "", True, "", "warning"),
        ("syslog", "", True, "udp://10.0.0.1:514", "warning"),
        ("syslog", "/var/lib/mesos", False, "unixgram:///run/shipper/log", "failed"),
        ("syslog", "/var/lib/mesos", False, "", "failed"),
        ("syslog", "/var/lib/mesos", False, "udp://10.0.0.1:514", "ok"),
    ],
)
def test_output_of_containers_is_read_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
    sandboxes: str,
    piece: bool,
    address: str,
    verdict: str,
) -> None:
    daemon = tmp_path / "daemon.json"
    daemon.write_text(json.dumps({"log-opts": {"syslog-address": address}} if address else {}))
    monkeypatch.setattr(docker, "_DAEMON_JSON", str(daemon))
    (tmp_path / "docker").mkdir()
    if piece:
        (tmp_path / "docker/daemon.json").touch()
    settings = Settings(sandboxes=sandboxes)
    here = Examination(tmp_path / "host.json", settings, "", dict, "")
    assert docker._judge(here, driver).verdict == verdict
