"""The sockets of a host: taken over from systemd or an earlier self, or bound here; and the lock of the one holder."""

import contextlib
import errno
import fcntl
import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shipper.errors import ConfigError
from shipper.host import mounts
from shipper.host.settings import Settings

#: The first descriptor that is handed over: sd_listen_fds(3), SD_LISTEN_FDS_START.
FIRST_DESCRIPTOR: Final = 3
#: How long the reader of a holder that was killed may still need to end in order.
_ORPHAN_SECONDS: Final = 10.0
_BACKLOG: Final = 16
#: Descriptors that are inherited and not handed over stay out of the way.
_ABOVE_HANDED_OVER: Final = 10
#: Tells a program that is asked whether it could take over which container socket it would get.
HELD: Final = "SHIPPER_HOST_HELD"


@dataclass(frozen=True, slots=True)
class Sockets:
    """What the holder holds."""

    container: socket.socket
    relay: socket.socket
    status: socket.socket
    #: "systemd" when the container socket was handed over, "holder" when it was bound here.
    held_by: str


def lock(settings: Settings) -> int:
    """Return a descriptor that is open as long as no other holder may run with this relay socket."""
    found = try_lock(Path(settings.relay_socket).with_name("holder.lock"))
    if found is None:
        raise ConfigError(f"{settings.socket} is held by another `shipper host run`, which goes on")
    return found


def try_lock(path: Path) -> int | None:
    """Return a descriptor that locks a path as long as any process has it open; None when it is locked already."""
    make_folder(path.parent)
    with _said(str(path)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    descriptor = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _ABOVE_HANDED_OVER)
    os.close(opened)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def make_folder(path: str | Path, mode: int = 0o755) -> None:
    """Make a folder unless it is there, whatever the umask; ConfigError when that is not allowed."""
    folder = Path(path)
    with _said(str(path)):
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(mode)


def take(settings: Settings) -> Sockets:
    """Take over what was handed over and bind the rest; ConfigError says which cannot be had, and why."""
    given = handed_over()
    container = given.pop(settings.socket, None)
    if container is None and given and settings.relay_socket not in given:
        raise ConfigError(f"socket: {settings.socket} was not handed over, but {', '.join(given)}")
    held_by = "holder" if container is None else "systemd"
    if container is None:
        container = _bind(settings.socket, socket.SOCK_DGRAM, 0o666, wait=_ORPHAN_SECONDS)
    relay = given.pop(settings.relay_socket, None) or _bind(
        settings.relay_socket, socket.SOCK_DGRAM, 0o600, wait=_ORPHAN_SECONDS
    )
    for other in given.values():
        other.close()
    status = _bind(settings.status_socket, socket.SOCK_STREAM, 0o666)
    status.listen(_BACKLOG)
    status.setblocking(False)
    return Sockets(container, relay, status, held_by)


def check_hand_over(settings: Settings) -> None:
    """Refuse to take over from a holder with another container socket: whoever has that one would be deaf."""
    held = os.environ.get(HELD, settings.socket)
    if held == settings.socket:
        return
    deaf = mounts.deaf_without(held)
    now_deaf = f"; deaf would be: {deaf}" if deaf else ""
    raise ConfigError(f"socket: {settings.socket} is not {held}, which is held now{now_deaf}; stop and start instead")


def handed_over() -> dict[str, socket.socket]:
    """Return the Unix sockets that were handed over to us (sd_listen_fds(3)), by the path they are bound to."""
    count, pid = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    found = {}
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        with contextlib.suppress(OSError):  # something else than a socket is not for us
            os.set_inheritable(descriptor, False)
            given = socket.socket(fileno=descriptor)
            found[str(given.getsockname())] = given
    return found


def _bind(path: str, kind: socket.SocketKind, mode: int, wait: float = 0) -> socket.socket:
    """Bind a socket; a path that nobody reads any more is replaced, for one that is read we wait so many seconds."""
    bound = socket.socket(socket.AF_UNIX, kind)
    deadline = time.monotonic() + wait
    make_folder(Path(path).parent)
    with _said(path):
        before = os.umask(0o777 & ~mode)
        try:
            while not _bound(bound, path):
                if _is_read(path, kind):
                    if time.monotonic() >= deadline:
                        raise ConfigError(f"{path} is read by another process; stop that one, or change the path")
                    time.sleep(0.05)
                    continue
                os.unlink(path)  # noqa: PTH108  as bind and connect: the path as it was given
        finally:
            os.umask(before)
    return bound


def _bound(bound: socket.socket, path: str) -> bool:
    try:
        bound.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def _is_read(path: str, kind: socket.SocketKind) -> bool:
    """Whether some process has this socket open. A path that is no socket is a refusal: it is not ours to remove."""
    if not Path(path).is_socket():
        raise ConfigError(f"{path} is there and is no socket")
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) != errno.ECONNREFUSED


@contextlib.contextmanager
def _said(path: str) -> Iterator[None]:
    """Say in one line which path could not be had."""
    try:
        yield
    except PermissionError:
        raise ConfigError(
            f"{path}: permission denied; run as root, or choose paths that this user may write to"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def hand_over(held: Sockets) -> None:
    """Prepare an exec: this process's sockets become what sd_listen_fds(3) finds."""
    moved = [fcntl.fcntl(found.fileno(), fcntl.F_DUPFD, _ABOVE_HANDED_OVER) for found in (held.container, held.relay)]
    for number, descriptor in enumerate(moved, FIRST_DESCRIPTOR):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ |= {"LISTEN_FDS": str(len(moved)), "LISTEN_PID": str(os.getpid())}


def readable(container: socket.socket) -> bool:
    """Whether there is something to read."""
    return bool(select.select([container], [], [], 0)[0])


def state_path(settings: Settings) -> Path:
    """Return where the reader's numbers are kept."""
    return Path(settings.relay_socket).with_name("reader.state")
