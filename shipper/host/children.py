"""Child processes that end with their parent."""

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
#: What sysexits(3) calls an internal software error.
_BUG: Final = 70


class Child:
    """One role and the process that has it now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        self.started_at = ""
        self.restarts = 0
        self.last_exit = ""
        #: time.monotonic of the start, and the earliest of the next one.
        self.began = self.not_before = 0.0

    @property
    def running(self) -> bool:
        """Whether there is a process that has not been waited for."""
        return self.pid != 0

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that does not run hears nothing."""
        if self.pid:
            os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it has ended since the last question; `last_exit` says how."""
        if not self.pid:
            return False
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 0
        if not pid:
            return False
        self.pid = 0
        code = os.waitstatus_to_exitcode(status)
        self.last_exit = f"signal {-code}" if code < 0 else f"exit {code}"
        return True

    def stop(self, seconds: float) -> None:
        """Ask it to end (SIGTERM) and wait; what is still there after so many seconds is killed."""
        if not self.pid:
            return
        self.signal(signal.SIGTERM)
        if not self._ended_within(seconds):
            self.signal(signal.SIGKILL)
            self._ended_within(seconds)

    def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


def fork(body: Callable[[], int], keep: Sequence[int], death: signal.Signals) -> int:
    """Return the pid of a child that runs `body` and ends with what that returns.

    It has stdin, stdout, stderr and the descriptors `keep`, and gets the signal `death` when its parent ends. Signals
    are blocked until it unblocks them, so that none is handled as its parent would.
    """
    parent = os.getpid()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    code = _BUG
    try:
        signal.set_wakeup_fd(-1)
        _die_with(parent, death)
        _close_others({0, 1, 2, *keep})
        code = body()
    except BaseException:  # noqa: BLE001  nothing may run on as a second parent
        traceback.print_exc()
    finally:
        os._exit(code)


def execute(
    argv: Sequence[str], environment: Mapping[str, str], stderr: int | None = None, third: int | None = None
) -> Callable[[], int]:
    """Return a body for `fork` that becomes another program; `third` is handed over as LISTEN_FDS does."""

    def body() -> int:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        found = dict(environment)
        if stderr is not None:
            os.dup2(stderr, 1)
            os.dup2(stderr, 2)
        if third is not None:
            _move(third, 3)
            found |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            os.execve(argv[0], list(argv), found)  # noqa: S606  no shell is meant
        except OSError as error:
            print(f"{argv[0]}: cannot be run: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201
        return 127

    return body


def _move(descriptor: int, number: int) -> None:
    if descriptor == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(descriptor, number)


def _die_with(parent: int, death: signal.Signals) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _close_others(keep: set[int]) -> None:
    """Close what belongs to the parent alone: its lock, its status socket, its other children's pipes."""
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208  names, not paths
        if descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                continue  # the one that listed the folder


def command(pid: int) -> str:
    """Return the kernel's short name of what a process runs; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
