"""The emulator holds Marathon's contract: driven over HTTP, with tasks that are real processes."""

import http.client
import json
import re
import signal
import socket
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from tests.conftest import DATA
from tests.emulator.process import Emulator
from tests.servers.process import wait_until

SCHEMA = DATA / "marathon/schema/marathon-app.schema.json"
#: Keys of an answer that are no part of a definition.
ADDED = {"tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "deployments", "tasks", "lastTaskFailure"}
UNIQUE = [["hostname", "UNIQUE"]]
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
        wait_until(lambda: self("GET", "/v2/deployments")[1] == [], 20, "the end of all deployments")

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
        text = Path(f"/proc/{self.process(task_id)['pid']}/environ").read_text()
        return dict(variable.split("=", 1) for variable in text.split("\0") if variable)


@pytest.fixture(scope="module")
def marathon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marathon]:
    with Emulator(tmp_path_factory.mktemp("emulator"), time_scale=0.02, follower=True) as emulator:
        yield Marathon(emulator)


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


def test_three_instances_on_three_hosts_with_the_environment_that_marathon_gives(marathon: Marathon) -> None:
    app = {"id": "/shop/api", "cmd": "echo started; exec sleep 600", "instances": 3, "constraints": UNIQUE}
    status, created = marathon("POST", "/v2/apps", {**app, "labels": {"HAPROXY_0.x": "web", "long": "x" * 600}})
    assert status == 201
    assert created["deployments"]
    marathon.settle()
    tasks = marathon.tasks("/shop/api")
    assert {task["host"] for task in tasks} == set(marathon.emulator.agents)
    for task in tasks:
        assert re.fullmatch(r"shop_api\.instance-[0-9a-f-]{36}\._app\.1", task["id"])
        env = marathon.environment(task["id"])
        assert env["MESOS_TASK_ID"] == task["id"]
        assert env["MARATHON_APP_ID"] == "/shop/api"
        assert env["MARATHON_APP_VERSION"] == task["version"] == created["version"]
        assert env["HOST"] == task["host"]
        assert env["PORT0"] == env["PORT"] == env["PORTS"] == env["PORT_10000"] == str(task["ports"][0])
        assert 31000 <= task["ports"][0] <= 32000
        assert env["MARATHON_APP_LABELS"] == "HAPROXY_0_X"
        assert env["MARATHON_APP_LABEL_HAPROXY_0_X"] == "web"
        assert Path(env["MESOS_SANDBOX"], "stdout").read_text() == "started\n"
    marathon.change("DELETE", "/v2/apps/shop/api")
    assert not [task for task in marathon.emulator.tasks() if Path(f"/proc/{task['pid']}").exists()]


def test_put_replaces_the_tasks_within_the_capacity_that_is_promised(marathon: Marathon) -> None:
    check = {"protocol": "HTTP", "path": "/", "intervalSeconds": 1, "gracePeriodSeconds": 300}
    strategy = {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}
    app = {"id": "/roll", "cmd": SERVER, "instances": 2, "healthChecks": [check], "upgradeStrategy": strategy}
    marathon.change("POST", "/v2/apps", app)
    before = marathon.app("/roll")
    assert (before["tasksHealthy"], before["tasksUnhealthy"]) == (2, 0)
    status, answer = marathon("PUT", "/v2/apps//roll", {"env": {"COLOUR": "blue"}})
    assert (status, set(answer)) == (200, {"version", "deploymentId"})
    seen = []
    while marathon("GET", "/v2/deployments")[1]:
        seen.append(marathon.app("/roll"))
    assert max(app["tasksRunning"] for app in seen) <= 2
    assert min(app["tasksHealthy"] for app in seen) >= 1
    after = marathon.app("/roll")
    assert after["tasksHealthy"] == 2
    assert not {task["id"] for task in before["tasks"]} & {task["id"] for task in after["tasks"]}
    assert {marathon.environment(task["id"])["COLOUR"] for task in after["tasks"]} == {"blue"}
    assert after["portDefinitions"] == before["portDefinitions"]
    marathon.change("DELETE", "/v2/apps/roll")


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


def test_an_app_that_fails_is_started_again_after_growing_delays(marathon: Marathon) -> None:
    # Scaled by 0.02: the first delay is 0.2 s, the third 20 s.
    app = {"id": "/fails", "cmd": "echo no >&2; exit 3", "backoffSeconds": 10, "backoffFactor": 10}
    assert marathon("POST", "/v2/apps", app)[0] == 201

    def ended() -> list[dict[str, Any]]:
        return [task for task in marathon.emulator.tasks() if task["owner"] == "/fails"]

    wait_until(lambda: len(ended()) == 3, 15, "the third try")
    wait_until(lambda: ended()[-1]["state"] == "TASK_FAILED")
    waiting = marathon("GET", "/v2/queue")[1]["queue"]
    (left,) = [item["delay"] for item in waiting if item["app"]["id"] == "/fails"]
    assert left["timeLeftSeconds"] > 0
    assert left["overdue"] is False
    failure = marathon.app("/fails")["lastTaskFailure"]
    assert (failure["state"], failure["message"]) == ("TASK_FAILED", "Command exited with 3")
    assert marathon("DELETE", "/v2/queue//fails/delay") == (204, None)
    wait_until(lambda: len(ended()) == 4, 15, "the fourth try")
    marathon.change("DELETE", "/v2/apps/fails")


def test_an_unhealthy_task_is_killed_and_replaced(marathon: Marathon) -> None:
    check = {"protocol": "HTTP", "path": "/never", "gracePeriodSeconds": 0, "intervalSeconds": 1}
    with listening(marathon.emulator.marathon) as until:
        app = {"id": "/sick", "cmd": SERVER, "healthChecks": [{**check, "maxConsecutiveFailures": 2}]}
        assert marathon("POST", "/v2/apps", app)[0] == 201
        events = until("unhealthy_instance_kill_event")
        failures = [event for event in events if event["eventType"] == "failed_health_check_event"]
        assert len(failures) == 3  # at the one after the most that may follow each other
        killed = until("status_update_event")[-1]
        assert (killed["taskId"], killed["taskStatus"]) == (events[-1]["taskId"], "TASK_KILLED")
        assert until("status_update_event")[-1]["taskStatus"] == "TASK_STAGING"
    assert marathon("DELETE", "/v2/apps/sick")[0] == 200
    marathon.settle()


@pytest.mark.parametrize(
    ("check", "cmd"),
    [
        ({"protocol": "TCP"}, SERVER),
        ({"protocol": "MESOS_TCP", "delaySeconds": 1}, SERVER),
        ({"protocol": "MESOS_HTTP", "delaySeconds": 1, "gracePeriodSeconds": 600}, SERVER),
        ({"protocol": "COMMAND", "command": {"value": 'test -e "$MESOS_SANDBOX/up"'}}, "touch up; exec sleep 600"),
    ],
    ids=lambda value: value["protocol"] if isinstance(value, dict) else "",
)
def test_every_kind_of_health_check(marathon: Marathon, check: dict[str, Any], cmd: str) -> None:
    marathon.change("POST", "/v2/apps", {"id": "/well", "cmd": cmd, "healthChecks": [{"intervalSeconds": 2, **check}]})
    (task,) = marathon.app("/well")["tasks"]
    (result,) = task["healthCheckResults"]
    assert result["alive"] is True
    assert result["instanceId"] == task["id"].removesuffix("._app.1")
    marathon.change("DELETE", "/v2/apps/well")


def test_a_deployment_waits_for_readiness(marathon: Marathon) -> None:
    check = {"portName": "web", "path": "/never", "intervalSeconds": 2, "timeoutSeconds": 1}
    app = {"id": "/ready", "cmd": SERVER, "portDefinitions": [{"port": 0, "name": "web"}]}
    assert marathon("POST", "/v2/apps", {**app, "readinessChecks": [check]})[0] == 201
    wait_until(lambda: marathon.app("/ready")["tasksRunning"] == 1)
    assert marathon("GET", "/v2/deployments")[1]
    ready = {"readinessChecks": [{**check, "httpStatusCodesForReady": [404]}]}
    marathon.change("PUT", "/v2/apps/ready?force=true", ready)
    marathon.change("DELETE", "/v2/apps/ready")


@pytest.mark.parametrize(
    ("constraint", "hosts"),
    [
        (["hostname", "LIKE", r"127\.0\.1\.[12]"], {1, 2}),
        (["hostname", "UNLIKE", r"127\.0\.1\.[12]"], {3}),
        (["hostname", "IS", "127.0.1.2"], {2}),
        (["rack_id", "CLUSTER", "rack-1"], {1, 3}),
        (["hostname", "GROUP_BY"], {1, 2, 3}),
        (["hostname", "MAX_PER", "1"], {1, 2, 3}),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_constraints(marathon: Marathon, constraint: list[str], hosts: set[int]) -> None:
    app = {"id": "/placed", "cmd": "exec sleep 600", "instances": 3, "constraints": [constraint], "ports": []}
    marathon.change("POST", "/v2/apps", app)
    assert {task["host"] for task in marathon.tasks("/placed")} == {f"127.0.1.{host}" for host in hosts}
    marathon.change("DELETE", "/v2/apps/placed")


def test_volumes_of_a_host_are_seen_inside_only(marathon: Marathon) -> None:
    root = marathon.emulator.root("127.0.1.2")
    (root / "run/shipper").mkdir(parents=True)
    (root / "run/shipper/word").write_text("from the host")
    container = {
        "type": "DOCKER",
        "docker": {"image": "busybox"},
        "volumes": [
            {"hostPath": "/run/shipper", "containerPath": "/nowhere/else/shipper", "mode": "RO"},
            {"hostPath": "/data/out", "containerPath": "/var/lib/out", "mode": "RW"},
        ],
    }
    cmd = "cp /nowhere/else/shipper/word /var/lib/out/ && ! touch /nowhere/else/shipper/x; cp -r . /var/lib/out/sandbox"
    app = {"id": "/volumes", "cmd": f"{cmd}; exec sleep 600", "container": container}
    marathon.change("POST", "/v2/apps", {**app, "constraints": [["hostname", "IS", "127.0.1.2"]]})
    wait_until((root / "data/out/sandbox/stderr").exists)
    assert (root / "data/out/word").read_text() == "from the host"
    assert not (root / "run/shipper/x").exists()
    assert not Path("/nowhere").exists()
    env = marathon.environment(marathon.tasks("/volumes")[0]["id"])
    assert env["MESOS_SANDBOX"] == "/mnt/mesos/sandbox"
    assert env["MESOS_CONTAINER_NAME"].startswith("mesos-")
    marathon.change("DELETE", "/v2/apps/volumes")


def test_an_image_without_a_command_is_refused_clearly(marathon: Marathon) -> None:
    app = {"id": "/image", "container": {"type": "DOCKER", "docker": {"image": "nginx"}}}
    assert marathon("POST", "/v2/apps", app)[0] == 201
    wait_until(lambda: "lastTaskFailure" in marathon.app("/image"))
    assert "no Docker here" in marathon.app("/image")["lastTaskFailure"]["message"]
    marathon.change("DELETE", "/v2/apps/image")


def test_files_are_fetched_and_unpacked(marathon: Marathon, tmp_path: Path) -> None:
    (tmp_path / "hello.sh").write_text("echo fetched")
    archive = tmp_path / "all.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "hello.sh", "hello.sh")
    app = {"id": "/fetch", "cmd": "sh hello.sh; exec sleep 600", "fetch": [{"uri": archive.as_uri()}]}
    marathon.change("POST", "/v2/apps", app)
    sandbox = Path(marathon.process(marathon.tasks("/fetch")[0]["id"])["sandbox"])
    wait_until(lambda: (sandbox / "stdout").read_text() == "fetched\n")
    assert (sandbox.parent / "latest").resolve() == sandbox
    marathon.change("DELETE", "/v2/apps/fetch")


def test_sigterm_first_and_sigkill_after_the_grace(marathon: Marathon) -> None:
    stubborn = "trap 'echo asked' TERM; while true; do sleep 0.05; done"
    app = {"id": "/stubborn", "cmd": stubborn, "taskKillGracePeriodSeconds": 1}
    marathon.change("POST", "/v2/apps", app)
    task = marathon.process(marathon.tasks("/stubborn")[0]["id"])
    marathon.change("DELETE", "/v2/apps/stubborn")
    assert Path(task["sandbox"], "stdout").read_text() == "asked\n"
    assert not Path(f"/proc/{task['pid']}").exists()


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


def test_stopping_and_killing_the_emulator_ends_every_process_of_its_tasks(run_dir: Path) -> None:
    for end in (signal.SIGTERM, signal.SIGKILL):
        with Emulator(run_dir / end.name) as emulator:
            marathon = Marathon(emulator)
            # A child of its own session, as a daemon has.
            marathon.change("POST", "/v2/apps", {"id": "/x", "cmd": "setsid sleep 600 & echo $! > child; wait"})
            task = emulator.tasks()[-1]
            child = Path(task["sandbox"], "child")
            wait_until(lambda: child.exists() and child.read_text().endswith("\n"))  # noqa: B023
            pids = [task["pid"], int(child.read_text())]
            emulator.process.kill9() if end == signal.SIGKILL else emulator.process.stop()
            wait_until(lambda: not any(_runs(pid) for pid in pids), what=f"the end of {pids} after {end.name}")  # noqa: B023


def _runs(pid: int) -> bool:
    """Whether it still runs; one that has ended may wait for a parent that does not look."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


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
