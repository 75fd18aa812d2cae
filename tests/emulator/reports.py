"""What becomes of tasks, told as Marathon's events and kept as an app's last failure."""

from tests.emulator.events import Events
from tests.emulator.model import Task, World

_FAILURES = frozenset({"TASK_FAILED", "TASK_ERROR", "TASK_LOST", "TASK_UNREACHABLE", "TASK_GONE"})


class Reports:
    """Listens to the world for Marathon's tasks."""

    def __init__(self, world: World, events: Events) -> None:
        self._world = world
        self._events = events
        world.on_status.append(self._status)

    def _status(self, task: Task) -> None:
        if task.framework is not self._world.marathon:
            return
        if self._world.profile.instance_events:
            self._instance_changed(task)
        self._events.publish(
            "status_update_event",
            slaveId=task.agent.id,
            taskId=task.id,
            taskStatus=task.state,
            message=task.statuses[-1].message,
            appId=task.owner,
            host=task.agent.host,
            ipAddresses=[{"ipAddress": task.agent.host, "protocol": "IPv4"}],
            ports=list(task.ports),
            version=task.version,
        )
        app = self._world.apps.get(task.owner)
        if app is not None and task.state in _FAILURES:
            app.last_failure = self._failure(task)

    def _failure(self, task: Task) -> dict[str, str]:
        return {
            "appId": task.owner,
            "host": task.agent.host,
            "message": task.statuses[-1].message,
            "state": task.state,
            "taskId": task.id,
            "timestamp": self._world.clock.text(task.statuses[-1].at),
            "version": task.version,
            "slaveId": task.agent.id,
        }

    def _instance_changed(self, task: Task) -> None:
        self._events.publish(
            "instance_changed_event",
            instanceId=task.instance_id,
            condition=task.state.removeprefix("TASK_").capitalize(),
            runSpecId=task.owner,
            agentId=task.agent.id,
            host=task.agent.host,
            runSpecVersion=task.version,
        )

    def health_changed(self, task: Task, alive: bool) -> None:
        """A check of the task says otherwise than before."""
        newer = self._world.profile.instance_events
        who = {"instanceId": task.instance_id} if newer else {"taskId": task.id}
        self._events.publish("health_status_changed_event", appId=task.owner, **who, version=task.version, alive=alive)
        if newer:
            self._events.publish(
                "instance_health_changed_event",
                instanceId=task.instance_id,
                runSpecId=task.owner,
                healthy=alive,
                runSpecVersion=task.version,
            )

    def check_failed(self, task: Task, check: dict[str, object]) -> None:
        """One health check did not pass; newer versions put the instance's id where the task's is expected."""
        who = task.instance_id if self._world.profile.instance_events else task.id
        self._events.publish("failed_health_check_event", appId=task.owner, healthCheck=check, taskId=who)

    def unhealthy(self, task: Task, reason: str) -> None:
        """The task is killed because it is not healthy."""
        named = {"appId": task.owner, "taskId": task.id, "version": task.version, "reason": reason}
        named |= {"host": task.agent.host, "slaveId": task.agent.id}
        if self._world.profile.instance_events:
            self._events.publish("unhealthy_instance_kill_event", **named, instanceId=task.instance_id)
        else:
            self._events.publish("unhealthy_task_kill_event", **named)
