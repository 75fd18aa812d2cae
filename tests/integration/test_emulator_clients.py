"""The emulator's Marathon, asked by programs that are not ours: PyPI's `marathon` client and Debian's Prometheus."""

import collections
import collections.abc
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from marathon import (  # type: ignore[import-untyped]
    MarathonApp,
    MarathonClient,
    MarathonHttpError,
    NotFoundError,
)
from marathon.exceptions import ConflictError  # type: ignore[import-untyped]

from tests.emulator.process import Emulator
from tests.servers.available import require
from tests.servers.process import Process, free_port, wait_until

#: Nobody listens on its port, so a deployment of it does not end.
NEVER_HEALTHY = {"protocol": "TCP", "portIndex": 0, "gracePeriodSeconds": 300, "intervalSeconds": 60}


class Stream(threading.Thread):
    """The client's event stream, read until the emulator ends."""

    def __init__(self, client: MarathonClient) -> None:
        super().__init__(daemon=True)
        self.events: list[Any] = []
        self.failed: Exception | None = None
        self._client = client

    def run(self) -> None:
        try:
            self.events.extend(self._client.event_stream())
        except OSError as error:  # what requests raises when the emulator ends in the middle of an answer
            self.failed = error


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), time_scale=0.05) as running:
        yield running


@pytest.fixture(scope="module")
def client(emulator: Emulator) -> Iterator[MarathonClient]:
    with pytest.MonkeyPatch.context() as patch:
        # The client is of a time when this name was there (Python 3.9); it uses it when it writes JSON.
        patch.setattr(collections, "Iterable", collections.abc.Iterable, raising=False)
        client = MarathonClient(emulator.marathon, timeout=30)
        yield client
        client.session.close()
        client.sse_session.close()


@pytest.fixture
def sleeper(client: MarathonClient, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Makes apps that sleep, named after the test, and takes them away."""
    made: list[str] = []

    def make(**more: Any) -> str:
        app_id = f"/{request.function.__name__.removeprefix('test_').replace('_', '-')}/{len(made)}"
        made.append(app_id)
        client.create_app(
            app_id, MarathonApp(**{"cmd": "exec sleep 300", "cpus": 0.1, "mem": 32, "instances": 1} | more)
        )
        return app_id

    yield make
    for app_id in made:
        try:
            client.delete_app(app_id, force=True)
        except NotFoundError:
            continue
        wait_until(lambda app_id=app_id: gone(client, app_id), 30, f"{app_id} is gone")  # type: ignore[misc]


def gone(client: MarathonClient, app_id: str) -> bool:
    return app_id not in {app.id for app in client.list_apps()}


def settled(client: MarathonClient, app_id: str, instances: int) -> list[Any]:
    """Its tasks, once so many run and no deployment changes it."""

    def reached() -> bool:
        app = client.get_app(app_id)
        return app.tasks_running == len(app.tasks) == instances and not app.deployments

    wait_until(reached, 30, f"{instances} tasks of {app_id}")
    return list(client.list_tasks(app_id))


def test_client_creates_lists_and_reads_an_app(client: MarathonClient, sleeper: Callable[..., str]) -> None:
    app_id = sleeper(instances=2, labels={"team": "shop", "HAPROXY_GROUP": "external"}, env={"A": "b"})
    tasks = settled(client, app_id, 2)
    assert {(task.app_id, task.state, len(task.ports)) for task in tasks} == {(app_id, "TASK_RUNNING", 1)}
    assert all(task.started_at >= task.staged_at and task.version for task in tasks)
    app = client.get_app(app_id)
    assert (app.id, app.instances, app.cmd) == (app_id, 2, "exec sleep 300")
    assert (app.labels, app.env) == ({"team": "shop", "HAPROXY_GROUP": "external"}, {"A": "b"})
    (port,) = app.port_definitions
    assert 10000 <= port.port <= 20000
    (listed,) = client.list_apps(label="team==shop", embed_tasks=True)
    assert {task.id for task in listed.tasks} == {task.id for task in tasks}
    assert client.list_apps(label="team==other") == client.list_apps(app_id="no-such-app") == []
    endpoints = [point for point in client.list_endpoints() if point.app_id == app_id]
    assert {point.service_port for point in endpoints} == {port.port}
    assert {point.task_port for point in endpoints} == {task.ports[0] for task in tasks}


def test_client_is_told_that_an_app_exists(client: MarathonClient, sleeper: Callable[..., str]) -> None:
    app_id = sleeper()
    with pytest.raises(ConflictError, match="already exists"):
        client.create_app(app_id, MarathonApp(cmd="exec sleep 1", cpus=0.1, mem=32))
    assert client.get_app(app_id).cmd == "exec sleep 300"


def test_client_is_told_what_is_wrong(client: MarathonClient) -> None:
    with pytest.raises(MarathonHttpError) as refused:
        client.create_app("/wrong", MarathonApp(cmd="true", cpus=-1, mem=32))
    assert (refused.value.status_code, refused.value.error_message) == (422, "Object is not valid")
    assert [detail["path"] for detail in refused.value.error_details] == ["/cpus"]
    for ask in (client.get_app, client.list_versions, client.restart_app, client.delete_app):
        with pytest.raises(NotFoundError, match="App '/wrong' does not exist"):
            ask("/wrong")


def test_client_scales_and_kills(client: MarathonClient, sleeper: Callable[..., str]) -> None:
    app_id = sleeper(instances=1)
    (first,) = settled(client, app_id, 1)
    assert client.scale_app(app_id, instances=3)["deploymentId"]
    before = {task.id for task in settled(client, app_id, 3)}
    assert first.id in before
    killed = client.kill_task(app_id, first.id)
    assert killed.id == first.id

    def replaced() -> bool:
        return first.id not in {task.id for task in settled(client, app_id, 3)}

    wait_until(replaced, 30, "another task in its place")
    victims = [task.id for task in client.list_tasks(app_id)][:2]
    assert client.kill_given_tasks(victims, scale=True)
    (left,) = settled(client, app_id, 1)
    assert left.id not in victims
    assert client.get_app(app_id).instances == 1
    assert [task.id for task in client.kill_tasks(app_id)] == [left.id]


def test_client_updates_rolls_back_and_deletes(client: MarathonClient, sleeper: Callable[..., str]) -> None:
    app_id = sleeper(env={"STAGE": "one"})
    (old,) = settled(client, app_id, 1)
    first = client.get_app(app_id).version
    changed = client.update_app(app_id, MarathonApp(env={"STAGE": "two"}))
    wait_until(lambda: old.id not in {task.id for task in settled(client, app_id, 1)}, 30, "the new version")
    app = client.get_app(app_id)
    assert (app.env, app.cmd, app.version) == ({"STAGE": "two"}, "exec sleep 300", changed["version"])
    assert set(client.list_versions(app_id)) == {first, app.version}
    assert client.get_version(app_id, first).env == {"STAGE": "one"}
    client.rollback_app(app_id, first)
    settled(client, app_id, 1)
    assert client.get_app(app_id).env == {"STAGE": "one"}
    (before,) = settled(client, app_id, 1)
    client.restart_app(app_id)
    wait_until(lambda: before.id not in {task.id for task in settled(client, app_id, 1)}, 30, "a restart")
    client.delete_app(app_id)
    wait_until(lambda: gone(client, app_id), 30, "the app is gone")
    with pytest.raises(NotFoundError):
        client.get_app(app_id)


def test_client_meets_a_lock_and_forces_it(client: MarathonClient, sleeper: Callable[..., str]) -> None:
    app_id = sleeper(health_checks=[NEVER_HEALTHY])
    (deployment,) = [found for found in client.list_deployments() if app_id in found.affected_apps]
    assert (deployment.current_step, deployment.total_steps) in {(1, 2), (2, 2)}
    assert [step.actions[0].action for step in deployment.steps] == ["StartApplication", "ScaleApplication"]
    with pytest.raises(ConflictError, match="App is locked by one or more deployments"):
        client.update_app(app_id, MarathonApp(env={"A": "b"}))
    forced = client.update_app(app_id, MarathonApp(env={"A": "b"}), force=True)
    ids = {found.id for found in client.list_deployments() if app_id in found.affected_apps}
    assert ids == {forced["deploymentId"]}
    assert client.delete_deployment(forced["deploymentId"], force=True) == {}
    with pytest.raises(NotFoundError):
        client.delete_deployment("none")
    assert client.get_app(app_id).env == {"A": "b"}


def test_client_sees_what_waits(client: MarathonClient, sleeper: Callable[..., str]) -> None:
    app_id = sleeper(constraints=[["hostname", "LIKE", "no-such-host"]], instances=2)

    def waiting() -> Any:
        return next((item for item in client.list_queue() if item.app.id == app_id), None)

    wait_until(waiting, 30, "it is in the queue")
    assert (waiting().count, waiting().delay.overdue) == (2, True)
    client.reset_delay(app_id)
    with pytest.raises(NotFoundError):
        client.reset_delay("/none")


def test_client_waits_out_a_back_off(client: MarathonClient, sleeper: Callable[..., str]) -> None:
    app_id = sleeper(cmd="echo last words >&2; exit 3", backoff_seconds=300, backoff_factor=2)

    def failure() -> Any:
        return client.get_app(app_id).last_task_failure

    wait_until(failure, 30, "it failed")
    assert (failure().state, failure().app_id) == ("TASK_FAILED", app_id)
    wait_until(lambda: [item for item in client.list_queue() if item.app.id == app_id], 30, "it waits")
    (item,) = (item for item in client.list_queue() if item.app.id == app_id)
    assert item.delay.time_left_seconds > 0
    assert not item.delay.overdue


def test_client_reads_who_it_speaks_to(client: MarathonClient, emulator: Emulator) -> None:
    info = client.get_info()
    assert (info.name, info.version.split(".")[:2]) == ("marathon", ["1", "10"])
    assert client.get_leader()["leader"] == emulator.marathon.removeprefix("http://")
    assert b"pong" in client.ping()
    assert isinstance(client.get_metrics(), dict)


def test_client_follows_events(client: MarathonClient, tmp_path: Path) -> None:
    sick = NEVER_HEALTHY | {"gracePeriodSeconds": 0, "intervalSeconds": 1, "maxConsecutiveFailures": 1}
    with Emulator(tmp_path, time_scale=0.05) as own:
        other = MarathonClient(own.marathon, timeout=30)
        stream = Stream(other)
        stream.start()
        wait_until(lambda: stream.events, 30, "it is attached")
        other.create_app("/well", MarathonApp(cmd="exec sleep 300", cpus=0.1, mem=32))
        other.create_app("/sick", MarathonApp(cmd="exec sleep 300", cpus=0.1, mem=32, health_checks=[sick]))
        wait_until(lambda: "unhealthy_instance_kill_event" in kinds(stream), 30, "a kill")
        settled(other, "/well", 1)
        for app_id in ("/well", "/sick"):
            other.delete_app(app_id, force=True)
            wait_until(lambda app_id=app_id: gone(other, app_id), 30, "its end")  # type: ignore[misc]
        wait_until(lambda: "app_terminated_event" in kinds(stream), 30, "word of its end")
    stream.join(30)
    assert not stream.is_alive()
    other.session.close()
    other.sse_session.close()
    states = [event.task_status for event in stream.events if event.event_type == "status_update_event"]
    assert set(states) >= {"TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"}
    assert kinds(stream) >= {
        "api_post_event",
        "deployment_info",
        "deployment_step_success",
        "deployment_success",
        "event_stream_attached",
        "failed_health_check_event",
        "group_change_success",
        "instance_changed_event",
    }


def test_client_reaches_the_leader_through_another_marathon(client: MarathonClient, tmp_path: Path) -> None:
    with Emulator(tmp_path, follower=True) as own:
        other = MarathonClient(own.follower, timeout=30)
        stream = Stream(other)
        stream.start()
        wait_until(lambda: stream.events, 30, "it is attached, after a redirect")
        other.create_app("/far", MarathonApp(cmd="exec sleep 300", cpus=0.1, mem=32))
        settled(other, "/far", 1)
        wait_until(lambda: "deployment_success" in kinds(stream), 30, "word of it")
        assert other.get_leader()["leader"] == own.marathon.removeprefix("http://")
    stream.join(30)
    other.session.close()
    other.sse_session.close()


def test_client_of_an_old_marathon_gives_its_name_and_subscribes(client: MarathonClient, tmp_path: Path) -> None:
    with Emulator(tmp_path, profile="1.4", user="deployer", password="p:w") as own:
        stranger = MarathonClient(own.marathon, timeout=30)
        with pytest.raises(MarathonHttpError) as refused:
            stranger.list_apps()
        assert refused.value.status_code == 401
        known = MarathonClient(own.marathon, username="deployer", password="p:w", timeout=30)
        known.create_app("/old", MarathonApp(cmd="exec sleep 300", cpus=0.1, mem=32, labels={"a": "b"}))
        (task,) = settled(known, "/old", 1)
        assert task.id.startswith("old.")
        assert "instance-" not in task.id
        assert len(known.get_app("/old").ports) == 1
        url = "http://127.0.0.1:9/events"
        known.create_event_subscription(url)
        assert known.list_event_subscriptions() == [url]
        known.delete_event_subscription(url)
        assert known.list_event_subscriptions() == []
    stranger.session.close()
    known.session.close()


def kinds(stream: Stream) -> set[str]:
    return {event.event_type for event in list(stream.events)}


PROMETHEUS = """
scrape_configs:
- job_name: marathon
  marathon_sd_configs:
  - servers: ["{marathon}"]
    refresh_interval: 1s
"""


def test_prometheus_lists_every_port_of_every_task(
    client: MarathonClient, emulator: Emulator, sleeper: Callable[..., str], tmp_path: Path
) -> None:
    prometheus = require("prometheus")
    two = sleeper(instances=2, labels={"team": "shop"}, port_definitions=[{"port": 0, "name": "web"}, {"port": 0}])
    tasks = settled(client, two, 2)
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS.format(marathon=emulator.marathon))
    port = free_port()
    argv = [prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    listen = f"--web.listen-address=127.0.0.1:{port}"
    with Process([*argv, listen], log=tmp_path / "log") as server:
        wanted = {
            (task.id, f"{task.host}:{task_port}", str(index))
            for task in tasks
            for index, task_port in enumerate(task.ports)
        }
        assert len(wanted) == 4
        server.wait_until(lambda: {_place(found) for found in _targets(port)} == wanted, 60, "it found the targets")
        for found in _targets(port):
            assert found["__meta_marathon_app"] == two
            assert found["__meta_marathon_app_label_team"] == "shop"


def _targets(port: int) -> list[dict[str, str]]:
    """Labels of what it has found, before they are rewritten; nothing while it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets?state=any", timeout=10) as answer:
            found = json.load(answer)["data"]
    except OSError:
        return []
    return [target["discoveredLabels"] for target in (*found["activeTargets"], *found["droppedTargets"])]


def _place(labels: dict[str, str]) -> tuple[str, str, str]:
    return labels["__meta_marathon_task"], labels["__address__"], labels["__meta_marathon_port_index"]


def test_the_demos_bridge_gets_its_lines(tmp_path: Path) -> None:
    """haproxy-marathon-bridge of the demo reads application, port and servers of each line, split at white space."""
    with Emulator(tmp_path, profile="0.9.1") as old:
        for app in (
            {"id": "shop/nginx", "cmd": "exec sleep 300", "instances": 2, "ports": [8080, 8081]},
            {"id": "date", "cmd": "exec sleep 300", "instances": 1, "ports": []},
        ):
            for status in (201, 409):  # init-cluster.sh posts with force, each time it is run
                assert _ask("POST", f"{old.marathon}/v2/apps?force=true", app)[0] == status

        def tasks() -> list[Any]:
            found: list[Any] = json.loads(_ask("GET", f"{old.marathon}/v2/tasks")[1])["tasks"]
            return [task for task in found if task.get("startedAt")]

        wait_until(lambda: len(tasks()) == 3, 30, "three tasks")
        shop = [task for task in tasks() if task["appId"] == "/shop/nginx"]
        (date,) = (task for task in tasks() if task["appId"] == "/date")
        _, body = _ask("GET", f"{old.marathon}/v2/tasks", accept="text/plain")
    lines = {tuple(line.split("\t")[:2]): line.split("\t")[2:] for line in body.decode().splitlines()}
    assert sorted(lines) == [("date", " "), ("shop_nginx", "8080"), ("shop_nginx", "8081")]
    assert lines["date", " "][0].strip() == date["host"]
    for index, service_port in enumerate(("8080", "8081")):
        servers = {server for server in lines["shop_nginx", service_port] if server}
        assert servers == {f"{task['host']}:{task['ports'][index]}" for task in shop}


def _ask(method: str, url: str, body: object = None, accept: str = "application/json") -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Accept": accept, "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()
