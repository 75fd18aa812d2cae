"""Where tasks run and what lies in their sandboxes, asked of a Mesos master and of its agents (0.23 to 1.11).

Agents are found through the master; they are sent no credentials unless their host is among the configured ones.
"""

import json
import re
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any, Final, Self, TypeVar

import orjson

from shipper.cluster._answers import WrongShape, listed, mapping, number, objects, text
from shipper.cluster._http import Answer, Question, Service
from shipper.cluster._refusals import clean
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterBusy, ClusterError, ClusterRefused

Found = TypeVar("Found")

#: Bytes that an agent gives at once: 16 pages (Mesos, files/files.cpp).
_PAGE: Final = 16 * 4096
_MASTER_STATES: Final = ("/state", "/master/state", "/state.json", "/master/state.json")
_AGENT_STATES: Final = ("/state", "/slave(1)/state", "/state.json", "/slave(1)/state.json")
#: Framework's and agent's members that hold what runs, and what ran not long ago.
_TASKS: Final = ("tasks", "unreachable_tasks", "completed_tasks")
_EXECUTORS: Final = ("executors", "completed_executors")
_FRAMEWORKS: Final = ("frameworks", "completed_frameworks")


#: libprocess, "slave(1)@10.0.0.7:5051" or "master@[::1]:5050".
_PID: Final = re.compile(r"[^@/]*@((?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5})")
_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")


class _Absent(Exception):
    """The address does not know this path."""


@dataclass(frozen=True, slots=True)
class MesosTask:
    """One task as the master tells of it; `container_id` is "" before it starts."""

    id: str
    name: str
    state: str
    agent_id: str
    framework_id: str
    executor_id: str
    container_id: str
    labels: Mapping[str, str]
    #: "DOCKER", "MESOS"; "" for a command, and in answers of old versions.
    container_type: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one task runs, or ran."""

    task_id: str
    #: http://address:port of the agent; "" when the master does not know it any more.
    agent_url: str
    #: As the agent names its host, which is what ssh needs.
    agent_host: str
    agent_id: str
    #: UUID of the container, without any prefix; "" before it starts.
    container_id: str
    #: Folder of its files on the agent.
    sandbox: str
    #: "TASK_RUNNING"
    state: str = ""
    #: Name that Docker knows the container by, if it is one of Docker's; "" before it starts.
    docker_name: str = ""
    #: The master says that it is one of Docker's; old versions do not say.
    is_docker: bool = False


def docker_name(container_id: str, agent_id: str, version: str) -> str:
    """Return the name that Mesos gives a Docker container: versions 0.23 to 1.3 put the agent's id into it."""
    if not container_id:
        return ""
    numbers = _VERSION.match(version)
    between = numbers is not None and (0, 23) <= (int(numbers[1]), int(numbers[2])) < (1, 4)
    return f"mesos-{agent_id}.{container_id}" if between else f"mesos-{container_id}"


@dataclass(frozen=True, slots=True)
class File:
    """One entry of a sandbox; `modified` in seconds since 1970."""

    name: str
    size: int
    modified: float
    mode: str

    @property
    def is_folder(self) -> bool:
        """Whether it has entries of its own."""
        return self.mode.startswith("d")


class Mesos:
    """A client of Mesos; one per event loop, to be used in `async with`."""

    def __init__(self, settings: ClusterSettings) -> None:
        """ConfigError when no address is known, or a secret cannot be read."""
        self._service = Service("Mesos", settings.mesos_urls, "mesos_urls", settings)

    async def __aenter__(self) -> Self:
        """Make ready to ask."""
        await self._service.__aenter__()
        return self

    async def __aexit__(self, *reason: object) -> None:
        """Close all connections."""
        await self._service.__aexit__(*reason)

    async def tasks(self) -> list[MesosTask]:
        """Return all tasks that the master remembers, those that run first."""
        return list(_tasks_of(await self._master_state()))

    async def find(self, task_id: str) -> Place | None:
        """Return where a task runs, or ran; None when the master does not know it (any more)."""
        state = await self._master_state()
        task = next((one for one in _tasks_of(state) if one.id == task_id), None)
        if task is None:
            return None
        agent = next((one for one in objects(state.get("slaves")) if one.get("id") == task.agent_id), {})
        place = Place(
            task_id=task.id,
            agent_url=_url_of(text(agent.get("pid"))),
            agent_host=text(agent.get("hostname")),
            agent_id=task.agent_id,
            container_id=task.container_id,
            sandbox=f"/frameworks/{task.framework_id}/executors/{task.executor_id}/runs/latest",
            state=task.state,
            docker_name=docker_name(task.container_id, task.agent_id, text(state.get("version"))),
            is_docker=task.container_type == "DOCKER",
        )
        return await self._with_sandbox(place, task) if place.agent_url else place

    async def size(self, place: Place, name: str) -> int:
        """Return how many bytes a file of the sandbox has; ClusterRefused (404) when it is not there."""
        return (await self._part(place, name, -1, _PAGE))[1]

    async def read(self, place: Place, name: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes of a file of the sandbox, fewer only at its end."""
        found = bytearray()
        while len(found) < length:
            data, at = await self._part(place, name, offset + len(found), min(_PAGE, length - len(found)))
            if not data or at != offset + len(found):
                break
            found += data
        return bytes(found[:length])

    async def files(self, place: Place, folder: str = "") -> list[File]:
        """Return what lies in a sandbox, or in a folder of it, by name."""
        answer = await self._of_sandbox(place, "/files/browse", folder)
        try:
            entries = [_file_of(one) for one in listed(orjson.loads(answer.body), "the answer")]
        except ValueError as error:
            raise ClusterBusy(f"Mesos at {place.agent_url} gives no list of files: {error}") from None
        return sorted(entries, key=lambda entry: entry.name)

    async def _part(self, place: Place, name: str, offset: int, length: int) -> tuple[bytes, int]:
        answer = await self._of_sandbox(place, "/files/read", name, ("offset", str(offset)), ("length", str(length)))
        try:
            return _part_of(answer.body)
        except (ValueError, RecursionError) as error:
            raise ClusterBusy(f"Mesos at {place.agent_url} gives no part of a file: {clean(error, 100)}") from None

    async def _of_sandbox(self, place: Place, path: str, name: str, *more: tuple[str, str]) -> Answer:
        if not place.agent_url:
            raise ClusterRefused(f"the agent that ran {place.task_id} has left; its sandbox cannot be read", 404)
        parameters = (("path", _inside(place.sandbox, name)), *more)
        for known in (path, f"{path}.json"):  # Mesos 0.23
            with suppress(_Absent):
                return await self._known(self._service.ask_at(place.agent_url, Question(known, parameters=parameters)))
        where = f"the sandbox of {place.task_id} on {place.agent_host or place.agent_url}"
        raise ClusterRefused(f"there is no {name or 'folder'!r} in {where}; Mesos removes what ended a while ago", 404)

    async def _master_state(self) -> Mapping[str, Any]:
        leaders: list[str] = []

        def leading(answer: Any) -> Mapping[str, Any]:
            state = mapping(answer, "the answer")
            if (leader := text(state.get("leader"))) != text(state.get("pid")):
                leaders.append(leader)
                raise WrongShape("it does not lead now")
            return state

        for path in _MASTER_STATES:
            with suppress(_Absent):
                try:
                    return await self._known(self._service.read(Question(path), leading))
                except ClusterBusy:
                    if not (url := next(map(_url_of, leaders), "")):
                        raise
                    return await self._known(self._service.read_at(url, Question(path), leading))
        raise ClusterRefused("mesos_urls: nothing there knows /state; is it a Mesos master?", 404)

    async def _with_sandbox(self, place: Place, task: MesosTask) -> Place:
        """What the agent says is exact; while it says nothing, the master's word and the way that Mesos makes do."""
        for path in _AGENT_STATES:
            try:
                state = await self._known(
                    self._service.read_at(place.agent_url, Question(path), lambda answer: mapping(answer, "the answer"))
                )
            except _Absent:
                continue
            except ClusterError:
                return place
            for executor in _executors_of(state, task):
                container = text(executor.get("container")) or place.container_id
                return replace(
                    place,
                    sandbox=text(executor.get("directory")) or place.sandbox,
                    container_id=container,
                    docker_name=docker_name(container, place.agent_id, text(state.get("version"))),
                )
            return place
        return place

    async def _known(self, asking: Awaitable[Found]) -> Found:
        try:
            return await asking
        except ClusterRefused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise _Absent from None
            raise


def _tasks_of(state: Mapping[str, Any]) -> Iterator[MesosTask]:
    frameworks = [one for group in _FRAMEWORKS for one in objects(state.get(group))]
    for group in _TASKS:
        for framework in frameworks:
            for task in objects(framework.get(group)):
                yield _task_of(task, text(framework.get("id")))


def _task_of(task: Mapping[str, Any], framework_id: str) -> MesosTask:
    container_id = ""
    for status in objects(task.get("statuses")):
        for container in objects([status.get("container_status")]):
            for identity in objects([container.get("container_id")]):
                container_id = text(identity.get("value")) or container_id
    return MesosTask(
        id=text(task.get("id")),
        name=text(task.get("name")),
        state=text(task.get("state")),
        agent_id=text(task.get("slave_id")),
        framework_id=text(task.get("framework_id")) or framework_id,
        executor_id=text(task.get("executor_id")) or text(task.get("id")),  # the master says "" of a command
        container_id=container_id,
        labels={text(label.get("key")): text(label.get("value")) for label in objects(task.get("labels"))},
        container_type=next((text(one.get("type")) for one in objects([task.get("container")])), ""),
    )


def _executors_of(state: Mapping[str, Any], task: MesosTask) -> Iterator[Mapping[str, Any]]:
    """The executor that ran a task; the one that runs now before one that has ended."""
    frameworks = [one for group in _FRAMEWORKS for one in objects(state.get(group))]
    for group in _EXECUTORS:
        for framework in frameworks:
            for executor in objects(framework.get(group)):
                if (framework.get("id"), executor.get("id")) == (task.framework_id, task.executor_id):
                    yield executor


def _file_of(entry: Any) -> File:
    known = mapping(entry, "a file")
    modified = known.get("mtime")
    return File(
        name=PurePosixPath(text(known.get("path"))).name,
        size=number(known.get("size")),
        modified=float(modified) if isinstance(modified, int | float) else 0.0,
        mode=text(known.get("mode")),
    )


def _part_of(body: bytes) -> tuple[bytes, int]:
    """The exact bytes and where they begin: Mesos puts bytes that are no UTF-8 into its JSON as they are."""
    answer = mapping(json.loads(body.decode("utf-8", "surrogateescape")), "the answer")
    return text(answer.get("data")).encode("utf-8", "surrogateescape"), number(answer.get("offset"))


def _inside(sandbox: str, name: str) -> str:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or not name.isprintable():
        raise ClusterRefused(f"{clean(name, 100)!r} is not the name of a file inside a sandbox", 400)
    return str(PurePosixPath(sandbox, *parts))


def _url_of(pid: str) -> str:
    """The address in "slave(1)@10.0.0.7:5051"; "" when there is none."""
    found = _PID.fullmatch(pid)
    return f"http://{found[1]}" if found else ""
