"""`shipper retention` as it is run: what it deletes, what it says, and when it refuses."""

import asyncio
import json
import os
import sys
import time
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


async def test_it_deletes_all_the_same_when_nobody_reads_on(store: Config) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    argv = [sys.executable, "-m", "shipper", "retention", "--config", configuration(store), "--late", "0"]
    process = await asyncio.create_subprocess_exec(*argv, stdout=writing, stderr=asyncio.subprocess.PIPE)
    os.close(writing)
    async with asyncio.timeout(120):
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert {509, 401, 402} & set(await kept(store)) == set()


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


async def test_what_was_written_a_moment_ago_stays(store: Config) -> None:
    before = await kept(store)
    code, out, err = await run("--config", configuration(store), "--late", "2")
    assert (code, err) == (0, "")
    told = out.splitlines()
    said = "kept: all: still written: its newest record was stored "
    assert [line.startswith(f"{ago(days)}  {said}") for line, days in zip(told, (50, 40), strict=False)] == [True] * 2
    assert told[-1].endswith("0 records deleted, with them 0 of 4 days (0 B); 2 removals put off")
    assert await kept(store) == before


async def test_kinds_of_logs_go_earlier_and_the_history_says_so(store: Config) -> None:
    async with store.model_copy(update={"retention_days": 0}).build("prod") as writing:
        access = of("/plain", 777, 10)
        access.fields["event.dataset"] = "nginx.access"
        await put_all(writing, [access, of("/plain", 778, 10)])
    config = configuration(store.model_copy(update={"retention_datasets": {"nginx.access": 7}}))
    assert (await run("--config", config, "--history"))[1] == "retention has deleted nothing yet\n"
    closed = time.strftime("%H:%M", time.gmtime(time.time() + 7200))
    opened = time.strftime("%H:%M", time.gmtime(time.time() + 3600))
    code, out, err = await run("--config", config, "--between", f"{opened}-{closed}")
    assert (code, err) == (0, "")
    wait = f"kept: dataset nginx.access: single records wait for {opened}-{closed} UTC (--between)"
    assert out.splitlines()[2] == f"{ago(10)}  {wait}"
    assert 777 in await kept(store)
    code, out, err = await run("--config", config)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{ago(10)}  deleted: dataset nginx.access, 1 record"
    assert (777 in await kept(store), 778 in await kept(store)) == (False, True)
    code, out, err = await run("--config", config, "--history", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert [(one["day"], one["datasets"], one["records"], one["reason"]) for one in told] == [
        (ago(10), ["nginx.access"], 1, "retention_datasets"),
        (ago(40), [], 4, "30 days are kept"),
        (ago(50), [], 1, "30 days are kept"),
    ]
    assert all("@" in one["by"] and one["at"].startswith("20") for one in told)
    code, out, err = await run("--config", config, "--history")
    assert out.splitlines()[0].split("  ")[1:4] == [ago(10), "dataset nginx.access, 1 record", "retention_datasets"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--between", "1-5"), "--between: not a time of day as 01:00-05:00: '1-5'"),
        (("--between", "01:00-05:00", "--zone", "Mars/Base"), "--zone: unknown time zone 'Mars/Base'"),
        (("--late", "nan"), "not a number of hours from 0 to 10000: 'nan'"),
    ],
)
async def test_nonsense_is_refused_in_a_line(store: Config, wrong: tuple[str, ...], said: str) -> None:
    code, out, err = await run("--config", configuration(store), *wrong)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


async def test_a_dataset_cannot_be_kept_for_longer(store: Config) -> None:
    document = {"store": {**store.model_dump(), "retention_datasets": {"x": 31}}}
    path = Path(store.path).with_name("wrong.yaml")
    path.write_text(yaml.safe_dump(document))
    code, out, err = await run("--config", str(path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "'x' asks for 31 days, but a dataset can only be kept for fewer than the 30 of retention_days" in err
