"""Apps, tasks and ways into them as people and programs read them. All of it is strangers' text, made safe to see."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shipper.cli.terminal import cells, fit, one_line, second
from shipper.cluster import enter, labels
from shipper.cluster.marathon import Queued
from shipper.cluster.mesos import Place
from shipper.cluster.model import LIVE, App, Task
from shipper.cluster.names import Meant


def app_lines(apps: Sequence[App]) -> Iterator[str]:
    """The table of apps, then what is wrong with their labels."""
    rows = [("APP", "TASKS", "HEALTHY", "VERSION", "SINCE", "")]
    rows += [
        (
            app.id,
            f"{len(_running(app))}/{app.instances}",
            _healthy(app),
            second(app.version),
            second(_since(app)),
            _note(app),
        )
        for app in apps
    ]
    yield from _table(rows)
    for app in apps:
        for problem in labels.read(app.labels).problems:
            yield f"label without effect  {one_line(app.id)}: {one_line(problem)}"


def app_json(app: App) -> dict[str, Any]:
    """One app for programs."""
    return {
        "app": app.id,
        "instances": app.instances,
        "running": len(_running(app)),
        "healthy": sum(task.healthy is True for task in _running(app)),
        "unhealthy": sum(task.healthy is False for task in _running(app)),
        "version": app.version,
        "since": _since(app),
        "deployments": list(app.deployments),
        "service_ports": list(app.service_ports),
        "label_problems": list(labels.read(app.labels).problems),
    }


def where_lines(meant: Meant, waiting: Sequence[Queued]) -> Iterator[str]:
    """The table of an app's tasks, then what waits to be started."""
    rows = [("HOST", "PORTS", "TASK", "STATE", "SINCE", "VERSION", "HEALTH")]
    rows += [
        (
            task.host or "-",
            ",".join(map(str, task.ports)) or "-",
            task.id,
            task.state.removeprefix("TASK_").lower() or "-",
            second(task.started_at) or "-",
            second(task.version) + (" (old)" if _is_old(task, meant.app) else ""),
            _HEALTH[task.healthy],
        )
        for task in sorted(meant.tasks, key=lambda task: (task.host, task.id))
    ]
    if meant.tasks:
        yield from _table(rows)
    else:
        yield f"{one_line(meant.app.id)} has no task; {meant.app.instances} wanted"
    for one in waiting:
        why = "no host has what it asks for" if one.overdue else f"next try in {one.delay_seconds:g} s"
        yield f"{one.count} of {one_line(meant.app.id)} wait to be started: {why}"


def where_json(meant: Meant, waiting: Sequence[Queued]) -> dict[str, Any]:
    """An app's tasks for programs."""
    tasks = [
        {
            "task": task.id, "host": task.host, "ports": list(task.ports), "state": task.state, "healthy": task.healthy,
            "since": task.started_at, "version": task.version, "agent": task.agent_id,
        }
        for task in meant.tasks
    ]  # fmt: skip
    return {"app": meant.app.id, "tasks": tasks, "waiting": sum(one.count for one in waiting)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One task with the ways into it and the tools that look at it from outside."""

    place: Place
    ways: list[enter.Way]
    hints: list[enter.Way]

    def lines(self) -> Iterator[str]:
        """As people read it: comments, and lines for a shell."""
        state = self.place.state.removeprefix("TASK_").lower()
        yield f"# {one_line(self.place.task_id)}  {one_line(state)} on {one_line(self.place.agent_host)}"
        for way in (*self.ways, *self.hints):
            yield f"# {way.name}: {way.purpose}"
            yield way.line

    def json(self) -> dict[str, Any]:
        """For programs."""
        ways = [{"name": way.name, "purpose": way.purpose, "command": way.line} for way in (*self.ways, *self.hints)]
        return {"task": self.place.task_id, "host": self.place.agent_host, "state": self.place.state, "ways": ways}


def entry(meant: Meant | None, place: Place, user: str, image: str) -> Entry:
    """Return the ways into a task; `meant` is None when only Mesos knows it."""
    task = next((task for task in meant.tasks if task.id == place.task_id), None) if meant else None
    host = place.agent_host or (task.host if task else "")
    docker = place.is_docker or (meant is not None and _is_docker(meant.app))
    target = enter.Target(place.task_id, host, place.docker_name if docker else "", place.sandbox)
    hints = []
    if meant and task:
        hints = enter.hints(target, meant.app, task, labels.read(meant.app.labels).tools, user)
    return Entry(place, enter.ways(target, user, image), hints)


def _is_docker(app: App) -> bool:
    container = app.definition.get("container")
    return isinstance(container, dict) and (container.get("type") == "DOCKER" or bool(container.get("docker")))


_HEALTH = {True: "healthy", False: "unhealthy", None: "-"}


def _running(app: App) -> list[Task]:
    """Old versions of Marathon name no state; what has started runs then."""
    return [task for task in app.tasks if task.state == "TASK_RUNNING" or (not task.state and task.started_at)]


def _healthy(app: App) -> str:
    said = [task.healthy for task in _running(app) if task.healthy is not None]
    return f"{sum(said)}/{len(said)}" if said else "-"


def _since(app: App) -> str:
    return max((task.started_at for task in _running(app)), default="")


def _is_old(task: Task, app: App) -> bool:
    return bool(task.version) and task.version != app.version and task.state in LIVE


def _note(app: App) -> str:
    return "deploying" if app.deployments else ""


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    safe = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cells, column)) for column in zip(*safe, strict=True)]
    for row in safe:
        yield "  ".join(fit(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
