"""The emulator's Marathon against what is known of the real one: keys of its events, apps that it takes and refuses."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conftest import DATA
from tests.emulator.process import Emulator
from tests.servers.process import wait_until

MARATHON = DATA / "marathon"
SLEEPER = {"cmd": "exec sleep 300", "cpus": 0.1, "mem": 32}
#: Types that one app that is healthy, one that never is, and their ends must bring.
EXPECTED = {
    "api_post_event",
    "app_terminated_event",
    "deployment_info",
    "deployment_step_success",
    "deployment_success",
    "event_stream_attached",
    "failed_health_check_event",
    "group_change_success",
    "health_status_changed_event",
    "instance_changed_event",
    "instance_health_changed_event",
    "status_update_event",
    "unhealthy_instance_kill_event",
}
#: What is wrong with an app, and the path at which Marathon says so.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"id": "/Logdemo"}, "/id"),
    ({"id": "/log_demo"}, "/id"),
    ({"id": "/a-"}, "/id"),
    ({"args": ["a"]}, "/"),
    ({"cmd": None}, "/"),
    ({"cmd": "x"}, "/cmd"),
    ({"cpus": "0.1"}, "/cpus"),
    ({"mem": -1}, "/mem"),
    ({"instances": -1}, "/instances"),
    ({"labels": {"a": 1}}, "/labels"),
    ({"env": {"A": 1}}, "/env"),
    ({"constraints": [["hostname", "ONE"]]}, "/constraints"),
    ({"constraints": [["hostname"]]}, "/constraints"),
    ({"ports": [70000]}, "/"),
    ({"ports": [8080, 8080]}, "/"),
    ({"portDefinitions": [{"port": 0, "name": "A B"}]}, "/portDefinitions"),
    ({"healthChecks": [{"protocol": "PING"}]}, "/healthChecks"),
    ({"healthChecks": [{"protocol": "COMMAND"}]}, "/healthChecks"),
    ({"healthChecks": [{"protocol": "HTTP", "portIndex": 3}]}, "/healthChecks"),
    ({"readinessChecks": [{"portName": "none"}]}, "/readinessChecks"),
    ({"upgradeStrategy": {"minimumHealthCapacity": 2}}, "/upgradeStrategy/minimumHealthCapacity"),
    ({"container": {"type": "DOCKER", "docker": {}}}, "/container/docker"),
    ({"container": {"docker": {"image": "a"}, "volumes": [{"containerPath": "/x", "hostPath": "/y"}]}}, "/container"),
]


def _data(name: str) -> Path:
    path = MARATHON / name
    if not path.exists():
        pytest.skip("no data folder ../shared/data/marathon beside this checkout")
    return path


def _lenient(schema: Any) -> Any:
    """Marathon ignores keys that it does not know; the schema is for apps that we write, and does not."""
    if isinstance(schema, dict):
        return {
            key: _lenient(value) for key, value in schema.items() if (key, value) != ("additionalProperties", False)
        }
    return [_lenient(value) for value in schema] if isinstance(schema, list) else schema


def ask(emulator: Emulator, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status, and the JSON of the body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        emulator.marathon + path, data, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), time_scale=0.02) as running:
        yield running


def test_events_have_the_keys_of_real_ones(tmp_path: Path) -> None:
    real = {event["eventType"]: event for event in map(json.loads, _data("events.ndjson").read_text().splitlines())}
    events: list[Any] = []
    with Emulator(tmp_path, time_scale=0.02) as emulator:
        reading = threading.Thread(target=_read, args=(emulator, events), daemon=True)
        reading.start()
        wait_until(lambda: events, 30, "it is attached")
        check = {"protocol": "COMMAND", "command": {"value": "true"}, "gracePeriodSeconds": 0, "intervalSeconds": 1}
        sick = check | {"protocol": "TCP", "portIndex": 0, "maxConsecutiveFailures": 1}
        del sick["command"]
        for name, one in (("well", check), ("sick", sick)):
            assert ask(emulator, "POST", "/v2/apps", SLEEPER | {"id": name, "healthChecks": [one]})[0] == 201
        wait_until(lambda: EXPECTED - _types(events) <= {"app_terminated_event"}, 30, "what happens to the two")
        for name in ("well", "sick"):
            assert ask(emulator, "DELETE", f"/v2/apps/{name}?force=true")[0] == 200
        wait_until(lambda: _types(events) >= EXPECTED, 30, "their ends")
    reading.join(30)
    assert not reading.is_alive()
    for event in events:
        assert _form(event) == _form(real[event["eventType"]]), event["eventType"]


def _read(emulator: Emulator, events: list[Any]) -> None:
    """Read the stream to its end, which comes with the end of the emulator."""
    url = f"{emulator.marathon}/v2/events?plan-format=light"
    request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    events.append(json.loads(line[len(b"data: ") :]))
    except OSError as error:
        events.append({"eventType": f"failed: {error}"})


def _types(events: list[Any]) -> set[str]:
    return {event["eventType"] for event in list(events)}


def _form(event: dict[str, Any]) -> dict[str, Any]:
    """Its keys, each with the type of what it holds; the definition of an app and a check have forms of their own."""
    return {key: _form(value) if key == "plan" else type(value).__name__ for key, value in event.items()}


def test_apps_that_are_around_are_taken_and_told_in_marathons_form(emulator: Emulator) -> None:
    schema = jsonschema.Draft7Validator(_lenient(json.loads(_data("schema/marathon-app.schema.json").read_text())))
    files = sorted(_data("apps").glob("*.json"))
    assert len(files) > 20
    for file in files:
        posted = json.loads(file.read_text()) | {"instances": 0}
        status, answer = ask(emulator, "POST", "/v2/apps", posted)
        assert status == 201, (file.name, answer)
        status, app = ask(emulator, "GET", "/v2/apps/" + answer["id"].lstrip("/"))
        assert status == 200
        assert not [error.message for error in schema.iter_errors(app["app"])], file.name
        assert app["app"].get("labels") == posted.get("labels", {}), file.name
        wait_until(lambda: not ask(emulator, "GET", "/v2/deployments")[1], 30, f"{file.name} is there")
        assert ask(emulator, "DELETE", "/v2/apps/" + answer["id"].lstrip("/"))[0] == 200
        wait_until(lambda: not ask(emulator, "GET", "/v2/apps")[1]["apps"], 30, f"{file.name} is gone")


def test_what_is_wrong_is_refused_with_its_path(emulator: Emulator) -> None:
    for change, path in REFUSED:
        status, answer = ask(emulator, "POST", "/v2/apps", SLEEPER | {"id": "/refused"} | change)
        assert status in {400, 422}, (change, answer)
        assert answer["message"] in {"Object is not valid", "Invalid JSON"}, change
        assert [detail for detail in answer["details"] if detail["path"].startswith(path)], (change, answer)
    assert ask(emulator, "GET", "/v2/apps")[1] == {"apps": []}
    status, answer = ask(emulator, "POST", "/v2/apps", SLEEPER | {"id": "/taken", "memory": 12})
    assert (status, answer["id"], "memory" in answer) == (201, "/taken", False)
