"""The ledger over hosts that report: API, page and terminal say the same, and a story says it where people read."""

import json
from typing import Any

import pytest

from shipper.api.accounts import books
from shipper.api.ledger_answers import MOST_EVENTS, MOST_STARTS, ledger_answer
from shipper.cli.ledger import ledger_lines
from shipper.cli.terminal import Style
from tests.unit.api_world import MemoryReader, entry, record, request_story
from tests.unit.cli_world import Ask, Server, harmless, server, shipper
from tests.unit.ledger_world import HOUR, NOW, READER, SECOND, event, queue_report, reader_report, start_at
from tests.unit.test_api_records import connect

__all__ = ["server", "shipper"]  # fixtures

KILL = NOW - HOUR
N, W, H = READER + "n", READER + "w", READER + "h"


@pytest.fixture
def reader() -> MemoryReader:
    """A host that lost records in every way, and one that fell silent."""
    found = MemoryReader()
    found.entries = [
        entry(N, 1, 100, started_at=KILL - HOUR, updated_at=KILL - SECOND),
        entry(N, 131, 200, started_at=KILL + SECOND, updated_at=NOW - 6 * SECOND),
        entry(W, 1, 3, updated_at=NOW - HOUR),
        entry(H, 1, 1800, started_at=KILL - HOUR, updated_at=NOW - 3 * SECOND),
        entry("oldn", 1, 4, host="web-4"),
    ]
    found.kept_reports = [
        reader_report(
            ("n", 202, 10), ("w", 5, 0), backlog_records=4, unresolved=3, queue_bytes=2**28,
            events=[event(KILL, "rsyslogd ended", "signal 9"), event(KILL + SECOND, "rsyslogd started")],
        ),
        queue_report("normal queue", full=5, size=2),
        queue_report("warning queue"),
        reader_report(("n", 7, 0), host="web-4", at=NOW - 400 * SECOND, start=start_at(NOW - HOUR)),
    ]  # fmt: skip
    return found


async def ask(reader: MemoryReader, host: str = "") -> dict[str, Any]:
    async with connect(reader) as client:
        told: dict[str, Any] = (await client.get(f"/api/v1/ledger?host={host}")).json()
    return told


def some(kinds: dict[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in kinds.items() if count}


async def test_series_have_ends_and_reasons(reader: MemoryReader) -> None:
    told = await ask(reader, "web-3")
    lines = {line["series"]: line for line in told["series"]}
    assert (lines[N]["last"], lines[N]["missing"], lines[N]["end"], lines[N]["queue"]) == (202, 32, "open", "normal")
    assert some(lines[N]["kinds"]) == {
        "dropped_by_reader": 10,
        "dropped_by_queue": 5,
        "lost_with_rsyslogd": 15,
        "late": 2,
    }
    first, last = lines[N]["holes"]
    assert (first["first"], first["last"], first["kind"]) == (101, 130, "lost_with_rsyslogd")
    assert (last["first"], last["last"], last["kind"], last["late"]) == (201, 202, "late", True)
    assert last["reason"] == "may still come: 2 records wait in the host's queue"
    # Two warnings were given out, the queue is empty, and rsyslogd was killed in the meantime.
    assert some(lines[W]["kinds"]) == {"lost_with_rsyslogd": 2}
    assert lines[H]["missing"] == 0
    for line in told["series"]:
        assert sum(line["kinds"].values()) == line["missing"] == sum(hole["missing"] for hole in line["holes"])


async def test_a_host_is_told(reader: MemoryReader) -> None:
    (host,) = (await ask(reader, "web-3"))["hosts"]
    expected = {
        "host": "web-3", "state": "reporting", "silent_since": None, "last_report": "2026-11-22T14:29:55.000000Z",
        "last_report_age_seconds": 3.0, "clock_difference_seconds": 2.0, "boot": "b1", "reader_starts": 1,
        "clean_ends": 0, "rsyslogd_starts": 1, "backlog_records": 4, "unresolved": 3, "queue_bytes": 2**28,
        "queue_limit_bytes": 2**30, "queue_percent": 25.0, "disk_free_bytes": 2**34, "missing": 34, "alarm": False,
    }  # fmt: skip
    assert {name: host[name] for name in expected} == expected
    assert host["readers"] == [
        {
            "start": READER,
            "started_at": "2026-11-22T09:30:00.000000Z",
            "last_report": host["last_report"],
            "end": "open",
        }
    ]
    assert [(one["event"], one["detail"]) for one in host["events"]] == [
        ("rsyslogd started", ""), ("rsyslogd ended", "signal 9"), ("reader started", READER),
    ]  # fmt: skip
    queues = {queue["queue"]: queue for queue in host["queues"]}
    assert (queues["normal"]["missing"], queues["normal"]["dropped"], queues["normal"]["records"]) == (32, 5, 2)
    assert queues["warning"]["kinds"]["lost_with_rsyslogd"] == 2
    assert queues["heartbeat"] == {**queues["heartbeat"], "missing": 0, "records": None}


async def test_a_silent_host_is_an_alarm_and_what_it_holds_is_late(reader: MemoryReader) -> None:
    told = await ask(reader, "web-4")
    (host,) = told["hosts"]
    assert (host["state"], host["silent_since"], host["alarm"]) == ("silent", "2026-11-22T14:23:20.000000Z", True)
    new = start_at(NOW - HOUR) + "n"
    assert [(line["series"], line["end"], line["missing"], line["alarm"]) for line in told["series"]] == [
        (new, "open", 7, False),
        ("oldn", "", 0, False),
    ]
    assert told["series"][0]["holes"][0]["reason"] == "may still come: the host has been silent for 6 min"
    assert told["alarm"] is True


async def test_totals_are_the_sum_of_hosts(reader: MemoryReader) -> None:
    told = await ask(reader)
    assert told["totals"]["hosts"] == 2
    assert told["totals"]["missing"] == sum(host["missing"] for host in told["hosts"]) == 41
    for kind, count in told["totals"]["kinds"].items():
        assert count == sum(host["kinds"][kind] for host in told["hosts"])
        assert count == sum(line["kinds"][kind] for line in told["series"])


async def test_a_clock_that_is_an_hour_behind_makes_no_host_silent_and_no_record_missing(reader: MemoryReader) -> None:
    reader.entries[1] = entry(N, 101, 201, updated_at=NOW - SECOND)
    reader.kept_reports = [reader_report(("n", 202, 0), at=NOW - HOUR)]
    told = await ask(reader, "web-3")
    assert (told["hosts"][0]["state"], told["hosts"][0]["clock_difference_seconds"]) == ("reporting", 3597.0)
    assert told["totals"]["kinds"]["late"] == told["totals"]["missing"] == 1


async def test_counters_that_say_more_are_shown(reader: MemoryReader) -> None:
    reader.entries = [entry(N, 1, 200)]
    reader.kept_reports = [reader_report(("n", 200, 7)), queue_report("normal queue", near=9)]
    told = await ask(reader)
    assert told["series"][0]["counted_not_missing"] == 7
    assert told["hosts"][0]["queues"][0]["counted_not_missing"] == 9
    assert told["totals"]["missing"] == 0
    text = "\n".join(ledger_lines(told, Style()))
    assert "its reader counted 7 more as dropped than are missing" in text
    assert "its queue normal counted 9 more as dropped than are missing" in text
    async with connect(reader) as client:
        assert "its reader counted 7 more" in (await client.get("/ledger")).text


async def test_many_starts_and_events_are_bounded() -> None:
    reader = MemoryReader()
    starts = [start_at(NOW - n * SECOND) for n in range(1, 61)]
    reader.kept_reports = [reader_report(("n", 1, 0), start=start, at=NOW - SECOND, ended=True) for start in starts]
    (host,) = (await ask(reader))["hosts"]
    assert (host["reader_starts"], host["clean_ends"], host["state"]) == (60, 60, "stopped")
    assert [one["start"] for one in host["readers"]] == starts[:MOST_STARTS]
    assert len(host["events"]) == MOST_EVENTS


async def test_a_story_says_why_and_what_nobody_knows(reader: MemoryReader) -> None:
    reader.records = request_story("r-1")
    began, gone = NOW - 600 * SECOND, start_at(NOW - 590 * SECOND)
    reader.entries = [entry(N, 1, 10, updated_at=began), entry(N, 13, 20, started_at=began + SECOND)]
    reader.kept_reports = [
        reader_report(("n", 20, 2), at=began - 5 * SECOND),
        reader_report(at=NOW, start=gone, boot="b2"),
    ]
    async with connect(reader) as client:
        told = (await client.get("/api/v1/requests/r-1")).json()
        page = (await client.get("/requests/r-1")).text
    said = [
        f"2 records of host web-3 missing (numbers 11 to 12 of series {N}): dropped at the host: "
        "the reader's backlog was full while rsyslogd was away or busy",
        "what host web-3 wrote between 2026-11-22T14:19:55.000000Z and 2026-11-22T14:20:10.000000Z is not known: "
        "its reader ended without a word",
    ]
    assert told["incomplete"] == said
    assert (told["holes"][0]["kind"], told["complete"]) == ("dropped_by_reader", False)
    for sentence in said:
        assert sentence.replace("'", "&#39;") in page


async def test_the_page(reader: MemoryReader) -> None:
    async with connect(reader) as client:
        page = " ".join((await client.get("/ledger")).text.split())
        one = (await client.get("/ledger?host=web-3")).text
    assert '1 host is silent.</strong> web-4 since <time datetime="2026-11-22T14:23:20' in page
    assert "41 records missing.</strong> They were numbered on their host and did not arrive: 9 late, " in page
    assert "lost with rsyslogd, killed at 2026-11-22 13:30:00" in page
    assert "rsyslogd ended" in page
    assert "256.0 MiB" in page
    assert '<details open><summary>What happened on web-3 <span class="quiet">boot b1' in one


async def test_hostile_reports_are_text(reader: MemoryReader) -> None:
    evil = "<script>alert(1)</script>\x1b[2J\u202e\n{{ 7*7 }}"
    reader.kept_reports = [
        reader_report(("n", 9, 0), host=evil, boot=evil, events=[event(KILL, evil, evil * 100)]),
        reader_report(("n", 9, 0), boot=evil, events=[event(KILL, evil, evil)], queue_bytes="<b>", unresolved=-1),
    ]
    reader.entries = [entry(N, 1, 5, host=evil)]
    async with connect(reader) as client:
        page = (await client.get("/ledger")).text
        told = (await client.get("/api/v1/ledger")).json()
    assert "<script>alert" not in page
    assert harmless(page)
    assert all(len(one["detail"]) <= 200 for host in told["hosts"] for one in host["events"])
    web = next(host for host in told["hosts"] if host["host"] == "web-3")
    assert (web["queue_bytes"], web["unresolved"]) == (None, None)
    one = {**told, "hosts": told["hosts"][:1]}
    for shown in (told, one):
        lines = list(ledger_lines(shown, Style()))
        assert harmless("\n".join(lines))
        assert not any("\n" in line for line in lines)


async def test_the_command(
    reader: MemoryReader, server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(json.dumps(ledger_answer(await books(reader, NOW, "web-3"))))
    server.answers = [(200, told), (200, told), (200, {**told, "series": [], "hosts": []})]
    assert shipper("ledger", "--host", "web-3") == 0
    out = capsys.readouterr().out
    assert "missing 201 to 202, between 2026-11-22 14:29:54 and" in out
    assert "may still come: 2 records wait in the host's queue" in out
    assert "34 missing (2 late, 10 dropped by reader, 5 dropped by queue, 17 lost with rsyslogd); 1 host" in out
    row = next(line for line in out.splitlines() if "reporting" in line)
    assert " ".join(row.split()) == "web-3 reporting 2026-11-22 14:29:55 256.0 MiB (25.0 %) 4 3 1 1 34"
    assert "  2026-11-22 13:30:00 rsyslogd ended signal 9" in out
    assert shipper("ledger", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [*told["series"], *told["hosts"]]
    assert [line["host"] for line in lines if "state" in line] == ["web-3"]
    assert shipper("ledger") == 1
    assert capsys.readouterr() == ("", "nothing in the ledger\n")


async def test_without_reports_the_command_shows_series_alone() -> None:
    reader = MemoryReader(record(1, series="an"))
    reader.entries = [entry("an", 1, 3), entry("an", 5, 6)]
    lines = list(ledger_lines(await ask(reader), Style()))
    assert lines == [
        "HOST   SERIES  LAST  SETTLED  DUPLICATES  MISSING",
        "web-3  an         6        5           0        1",
        "  missing 4, between 2026-11-22 13:30:00 and 2026-11-22 13:30:00: unexplained: the host sends no reports",
        "5 settled, 0 dead letters, 0 duplicates, 1 missing (1 unexplained); 1 host",
    ]
