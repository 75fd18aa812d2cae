"""Health and readiness checks, carried out against the processes that run.

HTTP and TCP checks are Marathon's own: a task is killed at the failure after maxConsecutiveFailures, and never when
that is 0. MESOS_* and COMMAND are Mesos's: it is killed at that failure, at the first when it is 0. Intervals, grace
and delay are scaled, time-outs are not.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

import aiohttp

from tests.emulator import answers
from tests.emulator import definitions as ports_of
from tests.emulator.model import Definition, Health, Task, World
from tests.emulator.reports import Reports

Check = Definition


class Checker:
    """Watches every task of Marathon's from its RUNNING to its end."""

    def __init__(self, world: World, reports: Reports, kill: Callable[[Task], None], tell: Callable[[], None]) -> None:
        """`kill` ends a task that is not healthy, `tell` is called when a task may have become ready."""
        self._world = world
        self._reports = reports
        self._kill = kill
        self._tell = tell
        self._watching: dict[Task, list[asyncio.Task[None]]] = {}
        world.on_status.append(self._status)

    async def close(self) -> None:
        """Stop checking."""
        watching = [one for ones in self._watching.values() for one in ones]
        for one in watching:
            one.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    def _status(self, task: Task) -> None:
        if task.over:
            for one in self._watching.pop(task, []):
                one.cancel()
        if task.state != "TASK_RUNNING" or task.framework is not self._world.marathon:
            return
        app = self._world.apps.get(task.owner)
        if app is None or task.version not in app.versions:  # of an app that was deleted, perhaps made again
            return
        definition = app.versions[task.version]
        checks = zip(definition["healthChecks"], task.health, strict=True)
        self._watching[task] = [
            *(asyncio.create_task(self._watch(task, check, health)) for check, health in checks),
            *(asyncio.create_task(self._ready(task, definition, check)) for check in definition["readinessChecks"]),
        ]

    async def _watch(self, task: Task, check: Check, health: Health) -> None:
        started = asyncio.get_running_loop().time()
        await asyncio.sleep(check.get("delaySeconds", 0) * self._world.time_scale)
        while not task.killing:
            cause = await _cause(task, check)
            in_grace = (
                asyncio.get_running_loop().time() - started < check["gracePeriodSeconds"] * self._world.time_scale
            )
            if cause is None:
                self._passed(task, health)
            elif not in_grace or health.first_success is not None:
                self._failed(task, check, health, cause)
            await asyncio.sleep(max(0.01, check["intervalSeconds"] * self._world.time_scale))

    def _passed(self, task: Task, health: Health) -> None:
        was = health.alive
        health.last_success = self._world.clock.now()
        health.first_success = health.first_success or health.last_success
        health.consecutive_failures = 0
        if not was:
            self._reports.health_changed(task, alive=True)
        self._tell()

    def _failed(self, task: Task, check: Check, health: Health, cause: str) -> None:
        was, limit = health.alive, check["maxConsecutiveFailures"]
        of_mesos = check["protocol"].startswith("MESOS_") or check["protocol"] == "COMMAND"
        kill = health.consecutive_failures + 1 >= limit if of_mesos else 0 < limit <= health.consecutive_failures
        health.consecutive_failures += 1
        health.last_failure, health.last_cause = self._world.clock.now(), cause
        self._reports.check_failed(task, check)
        if was:
            self._reports.health_changed(task, alive=False)
        if kill and not task.killing:
            self._reports.unhealthy(task, cause)
            self._kill(task)
        self._tell()

    async def _ready(self, task: Task, definition: Definition, check: Check) -> None:
        names = [port.get("name") for port in ports_of.port_list(definition)]
        url = f"{check['protocol'].lower()}://{task.agent.host}:{task.ports[names.index(check['portName'])]}{check['path']}"
        while not task.ready:
            status = await _status_of(url, check["timeoutSeconds"])
            task.ready = status in check["httpStatusCodesForReady"]
            if not task.ready:
                await asyncio.sleep(max(0.01, check["intervalSeconds"] * self._world.time_scale))
        self._tell()


def is_ready(task: Task) -> bool:
    """Whether a deployment may count on it: running, healthy by every check, and ready."""
    return task.state == "TASK_RUNNING" and not task.killing and task.ready and answers.healthy(task) is True


async def _cause(task: Task, check: Check) -> str | None:
    """Why the check does not pass; None when it does."""
    protocol = check["protocol"].removeprefix("MESOS_")
    if protocol == "COMMAND":
        return await _command(task, check)
    port = check.get("port") or task.ports[check["portIndex"]]
    if protocol == "TCP":
        return await _tcp(task.agent.host, port, check["timeoutSeconds"])
    status = await _status_of(f"{protocol.lower()}://{task.agent.host}:{port}{check['path']}", check["timeoutSeconds"])
    return None if isinstance(status, int) and 200 <= status < 400 else f"HTTP: {status}"


async def _status_of(url: str, seconds: float) -> int | str:
    """The status of an answer, or what went wrong."""
    try:
        connector = aiohttp.TCPConnector(ssl=False)  # Marathon does not check certificates either
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            async with session.get(url, allow_redirects=False) as answer:
                return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return f"{type(error).__name__} {error}"


async def _tcp(host: str, port: int, seconds: float) -> str | None:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        return f"{type(error).__name__} {error}"
    writer.close()
    return None


async def _command(task: Task, check: Check) -> str | None:
    """Run the command where the task runs, with the environment that the task has."""
    try:
        with open(f"/proc/{task.pid}/environ", "rb") as file:  # noqa: ASYNC230, PTH123 - a file of the kernel's
            variables = file.read().split(b"\0")
    except OSError as error:
        return str(error)
    env = dict(variable.split(b"=", 1) for variable in variables if b"=" in variable)
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", check["command"]["value"]),
        cwd=task.sandbox,
        env=env,
        start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(check["timeoutSeconds"]):
            code = await process.wait()
    except TimeoutError:
        return f"no end after {check['timeoutSeconds']:g} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return None if code == 0 else f"Command exited with {code}"
