"""`shipper retention` as it is run: what it deletes, what it says, and when it refuses."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.record import Record
from shipper.record.times import day, from_ns
from shipper.search.query import Query
from shipper.stores.sqlite import Config
from tests.contract.test_stores import DAY_NS, NOON, numbers, put_all, record
from tests.unit.cluster_server import Reply, serving

APPS = {
    "/short": {"SHIPPER_RETENTION_DAYS": "3"},
    "/long": {"SHIPPER_RETENTION_DAYS": "300"},
    "/wrong": {"SHIPPER_RETENTION_DAYS": "ever"},
    "/plain": {},
}


def marathon_apps() -> dict[str, Any]:
    return {
        "apps": [
            {"id": app, "version": "2026-11-23T10:00:00.000Z", "labels": labels, "instances": 0, "tasks": []}
            for app, labels in APPS.items()
        ]
    }


def of(app: str, sequence: int, days_ago: int) -> Record:
    made = record(sequence, at=NOON - days_ago * DAY_NS)
    made.fields["orchestrator.resource.name"] = app
    return made


def ago(days: int) -> str:
    return day(from_ns(NOON - days * DAY_NS))


@pytest.fixture
def store(tmp_path: Path) -> Config:
    """30 days are kept; a record of each app 5, 40 and 50 days ago, and one of today."""
    config = Config(path=str(tmp_path / "data"), retention_days=0)

    async def fill() -> None:
        async with config.build("prod") as writing:
            sent = [of(app, n + 10 * days, days) for n, app in enumerate(APPS, 1) for days in (0, 5, 40)]
            await put_all(writing, [*sent, of("/plain", 509, 50)])

    asyncio.run(fill())
    return config.model_copy(update={"retention_days": 30})


def configuration(store: Config, marathon: str = "") -> str:
    enrichers = [{"type": "marathon", "marathon_urls": [marathon], "registry_file": None}] if marathon else []
    path = Path(store.path).with_name("shipper.yaml")
    path.write_text(yaml.safe_dump({"cluster": "prod", "store": store.model_dump(), "enrichers": enrichers}))
    return str(path)


async def run(*arguments: str) -> tuple[int, str, str]:
    late = () if "--late" in arguments else ("--late", "0")  # what tests store has just been written
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shipper", "retention", *late, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def kept(store: Config) -> list[int]:
    async with store.reader("prod") as reader:
        return sorted(numbers(await reader.search(Query(limit=1000))))


async def test_days_and_records_of_apps_go_and_a_dry_run_tells_before(store: Config) -> None:
    before = await kept(store)
    async with serving() as marathon:
        marathon.replies["GET /v2/apps"] = marathon_apps()
        config = configuration(store, marathon.url)
        code, out, err = await run("--config", config, "--dry-run", "--json")
        assert (code, err) == (0, "")
        told = [json.loads(line) for line in out.splitlines()]
        assert [(one["day"], one["apps"], one["others"], one["records"], one["deleted"]) for one in told] == [
            (ago(50), ["/long"], True, 1, False),
            (ago(40), ["/long"], True, 3, False),
            (ago(5), ["/short"], False, 1, False),
        ]
        assert await kept(store) == before
        code, out, err = await run("--config", config)
        assert (code, err) == (0, "")
        assert out.splitlines() == [
            f"{ago(50)}  deleted: all but /long, 1 record",
            f"{ago(40)}  deleted: all but /long, 3 records",
            f"{ago(5)}  deleted: /short, 1 record",
            "30 days kept, 2 apps with days of their own; 5 records deleted, with them 0 of 4 days (0 B)",
        ]
        gone = {509, 401, 403, 404, 51}
        assert await kept(store) == sorted(set(before) - gone)
        code, out, err = await run("--config", config)
        assert (code, len(out.splitlines())) == (0, 1)  # nothing more to do


async def test_without_marathon_whole_days_go(store: Config) -> None:
    code, out, err = await run("--config", configuration(store), "--days", "45")
    assert (code, err) == (0, "")
    first, last = out.splitlines()
    assert first.startswith(f"{ago(50)}  deleted: all, 1 record, ")
    assert last.startswith("45 days kept; 1 record deleted, with them 1 of 4 days (")
    assert 509 not in await kept(store)


async def test_a_marathon_that_does_not_say_what_apps_want_stops_it(store: Config) -> None:
    before = await kept(store)
    async with serving() as marathon:
        config = configuration(store, marathon.url)
        replies: tuple[Reply, ...] = ({"apps": []}, (401, {"message": "no"}), "garbage")
        for reply in replies:
            marathon.replies["GET /v2/apps"] = reply
            code, out, err = await run("--config", config)
            assert (code, out) == (2, "")
            assert err.startswith("error: ")
            assert err.count("\n") == 1
    assert await kept(store) == before


async def test_while_a_shipper_runs_it_says_who_deletes(store: Config) -> None:
    before = await kept(store)
    config = configuration(store)
    async with store.model_copy(update={"retention_days": 0}).build("prod"):
        code, out, err = await run("--config", config)
        assert (code, out) == (2, "")
        assert "it does so every hour, by store.retention_days" in err
        assert (await run("--config", config, "--dry-run"))[0] == 0
    assert await kept(store) == before


async def test_somebody_must_say_how_many_days(store: Config) -> None:
    config = configuration(store.model_copy(update={"retention_days": 0}))
    code, _, err = await run("--config", config)
    assert (code, err.count("\n")) == (2, 1)
    assert "give --days, or set store.retention_days" in err
    for wrong in ("0", "-1", "x", "999999"):
        code, _, err = await run("--config", config, "--days", wrong)
        assert code == 2
        assert "not a number of days" in err or "expected one argument" in err
