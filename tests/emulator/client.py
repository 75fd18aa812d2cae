"""What a test asks of the emulator: requests, tasks with their processes, a stream of events."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.emulator.process import Emulator
from tests.servers.process import wait_until

#: A server of its own host and port that answers 200 to everything but /never.
SERVER = (
    "exec python3 -c \"import http.server as h, os; H=type('H',(h.BaseHTTPRequestHandler,),{'do_GET':"
    "lambda s:(s.send_response(404 if s.path=='/never' else 200),s.end_headers()),'log_message':lambda *a:None});"
    "h.HTTPServer((os.environ['HOST'],int(os.environ['PORT0'])),H).serve_forever()\""
)


class Marathon:
    """Requests to one Marathon, each answered with status and JSON."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.emulator.marathon + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def change(self, method: str, path: str, body: object = None) -> None:
        """A change that is taken, and carried out before this returns."""
        status, answer = self(method, path, body)
        assert status in (200, 201), answer
        self.settle()

    def settle(self) -> None:
        """Wait until no deployment is running."""
        wait_until(lambda: self("GET", "/v2/deployments")[1] == [], 60, "the end of all deployments")

    def clear(self) -> None:
        """Delete every app, also one that a test has left behind."""
        for app in self("GET", "/v2/apps")[1]["apps"]:
            self("DELETE", f"/v2/apps{app['id']}")
        self.settle()

    def app(self, app_id: str) -> dict[str, Any]:
        """An app, with its tasks."""
        app: dict[str, Any] = self("GET", f"/v2/apps{app_id}")[1]["app"]
        return app

    def tasks(self, app_id: str) -> list[dict[str, Any]]:
        """The tasks of an app."""
        tasks: list[dict[str, Any]] = self("GET", f"/v2/apps{app_id}/tasks")[1]["tasks"]
        return tasks

    def process(self, task_id: str) -> dict[str, Any]:
        """What runs behind a task."""
        return next(task for task in self.emulator.tasks() if task["id"] == task_id)

    def environment(self, task_id: str) -> dict[str, str]:
        """The environment of a task's process, from the kernel."""
        file = Path(f"/proc/{self.process(task_id)['pid']}/environ")
        # It is empty for a moment while a process becomes another program.
        wait_until(lambda: file.read_text().endswith("\0"), what=f"the environment of {task_id}")
        return dict(variable.split("=", 1) for variable in file.read_text().split("\0") if variable)


@contextmanager
def listening(url: str, query: str = "") -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """A stream of events; the function reads until one of a type has come and gives all since the last call."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    connection.request("GET", f"/v2/events{query}", headers={"Accept": "text/event-stream"})
    answer = connection.getresponse()
    assert answer.status == 200

    def until(kind: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        while not events or events[-1]["eventType"] != kind:
            line = answer.readline()
            assert line, f"the stream ended before {kind}"
            if line.startswith(b"data: "):
                events.append(json.loads(line.removeprefix(b"data: ")))
        return events

    try:
        yield until
    finally:
        answer.close()
        connection.close()
