"""What a deploy would do: files, differences, order, whose an app is, and how that is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from shipper.cluster.model import App
from shipper.deploy import files, plan, shown
from shipper.deploy.differences import ABSENT, Change, changes
from shipper.deploy.files import WantedApp
from shipper.deploy.forms import replacing, writable
from shipper.errors import ConfigError
from tests.conftest import DATA

DATE = {"id": "/date", "cmd": "date", "instances": 2, "cpus": 0.1, "mem": 32, "labels": {"SHIPPER_ROLE": "app"}}


def wanted(app_id: str, role: str = "app", **keys: Any) -> WantedApp:
    labels = {"SHIPPER_ROLE": role, **keys.pop("labels", {})}
    return WantedApp(Path(f"{role}.json"), app_id, {"id": app_id, "cmd": "true", "labels": labels, **keys})


def on_cluster(definition: dict[str, Any], version: str = "2026-01-01T00:00:00.000Z") -> App:
    labels = definition.get("labels", {})
    return App(definition["id"], version, labels, definition.get("instances", 1), (), (), (), definition)


#: What Marathon fills in by itself: (what a file says, what an answer says).
FILLED_IN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"backoffSeconds": 1, "backoffFactor": 1.15, "maxLaunchDelaySeconds": 3600}),
    ({}, {"killSelection": "YOUNGEST_FIRST", "tty": False, "disk": 0}),
    ({}, {"args": None, "user": None, "uris": [], "executor": "", "constraints": [], "ipAddress": None, "env": {}}),
    ({}, {"upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}, "requirePorts": False}),
    ({}, {"version": "v", "versionInfo": {}, "tasksRunning": 1, "deployments": [], "tasks": [{"id": "a"}]}),
    ({}, {"role": "*"}),
    ({}, {"lastTaskFailure": {"message": "x"}, "acceptedResourceRoles": ["*"], "tasksHealthy": 3}),
    ({}, {"unreachableStrategy": {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600}, "gpus": 0}),
    ({}, {"ports": [10001], "portDefinitions": [{"port": 10001, "protocol": "tcp", "labels": {}}]}),
    ({"ports": [0, 8080]}, {"portDefinitions": [{"port": 10002, "protocol": "tcp"}, {"port": 8080}]}),
    ({"ports": []}, {"portDefinitions": []}),
    ({"networks": [{"mode": "host"}], "portDefinitions": [{"port": 5140, "name": "relp"}]},
     {"ports": [5140], "portDefinitions": [{"port": 5140, "name": "relp", "protocol": "tcp", "labels": {}}]}),
    ({"cpus": 1}, {"cpus": 1.0}),
    ({"constraints": [["hostname", "UNIQUE"]]}, {"constraints": [["hostname", "UNIQUE", ""]]}),
    ({"dependencies": ["b", "../x"]}, {"dependencies": ["/x", "/b"]}),
    ({"uris": ["http://a/x.tgz"]}, {"uris": ["http://a/x.tgz"], "fetch": [{"uri": "http://a/x.tgz", "extract": True}]}),
    ({"fetch": [{"uri": "http://a/x"}]},
     {"fetch": [{"uri": "http://a/x", "extract": True, "executable": False, "cache": False}]}),
    ({"healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 1}]},
     {"healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 1, "gracePeriodSeconds": 300,
                        "intervalSeconds": 60, "timeoutSeconds": 20, "maxConsecutiveFailures": 3,
                        "ignoreHttp1xx": False, "ipProtocol": "IPv4", "delaySeconds": 15}]}),
    ({"container": {"type": "DOCKER", "docker": {"image": "a", "network": "BRIDGE",
                                                "portMappings": [{"containerPort": 80, "servicePort": 0}]}}},
     {"networks": [{"mode": "container/bridge"}],
      "container": {"type": "DOCKER", "volumes": [], "docker": {"image": "a", "privileged": False, "parameters": [],
                                                               "forcePullImage": False},
                    "portMappings": [{"containerPort": 80, "hostPort": 0, "servicePort": 10011, "protocol": "tcp",
                                      "labels": {}, "name": None}]}}),
    ({"container": {"docker": {"image": "a", "network": "HOST"}}},
     {"container": {"type": "DOCKER", "docker": {"image": "a"}}, "networks": [{"mode": "host"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("file", "answer"), FILLED_IN)
def test_what_marathon_fills_in_is_no_difference(file: dict[str, Any], answer: dict[str, Any]) -> None:
    assert changes(DATE | file, DATE | answer) == ()


@pytest.mark.parametrize(
    ("file", "answer", "keys"),
    [
        ({"instances": 3}, {}, ["instances"]),
        ({"cmd": "other"}, {}, ["cmd"]),
        ({"env": {"A": "1", "B": ""}}, {"env": {"A": "2"}}, ["env.A", "env.B"]),
        ({}, {"env": {"GONE": "x"}}, ["env.GONE"]),
        ({}, {"constraints": [["hostname", "UNIQUE"]]}, ["constraints"]),
        ({"ports": [8080]}, {"ports": [8081]}, ["portDefinitions[0].port"]),
        ({"ports": [8080, 0]}, {"ports": [8080]}, ["portDefinitions[1]"]),
        ({"backoffSeconds": 5}, {"backoffSeconds": 1}, ["backoffSeconds"]),
        ({}, {"mem": 64}, ["mem"]),
        ({"healthChecks": [{"path": "/a"}]}, {"healthChecks": [{"path": "/b", "portIndex": 1}]},
         ["healthChecks[0].path", "healthChecks[0].portIndex"]),
        ({"container": {"docker": {"image": "a"}}}, {"networks": [{"mode": "container/bridge"}],
         "container": {"docker": {"image": "b"}}}, ["container.docker.image", "networks[0]"]),
        ({"labels": {"SHIPPER_ROLE": "app", "X": "1"}}, {}, ["labels.X"]),
    ],
)  # fmt: skip
def test_what_was_decided_is_a_difference(file: dict[str, Any], answer: dict[str, Any], keys: list[str]) -> None:
    assert [change.key for change in changes(DATE | file, DATE | answer) if change.key != "portDefinitions[0]"] == keys


def test_every_real_definition_equals_itself_and_what_is_given_back() -> None:
    apps = sorted((DATA / "marathon" / "apps").glob("*.json"))
    if not apps:
        pytest.skip("no data folder ../shared/data/marathon beside this checkout")
    for path in apps:
        definition = json.loads(path.read_text())
        assert changes(definition, definition) == (), path
        assert changes(definition, writable({**definition, "version": "v", "tasks": []})) == (), path


@pytest.mark.parametrize(
    ("answer", "given_back"),
    [
        ({"id": "/a", "ports": [1], "portDefinitions": [{"port": 1}]}, {"id": "/a", "portDefinitions": [{"port": 1}]}),
        ({"id": "/a", "uris": ["u"], "fetch": [{"uri": "u"}], "user": None}, {"id": "/a", "fetch": [{"uri": "u"}]}),
        ({"id": "/a", "ports": [1], "container": {"portMappings": [{"containerPort": 1}]}},
         {"id": "/a", "container": {"portMappings": [{"containerPort": 1}]}}),
    ],
)  # fmt: skip
def test_an_answer_is_given_back_without_saying_a_thing_twice(
    answer: dict[str, Any], given_back: dict[str, Any]
) -> None:
    assert writable(answer) == given_back


def test_a_key_that_is_left_out_is_emptied_where_versions_would_keep_it() -> None:
    current = {"id": "/a", "env": {"A": "1"}, "healthChecks": [{}], "constraints": [], "mem": 5}
    assert replacing({"id": "/a", "cmd": "x"}, current) == {"id": "/a", "cmd": "x", "env": {}, "healthChecks": []}


def test_order_is_by_dependencies_then_roles_then_ids() -> None:
    apps = [
        wanted("/s/haproxy", "haproxy"),
        wanted("/s/z", "sample"),
        wanted("/s/nginx", "nginx"),
        wanted("/s/api", "api", dependencies=["late"]),
        wanted("/s/shipper", "shipper"),
        wanted("/s/elasticsearch", "elasticsearch"),
        wanted("/s/late", "sample", dependencies=["/other"]),
        wanted("/other/a", "sample"),
    ]
    order = [app.id for app in plan.in_order(apps)]
    assert order == [
        "/s/elasticsearch", "/s/shipper", "/s/nginx", "/s/haproxy", "/other/a", "/s/late", "/s/api", "/s/z",
    ]  # fmt: skip
    assert [app.id for app in plan.in_order(reversed(apps))] == order


def test_dependencies_in_a_circle_are_named() -> None:
    with pytest.raises(ConfigError, match=r"app\.json: dependencies: /a, /b need each other"):
        plan.in_order([wanted("/a", dependencies=["/b"]), wanted("/b", dependencies=["/a"])])


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({}, "no label SHIPPER_ROLE"),
        ({"SHIPPER_ROLE": "api"}, "SHIPPER_ROLE is 'api', the file's is 'shipper'"),
        ({"SHIPPER_ROLE": "shipper", "SHIPPER_OWNER": "shop"}, "SHIPPER_OWNER is 'shop', the file's is 'logging'"),
        ({"SHIPPER_ROLE": "shipper", "SHIPPER_OWNER": "logging"}, None),
        ({"SHIPPER_ROLE": "shipper"}, None),
    ],
)
def test_apps_of_somebody_else_are_known(labels: dict[str, str], reason: str | None) -> None:
    mine = wanted("/s", "shipper", labels={"SHIPPER_OWNER": "logging"}, instances=3)
    found = plan.strangers(plan.plan([mine], [on_cluster({"id": "/s", "cmd": "true", "labels": labels})]))
    assert len(found) == (reason is not None)
    assert all(reason is not None and reason in said for _, said in found)


def test_a_plan_says_create_change_and_unchanged() -> None:
    apps = [wanted("/new"), wanted("/same"), wanted("/old", mem=64)]
    there = [on_cluster({**dict(wanted("/same").definition), "cpus": 1}), on_cluster(dict(wanted("/old").definition))]
    steps = plan.plan(apps, there)
    assert {step.wanted.id: step.kind for step in steps} == {
        "/new": "create",
        "/same": "unchanged",
        "/old": "change",
    }
    lines = [line for step in steps for line in shown.step_lines(step)]
    assert lines == [
        "create     /new  instances 1, role app",
        "change     /old",
        "           mem: + 64",
        "unchanged  /same",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Change("instances", 2, 3), "instances: 2 → 3"),
        (Change("env.LEVEL", ABSENT, "debug"), 'env.LEVEL: + "debug"'),
        (Change("env.LEVEL", "debug", ABSENT), 'env.LEVEL: - "debug"'),
        (Change("env.DB_PASSWORD", "old-hunter2", "hunter2"), "env.DB_PASSWORD: changed (secret, not shown)"),
        (Change("env.apiToken", ABSENT, "hunter2"), "env.apiToken: added (secret, not shown)"),
        (Change("env.URL", "http://u:hunter2@x", ABSENT), "env.URL: removed (secret, not shown)"),
        (Change("cmd", "x", "x --password hunter2"), "cmd: changed (secret, not shown)"),
        (Change("args", [], ["--secret=hunter2"]), "args: changed (secret, not shown)"),
        (Change("container.docker.parameters[0]", ABSENT, {"key": "env", "value": "TOKEN=hunter2"}),
         "container.docker.parameters[0]: added (secret, not shown)"),
        (Change("env.X\x1b[2J", "a\x1b]0;b\x07", "\u202e"), 'env.X\\x1b[2J: "a\\u001b]0;b\\u0007" → "\\u202e"'),
        (Change("cmd", "a", "b" * 500), 'cmd: "a" → "' + "b" * 98 + "…"),
    ],
)  # fmt: skip
def test_changes_are_shown_without_secrets_and_without_control_characters(change: Change, line: str) -> None:
    assert shown.change_line(change) == line
    assert "hunter2" not in json.dumps(shown.change_json(change))


def write(folder: Path, **definitions: Any) -> Path:
    for name, definition in definitions.items():
        (folder / f"{name}.json").write_text(definition if isinstance(definition, str) else json.dumps(definition))
    return folder


def test_a_folder_holds_apps_and_jobs(tmp_path: Path) -> None:
    write(tmp_path, a={"id": "a/b", "cmd": "true"})
    (tmp_path / "chronos").mkdir()
    write(tmp_path / "chronos", tidy={"name": "tidy", "schedule": "R//PT1H", "command": "true"})
    (tmp_path / "samples").mkdir()
    write(tmp_path / "samples", s={"id": "/s"})
    found = files.read(files.in_directory(tmp_path))
    assert [(app.id, app.role) for app in found.apps] == [("/a/b", "app")]
    assert [job.name for job in found.jobs] == ["tidy"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "one JSON object, not list"),
        ("[" * 100_000, "not valid JSON"),
        ('{"x": 1}', "neither an app"),
        ('{"id": "/Upper"}', "id: must be a path"),
        ('{"id": "/a/../b"}', "id: must be a path"),
        ('{"id": 5}', "id: must be a path"),
        ('{"id": "/a", "labels": []}', "labels: must be"),
        ('{"id": "/a", "labels": {"A": 1}}', "labels: must be"),
        ('{"id": "/a", "instances": "2"}', "instances: must be"),
        ('{"name": "a/b", "schedule": ""}', "name: must be"),
        ('"' + " " * 2**20 + '"', "longer than"),
    ],
)
def test_a_file_that_is_no_definition_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, bad=text) / "bad.json"
    with pytest.raises(ConfigError) as raised:
        files.read([path])
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)


def test_two_files_of_one_app_and_missing_ones_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a={"id": "/x"}, b={"id": "x/"})
    with pytest.raises(ConfigError, match=r"b\.json: /x is described in .*a\.json too"):
        files.read(files.in_directory(tmp_path))
    with pytest.raises(ConfigError, match="cannot be read"):
        files.read([tmp_path / "none.json"])
    with pytest.raises(ConfigError, match="no such folder"):
        files.in_directory(tmp_path / "none")
