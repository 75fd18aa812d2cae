"""Whether an app is what was asked for: every instance runs, every health check passes, no deployment is left."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from shipper.cluster.model import App, Task
from shipper.deploy.lines import one_line


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an app: whether it is done, and how far it is in words."""

    done: bool
    text: str


def look(app: App, deployments: Collection[str] = ()) -> Look:
    """Return how far an app is; `deployments` are those that must be over, beside those that the app itself names.

    Its readiness checks are part of a deployment: Marathon ends none before they pass.
    """
    open_deployments = {*deployments, *app.deployments}
    running = [task for task in app.tasks if _runs(task)]
    healthy = [task for task in running if task.healthy]
    checked = bool(app.definition.get("healthChecks"))
    good = healthy if checked else running
    done = not open_deployments and len(running) == app.instances and len(good) == app.instances
    return Look(done, ", ".join(_words(app, len(running), len(healthy) if checked else None, open_deployments)))


def _runs(task: Task) -> bool:
    return task.state == "TASK_RUNNING" or (not task.state and bool(task.started_at))


def _words(app: App, running: int, healthy: int | None, deployments: Collection[str]) -> Iterator[str]:
    yield f"{running} of {app.instances} running"
    if healthy is not None:
        yield f"{healthy} healthy"
    if running > app.instances:
        yield f"{running - app.instances} to stop"
    if deployments:
        yield "deployment goes on"


def last_failure(app: App) -> str:
    """Return what Marathon says of the last task of an app that failed, or ""."""
    failure = app.definition.get("lastTaskFailure")
    if not isinstance(failure, dict):
        return ""
    return f"last failure on {one_line(failure.get('host', '?'), 60)}: {one_line(failure.get('message', '?'), 160)}"
