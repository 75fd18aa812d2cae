"""Apps, tasks, deployments and the queue as Marathon's answers and events show them."""

import re
from typing import Any

from tests.emulator import definitions
from tests.emulator.model import App, Definition, Deployment, Health, Task, World

_ACTIVE = ("TASK_STARTING", "TASK_RUNNING")


def app(world: World, one: App, *, full: bool = False) -> dict[str, Any]:
    """An app with its counts and deployments; with tasks and the last failure when asked for in full."""
    tasks = world.tasks_of(world.marathon, one.id)
    checks = len(one.definition["healthChecks"])
    shown = {
        **definition(world, one, one.version),
        "tasksStaged": sum(task.state == "TASK_STAGING" for task in tasks),
        "tasksRunning": sum(task.state == "TASK_RUNNING" for task in tasks),
        "tasksHealthy": sum(bool(checks) and healthy(task) is True for task in tasks),
        "tasksUnhealthy": sum(bool(checks) and healthy(task) is False for task in tasks),
        "deployments": [{"id": id_} for id_, running in world.deployments.items() if one.id in running.app_ids],
    }
    if full:
        shown["tasks"] = [task_of(world, task) for task in tasks]
        if one.last_failure:
            shown["lastTaskFailure"] = one.last_failure
    return shown


def definition(world: World, one: App, version: str) -> Definition:
    """One version of an app."""
    info = {"lastScalingAt": one.last_scaling_at, "lastConfigChangeAt": one.config_of[version]}
    shown = {**definitions.rendered(one.versions[version], world.profile), "version": version}
    return shown if world.profile.name == "0.9.1" else {**shown, "versionInfo": info}


def healthy(task: Task) -> bool | None:
    """Whether every check of a task is alive; None while one has no result yet."""
    if not all(health.last_success or health.last_failure for health in task.health):
        return None
    return all(health.alive for health in task.health)


def looks_like(task_id: str, app_id: str) -> bool:
    """Whether it can be the id of a task, or of an instance, of this app."""
    name = app_id.strip("/").replace("/", "_")
    return (
        re.fullmatch(re.escape(name) + r"[._](instance-|marathon-)?[0-9a-f-]{36}(\.[^.]+(\.\d+)?)?", task_id)
        is not None
    )


def task_of(world: World, task: Task, *, service_ports: bool = False) -> dict[str, Any]:
    """A task; while it is not active, without ports and times."""
    active = task.state in _ACTIVE
    shown: dict[str, Any] = {
        "appId": task.owner,
        "id": task.id,
        "host": task.agent.host,
        "ports": list(task.ports) if active else [],
        "slaveId": task.agent.id,
        "ipAddresses": [{"ipAddress": task.agent.host, "protocol": "IPv4"}] if active else [],
        "version": task.version,
        "stagedAt": _time(world, task.since("TASK_STAGING")),
        "startedAt": _time(world, task.since("TASK_RUNNING")),
        "healthCheckResults": [
            _health(world, task, health) for health in task.health if health.last_success or health.last_failure
        ],
    }
    if world.profile.task_state:
        shown |= {"state": task.state, "localVolumes": []}
    one = world.apps.get(task.owner)
    if service_ports:
        shown["servicePorts"] = definitions.service_ports(one.definition) if one else []
    return {key: value for key, value in shown.items() if value is not None}


def _health(world: World, task: Task, health: Health) -> dict[str, Any]:
    who = {"instanceId": task.instance_id} if world.profile.instance_events else {"taskId": task.id}
    return {
        "alive": health.alive,
        "consecutiveFailures": health.consecutive_failures,
        "firstSuccess": _time(world, health.first_success),
        "lastSuccess": _time(world, health.last_success),
        "lastFailure": _time(world, health.last_failure),
        "lastFailureCause": health.last_cause or None,
        **who,
    }


def _time(world: World, moment: float | None) -> str | None:
    return None if moment is None else world.clock.text(moment)


def steps(deployment: Deployment) -> list[dict[str, Any]]:
    """The steps of a deployment."""
    return [_step(step) for step in deployment.steps]


def _step(step: list[tuple[str, str]]) -> dict[str, Any]:
    return {"actions": [{"action": action, "app": app_id} for action, app_id in step]}


def current_step(deployment: Deployment) -> dict[str, Any]:
    """The step that a deployment is at."""
    return _step(deployment.steps[deployment.current_step - 1])


def deployment_of(one: Deployment) -> dict[str, Any]:
    """A deployment as /v2/deployments lists it."""
    current = current_step(one)["actions"] if one.current_step else []
    return {
        "id": one.id,
        "version": one.version,
        "affectedApps": one.app_ids,
        "affectedPods": [],
        "steps": steps(one),
        "currentActions": [{**action, "readinessCheckResults": []} for action in current],
        "currentStep": one.current_step,
        "totalSteps": len(one.steps),
    }


def plan(world: World, one: Deployment) -> dict[str, Any]:
    """A deployment's plan, with the groups that light plans leave out."""
    return {
        "id": one.id,
        "steps": steps(one),
        "version": one.version,
        "original": _group(world, one.original, one.version),
        "target": _group(world, one.target, one.version),
    }


def _group(world: World, apps: dict[str, Definition | None], version: str) -> dict[str, Any]:
    shown = [definitions.rendered(found, world.profile) for found in apps.values() if found is not None]
    return {"id": "/", "apps": shown, "groups": [], "dependencies": [], "version": version}
