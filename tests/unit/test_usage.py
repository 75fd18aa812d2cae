"""What logging costs: the arithmetic, the watermark of Elasticsearch, and the command on a store of its own."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.cli import main
from shipper.record import Record
from shipper.record.times import day, from_ns
from shipper.search.usage import OTHER, DayUsage, Disk, lasts, left_over, share_out, sum_up
from shipper.stores._elasticsearch_disk import kept_free
from shipper.stores.sqlite import Config
from tests.contract.test_stores import DAY_NS, NOON, put_all, record

GB = 2**30


def test_a_day_is_shared_out_by_count_and_length() -> None:
    counts = {("d1", "a"): 10, ("d1", "b"): 10, ("d2", "a"): 5, ("d2", "new"): 5}
    found = share_out(counts, {"a": 100.0, "b": 300.0}, {"d1": 8000, "d2": 900})
    assert found == [
        DayUsage("d1", "a", 10, 2000),
        DayUsage("d1", "b", 10, 6000),
        DayUsage("d2", "a", 5, 300),
        DayUsage("d2", "new", 5, 600),
    ]
    assert share_out({("d1", "a"): 1}, {}, {}) == [DayUsage("d1", "a", 1, 0)]


def test_what_is_counted_under_no_name_is_a_rest() -> None:
    stored = {"2026.11.21": 100, "2026.11.22": 100}
    moved = {("2026.11.21", "a"): 98, ("2026.11.22", "a"): 102}
    assert left_over(stored, moved) == {}
    late = {("2026.11.21", "a"): 60, ("2026.11.22", "a"): 95, ("2026.11.22", "b"): 15}
    assert left_over(stored, late) == {("2026.11.21", OTHER): 30}
    assert left_over(stored, {}) == {(day, OTHER): 100 for day in stored}


def test_growth_is_of_complete_days() -> None:
    past = [f"d{number:02}" for number in range(14, 0, -1)]
    rows = [DayUsage(name, "a", 1, 200 if name > "d07" else 100) for name in past]
    rows += [DayUsage("d15", "a", 1, 10**9), DayUsage("d14", "b", 1, 700)]
    a, b = sum_up(rows, "d15", past)
    assert (a.name, a.bytes_per_day, a.growth) == ("a", 200, 100)
    assert (b.name, b.bytes_per_day, b.growth) == ("b", 100, None)
    assert a.share + b.share == pytest.approx(1)
    (today,) = sum_up([DayUsage("d15", "a", 1, 5)], "d15", [])
    assert (today.bytes_per_day, today.growth) == (5, None)


@pytest.mark.parametrize(
    ("room", "stored", "per_day", "kept", "days", "left"),
    [
        (100, 50, 10, 0, 5, 10),  # for ever: what is free, by what comes
        (100, 50, 0, 0, 5, None),
        (100, 50, 10, 14, 5, None),  # 15 days of 10 is what there is in all
        (100, 50, 10, 15, 5, 10),
        (100, 350, 50, 9, 10, 100 / 15),  # each day 35 go and 50 come
        (0, 50, 10, 0, 5, 0),
    ],
)
def test_how_long_the_disk_lasts(
    room: int, stored: int, per_day: float, kept: int, days: int, left: float | None
) -> None:
    found = lasts(room, stored, per_day, kept, days)
    assert found == (None if left is None else pytest.approx(left))


@pytest.mark.parametrize(
    ("total", "flood", "headroom", "kept"),
    [
        (1000 * GB, "95%", "100gb", 50 * GB),
        (10_000 * GB, "95%", "100GB", 100 * GB),
        (10_000 * GB, "95%", "-1", 500 * GB),
        (1000 * GB, "0.9", "-1", 100 * GB),
        (1000 * GB, "30gb", "100gb", 30 * GB),
        (1000 * GB, "whatever", "100gb", 0),
    ],
)
def test_where_elasticsearch_becomes_read_only(total: int, flood: str, headroom: str, kept: int) -> None:
    assert kept_free(total, flood, headroom) == pytest.approx(kept)
    assert Disk(total, kept // 2, kept).room == 0


def of(app: str, sequence: int, days_ago: int, length: int) -> Record:
    made = record(sequence, "x" * length, at=NOON - days_ago * DAY_NS)
    made.fields |= {"service.name": app, "event.dataset": f"{app}.log"}
    return made


@pytest.fixture
async def config(tmp_path: Path) -> str:
    """Two apps in each of 15 days; `big` writes as many records as `small`, each ten times as long."""
    store = Config(path=str(tmp_path / "data"), retention_days=0)
    async with store.build("prod") as writing:
        sent = [
            of(app, 1000 * days + 10 * n + place, days, length)
            for days in range(1, 16)
            for place, (app, length) in enumerate((("=big", 5000), ("small", 100)))
            for n in range(20)
        ]
        await put_all(writing, sent)
    path = tmp_path / "shipper.yaml"
    path.write_text(yaml.safe_dump({"cluster": "prod", "store": store.model_dump()}))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["usage", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_what_is_told(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    told: dict[str, Any] = json.loads(run(capsys, "--config", config, "--json"))
    big, small = told["usage"]
    assert [big["name"], small["name"]] == ["=big", "small"]
    assert big["records"] == small["records"] == 13 * 20
    assert big["bytes"] > 5 * small["bytes"]
    assert big["bytes"] + small["bytes"] == pytest.approx(sum(one["bytes"] for one in told["stored"]), abs=30)
    assert big["share"] + small["share"] == pytest.approx(1, abs=0.001)
    assert abs(big["growth_percent"]) < 20
    assert told["disk"]["full_in_days"] > 0
    assert told["estimated_from_records"] == 13 * 40
    assert told["notes"] == []
    text = run(capsys, "--config", config, "--by", "dataset")
    head, first, *_ = text.splitlines()
    assert head.split()[:3] == ["DATASET", "RECORDS", "BYTES"]
    assert first.startswith("=big.log")
    assert "bytes by dataset are an estimate" in text
    assert "at this rate full in " in text


def test_a_wrong_clock_costs_nobody_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Config(path=str(tmp_path / "data"), retention_days=0)

    async def write() -> None:
        async with store.build("prod") as writing:
            right = [record(n, at=NOON, service__name="a") for n in (1, 2)]
            wrong = [record(n, at=NOON - 900 * DAY_NS, host_time=NOON, service__name="b") for n in (3, 4)]
            await put_all(writing, [*right, *wrong])

    asyncio.run(write())
    path = tmp_path / "shipper.yaml"
    path.write_text(yaml.safe_dump({"cluster": "prod", "store": store.model_dump()}))
    text = run(capsys, "--config", str(path))
    assert sorted(line.split()[:2] for line in text.splitlines()[1:3]) == [[OTHER, "2"], ["a", "2"]]
    assert f"{OTHER}: records whose own time lies outside" in text


def test_a_spreadsheet_sees_no_formula(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(run(capsys, "--config", config, "--csv", "--days", "3"))))
    assert rows[0] == ["day", "app", "records", "bytes"]
    assert [row[:3] for row in rows[1:]] == [
        [day(from_ns(NOON - ago * DAY_NS)), app, "20"] for ago in (2, 1) for app in ("'=big", "small")
    ]


def test_nothing_stored_and_nonsense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shipper.yaml"
    path.write_text(yaml.safe_dump({"store": {"type": "sqlite", "path": str(tmp_path / "data")}}))
    assert main(["usage", "--config", str(path)]) == 1
    assert capsys.readouterr().out == "nothing is stored in these days\n"
    for wrong in ("0", "x", "9999"):
        with pytest.raises(SystemExit):
            main(["usage", "--days", wrong])
        assert "not a number of days from 1 to 1000" in capsys.readouterr().err
