"""The files of a host besides rsyslogd's own: where each setting stands, what is left out when, what is refused."""

import argparse
import json
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from shipper.cli.haproxy import add_commands
from shipper.errors import ConfigError
from shipper.generate import host, rsyslog, write

#: Nothing that any of the languages must not have, and all that has to stand between quotes.
ODD: dict[str, object] = {
    "socket": "/srv/a b(x)&y/log", "relay_socket": "/srv/rel ay/r", "status_socket": "/srv/st&tus/s",
    "work_directory": "/var/wörk (1)", "config_directory": "/etc/ship per", "program": "/opt/x@y/ship per",
}  # fmt: skip


def files(**values: object) -> dict[str, str]:
    return host.generate(rsyslog.read(values))


def unit(text: str) -> dict[str, str]:
    """The settings of a unit, with their section: "Socket.SocketMode"."""
    found: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            name = f"{section}.{key}"
            assert name not in found or key == "ExecReload", "given twice"
            found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def test_the_same_settings_give_the_same_bytes_and_nothing_is_left_unfilled() -> None:
    for values in ({}, ODD, {"stdout": "docker", "tls": "openssl", "backends": ["a:1"]}):
        assert files(**values) == files(**values)
        for name, text in files(**values).items():
            assert not re.search(r"@[a-z_]+@", text.replace("x@y", "")), name
            assert text.endswith("\n"), name


def test_systemd_holds_the_socket_whatever_happens_to_the_service() -> None:
    socket = unit(files()["rsyslog/systemd/shipper-host.socket"])
    service = unit(files()["rsyslog/systemd/shipper-host.service"])
    assert socket["Socket.ListenDatagram"] == "/run/shipper/log"
    assert socket["Socket.SocketMode"] == "0666"
    assert socket["Socket.PassCredentials"] == "yes"
    assert socket["Socket.RemoveOnStop"] == "no"
    # Either limit at its default makes systemd close the socket.
    assert socket["Socket.TriggerLimitIntervalSec"] == service["Unit.StartLimitIntervalSec"] == "0"
    assert not [key for key in service if "Directory" in key], (
        "systemd removes a RuntimeDirectory= at the service's end"
    )
    assert "docker.service" in socket["Unit.Before"].split()
    assert service["Unit.Requires"] == service["Unit.After"] == "shipper-host.socket"


def test_the_service_sees_what_it_reads_and_writes_where_it_must() -> None:
    service = unit(
        files(work_directory="/data/spool", status_socket="/run/other/s")["rsyslog/systemd/shipper-host.service"]
    )
    assert service["Service.ReadWritePaths"] == '"/run/shipper" "/run/other" "/data/spool"'
    assert service["Service.CapabilityBoundingSet"].split() == ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_SYS_NICE"]
    assert not {"Service.PrivateTmp", "Service.ProtectProc", "Service.ProtectHostname"} & service.keys()
    check, ask = service["Service.ExecReload"].split("\n")
    assert check == service["Service.ExecStart"].replace(" run ", " run --check "), (
        "what is wrong is said by the reload"
    )
    assert ask.endswith('shipper" host reload --socket "/run/other/s"')


def test_the_service_of_haproxy_sends_what_rsyslogd_sends_to_shippers() -> None:
    name = "rsyslog/systemd/shipper-haproxy.service"
    service = unit(files(shipper_port=6000, host_name="web-3", socket="/srv/log")[name])
    asked = shlex.split(service["Service.ExecStart"])
    assert asked[:4] == ["/opt/shipper/bin/shipper", "haproxy", "--config", "/etc/shipper/shipper.yaml"]
    # The command knows these options, and takes them.
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    given = vars(parser.parse_args(asked[1:]))
    assert (given["relp_port"], given["log_socket"], given["host_name"]) == (6000, "/srv/log", "web-3")
    assert str(given["out"].parent) == service["Service.ReadWritePaths"]
    assert "--host-name" not in files()[name]
    assert service["Service.Restart"] == "always"
    assert "network-online.target" in service["Unit.After"].split()
    assert "PrivateNetwork" not in files()[name]


@pytest.mark.parametrize("shipper_host", ["10.0.0.5", "::1"])
def test_no_service_of_haproxy_where_rsyslogd_sends_elsewhere(shipper_host: str) -> None:
    there = files(shipper_host=shipper_host)
    assert "rsyslog/systemd/shipper-haproxy.service" not in there
    assert "shipper-haproxy" not in there["rsyslog/README.md"]
    assert "shipper-haproxy" in files()["rsyslog/README.md"]


def test_tmpfiles_leave_a_directory_alone_that_every_system_has() -> None:
    text = files(socket="/run/log.sock", relay_socket="/tmp/relay")["rsyslog/tmpfiles.d/shipper.conf"]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == ['d "/run/shipper" - - - -', 'd "/var/spool/shipper" 0700 root root -']


def test_docker_is_told_where_to_log_only_when_stdout_is_read_there() -> None:
    assert not [name for name in files() if "docker" in name]
    assert not [name for name in files(stdout="none") if "docker" in name]
    daemon = json.loads(files(stdout="docker", socket="/srv/a b?ö/log")["rsyslog/docker/daemon.json"])
    assert daemon["log-driver"] == "syslog"
    assert daemon["log-opts"]["syslog-address"] == "unixgram:///srv/a%20b%3F%C3%B6/log"
    assert all(type(value) is str for value in daemon["log-opts"].values()), "Docker takes no other"


def test_haproxy_knows_the_shippers() -> None:
    text = files(backends=["10.0.0.5:31001", "[fe80::1]:31002"], shipper_port=6000)["rsyslog/haproxy/shipper.cfg"]
    assert "  bind 127.0.0.1:6000\n" in text
    assert "  server shipper-1 10.0.0.5:31001 check\n  server shipper-2 [fe80::1]:31002 check\n" in text
    assert "HOST:PORT" not in text
    assert "HOST:PORT" in files()["rsyslog/haproxy/shipper.cfg"], "without servers it says how to get them"
    assert "bind [::1]:5140" in files(shipper_host="::1")["rsyslog/haproxy/shipper.cfg"]


def test_no_haproxy_when_rsyslogd_sends_to_another_machine() -> None:
    there = files(shipper_host="10.0.0.5")
    assert "rsyslog/haproxy/shipper.cfg" not in there
    assert "haproxy/shipper.cfg" not in there["rsyslog/README.md"]


@pytest.mark.parametrize(
    "backend", ["a", "a:", "a:0", "a:65536", "a b:1", "a:1\n  server x", ":1", "[::1:1", "a:1 check"]
)
def test_a_backend_that_is_no_address_is_named(backend: str) -> None:
    with pytest.raises(ConfigError, match=r"^rsyslog: backends\b.*") as refused:
        files(backends=[backend])
    assert "\n" not in str(refused.value)


def test_the_readme_names_every_file_and_no_other() -> None:
    for values in ({}, {"stdout": "docker"}, {"shipper_host": "10.0.0.5", "stdout": "none"}):
        written = files(**values)
        text = written["rsyslog/README.md"]
        named = {f"rsyslog/{name}" for name in re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)}
        assert named == written.keys() - {"rsyslog/README.md"}


def test_the_readme_gives_commands_that_sh_reads_and_options_that_exist() -> None:
    text = files(**ODD)["rsyslog/README.md"]
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), block
    given = re.findall(r"--(tls[a-z-]*)", " ".join(blocks))
    assert given
    assert {option.replace("-", "_") for option in given} <= rsyslog.Settings.model_fields.keys()


def test_the_script_for_hosts_without_systemd_makes_directories_and_becomes_the_program(tmp_path: Path) -> None:
    program = tmp_path / "ship per"
    program.write_text('#!/bin/sh\necho "$$ $0 $*"\n')
    program.chmod(0o755)
    values = {
        "socket": f"{tmp_path}/a b/log", "relay_socket": f"{tmp_path}/a b/relay", "status_socket": f"{tmp_path}/st&t/s",
        "work_directory": f"{tmp_path}/spool/x", "config_directory": f"{tmp_path}/etc", "program": str(program),
    }  # fmt: skip
    write(files(**values), tmp_path)
    started = subprocess.Popen([tmp_path / "rsyslog/run"], stdout=subprocess.PIPE, text=True)
    said, _ = started.communicate(timeout=60)
    assert said == f"{started.pid} {program} host run --config {tmp_path}/etc/host.json\n"
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a b", "st&t", "spool/x")}
    assert modes == {"a b": 0o755, "st&t": 0o755, "spool/x": 0o700}
    assert os.access(tmp_path / "rsyslog/run", os.X_OK)


@pytest.mark.parametrize("name", sorted(ODD))
@pytest.mark.parametrize(
    "value",
    ["", "x", "/", "/a/", "//a", "/a/../b", "/a'", '/a"', "/a\\", "/a$b", "/a%n", "/a`", "/a,b", "/a:b", "/a\n",
     "/a\x00", "/" + "x" * 256, "/xy" * 400, "/a\u2028b", "/a\u202eb", "/a ", "/\udc80"],
)  # fmt: skip
def test_a_path_that_some_language_cannot_spell_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^rsyslog: {name}: ") as refused:
        files(**{name: value})
    assert "\n" not in str(refused.value)
