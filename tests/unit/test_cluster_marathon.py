"""The client of Marathon: answers of all versions in one form, changes, and every way in which Marathon says no."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.cluster._answers import WrongShape, app_of, apps_of
from shipper.cluster.marathon import Deployment, Marathon, Queued
from shipper.cluster.model import App, Task
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterBusy, ClusterError, ClusterLocked, ClusterRefused
from tests.unit.cluster_server import Server, data_of, serving

DEPLOYED = {"version": "2026-01-01T00:00:00Z", "deploymentId": "d-1"}
Call = Callable[[Marathon], Awaitable[Any]]


async def _call(server: Server, call: Call) -> Any:
    async with Marathon(ClusterSettings(marathon_urls=[server.url])) as marathon:
        return await call(marathon)


async def test_all_apps_with_their_tasks() -> None:
    task = {
        "id": "shop_api.b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6", "appId": "/shop/api", "host": "10.0.0.1",
        "ports": [31000, 31001], "state": "TASK_RUNNING", "version": "2026-01-01T00:00:00Z", "slaveId": "a-S0",
        "stagedAt": "2026-01-01T00:00:01Z", "startedAt": "2026-01-01T00:00:02.500Z",
        "healthCheckResults": [{"alive": True, "lastSuccess": "2026-01-01T00:00:09Z", "instanceId": "x"}],
    }  # fmt: skip
    app = {
        "id": "/shop/api", "version": "2026-01-01T00:00:00.000Z", "labels": {"SHIPPER_OWNER": "team"}, "instances": 2,
        "portDefinitions": [{"port": 10001}, {"port": 10002}], "tasks": [task], "deployments": [{"id": "d"}],
    }  # fmt: skip
    async with serving() as server:
        server.replies["GET /v2/apps"] = {"apps": [app]}
        assert await _call(server, lambda marathon: marathon.apps()) == [
            App(
                id="/shop/api",
                version="2026-01-01T00:00:00.000Z",
                labels={"SHIPPER_OWNER": "team"},
                instances=2,
                service_ports=(10001, 10002),
                tasks=(
                    Task(
                        id="shop_api.b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6",
                        app_id="/shop/api",
                        host="10.0.0.1",
                        ports=(31000, 31001),
                        state="TASK_RUNNING",
                        version="2026-01-01T00:00:00Z",
                        agent_id="a-S0",
                        staged_at="2026-01-01T00:00:01Z",
                        started_at="2026-01-01T00:00:02.500Z",
                        healthy=True,
                    ),
                ),
                deployments=("d",),
                definition=app,
            )
        ]
        # Old versions answer text/plain to those who take anything.
        assert server.asked[0].headers["Accept"] == "application/json"
        assert ("embed", "apps.tasks") in server.asked[0].query


@pytest.mark.parametrize(
    ("answer", "ports"),
    [
        ({}, ()),
        ({"ports": [8080, 8081]}, (8080, 8081)),
        ({"ports": None, "container": None, "portDefinitions": [{"port": 1}, {"name": "x"}]}, (1, 0)),
        (
            {"container": {"docker": {"portMappings": [{"servicePort": 9}, {"servicePort": 8}]}}, "ports": [9, 8]},
            (9, 8),
        ),
        ({"container": {"portMappings": [{"servicePort": 7}], "docker": {"portMappings": None}}}, (7,)),
        ({"container": {"docker": {"network": "HOST", "portMappings": []}}, "ports": [5]}, (5,)),
        ({"container": {"docker": "x"}, "ports": ["a", 70000, -1, True, 3.0]}, (0, 0, 0, 1, 3)),
        ({"ports": "8080"}, ()),
    ],
)
def test_service_ports(answer: dict[str, Any], ports: tuple[int, ...]) -> None:
    assert app_of({"id": "a", **answer}).service_ports == ports


@pytest.mark.parametrize(
    ("results", "healthy"),
    [
        (None, None),
        ([], None),
        ([None], None),  # 0.9.1, before the first answer
        ([{"alive": False, "consecutiveFailures": 0, "firstSuccess": None, "lastFailure": None}], None),
        ([{"alive": False, "consecutiveFailures": 2, "lastFailure": "2016-01-01T00:00:00Z", "taskId": "t"}], False),
        ([{"alive": False, "lastSuccess": "2016-01-01T00:00:00Z"}], False),
        ([{"alive": True}], True),
        ([{"alive": True}, None], None),
        ([{"alive": True}, {"alive": False, "lastFailure": "x"}, None], False),
        ([{"alive": "yes"}], None),
        ("x", None),
    ],
)
def test_health(results: object, healthy: bool | None) -> None:
    tasks = [{"id": "t", "healthCheckResults": results}]
    assert app_of({"id": "a", "tasks": tasks}).tasks[0].healthy is healthy


def test_an_answer_of_2016_says_less() -> None:
    app = app_of({"id": "/a", "labels": None, "tasks": [{"id": "t", "host": "h", "ports": [1]}], "deployments": None})
    assert app.tasks == (Task("t", "/a", "h", (1,)),)
    assert app.labels == {}
    assert app.version == ""


async def test_real_answers() -> None:
    async with serving() as server:
        server.replies = {
            "GET /v2/apps": data_of("api", "app_list.json"),
            "GET /v2/deployments": data_of("api", "deployments.json"),
            "GET /v2/queue": data_of("api", "queue.json"),
            "GET /v2/info": data_of("api", "info.json"),
            "PUT /v2/apps/foo": data_of("api", "deployments_result.json"),
        }
        async with Marathon(ClusterSettings(marathon_urls=[server.url])) as marathon:
            assert [app.id for app in await marathon.apps()] == ["/myapp"]
            assert (await marathon.apps())[0].service_ports == (10013, 10015)
            assert await marathon.deployments() == [
                Deployment("97c136bf-5a28-4821-9d94-480d9fbb01c8", ("/foo",), "2015-09-30T09:09:17.614Z", 1, 1)
            ]
            queue = await marathon.queue()
            assert queue[0] == Queued("/tools/datadog-agent", 1, 0.0, overdue=True)
            assert (await marathon.info())["version"] == "1.5.0-SNAPSHOT"
            assert await marathon.scale("foo", 2) == "5ed4c0c5-9ff8-4a6f-a0cd-f57f59a34b43"
    assert app_of(data_of("api", "app.json")).service_ports == (10019,)
    app = app_of({"id": "/m", "tasks": data_of("api", "tasks.json")["tasks"]})
    assert app.tasks[0].host == "srv4.example.com"


@pytest.mark.parametrize("app_id", ["shop/api", "/shop/api", "/shop/api/"])
async def test_an_id_may_begin_with_a_slash(app_id: str) -> None:
    async with serving() as server:
        server.replies["GET /v2/apps/shop/api"] = {"app": {"id": "/shop/api"}}
        app = await _call(server, lambda marathon: marathon.app(app_id))
        assert app.id == "/shop/api"


@pytest.mark.parametrize(
    "app_id", ["", "/", "a b", "../../v2/leader", "a/../b", "a//b", "a?force=true", "é", "x\x1b", "*"]
)
async def test_what_is_no_id_is_never_asked(app_id: str) -> None:
    async with serving() as server:
        with pytest.raises(ClusterRefused, match="is not the id of an app"):
            await _call(server, lambda marathon: marathon.delete(app_id))
        assert server.asked == []


async def test_an_app_that_is_not_there() -> None:
    async with serving() as server:
        server.replies["GET /v2/apps/a"] = (404, {"message": "App '/a' does not exist"})
        assert await _call(server, lambda marathon: marathon.app("/a")) is None


CHANGES: list[tuple[Call, str, list[tuple[str, str]], Any, Any, Any]] = [
    (lambda m: m.create({"id": "/a"}), "POST /v2/apps", [], {"id": "/a"}, (201, {"id": "/a"}), None),
    (
        lambda m: m.update("/a", {"id": "/a"}), "PUT /v2/apps/a", [("force", "false"), ("partialUpdate", "false")],
        {"id": "/a"}, DEPLOYED, "d-1",
    ),
    (
        lambda m: m.scale("/a", 3, force=True), "PUT /v2/apps/a", [("force", "true")], {"instances": 3},
        DEPLOYED, "d-1",
    ),
    (lambda m: m.restart("/a"), "POST /v2/apps/a/restart", [("force", "false")], None, DEPLOYED, "d-1"),
    # Without the parameter Marathon 1.10 forces it.
    (lambda m: m.delete("/a"), "DELETE /v2/apps/a", [("force", "false")], None, DEPLOYED, "d-1"),
    (
        lambda m: m.kill(["t.1", "t.2"], scale=True), "POST /v2/tasks/delete", [("scale", "true")],
        {"ids": ["t.1", "t.2"]}, DEPLOYED, None,
    ),
    (lambda m: m.cancel("d-0"), "DELETE /v2/deployments/d-0", [("force", "false")], None, DEPLOYED, "d-1"),
    (lambda m: m.cancel("d-0", force=True), "DELETE /v2/deployments/d-0", [("force", "true")], None, (202, ""), ""),
    (lambda m: m.versions("/a"), "GET /v2/apps/a/versions", [], None, {"versions": ["1", "2"]}, ["2", "1"]),
    (
        lambda m: m.version("/a", "2026-01-01T00:00:00Z"), "GET /v2/apps/a/versions/2026-01-01T00%3A00%3A00Z", [], None,
        {"id": "/a"}, {"id": "/a"},
    ),
    (lambda m: m.leader(), "GET /v2/leader", [], None, {"leader": "m1:8080"}, "m1:8080"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "question", "query", "body", "reply", "expected"), CHANGES)
async def test_calls(call: Call, question: str, query: Any, body: Any, reply: Any, expected: Any) -> None:
    async with serving() as server:
        server.replies[question] = reply
        found = await _call(server, call)
        assert server.paths == [question]
        assert server.asked[0].query == query
        assert server.asked[0].body == body
        if expected is not None:
            assert found == expected


async def test_nothing_is_killed_by_an_empty_list() -> None:
    async with serving() as server:
        await _call(server, lambda marathon: marathon.kill([]))
        assert server.asked == []


NO: list[tuple[int, Any, type[ClusterError], list[str]]] = [
    (400, {"message": "Invalid JSON", "details": "line 3"}, ClusterRefused, ["Invalid JSON; line 3", "correct"]),
    (401, {"message": "Unauthorized"}, ClusterRefused, ["401", "password_file"]),
    (403, {"message": "Not Authorized to perform this action!"}, ClusterRefused, ["403", "Not Authorized", "right"]),
    (404, "<html>gone</html>", ClusterRefused, ["404", "check the name"]),
    (409, {"message": "An app with id [/a] already exists."}, ClusterRefused, ["already exists"]),
    (
        422,
        {
            "message": "Object is not valid",
            "details": [{"path": "/upgradeStrategy/minimumHealthCapacity", "errors": ["must be <= 1", "must be so"]}],
        },
        ClusterRefused,
        ["Object is not valid; /upgradeStrategy/minimumHealthCapacity: must be <= 1, must be so"],
    ),
    (422, {"details": ["one", {"path": None, "errors": "two"}]}, ClusterRefused, ["one; /: two"]),
    (500, {"message": "URI not found"}, ClusterRefused, ["404", "does not know /v2/apps/a"]),
    (500, {"message": "boom"}, ClusterBusy, ["boom", "try again"]),
    (502, "Could not determine the current leader", ClusterBusy, ["knows no leader"]),
    (503, "", ClusterBusy, ["503"]),
    (302, "", ClusterBusy, ["302"]),
    (200, "<html>a login page</html>", ClusterBusy, ["look before trying again"]),
    (200, "[]", ClusterBusy, ["look before trying again"]),
]


@pytest.mark.parametrize(("status", "reply", "kind", "said"), NO)
async def test_marathon_says_no(status: int, reply: Any, kind: type[ClusterError], said: list[str]) -> None:
    async with serving() as server:
        server.replies["PUT /v2/apps/a"] = (status, reply)
        with pytest.raises(kind) as caught:
            await _call(server, lambda marathon: marathon.scale("/a", 1))
        text = str(caught.value)
        assert server.url in text
        assert [part for part in said if part not in text] == [], text
        assert text.isprintable()
        if isinstance(caught.value, ClusterRefused):
            assert caught.value.status == (404 if status == 500 else status)


async def test_an_app_that_is_being_changed() -> None:
    message = "App is locked by one or more deployments. Override with the option '?force=true'."
    async with serving() as server:
        server.replies["PUT /v2/apps/a"] = (409, {"message": message, "deployments": [{"id": "d-7"}, {"id": "d-8"}]})
        with pytest.raises(ClusterLocked, match=r"d-7, d-8; wait until it is done") as caught:
            await _call(server, lambda marathon: marathon.scale("/a", 1))
        assert caught.value.deployments == ("d-7", "d-8")


async def test_nothing_steers_a_terminal() -> None:
    hostile = "\x1b[31m red\r\nerror: fake\u202e" + "x" * 5000
    async with serving() as server:
        server.replies["PUT /v2/apps/a"] = (
            422,
            {"message": hostile, "details": [{"path": hostile, "errors": [hostile]}]},
        )
        with pytest.raises(ClusterRefused) as caught:
            await _call(server, lambda marathon: marathon.scale("/a", 1))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000


NAMES = [
    "id", "apps", "tasks", "ports", "labels", "container", "docker", "portMappings", "servicePort", "alive", "host",
    "healthCheckResults", "deployments", "portDefinitions", "instances", "version",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_no_json_breaks_it(members: dict[str, Any]) -> None:
    task = {**members, "id": "t"}
    for answer in (
        members,
        {"apps": [members]},
        {"apps": [{**members, "id": "/a"}]},
        {"apps": [{"id": "/a", "tasks": [task]}]},
    ):
        try:
            apps = apps_of(answer)
        except WrongShape:
            continue
        assert all(app.id.startswith("/") for app in apps)
