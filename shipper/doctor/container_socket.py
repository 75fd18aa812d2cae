"""Is the socket that containers write to there, open to all, held, and read?"""

import os
import select
import socket as sockets
import stat
from collections.abc import Iterator
from typing import Final

from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, ok, some, warning
from shipper.doctor.hearing import connected

_NAME: Final = "socket"
_START: Final = "start it: systemctl start shipper-host.socket shipper-host.service (or what supervises `run`)"
#: For so long a socket may be full before somebody must have read from it.
_FULL_MS: Final = 2000
_MOST_LINKS: Final = 200_000
_LONGEST_NAME: Final = 16


def check(examination: Examination) -> Iterator[Finding]:
    """Look at the file, at who has it open, and whether what is written is taken."""
    path = examination.settings.socket
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        yield failed(_NAME, f"{path} is missing: containers cannot log", _START)
        return
    if not stat.S_ISSOCK(mode):
        what = "a directory, as Docker makes when it mounts a missing socket" if stat.S_ISDIR(mode) else "no socket"
        yield failed(_NAME, f"{path} is {what}", f"remove it, then {_START}")
        return
    if examination.no_state:
        yield failed(_NAME, f"{path} is there, but {examination.no_state}", _START)
        return
    yield _reading(examination, path, stat.S_IMODE(mode))


def _reading(examination: Examination, path: str, mode: int) -> Finding:
    writer = connected(path)
    if not isinstance(writer, sockets.socket):
        return failed(_NAME, f"{path}: {os.strerror(writer)}: nobody holds it", _START)
    with writer:
        poll = select.poll()
        poll.register(writer, select.POLLOUT)
        taken = bool(poll.poll(_FULL_MS))
    reader = examination.pid("reader")
    if not taken or not reader:
        why = f"the reader (pid {reader})" if reader else "no reader runs; it"
        return failed(
            _NAME,
            f"{path} is not read: {why} took nothing in {_FULL_MS // 1000} s, and writers wait",
            "see `shipper host status` and `journalctl -u shipper-host`; then systemctl restart shipper-host.service",
        )
    if mode != 0o666:
        return failed(_NAME, f"{path} has mode {mode:04o}: not every user may write", f"chmod 0666 {path}")
    holders, bound = _holders(path)
    held = f"held by {examination.state.get('held_by')}"
    if bound > 1:
        return warning(
            _NAME,
            f"{bound} sockets were made at {path}, {held}, open in {some(holders)}: all but the last are deaf",
            "end what still holds an old one; see the check of containers for who writes there",
        )
    return ok(_NAME, f"{path} mode 0666, {held}, open in {some(holders) or 'processes of others'}, read by {reader}")


def _holders(path: str) -> tuple[list[str], int]:
    """Return who has sockets of this path open, as "name pid", and how many such sockets there are."""
    with open("/proc/net/unix", errors="replace") as table:  # noqa: PTH123
        rows = [line.rstrip("\n").split(None, 7) for line in table]
    links = {f"socket:[{row[6]}]" for row in rows if len(row) > 7 and row[7] == path}
    found = []
    left = _MOST_LINKS
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):  # noqa: PTH208
        try:
            open_files = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208
            left -= len(open_files)
            if left < 0:
                break
            if any(_link(f"/proc/{pid}/fd/{number}") in links for number in open_files):
                found.append(f"{_comm(pid)} {pid}")
        except OSError:
            continue  # it has just ended, or is another user's
    return found, len(links)


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115  a text, no path
    except OSError:
        return ""


def _comm(pid: int) -> str:
    with open(f"/proc/{pid}/comm", errors="replace") as file:  # noqa: PTH123
        return file.read(_LONGEST_NAME).strip()
