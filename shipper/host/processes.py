"""What the kernel says of one process, asked without ever waiting for another program (proc(5), pidfd ioctls)."""

import fcntl
import os
import signal
import struct
from dataclasses import dataclass
from typing import Final

#: include/uapi/linux/pidfd.h: the request for a struct pidfd_info of 64 bytes, and two bits of its mask.
_PIDFD_GET_INFO: Final = 0xC0000000 | 64 << 16 | 0xFF << 8 | 11
_INFO_CGROUP_ID: Final = 1 << 2
_INFO_EXIT: Final = 1 << 3
#: include/linux/sched.h: it has begun to end. Its version 1 cgroups are "/" soon afterwards, whatever they were.
_PF_EXITING: Final = 0x4
#: Longest file of /proc that is read; environments have more than this only by intent.
_LONGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Stat:
    """What tells one process from another with the same id, and whether it has begun to end."""

    start: int
    exiting: bool


class Processes:
    """The processes in one proc folder. Methods raise OSError when a process is gone or not ours to look at."""

    def __init__(self, proc: str) -> None:
        self._proc = proc

    def stat(self, pid: int) -> Stat:
        """Read fields 9 (flags) and 22 (start, in clock ticks since boot)."""
        # The name, field 2, is in parentheses and may hold any character.
        fields = self._read(pid, "stat").rpartition(b")")[2].split()
        if len(fields) < 20:
            raise ProcessLookupError(pid)
        return Stat(int(fields[19]), bool(int(fields[6]) & _PF_EXITING))

    def cgroup(self, pid: int) -> str:
        """Read the lines that say where in each hierarchy it is."""
        return os.fsdecode(self._read(pid, "cgroup"))

    def environment(self, pid: int) -> bytes:
        """Read the environment it was started with, "NAME=value" ended by zero bytes: secrets, not to be kept."""
        return self._read(pid, "environ")

    def name(self, pid: int) -> str:
        """Read its name, of at most 15 bytes."""
        return os.fsdecode(self._read(pid, "comm")).rstrip("\n")

    def folder(self, pid: int) -> str:
        """Its working directory."""
        return os.readlink(f"{self._proc}/{pid}/cwd")  # noqa: PTH115  a text is wanted

    def owner(self, pid: int) -> int:
        """Its effective user id."""
        return os.stat(f"{self._proc}/{pid}").st_uid  # noqa: PTH116  a microsecond each, per record

    def ids(self, pid: int) -> list[int]:
        """Its id in each pid namespace, the host's first; empty before Linux 4.1."""
        for line in self._read(pid, "status").splitlines():
            if line.startswith(b"NSpid:"):
                return [int(part) for part in line.split()[1:]]
        return []

    def _read(self, pid: int, name: str) -> bytes:
        file = os.open(f"{self._proc}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts, length = [], 0
            while length < _LONGEST and (part := os.read(file, 65536)):  # environ comes a page at a time
                parts.append(part)
                length += len(part)
            return b"".join(parts)
        finally:
            os.close(file)


def unique_number(pidfd: int, shared_device: int) -> int | None:
    """The number no other process has until the next boot; None when this kernel has none (before 6.9)."""
    status = os.fstat(pidfd)
    return None if status.st_dev == shared_device else status.st_ino


def shared_device() -> int:
    """The device of files that have no inode of their own; older kernels' pidfds are among them."""
    file = os.eventfd(0)
    try:
        return os.fstat(file).st_dev
    finally:
        os.close(file)


def has_its_id(pidfd: int) -> bool:
    """Whether the process still has its id: it runs, or nobody has asked how it ended. Then /proc/PID is its own."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def last_cgroup_id(pidfd: int) -> int | None:
    """The id of the version 2 cgroup of a process that has ended; None when this kernel does not say (before 6.15)."""
    asked = _INFO_CGROUP_ID | _INFO_EXIT
    info = bytearray(64)
    struct.pack_into("=Q", info, 0, asked)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    told, cgroup_id = struct.unpack_from("=QQ", info)
    return cgroup_id if told & _INFO_CGROUP_ID else None
