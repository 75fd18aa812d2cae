"""Whether an app is what was asked for: every instance runs, every health check passes, no deployment is left."""

from collections.abc import Collection
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
    outdated = sum(_outdated(app, task) for task in running)
    done = not open_deployments and len(running) == app.instances and len(good) == app.instances
    words = [f"{len(running)} of {app.instances} running"]
    words += [f"{len(healthy)} healthy"] if checked else []
    words += [f"{outdated} of them of the old version"] if outdated else []
    words += ["deployment goes on"] if open_deployments else []
    return Look(done, ", ".join(words))


def _runs(task: Task) -> bool:
    return task.state == "TASK_RUNNING" or (not task.state and bool(task.started_at))


def _outdated(app: App, task: Task) -> bool:
    """Whether a task is to be replaced: it is older than the last change that was more than scaling."""
    info = app.definition.get("versionInfo")
    changed = info.get("lastConfigChangeAt") if isinstance(info, dict) else None
    return isinstance(changed, str) and bool(task.version) and task.version < changed


def last_failure(app: App) -> str:
    """Return what Marathon says of the last task of this version that failed, or ""."""
    failure = app.definition.get("lastTaskFailure")
    if not isinstance(failure, dict) or failure.get("version", app.version) != app.version:
        return ""
    return f"last failure on {one_line(failure.get('host', '?'), 60)}: {one_line(failure.get('message', '?'), 160)}"
