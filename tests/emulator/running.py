"""Tasks as real processes on an agent: sandbox, environment, volumes, output files, the way they end."""

import asyncio
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.emulator import container, fetching, guard
from tests.emulator.docker import Docker, Mount
from tests.emulator.model import Command, Task, Volume, World

#: What a task inherits from the emulator, as it would from Mesos's agent.
_INHERITED = ("PATH", "HOME", "LANG", "TZ")


class CannotRun(Exception):
    """The task cannot be started here; the text says why."""


class Runner:
    """Starts and ends tasks, and tells the world what became of them."""

    def __init__(self, world: World, docker: Docker | None = None) -> None:
        """With a Docker daemon, apps of type DOCKER are containers; without one, processes with their volumes."""
        self._world = world
        self._docker = docker
        self._processes: dict[Task, subprocess.Popen[bytes]] = {}
        self._following: dict[Task, asyncio.Task[None]] = {}

    def launch(self, task: Task, command: Command) -> None:
        """Start it: staging at once, running soon, and its end when it comes; `task.ended` is set then."""
        self._world.set_status(task, "TASK_STAGING")
        following = asyncio.create_task(self._follow(task, command), name=task.id)
        self._following[task] = following
        following.add_done_callback(lambda _: self._following.pop(task, None))

    def kill(self, task: Task, grace_seconds: float) -> None:
        """Ask it to end (SIGTERM), and end it after so many seconds; it is TASK_KILLED in the end."""
        task.killing = True
        if task in self._processes:
            self._signal(task, signal.SIGTERM)
            # A jump of the clock must not matter, so this waits by the loop's.
            asyncio.get_running_loop().call_later(grace_seconds, self._signal, task, signal.SIGKILL)

    def crash(self, task: Task) -> None:
        """SIGKILL to all its processes, as somebody's `kill -9` would do it: it fails."""
        self._signal(task, signal.SIGKILL)

    def lose(self, task: Task, *, kill: bool) -> None:
        """Its agent is not heard of any more, with its processes or without."""
        self._world.set_status(task, self._world.profile.lost_state, "agent was lost")
        if kill:
            self._signal(task, signal.SIGKILL)

    async def close(self) -> None:
        """End every task at once and wait for it."""
        for task in list(self._processes):
            self._signal(task, signal.SIGKILL)
        following = list(self._following.values())
        for one in following:
            one.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await asyncio.to_thread(guard.kill_below, self._world.work)

    async def _follow(self, task: Task, command: Command) -> None:
        try:
            process = await self._start(task, command)
        except (CannotRun, OSError, ValueError, zipfile.BadZipFile) as error:
            self._world.set_status(task, "TASK_FAILED", str(error))
            return
        try:
            self._world.set_status(task, "TASK_STARTING")
            self._world.set_status(task, "TASK_RUNNING")
            if task.killing:  # asked to end before there was a process
                self._signal(task, signal.SIGTERM)
            await _ended(process)
        finally:
            # The agent destroys the container when the task's own process ends, with all that it left behind.
            await asyncio.shield(asyncio.to_thread(guard.kill_below, task.sandbox))
            task.exit_code = process.wait()
            self._processes.pop(task, None)
            self._world.set_status(task, *_outcome(task))

    async def _start(self, task: Task, command: Command) -> subprocess.Popen[bytes]:
        _make_sandbox(task)
        for uri in command.fetch:
            await asyncio.to_thread(fetching.fetch, uri, task.sandbox)
        env = self._environment(task, command)
        argv = self._argv(task, command, env)
        with (task.sandbox / "stdout").open("ab") as out, (task.sandbox / "stderr").open("ab") as err:
            process = subprocess.Popen(  # noqa: ASYNC220 - it returns once the program is there; its end is waited for
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=task.sandbox,
                env=self._process_environment(task, command, env),
                start_new_session=True,
            )
        self._processes[task] = process
        task.pid = process.pid
        if self._docker and command.docker:
            task.pid = await self._docker.pid(env["MESOS_CONTAINER_NAME"], process)
        return process

    def _argv(self, task: Task, command: Command, env: Mapping[str, str]) -> list[str]:
        mounts = [_mount(task, volume) for volume in command.volumes]
        if command.docker:
            mounts.append((str(task.sandbox), "/mnt/mesos/sandbox", False))
            if self._docker and command.docker:
                return self._docker.argv(task, command, env, mounts)
        if not command.argv:
            raise CannotRun("there is no Docker here: an app runs as a process and needs cmd or args")
        if not command.volumes:
            return list(command.argv)
        scratch = self._world.work / "container"
        scratch.mkdir(exist_ok=True)
        asked = {"mounts": mounts, "scratch": str(scratch), "argv": command.argv}
        return [*_unshare(), sys.executable, "-I", container.__file__, json.dumps(asked)]

    def _environment(self, task: Task, command: Command) -> dict[str, str]:
        # A container without volumes that is a plain process has no /mnt/mesos/sandbox.
        inside = command.docker and (command.volumes or self._docker)
        env = {
            "LIBPROCESS_PORT": "0",
            "MESOS_AGENT_ENDPOINT": f"{task.agent.host}:{task.agent.port}",
            "MESOS_CHECKPOINT": "1",
            "MESOS_DIRECTORY": str(task.sandbox),
            "MESOS_EXECUTOR_ID": task.executor_id,
            "MESOS_FRAMEWORK_ID": task.framework.id,
            "MESOS_SANDBOX": "/mnt/mesos/sandbox" if inside else str(task.sandbox),
            "MESOS_SLAVE_ID": task.agent.id,
        }
        if command.docker:
            agent = f"{task.agent.id}." if self._world.profile.docker_name_has_agent else ""
            env["MESOS_CONTAINER_NAME"] = f"mesos-{agent}{task.container_id}"
        return env | dict(command.env)

    def _process_environment(self, task: Task, command: Command, env: Mapping[str, str]) -> dict[str, str]:
        """That of the process started here: the task's own, or the docker command's, with the mark of the sandbox."""
        if self._docker and command.docker:
            return self._docker.client_env | {"MESOS_DIRECTORY": str(task.sandbox)}
        return {name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(env)

    def _signal(self, task: Task, number: signal.Signals) -> None:
        process = self._processes.get(task)
        if process is not None and process.returncode is None:  # not reaped: the id is still its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)


async def _ended(process: "subprocess.Popen[bytes]") -> None:
    """Return when the process has ended; it is not reaped yet, so nobody else can have its id."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    handle = os.pidfd_open(process.pid)
    try:
        loop.add_reader(handle, done.set)
        await done.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _outcome(task: Task) -> tuple[str, str]:
    code = task.exit_code or 0
    how = f"Command terminated with signal {signal.Signals(-code).name}" if code < 0 else f"Command exited with {code}"
    if task.killing:
        return "TASK_KILLED", how
    if code == 0:
        return "TASK_FINISHED", how
    last = _last_line(task.sandbox / "stderr")
    return "TASK_FAILED", f"{how}: {last}" if code == container.FAILED and last else how


def _last_line(file: Path) -> str:
    lines = file.read_text(errors="replace").splitlines()
    return lines[-1][:500] if lines else ""


def _make_sandbox(task: Task) -> None:
    task.sandbox.mkdir(parents=True)
    latest = task.sandbox.parent / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(task.container_id)


def _mount(task: Task, volume: Volume) -> Mount:
    """Source, target and whether it is read-only; a folder that is not there is made, as Docker makes it."""
    inside = task.agent.root if volume.host_path.startswith("/") else task.sandbox
    source = inside / volume.host_path.lstrip("/")
    if ".." in source.parts:
        raise CannotRun(f"volume {volume.host_path}: a path with .. is not taken")
    if not source.exists():
        source.mkdir(parents=True)
    target = Path("/mnt/mesos/sandbox") / volume.container_path  # an absolute one stays what it is
    return str(source), str(target), volume.read_only


@functools.cache
def _unshare() -> tuple[str, ...]:
    program = shutil.which("unshare")
    if program is None:
        raise CannotRun("volumes need the program unshare (package util-linux)")
    argv = (program, *(() if os.geteuid() == 0 else ("--map-root-user",)), "--mount", "--propagation", "private")
    tried = subprocess.run([*argv, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise CannotRun(f"volumes need a mount namespace, which this machine refuses: {tried.stderr.strip()}")
    return argv
