"""The counting questions of the API: over time, by value, by pattern, against another time; and the lines around."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from shipper.api.app import build
from shipper.record.times import to_ns
from tests.unit.api_world import NOW, SECOND, MemoryReader, record

HOUR = 3600 * SECOND
TASK = "shop_api.instance-1._app.1"


def _records() -> list[dict[str, Any]]:
    made = [
        record(n, f"order {n} took {n * 3} ms", at=NOW - 2 * HOUR + n * 60 * SECOND, service__version="1.0")
        for n in range(1, 31)
    ]
    made += [
        record(
            100 + n,
            f"cannot charge card {n}: bank said no",
            at=NOW - 1800 * SECOND + n * SECOND,
            service__name="shop-pay",
            host__name="pay-1",
            log__level="error",
            service__version="2.0",
            orchestrator__resource__id=TASK,
            series="77614f3a9c1bw",
        )
        for n in range(10)
    ]
    return made


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    web = build(MemoryReader(*_records()), clock=lambda: NOW)
    transport = httpx.ASGITransport(web, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as found:
        yield found


async def ask(client: httpx.AsyncClient, path: str, **asked: object) -> Any:
    answer = await client.get(f"/api/v1/{path}", params={name: str(value) for name, value in asked.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client: httpx.AsyncClient, path: str, status: int = 400, **asked: object) -> str:
    answer = await client.get(f"/api/v1/{path}", params={name: str(value) for name, value in asked.items()})
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


async def test_counts_cover_all_that_matches(client: httpx.AsyncClient) -> None:
    found = await ask(client, "counts", by="level", buckets=30)
    assert found["total"] == 40
    assert found["by"] == "log.level"
    assert sum(bucket["count"] for bucket in found["buckets"]) == 40
    assert sum(bucket["values"].get("error", 0) for bucket in found["buckets"]) == 10
    starts = [to_ns(bucket["start"]) for bucket in found["buckets"]]
    assert {after - before for before, after in pairwise(starts)} == {found["step_seconds"] * SECOND}
    assert any(bucket["count"] == 0 for bucket in found["buckets"])
    assert len(starts) <= 31


async def test_counts_of_a_time_stop_at_its_bounds(client: httpx.AsyncClient) -> None:
    found = await ask(client, "counts", start="31m", end="1790s", buckets=7)
    assert found["total"] == 10
    assert all(not bucket["values"] for bucket in found["buckets"])


async def test_counts_of_nothing_are_of_the_last_hour(client: httpx.AsyncClient) -> None:
    found = await ask(client, "counts", text="nowhere")
    assert found["total"] == 0
    assert to_ns(found["end"]) - to_ns(found["start"]) == HOUR


async def test_top_says_what_is_left_out(client: httpx.AsyncClient) -> None:
    found = await ask(client, "top", field="service", limit=1)
    assert found["values"] == [{"value": "shop-api", "count": 30, "share": 0.75}]
    assert (found["total"], found["without"], found["others"]) == (40, 0, 10)
    tasks = await ask(client, "top", field="task")
    assert (tasks["values"][0]["value"], tasks["without"]) == (TASK, 30)


async def test_a_field_that_cannot_be_counted_is_refused(client: httpx.AsyncClient) -> None:
    assert "message" in await refused(client, "top", field="message")
    assert "servce" in await refused(client, "top", field="servce")


async def test_patterns_say_how_often_and_since_when(client: httpx.AsyncClient) -> None:
    found = await ask(client, "patterns", start="1h")
    (pattern,) = found["patterns"]
    assert pattern["template"] == "cannot charge card <n>: bank said no"
    assert (pattern["count"], pattern["levels"], pattern["apps"]) == (10, {"error": 10}, {"shop-pay": 10})
    assert to_ns(pattern["since"]) == to_ns(pattern["first"]) == NOW - 1800 * SECOND
    assert pattern["example"]["event.sequence"] == 109
    assert any(action["name"] == "record" for action in pattern["example"]["actions"])
    again = await ask(client, "records", query=pattern["query"])
    assert len(again["records"]) == 10
    assert found["incomplete"] == []


async def test_since_is_older_than_the_time_asked_for(client: httpx.AsyncClient) -> None:
    found = await ask(client, "patterns", start="1795s")
    (pattern,) = found["patterns"]
    assert to_ns(pattern["since"]) == NOW - 1800 * SECOND < to_ns(pattern["first"])


async def test_what_is_new_in_a_version(client: httpx.AsyncClient) -> None:
    found = await ask(client, "compare", version_a="1.0", version_b="2.0")
    changes = {one["template"]: (one["change"], one["a"], one["b"]) for one in found["patterns"]}
    assert changes == {
        "cannot charge card <n>: bank said no": ("new", 0, 10),
        "order <n> took <n> ms": ("gone", 30, 0),
    }


async def test_what_is_new_in_a_time(client: httpx.AsyncClient) -> None:
    found = await ask(client, "compare", before_start="2h", start="1h")
    assert [one["change"] for one in found["patterns"]] == ["new", "gone"]
    assert (found["a"]["total"], found["b"]["total"]) == (30, 10)


def _asked_of(*records: dict[str, Any]) -> httpx.AsyncClient:
    web = build(MemoryReader(*records), clock=lambda: NOW)
    return httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://localhost")


async def test_a_side_without_records_is_said(client: httpx.AsyncClient) -> None:
    found = await ask(client, "compare", version_a="1.0", version_b="2.O")
    assert [one["change"] for one in found["patterns"]] == ["gone"]
    assert found["incomplete"] == ["nothing to compare with: no record matches now (b)"]


async def test_both_sides_of_a_comparison_have_the_same_patterns() -> None:
    names = ("alice", "bob", "carol", "dave", "erin")
    said = [
        record(n, f"user {name} logged in, request 12{'34567' if n % 2 else '3b567'}", at=NOW - (10 - n) * 60 * SECOND)
        for n, name in enumerate(names, start=1)
    ]
    async with _asked_of(*said) as client:
        found = await ask(client, "compare", before_start="10m", start="8m")
    changes = [(one["template"], one["a"], one["b"], one["change"]) for one in found["patterns"]]
    assert changes == [("user <*> logged in, request <n>", 1, 4, "same")]


async def test_what_was_only_not_looked_at_is_not_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipper.api.patterns.MOST_LOOKED_AT", 10)
    often = [record(n, f"order {n} is paid", at=NOW - HOUR - n * SECOND) for n in range(1, 60)]
    rare = [record(200, "bank is away", at=NOW - HOUR - 59 * SECOND), record(201, "bank is away", at=NOW - SECOND)]
    new = record(202, "heap is full", at=NOW - SECOND)
    async with _asked_of(*often, *rare, new) as client:
        found = await ask(client, "compare", before_start="2h", start="30m")
    changes = {one["template"]: one["change"] for one in found["patterns"]}
    assert changes == {"heap is full": "new", "order <n> is paid": "gone", "bank is away": "more"}
    assert any("estimates" in note for note in found["incomplete"])


async def test_a_comparison_needs_two_sides(client: httpx.AsyncClient) -> None:
    assert "nothing to compare" in await refused(client, "compare")
    assert "belong together" in await refused(client, "compare", version_a="1.0")
    assert "before" in await refused(client, "compare", before_start="10m", before_end="20m")


async def test_apps_are_told_with_their_errors(client: httpx.AsyncClient) -> None:
    found = await ask(client, "apps")
    assert [(app["app"], app["count"], app["errors"], app["hosts"], app["versions"]) for app in found["apps"]] == [
        ("shop-api", 30, 0, ["web-3"], ["1.0"]),
        ("shop-pay", 10, 10, ["pay-1"], ["2.0"]),
    ]


async def test_a_record_has_an_address_of_its_own(client: httpx.AsyncClient) -> None:
    wanted = (await ask(client, "records", limit=1))["records"][0]
    by_id = await ask(client, f"records/{wanted['id']}")
    by_time = await ask(client, f"records/{wanted['id']}", at=to_ns(wanted["@timestamp"]))
    assert by_id["record"] == by_time["record"] == wanted
    assert "no record" in await refused(client, f"records/{wanted['id']}", 404, at=17)
    assert "series" in await refused(client, "records/nonsense")


async def test_the_lines_around_a_record(client: httpx.AsyncClient) -> None:
    found = await ask(client, "records/77614f3a9c1bw-0000000105/context", before=2, after=3)
    assert found["kind"] == "task"
    assert [one["event.sequence"] for one in found["before"]] == [103, 104]
    assert [one["event.sequence"] for one in found["after"]] == [106, 107, 108]
    assert found["record"]["event.sequence"] == 105
    series = await ask(client, "records/65614f3a9c1en-0000000002/context")
    assert (series["kind"], len(series["before"]), len(series["after"])) == ("series", 1, 20)
    assert "names no task" in await refused(client, "records/65614f3a9c1en-0000000002/context", kind="task")
