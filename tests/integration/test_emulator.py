"""The emulator holds Marathon's contract: its answers, events, locks, faults and versions, over HTTP."""

import http.client
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest

from tests.conftest import DATA
from tests.emulator.client import SERVER, Marathon, listening
from tests.emulator.events import OUTSTANDING_LIMIT, Stream
from tests.emulator.process import Emulator
from tests.servers.process import wait_until

SCHEMA = DATA / "marathon/schema/marathon-app.schema.json"
#: Keys of an answer that are no part of a definition.
ADDED = {"tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "deployments", "tasks", "lastTaskFailure"}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), time_scale=0.02, follower=True) as emulator:
        yield emulator


@pytest.fixture
def marathon(emulator: Emulator) -> Iterator[Marathon]:
    marathon = Marathon(emulator)
    yield marathon
    marathon.clear()


def test_a_locked_app_refuses_a_change_until_it_is_forced(marathon: Marathon) -> None:
    stuck = {"id": "/stuck", "cmd": "exec sleep 600", "constraints": [["hostname", "CLUSTER", "nowhere"]]}
    status, created = marathon("POST", "/v2/apps", stuck)
    assert status == 201
    running = created["deployments"]
    status, answer = marathon("PUT", "/v2/apps/stuck", {"instances": 2})
    assert (status, answer["deployments"]) == (409, running)
    assert "force=true" in answer["message"]
    status, answer = marathon("POST", "/v2/apps", stuck)
    assert (status, "deployments" in answer) == (409, False)
    waiting = next(item for item in marathon("GET", "/v2/queue")[1]["queue"] if item["app"]["id"] == "/stuck")
    assert (waiting["count"], waiting["delay"]["overdue"]) == (1, True)
    marathon.change("PUT", "/v2/apps/stuck?force=True", {"constraints": []})
    assert marathon.app("/stuck")["tasksRunning"] == 1
    marathon.change("DELETE", "/v2/apps/stuck")


def test_a_deployment_is_cancelled_or_taken_back(marathon: Marathon) -> None:
    marathon.change("POST", "/v2/apps", {"id": "/back", "cmd": "exec sleep 600"})
    task = marathon.tasks("/back")[0]["id"]
    nowhere = {"constraints": [["hostname", "CLUSTER", "nowhere"]]}
    deployment = marathon("PUT", "/v2/apps/back", nowhere)[1]["deploymentId"]
    status, answer = marathon("DELETE", f"/v2/deployments/{deployment}")
    assert (status, answer["deploymentId"] != deployment) == (200, True)
    marathon.settle()
    assert marathon.app("/back")["constraints"] == []
    assert [one["id"] for one in marathon.tasks("/back")] == [task]
    deployment = marathon("PUT", "/v2/apps/back", nowhere)[1]["deploymentId"]
    assert marathon("DELETE", f"/v2/deployments/{deployment}?force=true") == (202, None)
    assert marathon("DELETE", f"/v2/deployments/{deployment}")[0] == 404
    assert marathon.app("/back")["constraints"] == nowhere["constraints"]
    first = marathon("GET", "/v2/apps/back/versions")[1]["versions"][-1]
    marathon.change("PUT", "/v2/apps/back", {"version": first})
    assert marathon.app("/back")["constraints"] == []
    assert marathon("PUT", "/v2/apps/back", {"version": first, "instances": 2})[0] == 422
    marathon.change("DELETE", "/v2/apps/back")


def test_scaling_and_killing(marathon: Marathon) -> None:
    marathon.change("POST", "/v2/apps", {"id": "/scale", "cmd": "exec sleep 600", "ports": []})
    first = marathon.tasks("/scale")[0]["id"]
    marathon.change("PUT", "/v2/apps/scale", {"instances": 3})
    assert first in [task["id"] for task in marathon.tasks("/scale")]
    killed = marathon("DELETE", f"/v2/apps/scale/tasks/{first}")[1]["task"]
    assert killed["id"] == first
    wait_until(lambda: marathon.process(first)["state"] == "TASK_KILLED")
    wait_until(lambda: marathon.app("/scale")["tasksRunning"] == 3)
    ids = [task["id"] for task in marathon.tasks("/scale")]
    status, answer = marathon("POST", "/v2/tasks/delete?scale=True", {"ids": ids[:1]})
    assert (status, set(answer)) == (200, {"version", "deploymentId"})
    marathon.settle()
    assert {task["id"] for task in marathon.tasks("/scale")} == set(ids[1:])
    assert marathon("DELETE", "/v2/apps/scale/tasks/scale.none")[0] == 404
    assert marathon("POST", "/v2/tasks/delete", {"ids": ["nonsense"]})[0] == 400
    marathon.change("POST", "/v2/apps/scale/restart", {})
    assert not {task["id"] for task in marathon.tasks("/scale")} & set(ids)
    marathon.change("DELETE", "/v2/apps/scale")


def test_events_come_in_marathons_order(marathon: Marathon) -> None:
    check = {"protocol": "HTTP", "intervalSeconds": 1}
    with listening(marathon.emulator.marathon) as until:
        until("event_stream_attached")
        marathon.change("POST", "/v2/apps", {"id": "/events", "cmd": SERVER, "healthChecks": [check]})
        events = until("deployment_success")
        told = [
            (event["eventType"], event.get("taskStatus", event.get("condition", event.get("alive"))))
            for event in events
            if event["eventType"] != "failed_health_check_event"
        ]
        assert told == [
            ("api_post_event", None),
            ("group_change_success", None),
            ("deployment_info", None),
            ("deployment_step_success", None),
            ("deployment_info", None),
            ("instance_changed_event", "Staging"),
            ("status_update_event", "TASK_STAGING"),
            ("instance_changed_event", "Starting"),
            ("status_update_event", "TASK_STARTING"),
            ("instance_changed_event", "Running"),
            ("status_update_event", "TASK_RUNNING"),
            ("health_status_changed_event", True),
            ("instance_health_changed_event", None),
            ("deployment_step_success", None),
            ("deployment_success", None),
        ]
        steps = [event["currentStep"]["actions"][0]["action"] for event in events if "currentStep" in event]
        assert steps == ["StartApplication"] * 2 + ["ScaleApplication"] * 2
        marathon.change("DELETE", "/v2/apps/events")
        told = [(event["eventType"], event.get("taskStatus")) for event in until("deployment_success")]
        assert told[-4:] == [
            ("status_update_event", "TASK_KILLED"),
            ("app_terminated_event", None),
            ("deployment_step_success", None),
            ("deployment_success", None),
        ]


def test_a_stream_has_the_events_and_the_plan_that_it_asked_for(marathon: Marathon) -> None:
    query = "?plan-format=light&event_type=deployment_success"
    with listening(marathon.emulator.marathon) as heavy, listening(marathon.emulator.marathon, query) as light:
        marathon.change("POST", "/v2/apps", {"id": "/plan", "cmd": "exec sleep 600"})
        marathon.change("DELETE", "/v2/apps/plan")
        (event,) = light("deployment_success")
        assert set(event["plan"]) == {"id", "steps", "version"}
        assert heavy("deployment_success")[-1]["plan"]["target"]["apps"][0]["id"] == "/plan"
    assert marathon("GET", "/v2/events")[0] == 405


BAD: dict[str, dict[str, object]] = {
    "both": {"cmd": "sleep 1", "args": ["sleep"]},
    "neither": {},
    "id": {"id": "/Shop_API", "cmd": "sleep 1"},
    "instances": {"cmd": "sleep 1", "instances": -1},
    "type": {"cmd": "sleep 1", "labels": {"a": 1}},
    "operator": {"cmd": "sleep 1", "constraints": [["hostname", "ONE"]]},
    "capacity": {"cmd": "sleep 1", "upgradeStrategy": {"minimumHealthCapacity": 2}},
    "port index": {"cmd": "sleep 1", "healthChecks": [{"protocol": "HTTP", "portIndex": 3}]},
    "volume": {
        "cmd": "sleep 1",
        "container": {"type": "MESOS", "volumes": [{"containerPath": "/x", "hostPath": "/x"}]},
    },
    "deep": {"cmd": "sleep 1", "networks": [{"mode": 7}], "container": {"docker": {"image": "a", "portMappings": 3}}},
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_valid_is_refused_in_marathons_shape(marathon: Marathon, name: str) -> None:
    status, answer = marathon("POST", "/v2/apps", {"id": "/bad", **BAD[name]})
    assert (status, answer["message"]) == (422, "Object is not valid")
    assert all(set(detail) == {"path", "errors"} for detail in answer["details"])


def test_other_refusals(marathon: Marathon) -> None:
    request = urllib.request.Request(f"{marathon.emulator.marathon}/v2/apps", b"{", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as answer:
        assert (answer.code, json.load(answer)["message"]) == (400, "Invalid JSON")
    assert marathon("GET", "/v2/apps/none") == (404, {"message": "App '/none' does not exist"})
    assert marathon("GET", "/v2/nothing") == (500, {"message": "URI not found"})


def test_answers_fit_the_schema(marathon: Marathon) -> None:
    if not SCHEMA.exists():
        pytest.skip("no shared data")
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    mappings = [{"containerPort": 80, "servicePort": 10500, "name": "web"}]
    docker = {"image": "nginx", "network": "BRIDGE", "portMappings": mappings}
    marathon.change("POST", "/v2/apps", {"id": "/old", "instances": 0, "container": {"docker": docker}})
    checks = [{"protocol": "HTTP"}, {"protocol": "COMMAND", "command": {"value": "true"}}]
    marathon.change("POST", "/v2/apps", {"id": "/new", "instances": 0, "cmd": "sleep 1", "healthChecks": checks})
    for app_id in ("/old", "/new"):
        app = {key: value for key, value in marathon.app(app_id).items() if key not in ADDED}
        assert [error.message for error in validator.iter_errors(app)] == []
    old = marathon.app("/old")
    assert (old["networks"], "network" in old["container"]["docker"]) == ([{"mode": "container/bridge"}], False)
    assert old["container"]["portMappings"][0]["servicePort"] == 10500
    for app_id in ("/old", "/new"):
        marathon.change("DELETE", f"/v2/apps{app_id}")


def test_labels_select_apps(marathon: Marathon) -> None:
    for name, labels in (("a", {"team": "x"}), ("b", {"team": "y", "web": ""})):
        app = {"id": f"/select/{name}", "cmd": "sleep 600", "instances": 0, "labels": labels}
        marathon.change("POST", "/v2/apps", app)

    def found(query: str) -> list[str]:
        return [app["id"][-1] for app in marathon("GET", f"/v2/apps?id=SELECT&{query}")[1]["apps"]]

    assert found("") == ["a", "b"]
    assert found("label=web") == ["b"]
    assert found("label=team%3D%3Dx") == ["a"]
    assert found("label=team!%3Dx,web") == ["b"]
    assert found("label=team%20in%20(x,%20y)") == ["a", "b"]
    assert found("label=team%20notin%20(x)") == ["b"]
    for name in "ab":
        marathon.change("DELETE", f"/v2/apps/select/{name}")


def test_a_marathon_that_does_not_lead(marathon: Marathon) -> None:
    parts = urlsplit(marathon.emulator.follower)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    connection.request("GET", "/v2/leader")
    answer = connection.getresponse()
    assert json.load(answer) == {"leader": urlsplit(marathon.emulator.marathon).netloc}
    assert answer.headers["X-Marathon-Via"]
    assert answer.headers["X-Marathon-Leader"] == marathon.emulator.marathon
    connection.request("GET", "/v2/events?event_type=x", headers={"Accept": "text/event-stream"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (302, f"{marathon.emulator.marathon}/v2/events?event_type=x")
    connection.close()


def test_faults(marathon: Marathon) -> None:
    emulator = marathon.emulator
    marathon.change("POST", "/v2/apps", {"id": "/fault", "cmd": "exec sleep 600", "instances": 2, "backoffSeconds": 0})
    task = marathon.tasks("/fault")[0]
    emulator.fault("kill9", task=task["id"])
    wait_until(lambda: marathon.process(task["id"])["state"] == "TASK_FAILED")
    wait_until(lambda: marathon.app("/fault")["tasksRunning"] == 2)
    lost = marathon.tasks("/fault")[0]
    pid = marathon.process(lost["id"])["pid"]
    emulator.fault("lose_agent", agent=lost["host"], kill=True)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert marathon.process(lost["id"])["state"] == "TASK_UNREACHABLE"
    wait_until(lambda: marathon.app("/fault")["tasksRunning"] == 2)
    assert lost["host"] not in {one["host"] for one in marathon.tasks("/fault")}
    emulator.fault("restore_agent", agent=lost["host"])
    emulator.fault("refuse", count=1, status=503)
    assert [marathon("GET", "/v2/apps")[0] for _ in range(2)] == [503, 200]
    emulator.fault("refuse", count=1, status=500, method="GET", path="/v2/info")
    assert [marathon("GET", path)[0] for path in ("/v2/apps", "/v2/info", "/v2/info")] == [200, 500, 200]
    emulator.fault("garbage")
    with pytest.raises(ValueError, match="utf-8"):
        marathon("GET", "/v2/apps")
    emulator.fault("leader_change", seconds=0.3)
    assert marathon("GET", "/v2/apps")[0] == 502
    wait_until(lambda: marathon("GET", "/v2/apps")[0] == 200)
    with listening(emulator.marathon) as until:
        until("event_stream_attached")
        emulator.fault("clock_jump", seconds=-86400)
        emulator.fault("drop_events", count=2)
        marathon.change("DELETE", "/v2/apps/fault")
        assert until("deployment_success")[0]["eventType"] != "group_change_success"
    emulator.fault("clock_jump", seconds=86400)
    with pytest.raises(urllib.error.HTTPError) as refused:
        emulator.fault("nonsense")
    refused.value.close()


@pytest.mark.parametrize("profile", ["0.9.1", "1.4"])
def test_old_versions(run_dir: Path, profile: str) -> None:
    with Emulator(run_dir, profile=profile, agents="127.0.1.1", user="u", password="p") as emulator:
        marathon = Marathon(emulator)
        assert marathon("GET", "/v2/apps")[0] == 401
        allowed = {"Authorization": "Basic dTpw"}
        app = {"id": "/old", "cmd": "exec sleep 600", "ports": [8080], "labels": {"a": "b"}, "uris": []}
        status, answer = marathon("POST", "/v2/apps", app, **allowed)
        assert (status, answer["ports"], "networks" in answer) == (201, [8080], False)
        wait_until(lambda: marathon("GET", "/v2/deployments", **allowed)[1] == [])
        (task,) = marathon("GET", "/v2/tasks", **allowed)[1]["tasks"]
        assert re.fullmatch(r"old\.[0-9a-f-]{36}", task["id"])
        assert ("state" in task) == (profile != "0.9.1")
        env = marathon.environment(task["id"])
        assert env["PORT_8080"] == str(task["ports"][0])
        assert (env.get("MARATHON_APP_LABEL_A") == "b") == (profile != "0.9.1")
        request = urllib.request.Request(f"{emulator.marathon}/v2/tasks", headers={"Accept": "text/plain", **allowed})
        with urllib.request.urlopen(request, timeout=10) as lines:
            assert lines.read().decode() == f"old\t8080\t127.0.1.1:{task['ports'][0]}\t\n"


async def test_a_stream_that_does_not_keep_up_is_cut_off() -> None:
    stream = Stream(["b"], light=False)
    for number in range(OUTSTANDING_LIMIT):
        stream.put({"eventType": "a"})
        stream.put({"eventType": "b", "number": number})
    stream.put({"eventType": "b", "number": "one too many"})
    assert [frame async for frame in stream.frames()] == []


def test_a_token_is_asked_for(run_dir: Path) -> None:
    with Emulator(run_dir, token="secret", agents="127.0.1.1") as emulator:
        marathon = Marathon(emulator)
        assert marathon("GET", "/v2/apps")[0] == 401
        assert marathon("GET", "/v2/apps", Authorization="token=secret") == (200, {"apps": []})


def test_callbacks_of_old_versions(run_dir: Path) -> None:
    with Emulator(run_dir, profile="1.4") as emulator, socket.create_server(("127.0.0.1", 0)) as server:
        marathon, url = Marathon(emulator), f"http://127.0.0.1:{server.getsockname()[1]}/here"
        status, answer = marathon("POST", f"/v2/eventSubscriptions?callbackUrl={url}")
        assert (status, answer["eventType"]) == (200, "subscribe_event")
        assert marathon("GET", "/v2/eventSubscriptions")[1] == {"callbackUrls": [url]}
        marathon("POST", "/v2/apps", {"id": "/x", "cmd": "exec sleep 600"})
        server.settimeout(10)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(4096).startswith(b"POST /here HTTP/1.1\r\n")
