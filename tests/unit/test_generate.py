"""What is generated: the committed files, safe quoting, the command, the launcher's refusals."""

import argparse
import os
import re
import subprocess
from pathlib import Path

import pytest

import shipper.cli.generate as command
from shipper.errors import ConfigError
from shipper.generate import host, rsyslog, write

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_commands(parser.add_subparsers())
    parsed = parser.parse_args(["generate", *arguments])
    return int(parsed.function(parsed))


def test_committed_files_are_what_the_defaults_give() -> None:
    files = host.generate(rsyslog.Settings())
    committed = {
        str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "rsyslog").rglob("*") if path.is_file()
    }
    assert committed == files, "run: .venv/bin/shipper generate rsyslog"
    assert os.access(ROOT / "rsyslog/start", os.X_OK)


def test_every_setting_reaches_the_files() -> None:
    plain = "".join(host.generate(rsyslog.Settings()).values())
    changed: dict[str, object] = {
        "socket": "/srv/with space/log", "relay_socket": "/srv/relay", "status_socket": "/srv/status",
        "work_directory": "/srv/wörk", "config_directory": "/srv/etc", "program": "/srv/bin/shipper",
        "shipper_host": "fe80::1", "shipper_port": 1, "backends": "a:31514, [::1]:31515", "host_name": "web-3.example",
        "hold": "500 MB", "records_per_second": 5, "stdout": "sandbox", "sandboxes": "/srv/mesos",
        "files": "/srv/*.log", "journal": "true", "queue_records": 12345, "heartbeat_seconds": 7, "relp_window": 777,
        "tls": "openssl", "tls_ca": "/srv/ca.pem", "tls_cert": "/srv/cert.pem", "tls_key": "/srv/key.pem",
        "tls_peer": "shipper.example",
    }  # fmt: skip
    assert changed.keys() == rsyslog.Settings.model_fields.keys()
    needs = {
        "sandboxes": {"stdout": "sandbox"},
        "records_per_second": {"hold": "6 hours"},
        **{key: {"tls": "openssl"} for key in ("tls_ca", "tls_cert", "tls_key", "tls_peer")},
    }
    for name, value in changed.items():
        before = "".join(host.generate(rsyslog.read(needs.get(name, {}))).values()) if name in needs else plain
        after = "".join(host.generate(rsyslog.read({**needs.get(name, {}), name: value})).values())
        assert before != after, name
    everything = "".join(host.generate(rsyslog.read(changed)).values())
    assert not re.search("@[a-z_]+@", everything)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("2 GB", 2 * 10**9), ("500MB", 5 * 10**8), ("1.5 tb", 15 * 10**11), ("6 hours", 6 * 3600 * 500 * 1100),
     ("1 day", 86_400 * 500 * 1100), ("90 minutes", 5400 * 500 * 1100)],
)  # fmt: skip
def test_what_a_host_holds_is_said_in_words(words: str, expected: int) -> None:
    assert rsyslog.read({"hold": words}).queue_bytes == expected


def test_queues_take_what_was_allowed_and_no_more() -> None:
    for values in ({"hold": "2 GB"}, {"hold": "8 MB"}, {"hold": "1 TB", "journal": True}):
        settings = rsyslog.read(values)
        sizes = re.findall(r'maxDiskSpace="(\d+)"', rsyslog.generate(settings)["rsyslog/shipper.conf"])
        assert len(sizes) == (4 if "journal" in values else 3)
        assert settings.queue_bytes - 3 <= sum(map(int, sizes)) <= settings.queue_bytes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("socket", 'run/"log'), ("socket", "relative"), ("socket", "/run/a\nb"), ("socket", "/run/`id`"),
        ("socket", "/run/%msg%"), ("socket", "/run/$HOME"), ("socket", "/run/it's"), ("socket", "/run/back\\slash"),
        ("socket", "/" + "x" * 107), ("socket", "/" + "ä" * 54), ("socket", ""), ("socket", "/run/log\n"),
        ("work_directory", '/var"'), ("work_directory", "/var\x00"), ("work_directory", "/var/\udc80"),
        ("shipper_host", 'h" port="1'), ("shipper_host", ""), ("shipper_host", "h\n"),
        ("shipper_port", 0), ("shipper_port", 65536), ("shipper_port", "5140x"),
        ("host_name", "-x"), ("host_name", "a b"), ("host_name", "a\n"),
        ("queue_records", 11_999), ("relp_window", 255), ("journal", "maybe"), ("backends", "h"), ("backends", "h:0"),
        ("backends", "h:1\n"), ("files", "relative/*.log"), ("files", "/var/*.log\n"), ("stdout", "both"),
        ("tls", "nss"), ("tls_peer", 'x"'), ("sandboxes", "/var/lib/../mesos"), ("program", "/opt/x;id"),
        ("heartbeat_seconds", 0), ("records_per_second", 0),
        ("prot", 1),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^rsyslog: {key}: "):
        rsyslog.read({key: value})


@pytest.mark.parametrize(
    "words", ["", "2", "GB", "-1 GB", "2 GB or 6 hours", "1 KB", "9999 TB", "2 parsecs", "2 GB\n;"]
)
def test_a_wrong_quantity_is_named(words: str) -> None:
    with pytest.raises(ConfigError, match=r"^rsyslog: hold: "):
        rsyslog.read({"hold": words})


def test_unchecked_settings_do_not_reach_a_file() -> None:
    with pytest.raises(ConfigError, match="socket"):
        rsyslog.generate(rsyslog.Settings().model_copy(update={"socket": '/x"'}))


def test_the_command_writes_files_that_can_be_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rsyslog", "--out", str(tmp_path), "--shipper-port", "6000") == 0
    start = tmp_path / "rsyslog/start"
    written = capsys.readouterr().out.split()
    assert {str(start), str(tmp_path / "rsyslog/host.json"), str(tmp_path / "rsyslog/README.md")} <= {*written}
    assert 'port="6000"' in (tmp_path / "rsyslog/shipper.conf").read_text()
    assert os.access(start, os.X_OK)


def test_settings_come_from_a_file_and_options_win(tmp_path: Path) -> None:
    file = tmp_path / "host.yaml"
    file.write_text("shipper_port: 6000\nhost_name: web-1\nfiles: [/srv/a.log, /srv/b.log]\n")
    assert run("rsyslog", "--out", str(tmp_path), "--settings", str(file), "--host-name", "web-3") == 0
    text = (tmp_path / "rsyslog/shipper.conf").read_text()
    assert 'port="6000"' in text
    assert 'localHostname="web-3"' in text
    assert '"/srv/b.log"' in (tmp_path / "rsyslog/host.json").read_text()
    file.write_text("port: 6000\n")
    with pytest.raises(ConfigError, match="port: "):
        run("rsyslog", "--out", str(tmp_path), "--settings", str(file))
    with pytest.raises(ConfigError, match="cannot read"):
        run("rsyslog", "--settings", str(tmp_path / "none.yaml"))


def test_the_command_says_what_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "rsyslog").write_text("a file is in the way")
    with pytest.raises(ConfigError, match="--out"):
        run("rsyslog", "--out", str(tmp_path))
    with pytest.raises(ConfigError, match="shipper_port"):
        run("rsyslog", "--out", str(tmp_path), "--shipper-port", "none")


def test_the_launcher_gives_every_start_a_new_series(tmp_path: Path) -> None:
    fake = _fake_rsyslogd(tmp_path, '[ "$1" = -N1 ] || echo "$SHIPPER_SERIES $*"')
    config, start, _ = _files(tmp_path)
    said = [_start(start, "-r", str(fake), SHIPPER_SERIES="old").stdout.strip().split(" ", 1) for _ in range(20)]
    assert len({series for series, _ in said}) == 20
    for series, arguments in said:
        assert re.fullmatch("[0-9a-f]{16}", series)
        assert arguments == f"-n -iNONE -f {config}"


def test_the_launcher_hands_sockets_over(tmp_path: Path) -> None:
    fake = _fake_rsyslogd(tmp_path, '[ "$1" = -N1 ] || echo "$$ ${LISTEN_PID:-none} ${LISTEN_FDS:-none}"')
    _, start, _ = _files(tmp_path)
    pid, listen_pid, count = _start(start, "-r", str(fake), LISTEN_FDS="1", LISTEN_PID="1").stdout.split()
    assert (listen_pid, count) == (pid, "1")


def test_the_launcher_refuses_in_one_line(tmp_path: Path) -> None:
    _, start, _ = _files(tmp_path)
    missing = "is missing: install the packages rsyslog and rsyslog-relp"
    assert _start(start, "-r", "/nowhere/rsyslogd").stderr == f"start: /nowhere/rsyslogd {missing}\n"
    assert "usage: start" in _start(start, "-x").stderr
    fake = _fake_rsyslogd(tmp_path, "echo 'rsyslogd: parameter x not known' >&2; exit 1")
    refused = _start(start, "-r", str(fake))
    assert refused.stderr == f"start: {tmp_path}/rsyslog/shipper.conf is refused: rsyslogd: parameter x not known\n"
    assert "cannot read" in _start(start, "-r", str(fake), "-f", "none.conf").stderr
    (tmp_path / "work").rmdir()
    (tmp_path / "work").write_text("")
    refused = _start(start, "-r", str(fake))
    assert (refused.returncode, refused.stderr) == (1, f"start: cannot make the work directory {tmp_path}/work\n")


def _files(directory: Path) -> list[Path]:
    values = {"socket": f"{directory}/log", "work_directory": f"{directory}/work"}
    return write(rsyslog.generate(rsyslog.read(values)), directory)


def _fake_rsyslogd(directory: Path, body: str) -> Path:
    fake = directory / "fake"
    fake.write_text(f"#!/bin/sh\n{body}\n")
    fake.chmod(0o755)
    return fake


def _start(start: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([start, *arguments], env=env, capture_output=True, text=True, timeout=60)
