"""Marathon's answers in one form, whatever its version; WrongShape says what is not as it must be."""

from collections.abc import Iterable, Mapping
from typing import Any

from shipper.cluster.model import App, Task


class WrongShape(ValueError):
    """An answer has another form than its sender's: the text says where."""


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Return an object of an answer; WrongShape when it is something else."""
    if not isinstance(value, dict):
        raise WrongShape(f"{what} is not an object")
    return value


def listed(value: Any, what: str) -> list[Any]:
    """Return a list of an answer; WrongShape when it is something else."""
    if not isinstance(value, list):
        raise WrongShape(f"{what} is not a list")
    return value


def text(value: Any) -> str:
    """Return a text of an answer; "" when it is missing or something else."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> int:
    """Return a whole number of an answer; 0 when it is missing or something else."""
    return int(value) if isinstance(value, int | float) and abs(value) < 2**53 else 0


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list that may be missing, null or something else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def app_path(value: Any) -> str:
    """Return an app's id as Marathon writes it, with a slash before; WrongShape when there is none."""
    if not isinstance(value, str) or not value.strip("/"):
        raise WrongShape("an app has no id")
    return f"/{value.strip('/')}"


def app_of(answer: Any) -> App:
    """Return an app with its tasks."""
    known = mapping(answer, "an app")
    app_id = app_path(known.get("id"))
    labels = known.get("labels")
    return App(
        id=app_id,
        version=text(known.get("version")),
        labels={name: text(value) for name, value in labels.items()} if isinstance(labels, dict) else {},
        instances=number(known.get("instances")),
        service_ports=_service_ports(known),
        tasks=tuple(_task_of(task, app_id) for task in listed(known.get("tasks") or [], "tasks")),
        deployments=tuple(text(one.get("id")) for one in objects(known.get("deployments"))),
        definition=known,
    )


def apps_of(answer: Any) -> list[App]:
    """Return the apps of `GET /v2/apps`."""
    return [app_of(one) for one in listed(mapping(answer, "the answer").get("apps"), "apps")]


def _task_of(answer: Any, app_id: str) -> Task:
    known = mapping(answer, f"a task of {app_id}")
    if not text(known.get("id")):
        raise WrongShape(f"a task of {app_id} has no id")
    return Task(
        id=known["id"],
        app_id=app_id,
        host=text(known.get("host")),
        ports=_ports(known.get("ports")),
        state=text(known.get("state")),
        version=text(known.get("version")),
        agent_id=text(known.get("slaveId")),
        staged_at=text(known.get("stagedAt")),
        started_at=text(known.get("startedAt")),
        healthy=_healthy(known.get("healthCheckResults")),
    )


def _healthy(results: Any) -> bool | None:
    """One failing check is enough to be unhealthy; one that has not answered yet leaves it open."""
    if not isinstance(results, list) or not results:
        return None
    said = [_alive(result) for result in results]
    return None if None in said and False not in said else all(said)


def _alive(result: Any) -> bool | None:
    if not isinstance(result, dict) or not isinstance(result.get("alive"), bool):
        return None  # old versions list null for a check that has not answered
    answered = result.get("lastSuccess") or result.get("lastFailure") or result.get("consecutiveFailures")
    return bool(result["alive"]) if result["alive"] or answered else None


def _service_ports(app: Mapping[str, Any]) -> tuple[int, ...]:
    """The form from 1.5 on, the older one of Docker, then those without a bridge; the first that lists any."""
    for container in objects([app.get("container")]):
        for network in (container, *objects([container.get("docker")])):
            if found := _ports(one.get("servicePort") for one in objects(network.get("portMappings"))):
                return found
    return _ports(app.get("ports")) or _ports(one.get("port") for one in objects(app.get("portDefinitions")))


def _ports(values: Any) -> tuple[int, ...]:
    """Port numbers in their order, which is what names them: one that is missing is 0."""
    if not isinstance(values, Iterable) or isinstance(values, str | dict):
        return ()
    return tuple(port if 0 <= (port := number(value)) <= 65535 else 0 for value in values)
