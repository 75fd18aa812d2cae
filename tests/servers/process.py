"""A server process of a test: its output in a file, waited for with a deadline, ended by its own id."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

POLL_SECONDS = 0.02
#: No test is about how long a server takes to start: from a cold disk, beside others, it has taken three minutes.
START_SECONDS = 600


class ServerFailed(AssertionError):
    """A server ended, or was not ready in time; the message carries the end of its output."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    return _free(socket.SOCK_STREAM)


def free_udp_port() -> int:
    """A UDP port of 127.0.0.1 that was free a moment ago."""
    return _free(socket.SOCK_DGRAM)


def _free(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts TCP connections there now."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], object], seconds: float = 60, what: str = "the condition") -> None:
    """Return as soon as the condition holds; fail when it does not in so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ServerFailed(f"not in {seconds:g} s: {what}")
        time.sleep(POLL_SECONDS)


class Process:
    """One server process, running from the first line on; use it in a `with` to have it stopped at the end."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """`env` is added to ours; `user` (root only) runs it as that user; the output is appended to `log`."""
        self.argv = [str(arg) for arg in argv]
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
                user=user,
                group=None if user is None else _group_of(user),
                extra_groups=None if user is None else [],
            )

    @property
    def pid(self) -> int:
        """Its process id, the server's own: the wrappers in .cache/bin exec."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def wait_until(self, condition: Callable[[], object], seconds: float = 60, what: str = "ready") -> None:
        """Return as soon as the condition holds; fail when the process ends before or so many seconds pass."""

        def holds() -> bool:
            if condition():
                return True
            if not self.running:
                raise ServerFailed(f"ended with {self._popen.returncode}, before: {what}")
            return False

        try:
            wait_until(holds, seconds, what)
        except ServerFailed as failed:
            raise ServerFailed(f"{Path(self.argv[0]).name}: {failed}\n{self.tail()}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended already hears nothing."""
        self._popen.send_signal(number)

    def wait(self, seconds: float = 60) -> int:
        """Its exit code (negative: the signal that ended it), once it has ended; fail when it does not."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{Path(self.argv[0]).name}: still running after {seconds:g} s\n{self.tail()}") from None

    def kill9(self) -> int:
        """End it at once, as a crash would: SIGKILL to it and to what it started."""
        self._kill_group()
        return self.wait()

    def stop(self, seconds: float = 60) -> int:
        """Ask it to end (SIGTERM) and wait; what is still there after so many seconds is killed."""
        self._popen.terminate()
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill9()

    def tail(self, lines: int = 30) -> str:
        """The last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _kill_group(self) -> None:
        # Only while it is not reaped: until then nobody else can have its id.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _group_of(user: str) -> int:
    import pwd  # not on every system, and needed by root only

    return pwd.getpwnam(user).pw_gid
