"""Hostile settings: each is refused in one line before a file is written, or it stands in its place and nowhere else.

The accepted ones go through the real programs: many in one run of each, as starting a program is what takes the time.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from shipper.errors import ConfigError
from shipper.generate import host, rsyslog, write

#: In every accepted value, so that it can be found; in no template.
MARK = "q7z"
FRAGMENTS = (
    "", " x", "  x", "x ", "\tx", "\nx", "\r\nx", "\x00x", "\x1b[31m", "\x7f", "é", "日本", "🪵", "\ufeff",
    "\u2028x", "\u0085x", "\u202ex", "\udc80", "a" * 40, "a" * 400, "a" * 100_000, '"; touch /x; "',
    "'; touch /x; '", "`touch /x`", "$(touch /x)", "${HOME}", "$HOME", "%n", "%%", "%m", "%msg%", "}", "{x}",
    "{{.ID}}", "\\", "\\n", "\\\\", "#x", " #x", ";x", " ; x", "|", "|x", "&x", ">x", "*", "?", "[x]", "~", "!",
    "=x", "@socket@", "@", ",x", ":x", "/../x", "/./x", "//x", "/", "-x", " -x", "(x)", "<x>", "^", "+",
    "</code>", '" )\nmodule(load="omprog', "\n[Service]\nExecStart=/x", "\n  server x 1.2.3.4:1", "\n```",
)  # fmt: skip
Files = dict[str, str]
Parsed = list[Any]


def text_settings() -> list[str]:
    """All settings that a person writes as text; not those that are one of a few words."""
    return [name for name, field in rsyslog.Settings.model_fields.items() if field.annotation in (str, list[str])]


def is_list(name: str) -> bool:
    """Whether the setting holds several texts."""
    return rsyslog.Settings.model_fields[name].annotation == list[str]


def base(name: str) -> str:
    """A value of this setting, with the mark where it can have one."""
    default = rsyslog.Settings.model_fields[name].default
    if name == "files" or str(default).startswith("/"):
        return f"/srv/{MARK}"
    return f"{MARK}:1" if is_list(name) else str(default or MARK)


def generated(name: str, value: str) -> Files | None:
    """The files for a value of one setting; None when it is refused, in one line that names it."""
    values: dict[str, Any] = {"stdout": "docker", name: [value] if is_list(name) else value}
    if name.startswith("tls_"):
        values["tls"] = "openssl"
    try:
        files = host.generate(rsyslog.read(values))
    except ConfigError as error:
        said = str(error)
        assert said.startswith(f"rsyslog: {name}"), said
        assert len(said) < 500, "the value is not the message"
        assert said.isprintable(), "one line, whatever the value"
        return None
    return {path: text.encode().decode() for path, text in files.items()}


def words(text: str) -> Parsed:
    """The words of each line, as sh, HAProxy and systemd's lists split them; comments as they are."""
    return [[line] if line.lstrip().startswith("#") else shlex.split(line, comments=True) for line in text.splitlines()]


def unit(text: str) -> Parsed:
    """The settings of a unit: lists of words are split, a path is the rest of the line."""
    listed = ("ExecStart", "ExecReload", "ReadWritePaths")
    pairs = [line.partition("=") for line in text.splitlines()]
    return [[key, *(shlex.split(value) if key in listed else [value])] for key, _, value in pairs]


def daemon(text: str) -> Parsed:
    """Docker's options, and the path that it makes of the URL."""
    options = json.loads(text)["log-opts"]
    return [{**options, "syslog-address": unquote(options["syslog-address"])}]


PARSERS: dict[str, Callable[[str], Parsed]] = {
    "rsyslog/systemd/shipper-host.socket": unit,
    "rsyslog/systemd/shipper-host.service": unit,
    "rsyslog/systemd/shipper-haproxy.service": unit,
    "rsyslog/tmpfiles.d/shipper.conf": words,
    "rsyslog/run": words,
    "rsyslog/haproxy/shipper.cfg": words,
    "rsyslog/nginx/shipper.conf": words,
    "rsyslog/docker/daemon.json": daemon,
    "rsyslog/host.json": lambda text: [json.loads(text)],
}


def replaced(parsed: Any, old: str, new: str) -> Any:
    """The same structure with another text in its texts."""
    if isinstance(parsed, str):
        return parsed.replace(old, new)
    if isinstance(parsed, list):
        return [replaced(part, old, new) for part in parsed]
    return {key: replaced(part, old, new) for key, part in parsed.items()} if isinstance(parsed, dict) else parsed


def check_place(files: Files, value: str, expected: Files, harmless: str) -> None:
    """The files are those of a harmless value, but for the value itself."""
    assert files.keys() == expected.keys()
    for path, text in files.items():
        lines, others = text.split("\n"), expected[path].split("\n")
        assert len(lines) == len(others), path
        for line, other in zip(lines, others, strict=True):
            assert line == other or MARK in other, (path, line)
        if path in PARSERS:
            parse = PARSERS[path]
            # As a directory, the value stands there without its last part.
            one, two = parse(text), parse(expected[path])
            for mine, his in ((value, harmless), (value.rpartition("/")[0], harmless.rpartition("/")[0])):
                one, two = (
                    replaced(parsed, text, "\0") if text else parsed for parsed, text in ((one, mine), (two, his))
                )
            assert one == two, path


@pytest.mark.parametrize("name", text_settings())
def test_a_hostile_value_is_refused_or_stands_in_its_place(name: str) -> None:
    harmless = f"{base(name)}/log" if base(name).startswith("/") else base(name)
    expected = generated(name, harmless)
    assert expected is not None, "the harmless value is accepted"
    accepted = 0
    for fragment in FRAGMENTS:
        end = "/log" if harmless.endswith("/log") else ""
        for value in (f"{base(name)}{fragment}{end}", f"{fragment}{end}"):
            files = generated(name, value)
            if files is None:
                continue
            accepted += 1
            assert not re.search(r"[\x00-\x1f\x7f]", value)
            if MARK in value and MARK in harmless:
                check_place(files, value, expected, harmless)
    assert 0 < accepted < 2 * len(FRAGMENTS)


PATHS = [name for name in text_settings() if base(name).startswith("/") and not is_list(name)]


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Directories of files, each of settings whose paths are all hostile and accepted.

    What must exist for a program's check to accept is there: the command shipper, certificates, the work directory.
    """
    found = []
    for number, fragment in enumerate(FRAGMENTS):
        there = f"{tmp_path_factory.getbasetemp()}/{MARK}{number}{fragment}"
        existing = {name: f"{there}/{name}" for name in ("program", "tls_ca", "tls_cert", "tls_key")}
        values: dict[str, Any] = {name: f"/srv/{MARK}{fragment}/{name}" for name in PATHS}
        values |= {"stdout": "docker", "tls": "openssl", "files": [f"/srv/{MARK}{fragment}/*.log"]}
        values |= {"work_directory": f"{there}/work", **existing}
        try:
            files = host.generate(rsyslog.read(values))
        except ConfigError:
            continue
        Path(there, "work").mkdir(parents=True)
        for path in existing.values():
            Path(path).write_text("#!/bin/sh\n")
            Path(path).chmod(0o755)
        directory = tmp_path_factory.mktemp("files")
        write(files, directory)
        found.append(directory)
    assert len(found) > 10
    return found


def run(*argv: str | Path) -> str:
    """What the program says; it must accept."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def program(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not on this machine")


def renamed(accepted: list[Path], path: str, old: str, suffix: str = "") -> Iterator[Path]:
    """One file of each, with a name of its own in it and on disk, so that one run takes them all."""
    for number, directory in enumerate(accepted):
        file = directory / f"{path}.{number}{suffix}"
        text = (directory / path).read_text()
        assert re.search(old, text)
        file.write_text(re.sub(old, rf"\g<0>_{number}", text))
        yield file


def test_systemd_accepts_every_unit_that_is_written(accepted: list[Path], tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    units = []
    for number, directory in enumerate(accepted):
        for kind in ("socket", "service"):
            text = (directory / f"rsyslog/systemd/shipper-host.{kind}").read_text()
            units.append(tmp_path / f"host{number}.{kind}")
            units[-1].write_text(text.replace("shipper-host.", f"host{number}."))
    assert run(analyze, "--man=no", "--recursive-errors=no", "verify", *units) == ""


def test_systemd_tmpfiles_accepts_every_file_that_is_written(accepted: list[Path], tmp_path: Path) -> None:
    files = [directory / "rsyslog/tmpfiles.d/shipper.conf" for directory in accepted]
    said = run(program("systemd-tmpfiles"), f"--root={tmp_path}/root", "--clean", *files)
    # Two files name the directory that neither is told to change.
    assert [line for line in said.splitlines() if "Duplicate line" not in line] == []


def test_haproxy_accepts_every_file_that_is_written(accepted: list[Path], haproxy: str) -> None:
    files = renamed(accepted, "rsyslog/haproxy/shipper.cfg", r"(?m)^listen shipper")
    said = run(haproxy, "-c", *(part for file in files for part in ("-f", file)))
    assert "[WARNING]" not in said


def test_nginx_accepts_every_file_that_is_written(accepted: list[Path], nginx: str, tmp_path: Path) -> None:
    pieces = list(
        renamed(accepted, "rsyslog/nginx/shipper.conf", r"(?<=log_format )shipper|shipper(?=;)|\$shipper_request_id")
    )
    paths = "".join(
        f"  {kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    includes = "".join(f'  include "{piece}";\n' for piece in pieces)
    config.write_text(f"pid {tmp_path}/pid;\nerror_log {tmp_path}/log;\nevents {{}}\nhttp {{\n{paths}{includes}}}\n")
    said = run(nginx, "-t", "-p", tmp_path, "-e", tmp_path / "log", "-c", config)
    assert "[warn]" not in said


@pytest.mark.parametrize("name", ["run", "start"])
def test_sh_accepts_every_script_that_is_written(accepted: list[Path], tmp_path: Path, name: str) -> None:
    script = tmp_path / "all"
    script.write_text("\n".join((directory / "rsyslog" / name).read_text() for directory in accepted))
    assert run("sh", "-n", script) == ""


def test_rsyslogd_accepts_every_configuration_that_is_written(accepted: list[Path], rsyslogd: str) -> None:
    for directory in accepted:
        run(rsyslogd, "-N1", "-f", directory / "rsyslog/shipper.conf")
