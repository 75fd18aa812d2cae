"""Completion in a real zsh, with the Tab key, and in a real fish; bash is in tests/unit/test_cli_completion.py."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.cli import main
from tests.servers.available import require
from tests.unit.cli_world import Server, server

__all__ = ["server"]  # a fixture

_NAMES = (200, {"values": ["shop-api", "$(touch ran)", "`touch ran`", "shop;touch ran", "(touch ran)", "-shop"]})
_SECONDS = 120
#: What a terminal does: the shell gets one, and this process its keys and what it shows.
_TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])"


@pytest.fixture
def environment(tmp_path: Path, server: Server) -> dict[str, str]:
    """A home without settings, the command `shipper`, and a server that knows hostile names."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    url = f"http://127.0.0.1:{server.server_port}"
    return {"PATH": path, "HOME": str(tmp_path), "TERM": "dumb", "LANG": "C.UTF-8", "SHIPPER_URL": url}


def written(path: Path, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    path.write_text(capsys.readouterr().out)


class Zsh:
    """A zsh in a terminal."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def type(self, keys: str, until: str) -> str:
        """Press keys; return what is shown up to a text that has to come."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(keys.encode())
        self._process.stdin.flush()
        shown = b""
        while not shown.endswith(until.encode()):
            byte = self._process.stdout.read(1)
            assert byte, shown
            shown += byte
        return shown.decode()


@pytest.fixture
def zsh(tmp_path: Path, environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Iterator[Zsh]:
    program = require("zsh")
    (tmp_path / ".zshrc").touch()
    (tmp_path / "functions").mkdir()
    written(tmp_path / "functions" / "_shipper", "zsh", capsys)
    argv = [sys.executable, "-c", _TERMINAL, program, "-d", "-i"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=tmp_path, bufsize=0
    ) as process:
        late = threading.Timer(_SECONDS, process.kill)
        late.start()
        found = Zsh(process)
        found.type(
            "fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -D -u; PS1=; print rea''dy\n", "ready"
        )
        yield found
        found.type("\x15print fini''shed; exit\n", "finished")
        late.cancel()


def test_zsh(zsh: Zsh, server: Server, tmp_path: Path) -> None:
    zsh.type("shipper sea\t", "search ")
    zsh.type("--min\t", "--min-level ")
    zsh.type("\x15shipper search x --order o\t", "oldest ")
    zsh.type("\x15shipper generate rs\t", "rsyslog ")
    zsh.type("\x15shipper search --token-file fu\t", "functions/")
    server.answers = [_NAMES]
    zsh.type("\x15shipper search --app \t", "shop-api ")
    assert server.asked == ["/api/v1/values?field=app&limit=50"]
    assert not (tmp_path / "ran").exists()


def test_fish(environment: dict[str, str], server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = require("fish")
    written(tmp_path / "shipper.fish", "fish", capsys)
    server.answers = [_NAMES]
    expected = {
        "shipper sea": "search",
        "shipper search --min": "--min-level",
        "shipper search x --order ": "newest oldest",
        "shipper search x --order=o": "--order=oldest",
        "shipper search tail --ord": "--order",
        "shipper search tail --bac": "",
        "shipper generate rs": "rsyslog",
        "shipper doctor host sta": "",
        "shipper completion z": "zsh",
        "shipper search --token-file ship": "shipper.fish",
        "shipper search --app ": "shop-api",
    }
    lines = [f"complete -C '{line}' | string split -f 1 \\t | string join ' '; echo ';'" for line in expected]
    script = "\n".join(["source shipper.fish", *lines])
    done = subprocess.run(
        [program, "--no-config", "-c", script],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=_SECONDS, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert dict(zip(expected, (line.strip() for line in done.stdout.split(";")), strict=False)) == expected
    assert server.asked == ["/api/v1/values?field=app&limit=50"]
    assert not (tmp_path / "ran").exists()
