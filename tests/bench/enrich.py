"""What the enricher `marathon` costs per record, and the registry for a whole cluster: 5,000 tasks of 500 apps.

Run by hand: .venv/bin/python -m tests.bench.enrich
"""

import time
import tracemalloc
from collections.abc import Iterator

import orjson

from shipper.cluster.model import App, Task
from shipper.config import component
from shipper.enrichers.marathon import Config, Marathon
from shipper.parsers import chain
from shipper.record import Record
from shipper.record.times import to_ns

APPS, TASKS = 500, 10
VERSION = "2026-01-01T00:00:00.001Z"
PARSERS = ("host_json", "rfc5424", "rfc3164", "json_body", "plain")
AT = to_ns("2026-11-22T12:48:35Z")


def task_id(app: int, number: int) -> str:
    return f"shop_api{app}.instance-b6ff5fa5-7714-11e7-a55c-{app * TASKS + number:012x}._app.1"


def cluster() -> list[App]:
    """Apps with labels as they are in the wild, each with its tasks."""
    return [
        App(
            f"/shop/api{app}", VERSION, {"SHIPPER_SERVICE": f"api{app}", "team": "a", "HAPROXY_0_VHOST": "a.example"},
            TASKS, (10_000 + app,), tuple(_tasks(app)), (), {},
        )
        for app in range(APPS)
    ]  # fmt: skip


def _tasks(app: int) -> Iterator[Task]:
    for number in range(TASKS):
        port = 31_000 + number
        yield Task(task_id(app, number), f"/shop/api{app}", f"10.0.0.{number}", (port,), "TASK_RUNNING", VERSION)


def records(count: int, tasks: int, message: str) -> list[Record]:
    """Parsed records of so many tasks by turns."""
    read = chain([component("parsers", name).parse for name in PARSERS])
    made = []
    for number in range(1, count + 1):
        pid = number % tasks + 1
        app, task = divmod(pid - 1, TASKS)
        stamp = {
            "v": "1", "series": "65614f3a9c1en", "sequence": str(number), "host": "web-3", "input": "socket",
            "host_time": "2026-11-22T23:48:34.123456+11:00", "pri": "14", "container": f"c{app}-{task}",
            "task": task_id(app, task), "app": f"/shop/api{app}", "app_version": VERSION, "pid": str(pid),
            "message": message,
        }  # fmt: skip
        record = Record(orjson.dumps(stamp), AT)
        read(record)
        made.append(record)
    return made


def enricher() -> Marathon:
    """An enricher that knows the cluster."""
    built = Config(registry_file=None, marathon_urls=["http://127.0.0.1:1"]).build()
    built.registry.read(cluster())
    return built


def microseconds(built: Marathon, batch: list[Record]) -> float:
    """Mean time per record."""
    started = time.perf_counter()
    for record in batch:
        built.enrich(record)
    return (time.perf_counter() - started) / len(batch) * 1e6


def main() -> None:
    apps = cluster()
    tracemalloc.start()
    built = enricher()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    started = time.perf_counter()
    built.registry.read(apps)
    again = time.perf_counter() - started
    print(f"registry: {len(built.registry)} tasks, {size / 2**20:.1f} MB; a full read again {again * 1e3:.0f} ms")
    kinds = {"text": "hello", "JSON": '{"msg":"x"}', "JSON that names its service": '{"service":"mine","msg":"x"}'}
    for kind, message in kinds.items():
        for tasks in (10, 2000):
            built = enricher()
            first = microseconds(built, records(tasks, tasks, message))
            print(
                f"{kind}, {tasks} tasks: {microseconds(built, records(50_000, tasks, message)):.2f} us a record,"
                f" {first:.1f} us the first of each task"
            )


if __name__ == "__main__":
    main()
