"""host.json: what it may say, and how a mistake is said."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from shipper.errors import ConfigError
from shipper.host.settings import load


def written(folder: Path, text: str) -> Path:
    path = folder / "host.json"
    path.write_text(text)
    return path


def test_nothing_said_gives_the_defaults(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "{}"))
    assert (settings.socket, settings.relay_socket) == ("/run/shipper/log", "/run/shipper/relay")
    assert (settings.host_name, settings.folder) == (socket.gethostname(), str(tmp_path))
    assert not settings.has_files


def test_what_is_said_counts(tmp_path: Path) -> None:
    settings = load(written(tmp_path, '{"host_name": "web-3", "files": ["/var/log/*.log"], "heartbeat_seconds": 5}'))
    assert (settings.host_name, settings.files, settings.heartbeat_seconds) == ("web-3", ("/var/log/*.log",), 5)
    assert settings.has_files


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sokcet": "/x"}, "sokcet: unknown key; there are socket, relay_socket,"),
        ({"socket": "run/log"}, "socket: must be an absolute path"),
        ({"socket": ""}, "socket: must not be empty"),
        ({"relay_socket": "/" + "x" * 107}, "relay_socket: longer than the 107 bytes"),
        ({"status_socket": 5}, "status_socket: must be a text"),
        ({"work_directory": "/a\nb"}, "work_directory: must be a text"),
        ({"files": "/var/log/*"}, "files: must be a list of absolute patterns"),
        ({"files": ["var/log"]}, "files: must be a list of absolute patterns"),
        ({"backlog_bytes": 1}, "backlog_bytes: must be a whole number from 65536 to 4294967296"),
        ({"heartbeat_seconds": True}, "heartbeat_seconds: must be a whole number from 1 to 3600"),
        ({"host_name": "x" * 256}, "host_name: must be at most 255 characters"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    path = written(tmp_path, json.dumps(values))
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}: {said}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"), [("[]", "must be one JSON object"), ("{", "is no JSON"), ("\udcff", "is no")]
)
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "host.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=said):
        load(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "host.json")
