"""A Chronos job: what may be posted, its defaults, how it is told again (Chronos, JobDeserializer, JobSerializer)."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.emulator import chronos_schedule
from tests.emulator.chronos_schedule import Schedule

Json = dict[str, Any]

_NAME = re.compile(r"[\w\s.#-]+", re.ASCII)
_TEXTS: Final = {
    "command": "",
    "epsilon": "PT60S",
    "executor": "",
    "executorFlags": "",
    "owner": "",
    "ownerName": "",
    "description": "",
    "lastSuccess": "",
    "lastError": "",
    "runAsUser": "root",
}
_NUMBERS: Final = {"cpus": 0.1, "disk": 256.0, "mem": 128.0}
_COUNTS: Final = {"retries": 2, "successCount": 0, "errorCount": 0, "errorsSinceLastSuccess": 0}
_FLAGS: Final = {
    "shell": True,
    "async": False,
    "disabled": False,
    "softError": False,
    "dataProcessingJobType": False,
    "highPriority": False,
    "concurrent": False,
}
_LISTS: Final = ("uris", "fetch", "environmentVariables", "arguments", "constraints")


@dataclass(eq=False)
class Job:
    """One job. `schedule` is what is left of it, None for a job that waits for others."""

    name: str
    #: As posted, with all defaults; statistics are kept up in it.
    definition: Json
    schedule: Schedule | None = None
    parents: set[str] = field(default_factory=set)
    #: Parents that have finished since this job last began.
    done: set[str] = field(default_factory=set)

    def describe(self) -> Json:
        """The job as GET tells it: a schedule begins with the next time it is due."""
        if self.schedule is None:
            return self.definition | {"parents": sorted(self.parents)}
        zone = self.definition.get("scheduleTimeZone", "")
        return self.definition | {"schedule": str(self.schedule), "scheduleTimeZone": zone}

    def argv(self, arguments: str) -> tuple[str, ...]:
        """What runs; arguments of one run replace nothing, they are added."""
        command, own = self.definition["command"], self.definition["arguments"]
        if self.definition["shell"]:
            return "/bin/sh", "-c", f"{command} {arguments}".rstrip()
        return command, *own, *arguments.split()


def read(posted: object, now: datetime) -> Job:
    """Make a job of what was posted; unknown keys are ignored. ValueError says what is wrong."""
    if not isinstance(posted, dict):
        raise ValueError("a job is a JSON object")
    name = posted.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"the job's name is invalid. Allowed names: '{_NAME.pattern}'")
    definition = {"name": name} | _plain(posted) | _structured(posted)
    if not definition["command"]:
        raise ValueError(f"the job {name} has no command")
    chronos_schedule.period(definition["epsilon"])
    if "parents" in posted:
        return Job(name, definition, parents=set(_strings(posted, "parents")))
    zone = _text(posted, "scheduleTimeZone", "")
    schedule = chronos_schedule.parse(_text(posted, "schedule", ""), zone, now)
    return Job(name, definition | {"scheduleTimeZone": zone}, schedule)


def _plain(posted: Json) -> Json:
    return (
        {key: _text(posted, key, default) for key, default in _TEXTS.items()}
        | {key: _number(posted, key, default) for key, default in _NUMBERS.items()}
        | {key: int(_number(posted, key, default)) for key, default in _COUNTS.items()}
        | {key: _flag(posted, key, default) for key, default in _FLAGS.items()}
    )


def _structured(posted: Json) -> Json:
    found: Json = {key: _list(posted, key) for key in _LISTS}
    _objects(found, "environmentVariables", "name", "value")
    _objects(found, "fetch", "uri")
    for one in found["constraints"]:
        if not isinstance(one, list) or len(one) != 3 or one[1] not in {"EQUALS", "LIKE", "UNLIKE"}:
            raise ValueError("constraints: each is [attribute, EQUALS|LIKE|UNLIKE, value]")
    if found["uris"] and found["fetch"]:
        raise ValueError(f"Tried to add both uri (deprecated) and fetch parameters on {posted['name']}")
    for key in ("uris", "arguments"):
        _strings(posted, key)
    if (container := posted.get("container")) is not None:
        if not isinstance(container, dict) or not isinstance(container.get("image"), str):
            raise ValueError("container: needs an image")
        found["container"] = {"type": "DOCKER", "network": "HOST", "volumes": [], "parameters": []} | container
        _objects(found["container"], "volumes", "containerPath")
        _objects(found["container"], "parameters", "key", "value")
    return found


def _text(posted: Json, key: str, default: str) -> str:
    value = posted.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key}: must be a text")
    return value


def _number(posted: Json, key: str, default: float) -> float:
    """Numbers may be written as texts, which the demo's job does."""
    try:
        return float(posted.get(key, default))
    except (TypeError, ValueError):
        raise ValueError(f"{key}: must be a number") from None


def _flag(posted: Json, key: str, default: bool) -> bool:
    value = posted.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"{key}: must be true or false")
    return value


def _list(posted: Json, key: str) -> list[Any]:
    value = posted.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key}: must be a list")
    return value


def _objects(given: Json, key: str, *needs: str) -> None:
    for one in _list(given, key):
        if not isinstance(one, dict) or not all(isinstance(one.get(name), str) for name in needs):
            raise ValueError(f"{key}: each needs {' and '.join(needs)}, as text")


def _strings(posted: Json, key: str) -> list[str]:
    values = _list(posted, key)
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key}: must be a list of texts")
    return values
