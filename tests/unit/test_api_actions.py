"""What rides on records: commands only for records of tasks, links only where they lead, never a stranger's words."""

import shlex
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.api.actions import actions_of, commands_of
from shipper.api.question import question
from tests.unit.api_world import NOW, MemoryReader, record
from tests.unit.test_api_records import connect

CONTAINER = "9f3c" * 16
TASK = "shop_api.b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6"
FIELDS: dict[str, Any] = {
    "host.name": "web-3",
    "container.id": CONTAINER,
    "orchestrator.resource.id": TASK,
    "orchestrator.resource.name": "/shop/api",
    "orchestrator.resource.type": "task",
}
SANDBOX, WHERE = f"shipper sandbox {TASK}", "shipper where /shop/api"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"shell": f"ssh -t web-3 'docker exec -it {CONTAINER} sh'", "sandbox": SANDBOX, "where": WHERE}),
        (
            {"container.id": "8ecfe59a-4e97-4d1c"},
            {"shell": f"shipper shell {TASK}", "sandbox": SANDBOX, "where": WHERE},
        ),
        ({"host.name": "-oProxyCommand=x"}, {"shell": f"shipper shell {TASK}", "sandbox": SANDBOX, "where": WHERE}),
        (
            {"orchestrator.resource.type": "job", "orchestrator.resource.id": "ct:1:0:a:x y", "container.id": None},
            {"shell": "shipper shell 'ct:1:0:a:x y'", "sandbox": "shipper sandbox 'ct:1:0:a:x y'"},
        ),
        ({"orchestrator.resource.id": "--run", "container.id": "", "orchestrator.resource.name": "-x"}, {}),
        ({"orchestrator.resource.id": "a\x1b", "container.id": 7, "orchestrator.resource.name": ["x"]}, {}),
    ],
)
def test_actions(changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert {action.name: action.command for action in commands_of({**FIELDS, **changes})} == expected


def test_a_record_of_no_task() -> None:
    assert commands_of({"host.name": "web-3", "message": "x"}) == ()


@pytest.mark.parametrize(
    "task",
    ["a'b", 'a"b', "a`b", "a\\b", "a\nb", "a\tb", "a\x1b[2J", "a\x7f", "ä", "a\u202eb", "\ud800", "", " a", "x" * 1025],
)
def test_a_hostile_id_gives_no_command(task: str) -> None:
    given = {"orchestrator.resource.id": task, "orchestrator.resource.name": task, "container.id": ""}
    assert commands_of({**FIELDS, **given}) == ()


TEXT = st.text(alphabet="a-$`'\"\\;&|<> \n\x1b\u202e/.0", max_size=12)


@given(TEXT, TEXT, TEXT)
def test_no_value_becomes_a_command(host: str, task: str, app: str) -> None:
    given = {"host.name": host, "orchestrator.resource.id": task, "orchestrator.resource.name": app}
    for action in commands_of({**FIELDS, **given}):
        assert action.command.isprintable()
        words = shlex.split(action.command)
        assert words[:2] in (["ssh", "-t"], ["shipper", action.name])
        assert not words[2].startswith("-")


def links(**changes: Any) -> dict[str, str]:
    kept = {**record(1, at=NOW), "service.name": "shop & co", "http.request.id": "r/1=", **changes}
    return {action.name: action.url for action in actions_of(kept) if action.url}


def test_links() -> None:
    around = "start=2026-11-22T14%3A25%3A00.000000Z&end=2026-11-22T14%3A35%3A00.000000Z"
    own = f"/records/65614f3a9c1en-0000000001?at={NOW}"
    itself = {"same": own.replace("?", "/same?"), "context": f"{own}#context", "record": own}
    story = "/requests/r%2F1%3D"
    siblings = "/?app=shop+%26+co&host=web-3"
    assert links() == {"siblings": f"{siblings}&request_id=r%2F1%3D", "request": story, **itself}
    for no_request in (None, "a\nb", 7, ""):
        assert links(**{"http.request.id": no_request}) == {"siblings": f"{siblings}&{around}", **itself}
    for nobody in (None, "", "a\x00", "x" * 257, ["a"], "\ud800"):
        assert links(**{"service.name": nobody}) == links(**{"host.name": nobody}) == {"request": story, **itself}
    assert links(**{"@timestamp": "then", "http.request.id": None}) == {}
    assert links(**{"shipper.series": "a/\n\u202e"}).keys() == {"siblings", "request"}


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_every_link_can_be_asked_for(app: str, host: str, request: str) -> None:
    found = links(**{"service.name": app, "host.name": host, "http.request.id": request})
    for url in found.values():
        assert url.isascii()
        assert url.isprintable()
        assert urlsplit(url)[:2] == ("", "")
    if siblings := found.get("siblings"):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(siblings).query).items()}
        assert (asked["app"], asked["host"]) == (app, host)
        question(asked).query(NOW)


async def test_links_lead_there() -> None:
    kept = {**record(1, at=NOW), **FIELDS, "service.name": "shop", "http.request.id": "r-1"}
    async with connect(MemoryReader(kept)) as client:
        for url in links(**kept).values():
            answer = await client.get(url, headers={"Accept": "text/html"}, follow_redirects=True)
            assert answer.status_code == 200
            assert SANDBOX in answer.text, url


async def test_they_are_in_answers_and_on_the_page() -> None:
    kept = {**record(1, at=NOW), **FIELDS, "http.request.id": "r-1", "log.level": "error"}
    actions = [action.as_json() for action in actions_of(kept)]
    links = ["task", "siblings", "same", "request", "context", "record"]
    assert [action["name"] for action in actions] == ["shell", "sandbox", "where", *links]
    assert all(set(action) in ({"name", "command"}, {"name", "url"}) for action in actions)
    async with connect(MemoryReader(kept, record(2, at=NOW))) as client:
        found = (await client.get("/api/v1/records?order=oldest")).json()["records"]
        assert found[0]["actions"] == actions
        assert [action["name"] for action in found[1]["actions"]] == ["siblings", "same", "context", "record"]
        story = (await client.get("/api/v1/requests/r-1")).json()
        assert story["records"][0]["actions"] == story["first_error"]["actions"] == actions
        page = (await client.get("/", headers={"Accept": "text/html"})).text
        assert SANDBOX in page
        assert f"docker exec -it {CONTAINER}" in page


async def test_a_field_of_that_name_does_not_stand_for_them() -> None:
    kept = {**record(1, at=NOW), "actions": [{"name": "shell", "command": "rm -rf /"}]}
    async with connect(MemoryReader(kept)) as client:
        found = (await client.get("/api/v1/records")).json()["records"][0]
    assert [action["name"] for action in found["actions"]] == ["siblings", "same", "context", "record"]
