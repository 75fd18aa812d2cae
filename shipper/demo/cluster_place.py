"""What the cluster of the demo takes of this machine: a folder that is made anew each time, and free ports."""

import contextlib
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shipper.demo.cluster_emulator import HOSTS
from shipper.demo.cluster_host import LOG_SOCKET
from shipper.demo.screen import Screen
from shipper.errors import ConfigError

#: What HAProxy takes as the path of a log socket, which is less than any other program here.
_SOCKET: Final = re.compile(r"/[A-Za-z0-9._/-]{1,96}")


@contextlib.contextmanager
def folder_of_hosts(directory: Path, screen: Screen) -> Iterator[Path]:
    """Yield the folder for the emulated hosts: this one, unless no socket can be in it."""
    try:
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir()
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be made anew: {(error.strerror or '').lower()}") from None
    if _SOCKET.fullmatch(f"{directory}/hosts/{HOSTS[0]}/{LOG_SOCKET}"):
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="shipper-demo-", ignore_cleanup_errors=True) as short:
        screen.say("hosts", f"in {short}, as the path of --dir is too long for sockets, or has special characters")
        yield Path(short)


def free_ports(wanted: tuple[int, ...]) -> list[int]:
    """Return a port for each that is wanted, free on all hosts: that one, or another when it is in use."""
    found: list[int] = []
    for port in wanted:
        while port in found or not _is_free(port):
            with socket.socket() as probe:
                probe.bind(("", 0))
                port = int(probe.getsockname()[1])
        found.append(port)
    return found


def _is_free(port: int) -> bool:
    try:
        for host in HOSTS:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
    except OSError:
        return False
    return port > 0
