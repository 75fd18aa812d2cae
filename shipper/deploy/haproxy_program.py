"""HAProxy on this host: its file, how a new one is checked and put in place, and how it is told to read it."""

import asyncio
import errno
import os
import re
import shlex
import signal
import socket
import tempfile
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from shipper.api.visible import visible
from shipper.errors import ConfigError
from shipper.generate.localhost import HEADER

#: What stands for the file in the command that checks it.
PLACE: Final = "{}"
#: Longest that HAProxy may take for a check or a command for a reload.
_COMMAND_SECONDS: Final = 60.0
#: How often a master is told to reload until a new worker is there, and how long one may take.
_SIGNALS: Final = 5
_WORKER_SECONDS: Final = 1.0
#: Longest that a reloaded HAProxy takes until it listens on new ports.
_LISTEN_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.05
_MOST_SHOWN: Final = 300
#: "[ALERT]    (5941) : config : parsing [shipper.cfg:45] : ...": what is wrong, without the process.
_ALERT: Final = re.compile(r"^\[ALERT\]\s*(?:\(\d+\)|[0-9/ ]+) ?: *", re.MULTILINE)


class Program:
    """One HAProxy and its file."""

    def __init__(self, out: Path, *, check_command: str, reload_command: str, pid_file: Path | None = None) -> None:
        """`pid_file` names HAProxy's master, which gets SIGUSR2; without one `reload_command` is run."""
        self.out = out
        self._check = _words(check_command, "--check-command")
        self._reload = _words(reload_command, "--reload-command")
        self._pid_file = pid_file
        if not any(PLACE in word for word in self._check):
            raise ConfigError(f"--check-command: needs {PLACE} where the name of the file goes")
        if not out.parent.is_dir():
            raise ConfigError(f"--out {out}: {out.parent} is not a folder: make it, or name another file")

    def current(self) -> str:
        """Return the file that is in place, "" when there is none; ConfigError when it is not ours to replace."""
        try:
            text = self.out.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise ConfigError(f"--out {self.out}: cannot read it: {error.strerror}") from None
        if text.strip() and not text.startswith(HEADER):
            raise ConfigError(f"--out {self.out}: somebody else wrote this file: move it away, or name another one")
        return text

    async def refusal(self, text: str) -> str:
        """Return why HAProxy does not take such a file, in one line; "" when it does."""
        return await self._offer(text, install=False)

    async def install(self, text: str) -> str:
        """Put a file in place of the old one if HAProxy takes it; return why not, "" when it is in place."""
        return await self._offer(text, install=True)

    async def reload(self) -> str:
        """Have HAProxy read its file again; return why it could not be told, "" when it was."""
        return await _run(self._reload) if self._pid_file is None else await _signal(self._pid_file)

    async def deaf(self, address: str, ports: Collection[int]) -> set[int]:
        """Return ports on which nobody listens, after some seconds in which a reload is carried out."""
        await _soon(lambda: not any(is_free(address, port) for port in ports), _LISTEN_SECONDS)
        return {port for port in ports if is_free(address, port)}

    async def _offer(self, text: str, *, install: bool) -> str:
        try:
            # Beside the file, so that it can be renamed; not *.cfg, which HAProxy reads of a folder.
            descriptor, name = tempfile.mkstemp(prefix=f".{self.out.name}.", suffix=".new", dir=self.out.parent)
        except OSError as error:
            return f"cannot write beside {self.out}: {error.strerror}"
        try:
            await asyncio.to_thread(_write, descriptor, text)
            refused = await _run([word.replace(PLACE, name) for word in self._check])
            if install and not refused:
                await asyncio.to_thread(_rename, Path(name), self.out)
            return refused.replace(name, self.out.name)
        except OSError as error:
            return f"cannot write {self.out}: {error.strerror}"
        finally:
            _remove(name)


def is_free(address: str, port: int) -> bool:
    """Whether a program could listen on this port of an address now; False too where only root may try."""
    return _bind(address, port) == 0


def is_taken(address: str, port: int) -> bool:
    """Whether another program has this port of an address, so that HAProxy could not start with it."""
    return _bind(address, port) == errno.EADDRINUSE


def _bind(address: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection is nobody's
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno or errno.EINVAL
        return 0


def _words(command: str, option: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
    if not words:
        raise ConfigError(f"{option}: is empty")
    return words


def _write(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())


def _rename(new: Path, out: Path) -> None:
    new.rename(out)
    directory = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _remove(name: str) -> None:
    Path(name).unlink(missing_ok=True)


async def _run(words: Sequence[str]) -> str:
    """Run a command without a shell; return what it says when it fails, in one clean line."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    try:
        async with asyncio.timeout(_COMMAND_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        return f"{words[0]}: no answer in {_COMMAND_SECONDS:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return "" if process.returncode == 0 else _reason(output.decode(errors="replace"), words[0], process.returncode)


def _reason(output: str, program: str, code: int | None) -> str:
    alert = _ALERT.search(output)
    said = output[alert.end() :] if alert else output.strip()
    line = visible(said.split("\n", 1)[0].strip()).replace("\t", " ")[:_MOST_SHOWN]
    return line or f"{program} ended with {code}"


async def _signal(pid_file: Path) -> str:
    """Have HAProxy's master start a new worker and let the old ones end (management guide, section 4)."""
    for _ in range(_SIGNALS):
        pid = _master(pid_file)
        if pid == 0:
            return f"--pid-file {pid_file}: names no running HAProxy: start it (haproxy -W -p {pid_file} -f ...)"
        await _soon(partial(_listens_to_signals, pid), _WORKER_SECONDS)
        before = _children(pid)
        try:
            os.kill(pid, signal.SIGUSR2)
        except OSError as error:
            return f"--pid-file {pid_file}: cannot signal {pid}: {error.strerror}"
        if await _soon(partial(_has_new_child, pid, before), _WORKER_SECONDS):
            return ""
    return "no new worker of HAProxy came up: its log says why; the old one goes on"


async def _soon(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition, so long and no longer, and return whether it holds."""
    for _ in range(round(seconds / _LOOK_SECONDS)):
        if condition():
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    return False


def _listens_to_signals(pid: int) -> bool:
    """Whether a process has a handler for SIGUSR2: a master that starts a worker has none, and loses the signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return True
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return caught is None or bool(int(caught[1], 16) >> (signal.SIGUSR2 - 1) & 1)


def _master(pid_file: Path) -> int:
    """Return the process that a file names, 0 unless it is a HAProxy: the file may have outlived it."""
    try:
        words = pid_file.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return 0
    pid = int(words[0]) if words and re.fullmatch(r"[1-9]\d{0,9}", words[0], re.ASCII) else 0
    return pid if _is_haproxy(pid) else 0


def _children(pid: int) -> set[int] | None:
    """Return the workers of a master, None when this kernel does not tell."""
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return None


def _has_new_child(pid: int, before: set[int] | None) -> bool:
    return before is None or bool((_children(pid) or set()) - before)


def _is_haproxy(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").startswith("haproxy")
    except OSError:
        return False
