"""Commands that ride on records: right, only for records of tasks, and never a stranger's."""

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.api.actions import actions_of
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
    assert actions_of({**FIELDS, **changes}) == expected


def test_a_record_of_no_task() -> None:
    assert actions_of({"host.name": "web-3", "message": "x"}) == {}


TEXT = st.text(alphabet="a-$`'\"\\;&|<> \n\x1b\u202e/.0", max_size=12)


@given(TEXT, TEXT, TEXT)
def test_no_value_becomes_a_command(host: str, task: str, app: str) -> None:
    given = {"host.name": host, "orchestrator.resource.id": task, "orchestrator.resource.name": app}
    for name, command in actions_of({**FIELDS, **given}).items():
        assert command.isprintable()
        words = shlex.split(command)
        assert words[:2] in (["ssh", "-t"], ["shipper", name])
        assert not words[2].startswith("-")


async def test_they_are_in_answers_and_on_the_page() -> None:
    kept = {**record(1, at=NOW), **FIELDS, "http.request.id": "r-1", "log.level": "error"}
    actions = actions_of(kept)
    async with connect(MemoryReader(kept, record(2, at=NOW))) as client:
        found = (await client.get("/api/v1/records?order=oldest")).json()["records"]
        assert [one.get("actions") for one in found] == [actions, None]
        story = (await client.get("/api/v1/requests/r-1")).json()
        assert story["records"][0]["actions"] == story["first_error"]["actions"] == actions
        page = (await client.get("/", headers={"Accept": "text/html"})).text
        assert SANDBOX in page
        assert f"docker exec -it {CONTAINER}" in page
