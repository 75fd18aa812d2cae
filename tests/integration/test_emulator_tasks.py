"""The emulator's tasks are real: processes with environment, hosts, volumes, health, back-off, and an end."""

import json
import re
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.client import SERVER, Marathon, listening
from tests.emulator.process import Emulator
from tests.servers import docker as docker_daemon
from tests.servers.docker import Docker
from tests.servers.process import wait_until

UNIQUE = [["hostname", "UNIQUE"]]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), time_scale=0.02) as emulator:
        yield emulator


@pytest.fixture
def marathon(emulator: Emulator) -> Iterator[Marathon]:
    marathon = Marathon(emulator)
    yield marathon
    marathon.clear()


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


def test_an_app_that_fails_is_started_again_after_growing_delays(marathon: Marathon) -> None:
    # Scaled by 0.02: the first delay is 0.2 s, the third 20 s.
    app = {"id": "/fails", "cmd": "echo no >&2; exit 3", "backoffSeconds": 10, "backoffFactor": 10}
    assert marathon("POST", "/v2/apps", app)[0] == 201

    def ended() -> list[dict[str, Any]]:
        return [task for task in marathon.emulator.tasks() if task["owner"] == "/fails"]

    wait_until(lambda: len(ended()) == 3, 60, "the third try")
    wait_until(lambda: ended()[-1]["state"] == "TASK_FAILED")
    waiting = marathon("GET", "/v2/queue")[1]["queue"]
    (left,) = [item["delay"] for item in waiting if item["app"]["id"] == "/fails"]
    assert left["timeLeftSeconds"] > 0
    assert left["overdue"] is False
    failure = marathon.app("/fails")["lastTaskFailure"]
    assert (failure["state"], failure["message"]) == ("TASK_FAILED", "Command exited with 3")
    assert marathon("DELETE", "/v2/queue//fails/delay") == (204, None)
    wait_until(lambda: len(ended()) == 4, 60, "the fourth try")
    marathon.change("DELETE", "/v2/apps/fails")


def test_an_unhealthy_task_is_killed_and_replaced(marathon: Marathon) -> None:
    check = {"protocol": "HTTP", "path": "/never", "gracePeriodSeconds": 0, "intervalSeconds": 20}
    with listening(marathon.emulator.marathon) as until:
        app = {"id": "/sick", "cmd": SERVER, "healthChecks": [{**check, "maxConsecutiveFailures": 2}]}
        assert marathon("POST", "/v2/apps", app)[0] == 201
        events = until("unhealthy_instance_kill_event")
        failures = [event for event in events if event["eventType"] == "failed_health_check_event"]
        assert len(failures) == 3  # at the one after the most that may follow each other
        killed = until("status_update_event")[-1]
        assert (killed["taskId"], killed["taskStatus"]) == (events[-1]["taskId"], "TASK_KILLED")
        assert until("status_update_event")[-1]["taskStatus"] == "TASK_STAGING"


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
    stubborn = "trap 'echo asked' TERM; echo ready; while true; do sleep 0.05; done"
    app = {"id": "/stubborn", "cmd": stubborn, "taskKillGracePeriodSeconds": 1}
    marathon.change("POST", "/v2/apps", app)
    task = marathon.process(marathon.tasks("/stubborn")[0]["id"])
    said = Path(task["sandbox"], "stdout")
    wait_until(lambda: said.read_text() == "ready\n")
    marathon.change("DELETE", "/v2/apps/stubborn")
    assert said.read_text() == "ready\nasked\n"
    assert not Path(f"/proc/{task['pid']}").exists()


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


def test_docker_apps_are_containers_where_there_is_a_daemon(docker: Docker, run_dir: Path) -> None:
    with Emulator(run_dir, docker_host=docker.host) as emulator:
        marathon = Marathon(emulator)
        word = emulator.root("127.0.1.1") / "run/shipper/word"
        word.parent.mkdir(parents=True)
        word.write_text("from the host")
        volume = {"hostPath": "/run/shipper", "containerPath": "/run/shipper", "mode": "RO"}
        parameters = [{"key": "label", "value": "colour=blue"}]
        image = {"image": docker_daemon.IMAGE, "parameters": parameters}
        app = {
            "id": "/shop/box",
            "cmd": "cat /run/shipper/word; trap 'echo bye; exit' TERM; while true; do sleep 0.1; done",
            "container": {"type": "DOCKER", "docker": image, "volumes": [volume]},
            "constraints": [["hostname", "IS", "127.0.1.1"]],
        }
        marathon.change("POST", "/v2/apps", app)
        (task,) = marathon.tasks("/shop/box")
        process = marathon.process(task["id"])
        env = marathon.environment(task["id"])
        labels = docker.command("inspect", "--format", "{{json .Config.Labels}}", env["MESOS_CONTAINER_NAME"])
        assert json.loads(labels) == {"MESOS_TASK_ID": task["id"], "colour": "blue"}
        assert (env["MARATHON_APP_ID"], env["HOST"]) == ("/shop/box", "127.0.1.1")
        stdout = Path(process["sandbox"], "stdout")
        wait_until(lambda: stdout.read_text() == "from the host")
        marathon.change("DELETE", "/v2/apps/shop/box")
        assert stdout.read_text() == "from the hostbye\n"
        wait_until(lambda: env["MESOS_CONTAINER_NAME"] not in docker.command("ps", "--all"))
        missing = {**app, "id": "/missing", "container": {"type": "DOCKER", "docker": {"image": "none:1"}}}
        assert marathon("POST", "/v2/apps", missing)[0] == 201
        wait_until(lambda: "lastTaskFailure" in marathon.app("/missing"))
        assert "Command exited with 125" in marathon.app("/missing")["lastTaskFailure"]["message"]
