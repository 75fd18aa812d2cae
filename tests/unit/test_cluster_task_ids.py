"""What task ids say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.cluster.task_ids import TaskId, read
from tests.unit.cluster_server import text_of

UUID = "b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6"


def test_every_known_form() -> None:
    rows = [line.split("\t") for line in text_of("task-ids.tsv").splitlines()[1:] if not line.startswith("#")]
    assert len(rows) == 13
    for task_id, app_id, prefix, uuid, container, incarnation in rows:
        attempt = int(incarnation) if incarnation else None
        assert read(task_id) == TaskId("app", app_id, "", attempt, uuid, prefix, container), task_id


@pytest.mark.parametrize(
    ("task_id", "expected"),
    [
        ("ct:1426174200000:0:date:", TaskId("job", job="date", attempt=0, due_ms=1426174200000)),
        ("ct:1426174200000:2:date", TaskId("job", job="date", attempt=2, due_ms=1426174200000)),
        (
            "ct:1:3:nightly.report:--day 1:2 a/b",
            TaskId("job", job="nightly.report", attempt=3, due_ms=1, arguments="--day 1:2 a/b"),
        ),
        (f"a.{UUID}", TaskId("app", "/a", uuid=UUID)),
        (f"a.{UUID}.7", TaskId("app", "/a", uuid=UUID, attempt=7)),
    ],
)
def test_forms(task_id: str, expected: TaskId) -> None:
    assert read(task_id) == expected


@pytest.mark.parametrize(
    "task_id", ["", "a", UUID, f".{UUID}", f"a{UUID}", "ct:", "ct:x:0:date:", "ct:1:0::", f"a.{UUID}\n", "a" * 9000]
)
def test_no_id_of_ours(task_id: str) -> None:
    assert read(task_id) is None


@given(st.text(alphabet="abct:._-0123456789\x00\né/", max_size=200))
def test_no_text_breaks_it(task_id: str) -> None:
    found = read(task_id)
    assert found is None or bool(found.app_id) != bool(found.job)


@given(
    st.lists(st.from_regex(r"[a-z0-9-][a-z0-9.-]{0,10}", fullmatch=True), min_size=1, max_size=4),
    st.uuids(),
    st.sampled_from(["{}.{}", "{}.instance-{}._app.1", "{}.instance-{}.rails", "{}.marathon-{}._app"]),
)
def test_the_app_comes_back(parts: list[str], uuid: object, form: str) -> None:
    found = read(form.format("_".join(parts), uuid))
    assert found is not None
    assert found.app_id == f"/{'/'.join(parts)}"
    assert found.uuid == str(uuid)
