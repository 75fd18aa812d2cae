"""Keeps HAProxy on this host true to Marathon's apps: generate, have HAProxy check it, replace, reload, and only then.

Whatever goes wrong, the last file that HAProxy accepted stays in place and the reason is told once, in a log line and
in the status.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shipper.cluster.model import App
from shipper.deploy.haproxy_program import Program, is_free, is_taken
from shipper.errors import ClusterError
from shipper.generate.localhost import Localhost, Problem, Settings, generate, ports_of

log = logging.getLogger(__name__)

#: Between two reloads: each leaves a worker behind for as long as its connections live.
BETWEEN_SECONDS: Final = 1.0
#: Checks by HAProxy that looking for an app it refuses may take.
_MOST_CHECKS: Final = 200
#: Problems that are told at once in log lines; more are counted.
_MOST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Status:
    """What an operator wants to know: is the file true, since when, and who does not get what was asked for."""

    #: Whether the last answer of Marathon's changed the file.
    changed: bool = False
    #: Why the file, or HAProxy, is not what Marathon's apps want; "" when it is.
    error: str = ""
    apps: int = 0
    ports: int = 0
    servers: int = 0
    problems: tuple[Problem, ...] = ()
    #: Unix times of the file's last change and of Marathon's last usable answer; None: not yet.
    changed_at: float | None = None
    read_at: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for programs; `age_seconds` is the file's."""
        return {
            "changed": self.changed, "error": self.error, "apps": self.apps, "ports": self.ports,
            "servers": self.servers, "changed_at": self.changed_at, "read_at": self.read_at,
            "age_seconds": None if self.changed_at is None else round(time.time() - self.changed_at, 1),
            "problems": [{"app": problem.app_id, "problem": problem.text} for problem in self.problems],
        }  # fmt: skip


class Discovery:
    """Takes Marathon's answers one after the other; `status` says what came of the last."""

    def __init__(self, program: Program, settings: Settings) -> None:
        self.status = Status()
        self._program, self._settings = program, settings
        #: Tasks whose last known health check was good: after a change of its leader Marathon knows of none.
        self._healthy: set[str] = set()
        #: Apps that HAProxy refused, as they were then, with its reason.
        self._refused: dict[str, tuple[App, str]] = {}
        #: Ports of the file that HAProxy may not listen on yet.
        self._unheard: set[int] = ports_of(program.current())
        self._unread = False

    async def take(self, answer: Sequence[App] | ClusterError) -> Status:
        """Bring the file and HAProxy up to an answer; a ClusterError, and no app at all, leave the file as it is."""
        before = self.status
        if isinstance(answer, ClusterError):
            self.status = self._kept(str(answer))
        elif not answer and ports_of(self._program.current()):
            self.status = self._kept("Marathon says that it has no apps at all: remove the file if that is so")
        else:
            self.status = await self._follow(answer)
        _tell(before, self.status)
        return self.status

    def preview(self, apps: Sequence[App]) -> Localhost:
        """Return the file that these apps want on this host now; nothing is written."""
        had = ports_of(self._program.current())
        wanted = self._generate(apps, (), ())
        occupied = {port for port in wanted.ports if port not in had and is_taken(self._settings.address, port)}
        return self._generate(apps, self._still_refused(apps), occupied)

    async def _follow(self, apps: Sequence[App]) -> Status:
        self._remember_health(apps)
        current = self._program.current()
        wanted, error = self.preview(apps), ""
        if wanted.text != current:
            wanted, error = await self._install(apps, wanted)
        changed = not error and wanted.text != current
        if changed:
            self._unread, self._unheard = True, set(wanted.ports)
        error = error or await self._reload()
        return Status(
            changed=changed,
            error=error,
            apps=len(wanted.apps),
            ports=len(wanted.ports),
            servers=wanted.servers,
            problems=tuple(sorted((*wanted.problems, *self._refusals()))),
            changed_at=self._changed_at(),
            read_at=time.time(),
        )

    def _kept(self, reason: str) -> Status:
        old = self.status
        return Status(False, reason, old.apps, old.ports, old.servers, old.problems, self._changed_at(), old.read_at)

    def _changed_at(self) -> float | None:
        try:
            return self._program.out.stat().st_mtime
        except OSError:
            return None

    def _generate(self, apps: Sequence[App], left_out: Collection[str], occupied: Collection[int]) -> Localhost:
        return generate(apps, self._settings, healthy=self._healthy, left_out=left_out, occupied=occupied)

    def _remember_health(self, apps: Sequence[App]) -> None:
        tasks = [task for app in apps for task in app.tasks]
        self._healthy = {
            task.id for task in tasks if task.healthy or (task.healthy is None and task.id in self._healthy)
        }

    def _still_refused(self, apps: Sequence[App]) -> set[str]:
        """Return ids of apps that are as they were when HAProxy refused them; forget the others."""
        now = {app.id: app for app in apps}
        self._refused = {each: kept for each, kept in self._refused.items() if now.get(each) == kept[0]}
        return set(self._refused)

    def _refusals(self) -> list[Problem]:
        return [
            Problem(each, f"left out, as HAProxy refuses it: {reason}") for each, (_, reason) in self._refused.items()
        ]

    async def _install(self, apps: Sequence[App], wanted: Localhost) -> tuple[Localhost, str]:
        """Put the file in place, without the apps that HAProxy refuses; return it, and why that was not possible."""
        refused = await self._program.install(wanted.text)
        if not refused:
            return wanted, ""
        everyone = {app.id: app for app in apps}

        async def refuses(app_ids: Collection[str]) -> str:
            part = self._generate(apps, everyone.keys() - set(app_ids), ())
            return await self._program.refusal(part.text)

        if reason := await refuses(()):
            return wanted, f"HAProxy does not take a new file, whatever is in it: {reason}"
        found = await offenders(sorted(set(wanted.apps)), refuses)
        if found is None:
            return wanted, f"HAProxy refuses too many apps: {refused}"
        self._refused |= {each: (everyone[each], reason) for each, reason in found.items()}
        without = self.preview(apps)
        again = await self._program.install(without.text)
        return without, f"HAProxy refuses the file: {again}" if again else ""

    async def _reload(self) -> str:
        """Have HAProxy read the file if it has not; return what is wrong with that, to be tried again next time."""
        self._unheard = {port for port in self._unheard if is_free(self._settings.address, port)}
        if not self._unread and not self._unheard:
            return ""
        if reason := await self._program.reload():
            self._unread = True
            return f"the file is in place, but HAProxy could not be told: {reason}"
        self._unread = False
        self._unheard = await self._program.deaf(self._settings.address, self._unheard)
        if self._unheard:
            return f"HAProxy does not listen on port {min(self._unheard)} after a reload: its log says why"
        return ""


async def offenders(
    app_ids: Sequence[str], refuses: Callable[[Collection[str]], Awaitable[str]]
) -> dict[str, str] | None:
    """Return the apps without which a file is accepted, with the reason for each; None when that takes too long.

    By halves: one among 500 takes about 20 checks.
    """
    good: list[str] = []
    bad: dict[str, str] = {}
    parts = [list(app_ids)]
    checks = 0
    while parts:
        part = parts.pop()
        if (checks := checks + 1) > _MOST_CHECKS:
            return None
        reason = await refuses([*good, *part])
        if not reason:
            good += part
        elif len(part) == 1:
            bad[part[0]] = reason
        else:
            half = len(part) // 2
            parts += [part[half:], part[:half]]
    return bad


async def follow(
    answers: AsyncIterator[list[App] | ClusterError],
    discovery: Discovery,
    stopping: asyncio.Event,
    between_seconds: float = BETWEEN_SECONDS,
) -> None:
    """Take answers until `stopping`; what has been begun is ended, so HAProxy never misses a file that is in place."""
    stop = asyncio.create_task(stopping.wait())
    try:
        while not stopping.is_set():
            answer = asyncio.ensure_future(anext(answers))
            await asyncio.wait([answer, stop], return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set():
                answer.cancel()
                await asyncio.wait([answer])
                return
            if (await discovery.take(answer.result())).changed:
                await asyncio.wait([stop], timeout=between_seconds)
    finally:
        stop.cancel()


def _tell(before: Status, now: Status) -> None:
    """Say what is new in log lines, each once."""
    counts = {"apps": now.apps, "ports": now.ports, "servers": now.servers, "problems": len(now.problems)}
    if now.changed:
        log.info("HAProxy has a new file", extra=counts)
    if now.error and now.error != before.error:
        age = None if now.changed_at is None else round(time.time() - now.changed_at)
        log.warning("HAProxy stays as it is", extra={"reason": now.error, "file_age_seconds": age})
    if before.error and not now.error:
        log.info("HAProxy follows Marathon again", extra=counts)
    new = [problem for problem in now.problems if problem not in set(before.problems)]
    for problem in new[:_MOST_LINES]:
        log.warning("an app is not served as it asks", extra={"app": problem.app_id, "problem": problem.text})
    if len(new) > _MOST_LINES:
        log.warning("more apps are not served as they ask", extra={"problems": len(new) - _MOST_LINES})
    if gone := len(set(before.problems) - set(now.problems)):
        log.info("problems of apps are gone", extra={"problems": gone})
