"""Shell completion: what argparse knows and what the server tells, in a real bash; nothing of a stranger is run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shipper.cli import PARTS, main, parser_of
from shipper.cli.completion import SHELLS, tables
from tests.servers.process import free_port
from tests.unit.cli_world import Server, server

__all__ = ["server"]  # a fixture

_ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_shipper
printf '%s\\n' "${COMPREPLY[@]}"
"""
_HOSTILE = [
    "shop-web",
    "$(touch ran)",
    "`touch ran`",
    "shop;touch ran",
    "shop\ntouch ran",
    "-shop",
    "\x1bshop",
    "shop api",
]


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "completion.bash"
    path.write_text(capsys.readouterr().out)
    return path


def complete(script: Path, *words: str, url: str = "http://127.0.0.1:1") -> list[str]:
    environment = {
        **os.environ, "SHIPPER_URL": url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    argv: list[str | Path] = ["bash", "--norc", "-c", _ASK, "bash", script, "shipper", *words]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=environment, cwd=script.parent, timeout=60, check=True
    )
    assert done.stderr == ""
    return str(done.stdout).split()


def test_commands_options_and_choices(script: Path) -> None:
    assert complete(script, "sea") == ["search"]
    assert {"search", "request", "top", "ledger", "bundle", "--help"} <= set(complete(script, ""))
    assert complete(script, "search", "--min") == ["--min-level"]
    assert complete(script, "search", "--order", "") == ["newest", "oldest"]
    assert complete(script, "search", "x", "--level", "e") == ["error", "emergency"]
    assert "rsyslog" in complete(script, "generate", "")
    assert "--no-pager" in complete(script, "dead-letters", "--")
    assert complete(script, "search", "--limit", "") == []
    assert complete(script, "search", "--token-file", "compl") == ["completion.bash"]


def test_names_come_from_the_server(script: Path, server: Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    server.answers = [
        (200, {"field": "app", "values": ["shop-api", *_HOSTILE]}),
        (200, {"fields": [{"name": "log.level", "short": "level"}, {"name": "log.logger", "short": None}]}),
    ]
    assert complete(script, "search", "--app", "sh", url=url) == ["shop-api", "shop-web"]
    assert server.asked == ["/api/v1/values?field=app&prefix=sh&limit=50"]
    assert complete(script, "top", "lo", url=url) == ["log.level", "log.logger"]
    assert not (script.parent / "ran").exists()


@pytest.mark.parametrize(
    "answer",
    [(401, {"error": {"message": "no"}}), (200, b"<html>"), (200, {"values": None}), (200, {"values": [1, {}]})],
)
def test_it_is_silent(server: Server, capsys: pytest.CaptureFixture[str], answer: tuple[int, Any]) -> None:
    server.answers = [answer]
    assert main(["completion", "values", "host", "x", "--url", f"http://127.0.0.1:{server.server_port}"]) == 0
    assert main(["completion", "values", "host", "x", "--url", f"http://127.0.0.1:{free_port()}"]) == 0
    assert capsys.readouterr() == ("", "")


def test_every_command_is_in_every_script(capsys: pytest.CaptureFixture[str]) -> None:
    found = [table.path for table in tables(parser_of(PARTS))]
    assert {"search", "bundle", "generate rsyslog"} <= set(found)
    for shell in SHELLS:
        assert main(["completion", shell]) == 0
        text = capsys.readouterr().out
        assert all(path.split()[-1] in text for path in found if path)
        assert "min-level" in text
        program = shutil.which(shell)
        if program is not None:
            subprocess.run([program, "-n"], input=text, text=True, check=True, timeout=60)
