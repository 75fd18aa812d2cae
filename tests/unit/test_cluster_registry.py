"""The registry of tasks: who lives, who died, what their app said then, and that memory has a limit."""

import logging
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.cluster import known, registry_file
from shipper.cluster.model import App, Task
from shipper.cluster.registry import Registry
from tests.bench import enrich as bench

V1, V2, V3 = "2026-01-01T00:00:00.001Z", "2026-01-02T00:00:00.001Z", "2026-01-03T00:00:00.001Z"


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def task(name: str, *, app: str = "/shop/api", version: str = V1, state: str = "TASK_RUNNING", **more: Any) -> Task:
    return Task(name, app, "10.0.0.1", (31001,), state, version, **more)


def app(*tasks: Task, name: str = "/shop/api", version: str = V1, labels: Mapping[str, str] | None = None) -> App:
    return App(name, version, labels or {"team": "a"}, len(tasks), (), tasks, (), {})


def event(name: str, state: str = "TASK_RUNNING", **more: Any) -> dict[str, Any]:
    return {
        "taskId": name, "appId": "/shop/api", "taskStatus": state, "host": "10.0.0.2", "ports": [31002], "version": V1,
        "eventType": "status_update_event", **more,
    }  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(clock: Clock) -> Registry:
    return Registry(clock=clock)


def labels_of(registry: Registry, name: str) -> Mapping[str, str] | None:
    found = registry.find(name)
    return None if found is None or found.definition is None else found.definition.labels


def test_a_task_of_a_full_read_is_known_with_all_of_it(registry: Registry) -> None:
    registry.read([app(task("t1", started_at="2026-11-22T12:48:34Z"))])
    found = registry.find("t1")
    assert found is not None
    assert (found.app_id, found.version, found.host, found.ports, found.until) == (
        "/shop/api", V1, "10.0.0.1", (31001,), None,
    )  # fmt: skip
    assert found.since == 1795351714
    assert labels_of(registry, "t1") == {"team": "a"}
    assert registry.find("t2") is None


def test_a_task_that_died_keeps_what_its_version_said(registry: Registry, clock: Clock) -> None:
    registry.read([app(task("t1"))])
    clock.now += 5
    registry.read([app(task("t2", version=V2), version=V2, labels={"team": "b"})])
    found = registry.find("t1")
    assert found is not None
    assert found.until == clock.now
    assert (labels_of(registry, "t1"), labels_of(registry, "t2")) == ({"team": "a"}, {"team": "b"})
    assert (len(registry), registry.alive) == (2, 1)
    clock.now += 5
    registry.read([])
    assert registry.find("t1") is found
    assert labels_of(registry, "t2") == {"team": "b"}


def test_an_event_tells_of_a_task_that_no_read_ever_saw(registry: Registry, clock: Clock) -> None:
    registry.read([app()])
    registry.status(event("t1"))
    assert labels_of(registry, "t1") == {"team": "a"}
    clock.now += 0.5
    registry.status(event("t1", "TASK_FINISHED"))
    found = registry.find("t1")
    assert found is not None
    assert (found.host, found.ports, found.until) == ("10.0.0.2", (31002,), clock.now)


def test_a_task_of_an_unknown_app_or_version_is_known_after_the_next_read(registry: Registry, clock: Clock) -> None:
    registry.status(event("t1", version=V2))
    assert registry.find("t1") is None
    registry.read([])  # older than the event
    assert registry.find("t1") is None
    registry.read([app(version=V3, labels={"team": "c"}), app(name="/other")])
    assert labels_of(registry, "t1") == {"team": "c"}
    registry.status(event("t2", appId="/gone"))
    clock.now += 6
    registry.read([])
    assert labels_of(registry, "t2") == {}


def test_a_version_that_nobody_saw_is_taken_for_the_one_before_it(registry: Registry) -> None:
    registry.read([app(task("t1"))])
    registry.read([app(task("t1"), version=V3, labels={"team": "c"})])
    registry.read([app(task("t1"), task("t2", version=V2), version=V3, labels={"team": "c"})])
    assert labels_of(registry, "t2") == {"team": "a"}


def test_an_app_that_was_only_scaled_shares_its_labels(registry: Registry) -> None:
    registry.read([app(task("t1"))])
    registry.read([app(task("t1"), task("t2", version=V2), version=V2)])
    assert labels_of(registry, "t1") is labels_of(registry, "t2")


def test_what_changes_nothing_is_no_revision(registry: Registry) -> None:
    apps = [app(task("t1"), task("t2", state="TASK_FINISHED"))]
    registry.read(apps)
    before = registry.revision
    registry.read(apps)
    registry.status(event("t1", host="10.0.0.1", ports=[31001]))
    assert registry.revision == before


def test_a_task_that_a_read_was_too_old_for_lives_again(registry: Registry) -> None:
    registry.read([app()])
    registry.status(event("t1"))
    registry.read([app()])
    registry.read([app(task("t1"))])
    found = registry.find("t1")
    assert found is not None
    assert found.until is None
    assert registry.alive == 1


def test_a_container_is_known_when_a_record_named_its_task(registry: Registry) -> None:
    registry.read([app(task("t1"))])
    assert registry.find("", "c1") is None
    registry.learn_container("c1", "t1")
    assert registry.find("", "c1") is registry.find("t1")
    assert registry.task_of("c1") == "t1"


def test_the_limit_forgets_the_oldest_dead_first_and_never_a_living_one(clock: Clock) -> None:
    registry = Registry(most_tasks=3, clock=clock)
    registry.read([app(task("t1"), task("t2"), task("t3"))])
    registry.status(event("t2", "TASK_KILLED"))
    clock.now += 1
    registry.status(event("t1", "TASK_KILLED"))
    registry.status(event("t4"))
    assert [registry.find(name) is not None for name in ("t1", "t2", "t3", "t4")] == [True, False, True, True]
    registry.status(event("t5"))
    registry.status(event("t6"))
    assert [registry.find(name) is not None for name in ("t1", "t3", "t4", "t5", "t6")] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert (len(registry), registry.alive, registry.forgotten) == (3, 3, 3)


def test_bytes_have_a_limit(clock: Clock) -> None:
    registry = Registry(most_tasks=10**6, most_bytes=2**20, clock=clock)
    for number in range(3000):
        registry.read([app(task(f"{number:0900}"), version=f"v{number}", labels={"a": "x" * 8000})])
    assert registry.bytes <= 2**20
    assert 100 < len(registry) < 1000
    assert registry.forgotten + len(registry) == 3000


HOSTILE = [
    {},
    event(7),  # type: ignore[arg-type]
    event("t" * 5000),
    event("\ud800"),
    event("t1", appId=None),
    event("t1", appId=["/a"]),
    event("t1", host={"a": 1}, ports="31000", version=4, taskStatus=[]),
    event("t1", ports=[-1, 70000, True, "80", None, *range(1, 10_000)]),
]


@pytest.mark.parametrize("fields", HOSTILE)
def test_an_event_that_lies_harms_nobody(registry: Registry, fields: dict[str, Any]) -> None:
    registry.read([app()])
    registry.status(fields)
    for found in registry:
        assert len(found.id) <= known.LONGEST
        assert all(0 < port < 65536 for port in found.ports)
        assert len(found.ports) <= known.MOST_PORTS
    registry_file.document(registry)


def test_labels_have_limits_and_ours_come_first() -> None:
    labels: dict[str, Any] = {f"a{n:04}": "x" * 100 for n in range(500)} | {
        "SHIPPER_OWNER": "me",
        "b": 7,
        "c": "x" * 10**6,
    }
    kept = known.bounded(labels)
    assert kept["SHIPPER_OWNER"] == "me"
    assert len(kept) <= known.MOST_LABELS
    assert sum(map(len, (*kept, *kept.values()))) <= known.MOST_LABEL_TEXT
    assert {"b", "c"}.isdisjoint(kept)


def test_labels_that_records_show_are_safe_keys_and_no_secrets() -> None:
    labels = {
        "HAPROXY_0_AUTH": "realm:user:secret",
        "SHIPPER_OWNER": "me",
        "": "x",
        ".a..b.": "1",
        "a b\x00": "2",
        "ok.a": "3",
    }
    shown = known.Definition("/a", V1, labels).shown
    assert shown == {"_a._b_": "1", "a_b_": "2", "ok.a": "3"}


def test_what_was_known_is_known_after_a_restart(registry: Registry, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "made" / "registry.json"
    registry.read([app(task("t1"), task("t2"))])
    registry.read([app(task("t1"), version=V2, labels={"team": "b"})])
    registry.status(event("unsettled", appId="/new"))
    registry_file.write(path, registry_file.document(registry))
    again = Registry(clock=clock)
    registry_file.load(path, again)
    assert list(again) == [found for found in registry if found.id != "unsettled"]
    assert [found.since for found in again] == [found.since for found in registry]
    assert (len(again), again.alive) == (2, 1)
    clock.now += 1
    again.read([app(version=V2)])
    dead = again.find("t1")
    assert dead is not None
    assert dead.until == clock.now
    assert list(tmp_path.joinpath("made").iterdir()) == [path]


def _garbage() -> Iterator[bytes]:
    yield from (b"", b"{", b"\xff\x00", b"[]", b"7", b"null", b'{"v":2}', b"[" * 100_000, orjson.dumps({"v": 1}))
    good = ["t1", 0, V1, "h", [1], 1.0, None]
    for place, bad in ((0, 7), (0, "x" * 5000), (1, 1), (1, -1), (1, "0"), (5, "soon"), (6, [])):
        one = [*good[:place], bad, *good[place + 1 :]]
        yield orjson.dumps({"v": 1, "definitions": [["/a", V1, {}]], "tasks": [one]})
    yield orjson.dumps({"v": 1, "definitions": [["/a", V1, []]], "tasks": []})
    yield orjson.dumps({"v": 1, "definitions": [["/a", V1, {}]], "tasks": [["t1"]]})


@pytest.mark.parametrize("content", list(_garbage()), ids=lambda content: repr(content[:40]))
def test_garbage_in_the_file_is_ignored_with_a_warning(
    registry: Registry, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "registry.json"
    path.write_bytes(content)
    registry_file.load(path, registry)
    assert len(registry) == 0
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert str(path) in str(warning.__dict__["path"])


def test_no_file_is_an_empty_registry_without_a_word(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry_file.load(tmp_path / "none.json", registry)
    assert (len(registry), caplog.records) == (0, [])


def test_a_whole_cluster_in_time_and_memory() -> None:
    """5,000 tasks of 500 apps: read and joined far below 2 s (0.2 s here), below 100 MB (3 MB here)."""
    tracemalloc.start()
    try:
        built = bench.enricher()
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(built.registry) == 5000
    assert size < 100 * 2**20
    assert built.registry.bytes < 100 * 2**20
    batch = bench.records(5000, 5000, "hello")
    apps = bench.cluster()
    started = time.perf_counter()
    built.registry.read(apps)
    for record in batch:
        built.enrich(record)
    assert time.perf_counter() - started < 2
    assert {record.shared.fields["shipper.enriched_by"] for record in batch} == {"registry"}
