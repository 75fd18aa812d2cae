"""What the Docker daemon says, in one request over its socket: its log driver, the names of its containers."""

import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, ok, skipped, warning

_NAME: Final = "docker"
_SECONDS: Final = 3.0
_LONGEST_ANSWER: Final = 8 * 2**20
_LONGEST_FILE: Final = 2**20
_DAEMON_JSON: Final = "/etc/docker/daemon.json"


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def socket_path() -> str:
    """Return where the daemon listens: $DOCKER_HOST when that is a Unix socket, else where packages put it."""
    return os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock"


def names() -> dict[str, str]:
    """Return the name of each container by id; none when the daemon does not say."""
    try:
        listed = _ask("/containers/json")
        return {str(one["Id"]): str(one["Names"][0]).removeprefix("/") for one in listed}
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException):
        return {}


def check(examination: Examination) -> Iterator[Finding]:
    """Compare where the daemon sends containers' output with what is read on this host: one source, never both."""
    path = socket_path()
    if not Path(path).exists():
        yield skipped(_NAME, f"{path} is missing: no Docker daemon here")
        return
    try:
        driver = str(_ask("/info")["LoggingDriver"])
    except PermissionError:
        raise
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        yield failed(_NAME, f"the Docker daemon does not answer at {path}: {error}", "systemctl status docker")
        return
    yield _judge(examination, driver)


def _judge(examination: Examination, driver: str) -> Finding:
    sandboxes, ours = examination.settings.sandboxes, driver == "syslog" and _sends_to(examination.settings.socket)
    piece = examination.config.with_name("docker") / "daemon.json"
    if sandboxes and ours:
        return failed(
            _NAME,
            f"output of tasks is read twice: from the sandboxes in {sandboxes} and from Docker's driver {driver}",
            f"choose one: take log-driver out of {_DAEMON_JSON}, or generate with stdout=docker",
        )
    if not sandboxes and piece.exists() and not ours:
        return warning(
            _NAME,
            f"Docker's log driver is {driver}, so output of containers is not read",
            f"merge {piece} into {_DAEMON_JSON}, restart Docker, and the containers that are to log here",
        )
    read = f"from the sandboxes in {sandboxes}" if sandboxes else "from Docker" if ours else "by nobody here"
    return ok(_NAME, f"log driver {driver}; output of tasks is read {read}")


def _sends_to(path: str) -> bool:
    """Whether the daemon's syslog driver writes to this socket; yes when its file does not say another one."""
    try:
        with open(_DAEMON_JSON, "rb") as file:  # noqa: PTH123
            address = json.loads(file.read(_LONGEST_FILE))["log-opts"]["syslog-address"]
    except (OSError, ValueError, LookupError, TypeError):
        return True
    return unquote(urlsplit(str(address)).path) == path


def _ask(path: str) -> Any:
    connection = _Connection(socket_path())
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_LONGEST_ANSWER)
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        return json.loads(body)
    finally:
        connection.close()
