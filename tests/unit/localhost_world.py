"""Apps as Marathon tells of them, for tests of HAProxy's file."""

from collections.abc import Mapping, Sequence
from typing import Any

from shipper.cluster.model import App, Task
from shipper.generate.localhost import Settings

SETTINGS = Settings(host_name="web-3")
#: A health check of Marathon's, as its answers have it.
HEALTH = {
    "protocol": "HTTP", "path": "/health", "portIndex": 0, "intervalSeconds": 5, "timeoutSeconds": 2,
    "maxConsecutiveFailures": 3,
}  # fmt: skip


def task(app_id: str, number: int, **values: Any) -> Task:
    """A task of an app, on a host and ports of its own."""
    ports = (31000 + 10 * number, 31001 + 10 * number)
    known: dict[str, Any] = {"host": f"10.0.0.{number}", "ports": ports, "state": "TASK_RUNNING", **values}
    return Task(id=f"{app_id.strip('/').replace('/', '_')}.{number}", app_id=app_id, **known)


def app(
    app_id: str,
    ports: Sequence[int] = (10001,),
    labels: Mapping[str, str] | None = None,
    tasks: Sequence[Task] | None = None,
    checks: Sequence[Any] = (),
) -> App:
    """An app with two tasks, or with these."""
    found = (task(app_id, 1), task(app_id, 2)) if tasks is None else tuple(tasks)
    definition = {"id": app_id, "healthChecks": list(checks)}
    return App(app_id, "2026-11-23T00:00:00.000Z", dict(labels or {}), len(found), tuple(ports), found, (), definition)


def shipper(*numbers: int, app_id: str = "/shipper") -> App:
    """Shipper itself, with these tasks."""
    return app(app_id, (5140,), {"SHIPPER_ROLE": "shipper"}, [task(app_id, number) for number in numbers])


def sections(text: str) -> dict[str, list[list[str]]]:
    """The file as HAProxy sees it: words of lines, by the first line of their section."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if line[0] != " ":
            assert line not in found, f"twice: {line}"
            lines = found[line] = []
        else:
            lines.append(words)
    return found


def servers(text: str, section: str) -> list[str]:
    """Names of the servers of a section, in order."""
    return [words[1] for words in sections(text)[section] if words[0] == "server"]
