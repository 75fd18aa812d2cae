"""A Docker daemon of the tests' own: its folder, socket, image and containers, all gone at the end."""

import contextlib
import io
import json
import os
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.servers import debian
from tests.servers.process import START_SECONDS, Process, wait_until
from tests.servers.reading import read_whole

IMAGE = "shipper-test:1"
# One command at most; a container that needs longer to start is a failure.
COMMAND_SECONDS = 60

# No network: nothing on the machine is changed that the daemon's end does not take away again.
OPTIONS = ("--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs")


class Container:
    """A container that runs, or has run; use it in a `with` to have it removed at the end."""

    def __init__(self, docker: "Docker", container_id: str) -> None:
        """`container_id` is the full one, 64 hex digits."""
        self.docker = docker
        self.id = container_id

    @property
    def init_pid(self) -> int:
        """The process id, on the host, of its first process; 0 when it has ended."""
        return int(self.docker.command("inspect", "--format", "{{.State.Pid}}", self.id))

    def exec(self, *command: str, env: Mapping[str, str] | None = None, detach: bool = False) -> str:
        """Run a command inside and give its standard output; fail when it fails."""
        options = [*_environment(env), *(["--detach"] if detach else [])]
        return self.docker.command("exec", *options, self.id, *command)

    def wait(self) -> int:
        """The exit code of its first process, once that has ended."""
        return int(self.docker.command("wait", self.id))

    def logs(self) -> str:
        """What it wrote to both its streams, with the drivers that keep it."""
        return self.docker.command("logs", self.id, stderr=subprocess.STDOUT)

    def rm(self) -> None:
        """End and remove it, whatever it is doing."""
        self.docker.command("rm", "--force", "--volumes", self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rm()


class Docker:
    """A daemon and the command that talks to it; it has one image: busybox, static, with all its commands."""

    def __init__(self, directory: Path) -> None:
        """`directory` is the daemon's own and has a short path; nothing runs before `start`."""
        self.directory = directory
        self.host = f"unix://{directory}/docker.sock"
        self._dockerd, self._docker, self._busybox = (_path(name) for name in ("dockerd", "docker", "busybox"))

    @property
    def env(self) -> dict[str, str]:
        """What makes any docker command talk to this daemon, and leave the user's own settings alone."""
        return {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.directory / "client")}

    def start(self) -> None:
        """Start the daemon and return when it answers; the image is there then."""
        folder = self.directory
        read_whole(*(debian.TREE / "usr" / place for place in ("sbin/dockerd", "bin/containerd", "bin/docker")))
        argv = [self._dockerd, "--data-root", f"{folder}/root", "--exec-root", f"{folder}/exec"]
        argv += ["--pidfile", f"{folder}/pid", "--host", self.host, *OPTIONS]
        self.process = Process(argv, log=folder / "dockerd.log")
        try:
            self.process.wait_until(self._answers, START_SECONDS, "docker version answers")
            if not self.command("images", "--quiet", IMAGE):
                self._import_image()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all containers and the daemon, then what a daemon that was killed has left behind; again is harmless."""
        if self.process.running:
            self.process.signal(signal.SIGCONT)  # a test may have stopped it, to see what a hung one does
            with contextlib.suppress(subprocess.SubprocessError):
                self.rm_all()
        self.process.stop(30)
        for process in self._left_behind():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not self._left_behind(), 60, f"no process of {self.directory} is left")
        for mount in _mounts_below(self.directory):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)

    def restart(self) -> None:
        """Stop the daemon as a package's update does (its containers end and are kept) and start it again."""
        self.process.stop(30)
        self.start()

    def kill9(self) -> None:
        """End the daemon as a crash would: its containers run on until it is started again."""
        containerd = int((self.directory / "exec" / "containerd" / "containerd.pid").read_text())
        self.process.kill9()
        # It ends with its parent. A daemon that is started before it is reaped takes it for alive, and fails.
        wait_until(lambda: not psutil.pid_exists(containerd), 60, "containerd is gone")

    def run(
        self,
        *command: str,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> Container:
        """Start a container in the background, without a network; `options` are those of `docker run`."""
        # A first process that does not listen to SIGTERM (most do not) would hold up a stop for ten seconds.
        argv = ["run", "--detach", "--network", "none", "--pull", "never", "--stop-timeout", "1"]
        argv += [*_environment(env), *options, *(["--name", name] if name else [])]
        return Container(self, self.command(*argv, IMAGE, *command).strip())

    def rm_all(self) -> None:
        """End and remove every container of this daemon."""
        if found := self.command("ps", "--all", "--quiet", "--no-trunc").split():
            self.command("rm", "--force", "--volumes", *found)

    def command(self, *args: str, stderr: int = subprocess.PIPE) -> str:
        """The standard output of a docker command; fail with what it said when it fails."""
        done = self._call(args, stderr=stderr)
        assert done.returncode == 0, f"docker {' '.join(args)}: {done.returncode}: {done.stderr or done.stdout}"
        return done.stdout

    def _call(self, args: Sequence[str], stderr: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self._docker, *args],
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def _answers(self) -> bool:
        done = self._call(["version", "--format", "{{json .Server}}"])
        return done.returncode == 0 and bool(json.loads(done.stdout))

    def _import_image(self) -> None:
        archive = self.directory / "image.tar"
        archive.write_bytes(_image(Path(self._busybox)))
        self.command("import", str(archive), IMAGE)
        archive.unlink()

    def _left_behind(self) -> list[psutil.Process]:
        """Processes that name a path in our folder, with all they started: containerd, shims, containers."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                parts = process.cmdline()
                if any(part.startswith((f"{self.directory}/exec/", f"{self.directory}/root/")) for part in parts):
                    found |= {each.pid: each for each in (process, *process.children(recursive=True))}
        return list(found.values())


@contextlib.contextmanager
def running() -> Iterator[Docker]:
    """A started daemon in a folder of its own, all gone at the end, also what tests did not remove."""
    with tempfile.TemporaryDirectory(prefix="shipper-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        docker = Docker(Path(directory))
        docker.start()
        try:
            yield docker
        finally:
            docker.stop()


def missing() -> str | None:
    """Why no Docker daemon can be started here; None when it can."""
    if os.geteuid() != 0:
        return "a Docker daemon of our own needs root"
    absent = [name for name in ("dockerd", "docker", "busybox") if not debian.find(name)]
    return f"{', '.join(absent)}: not in .cache, nor on this machine (make servers)" if absent else None


def _path(name: str) -> str:
    path = debian.find(name)
    assert path is not None, missing()
    return path


def _environment(env: Mapping[str, str] | None) -> list[str]:
    return [option for key, value in (env or {}).items() for option in ("--env", f"{key}={value}")]


def _image(busybox: Path) -> bytes:
    """A tar archive of a root folder: busybox and a link for each of its commands."""
    commands = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    unpacked = debian.TREE / debian.PROGRAMS["busybox"].binary
    binary = unpacked if unpacked.exists() else busybox  # what lies in .cache/bin is a script
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "dev", "etc", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        archive.add(binary, "bin/busybox")
        for command in set(commands) - {"busybox"}:
            entry = tarfile.TarInfo(f"bin/{command}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return buffer.getvalue()


def _mounts_below(folder: Path) -> list[str]:
    """Mounts in a folder, the innermost first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True)
