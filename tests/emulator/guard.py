"""Ends what tasks leave behind: every process whose environment names a sandbox below a folder.

As a program it waits until its standard input closes, which happens when the emulator ends in whatever way, and
then kills all tasks below the folder given. It is started by path, so it imports nothing of the project's.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

#: Mesos gives every task this variable; children inherit it, even those that leave the session.
_MARK = b"MESOS_DIRECTORY="


def kill_below(directory: Path) -> None:
    """SIGKILL to every process whose sandbox is this folder or lies below it, until there is none."""
    quiet = 0
    for _ in range(100):  # each round catches what was forked during the last
        quiet = 0 if _kill_once(_MARK + os.fsencode(directory)) else quiet + 1
        if quiet == 2:  # twice, for a process has no environment for a moment while it becomes another program
            return
        time.sleep(0.002)


def _kill_once(mark: bytes) -> bool:
    found = False
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            found |= _kill_marked(int(entry.name), mark)
    return found


def _kill_marked(pid: int, mark: bytes) -> bool:
    """Kill it when it carries the mark. The descriptor makes sure that it is the process that was looked at."""
    with contextlib.suppress(OSError):  # ended, or not ours to look at
        handle = os.pidfd_open(pid)
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if any(value == mark or value.startswith(mark + b"/") for value in variables):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        finally:
            os.close(handle)
    return False


def main() -> None:
    """Wait for the end of standard input, then kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    kill_below(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
