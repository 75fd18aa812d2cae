"""Why numbers are missing: a table of cases, and the sums against hosts whose true losses are known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.record.ids import new_start
from shipper.search.holes import Hole, Kind, presence, tally
from shipper.search.ledger import Report, merge
from shipper.search.reasons import MOST_AT_RISK, Explained, explain
from shipper.search.reports import MOST_EVENTS, HostReports, hosts_of, last_numbers, queue_of, started_at
from tests.unit.ledger_world import HOUR, NOW, READER, SECOND, event, queue_report, reader_report, start_at

N = READER + "n"
W = READER + "w"
KILL = NOW - HOUR
LATE, BY_READER, BY_QUEUE, LOST, TAIL, DISK, UNEXPLAINED = (
    Kind.LATE, Kind.READER, Kind.QUEUE, Kind.RSYSLOGD, Kind.TAIL, Kind.DISK, Kind.UNEXPLAINED,
)  # fmt: skip


def hole(first: int, last: int, *, since: int | None = KILL, until: int = KILL + SECOND, series: str = N) -> Hole:
    return Hole("web-3", series, first, last, since, until)


def tail(first: int, last: int, *, since: int | None = KILL) -> Hole:
    return Hole("web-3", N, first, last, since, NOW - 5 * SECOND, open=True)


def explained(holes: list[Hole], *reports: Report, now: int = NOW) -> Explained:
    host = hosts_of(reports).get("web-3")
    return explain(holes, host, presence(host, None, now))


def counts(found: Explained) -> dict[Kind, int]:
    return {kind: count for kind, count in tally(found.holes).items() if count}


def killed(detail: str = "signal 9", at: int = KILL) -> list[dict[str, Any]]:
    return [event(at, "rsyslogd ended", detail), event(at + SECOND, "rsyslogd started")]


CASES: dict[str, tuple[list[Hole], list[Report], dict[Kind, int]]] = {
    "no reports, old": ([hole(5, 9)], [], {UNEXPLAINED: 5}),
    "no reports, young": ([hole(5, 9, until=NOW - 599 * SECOND)], [], {LATE: 5}),
    "reports, old, no reason": ([hole(5, 9)], [reader_report(("n", 20, 0))], {UNEXPLAINED: 5}),
    "reports, in flight": ([hole(5, 9, until=NOW - 119 * SECOND)], [reader_report(("n", 20, 0))], {LATE: 5}),
    "reports, too old for that": ([hole(5, 9, until=NOW - 121 * SECOND)], [reader_report()], {UNEXPLAINED: 5}),
    "rsyslogd's counters alone": ([hole(5, 9)], [queue_report("normal queue", full=3)], {BY_QUEUE: 3, UNEXPLAINED: 2}),
    "the reader dropped": ([hole(5, 9)], [reader_report(("n", 20, 5))], {BY_READER: 5}),
    "the reader dropped more than is missing": ([hole(5, 9)], [reader_report(("n", 20, 8))], {BY_READER: 5}),
    "the reader dropped of another series": ([hole(5, 9)], [reader_report(("w", 20, 5))], {UNEXPLAINED: 5}),
    "the queue dropped": (
        [hole(5, 9)],
        [reader_report(("n", 20, 0)), queue_report("normal queue[DA]", full=3), queue_report("normal queue", near=2)],
        {BY_QUEUE: 5},
    ),
    "another queue dropped": (
        [hole(5, 9)], [reader_report(("n", 20, 0)), queue_report("warning queue", full=5)], {UNEXPLAINED: 5},
    ),
    "the queue dropped in the time of an earlier rsyslogd": (
        [hole(5, 9)],
        [reader_report(("n", 20, 0)), queue_report("normal queue", full=4, start=start_at(KILL - HOUR), at=KILL)],
        {BY_QUEUE: 4, UNEXPLAINED: 1},
    ),
    "the queue dropped long after": (
        [hole(5, 9)],
        [reader_report(("n", 20, 0)), queue_report("normal queue", full=5, start=start_at(NOW - 10 * SECOND))],
        {UNEXPLAINED: 5},
    ),
    "waiting on disk": (
        [hole(5, 9)], [reader_report(("n", 20, 0)), queue_report("normal queue[DA]", size=4)],
        {LATE: 4, UNEXPLAINED: 1},
    ),
    "what waits in memory is no old hole": (
        [hole(5, 9)], [reader_report(("n", 20, 0)), queue_report("normal queue", size=4)], {UNEXPLAINED: 5},
    ),
    "what waits in memory is the end": (
        [tail(16, 20)], [reader_report(("n", 20, 0)), queue_report("normal queue", size=5)], {LATE: 5},
    ),
    "the end of a quiet series": ([tail(16, 20)], [reader_report(("n", 20, 0))], {UNEXPLAINED: 5}),
    "the end of a busy series": ([tail(16, 20, since=NOW - SECOND)], [reader_report(("n", 20, 0))], {LATE: 5}),
    "a queue that nobody counts": ([hole(5, 9)], [reader_report(("n", 20, 0), queue_bytes=7)], {LATE: 5}),
    "counters that are old": (
        [hole(5, 9)],
        [reader_report(("n", 20, 0)), queue_report("normal queue[DA]", size=5, at=NOW - HOUR)],
        {UNEXPLAINED: 5},
    ),
    "silent since then": (
        [hole(5, 9)], [reader_report(("n", 20, 0), at=KILL - 10 * SECOND)], {LATE: 5},
    ),
    "silent much later": (
        [hole(5, 9)], [reader_report(("n", 20, 0), at=KILL + 200 * SECOND)], {UNEXPLAINED: 5},
    ),
    "rsyslogd killed": ([hole(5, 9)], [reader_report(("n", 20, 0), events=killed())], {LOST: 5}),
    "rsyslogd stopped": ([hole(5, 9)], [reader_report(events=killed("signal 15"))], {LOST: 5}),
    "rsyslogd stopped, more than two windows": (
        [hole(5, 2004)],
        [reader_report(events=killed("signal 15"))],
        {LOST: 1536, UNEXPLAINED: 464},
    ),
    "rsyslogd killed too early": (
        [hole(5, 9)], [reader_report(events=killed(at=KILL - 2 * HOUR))], {UNEXPLAINED: 5},
    ),
    "rsyslogd killed too late": (
        [hole(5, 9)], [reader_report(events=killed(at=KILL + 302 * SECOND))], {UNEXPLAINED: 5},
    ),
    "a kill cannot lose all that": (
        [hole(1, 30_000)], [reader_report(events=killed())], {LOST: MOST_AT_RISK, UNEXPLAINED: 30_000 - MOST_AT_RISK},
    ),
    "the disk is full": (
        [hole(5, 9, since=NOW - 200 * SECOND, until=NOW - 150 * SECOND), hole(15, 19, until=NOW)],
        [reader_report(at=NOW, disk_free_bytes=0)], {DISK: 5, LATE: 5},
    ),
    "the disk was full": (
        [hole(5, 9)], [reader_report(events=[event(KILL, "rsyslogd said", "No space left on device")])], {DISK: 5},
    ),
    "the reader was killed": (
        [hole(5, 9)],
        [
            reader_report(("n", 9, 0), at=KILL, ended=True, clean=False, backlog_records=3),
            reader_report(start=start_at(KILL)),
        ],
        {TAIL: 4, UNEXPLAINED: 1},
    ),
    "the host died": (
        [hole(5, 9)],
        [reader_report(("n", 9, 0), at=KILL), reader_report(start=start_at(KILL + 60 * SECOND), boot="b2")],
        {TAIL: 5},
    ),
    "a stopped host": ([hole(5, 9)], [reader_report(("n", 9, 0), at=KILL, ended=True, clean=True)], {UNEXPLAINED: 5}),
    "all at once": (
        [hole(1, 100), hole(201, 300), hole(401, 430)],
        [
            reader_report(("n", 500, 90), events=killed()), queue_report("normal queue[DA]", full=100, size=15),
        ],
        {BY_READER: 90, BY_QUEUE: 100, LATE: 15, LOST: 25},
    ),
    "a series of the shipper's own": (
        [hole(5, 9, series="abcs")], [reader_report(events=killed(), queue_bytes=9)], {UNEXPLAINED: 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_reasons(case: str) -> None:
    holes, reports, expected = CASES[case]
    found = explained(holes, *reports)
    assert counts(found) == expected
    assert [(one.first, one.last) for one in found.holes] == [(one.first, one.last) for one in holes]
    assert all(sum(one.kinds.values()) == one.missing for one in found.holes)


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ([], "unexplained: the host sends no reports"),
        ([reader_report()], "unexplained: no counter and no event of the host says why"),
        (
            [reader_report(("n", 9, 5))],
            "dropped at the host: the reader's backlog was full while rsyslogd was away or busy",
        ),
        ([reader_report(queue_bytes=1)], "may still come: the host's queue is not empty"),
        (
            [reader_report(), queue_report("normal queue[DA]", size=2000)],
            "may still come: 2,000 records wait in the host's queue",
        ),
        ([reader_report(at=KILL)], "may still come: the host has been silent for 60 min"),
        (
            [reader_report(events=killed())],
            "lost with rsyslogd, killed at 2026-11-22 13:30:00 "
            "(at risk: its queue in memory, one batch and one window)",
        ),
        (
            [reader_report(("n", 9, 2)), queue_report("normal queue", full=3)],
            "2 dropped at the host: the reader's backlog was full while rsyslogd was away or busy; "
            "3 dropped at the host: rsyslogd's queue was full",
        ),
    ],
)  # fmt: skip
def test_sentences(reports: list[Report], said: str) -> None:
    (found,) = explained([hole(5, 9)], *reports).holes
    assert found.told == f"5 records of host web-3 missing (numbers 5 to 9 of series {N}): {said}"


def test_counters_that_say_more_than_is_missing() -> None:
    found = explained([hole(5, 9)], reader_report(("n", 20, 4), ("w", 3, 2)), queue_report("normal queue", full=10))
    assert counts(found) == {BY_READER: 4, BY_QUEUE: 1}
    assert (found.reader_surplus, found.queue_surplus) == ({W: 2}, {"normal": 9})


def test_a_drop_of_the_queue_goes_to_the_largest_hole_a_drop_of_the_reader_to_where_rsyslogd_was_away() -> None:
    big, near = hole(1, 90, since=NOW - 3 * HOUR, until=NOW - 2 * HOUR), hole(101, 110)
    found = explained(
        [near, big], reader_report(("n", 200, 10), events=killed()), queue_report("normal queue", full=90)
    )
    assert [one.kind for one in found.holes] == [BY_READER, BY_QUEUE]


def host_with(*reports: Report) -> HostReports:
    return hosts_of(reports)["web-3"]


@pytest.mark.parametrize(
    ("reports", "heard", "state", "alarm"),
    [
        ([], None, "unknown", False),
        ([queue_report("normal queue")], None, "unknown", False),
        ([reader_report(at=NOW - 29 * SECOND)], None, "reporting", False),
        ([reader_report(at=NOW - 30 * SECOND)], None, "silent", False),
        ([reader_report(at=NOW - 300 * SECOND)], None, "silent", True),
        ([reader_report(at=NOW - 300 * SECOND)], NOW - 2 * SECOND, "reporting", False),  # its clock is behind
        ([reader_report(at=NOW - HOUR, ended=True)], None, "stopped", False),
    ],
)
def test_presence(reports: list[Report], heard: int | None, state: str, alarm: bool) -> None:
    found = presence(hosts_of(reports).get("web-3"), heard, NOW)
    assert (found.state, found.alarm) == (state, alarm)


def test_events_tell_ends_restarts_and_boots() -> None:
    second, third = start_at(KILL), start_at(KILL + HOUR // 2)
    host = host_with(
        reader_report(at=KILL - SECOND, ended=True, clean=False, events=[event(KILL - HOUR, "rsyslogd started")]),
        reader_report(at=KILL + 60 * SECOND, start=second, events=[event(KILL - SECOND, "reader ended", "signal 9")]),
        reader_report(start=third, boot="b2", ended=True, clean=True),
    )
    assert [(one.at, one.event, one.detail) for one in host.events] == [
        (NOW - 5 * SECOND, "reader ended", "clean"),
        (KILL + HOUR // 2, "host booted", "b2"),
        (KILL + HOUR // 2, "reader started", third),
        (KILL + 60 * SECOND, "last report", "then the host was gone"),
        (KILL, "reader started", second),
        (KILL - SECOND, "reader ended", "signal 9"),
        (KILL - HOUR, "rsyslogd started", ""),
        (NOW - 5 * HOUR, "reader started", READER),
    ]


def test_names_of_starts_have_a_time() -> None:
    assert started_at(new_start(1795405734)) == 1_795_405_734 * SECOND
    assert started_at("6b03b7a6549819c7") == 1_795_405_734 * SECOND  # of rsyslogd
    assert [started_at(name) for name in ("", "web3", "6B03b7a6549819c7", "0toxrxirbpp-")] == [None] * 4


def test_which_queue_a_series_goes_through() -> None:
    assert [queue_of(f"x{letter}") for letter in "wnfjhs"] == ["warning", "normal", "normal", "normal", "heartbeat", ""]
    assert queue_of("") == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
FIGURES = st.dictionaries(
    st.sampled_from(["series", "events", "ended", "clean", "boot", "queue_bytes", "size", "discarded.full"]), JSON
)
SERIES = st.fixed_dictionaries({"series": JSON, "last": JSON, "dropped": JSON})
EVENTS = st.fixed_dictionaries({"at": JSON | st.just("2026-11-22T14:00:00Z"), "event": JSON, "detail": JSON})


@given(FIGURES, st.lists(SERIES | JSON), st.lists(EVENTS | JSON), st.sampled_from(["reader", "normal queue", "x"]))
def test_no_report_is_too_strange(figures: dict[str, Any], series: list[Any], events: list[Any], name: str) -> None:
    strange = {**figures, "series": figures.get("series", series), "events": figures.get("events", events)}
    reports = [Report("a/b", "web-3", "\x00<b>", name, NOW, strange), reader_report()]
    host = hosts_of(reports)["web-3"]
    assert all(0 < last <= 9_999_999_999 for last in last_numbers([host]).values())
    assert all(len(one.detail) <= 200 and len(one.event) <= 200 for one in host.events)
    found = explain([hole(5, 9), tail(30, 40)], host, presence(host, None, NOW))
    assert sum(tally(found.holes).values()) == 16


def test_events_are_bounded() -> None:
    many = [event(KILL + n, "x" * 500, "y" * 500) for n in range(5000)]
    found = host_with(reader_report(events=many)).events
    assert len(found) == MOST_EVENTS
    assert found[0].at == KILL + 4999


TRUE_FATES = ("stored", BY_READER, BY_QUEUE, LOST, LATE)
RUNS = st.lists(st.tuples(st.sampled_from(TRUE_FATES), st.integers(1, 400)), min_size=1, max_size=25)


@given(RUNS, RUNS)
def test_the_sums_are_the_true_losses(normal: list[tuple[Any, int]], warning: list[tuple[Any, int]]) -> None:
    """Records by true fate: what the counters and the queue's size say of them explains all holes exactly."""
    true: dict[Any, int] = {}
    holes: list[Hole] = []
    reports: list[Report] = []
    numbered = []
    for letter, queue, runs in (("n", "normal", normal), ("w", "warning", warning)):
        lost = {fate: sum(size for one, size in runs if one == fate) for fate in TRUE_FATES}
        missing, number = [], 0
        for fate, size in runs:
            if fate != "stored":
                missing.append((number + 1, number + size))
            number += size
        holes += [hole(first, last, series=READER + letter) for first, last in merge(missing)]
        numbered.append((letter, number, lost[BY_READER]))
        reports.append(queue_report(f"{queue} queue", near=lost[BY_QUEUE] // 2))
        reports.append(queue_report(f"{queue} queue[DA]", full=lost[BY_QUEUE] - lost[BY_QUEUE] // 2, size=lost[LATE]))
        for fate in TRUE_FATES[1:]:
            true[fate] = true.get(fate, 0) + lost[fate]
    found = explained(holes, reader_report(*numbered, events=killed()), *reports)
    assert counts(found) == {kind: count for kind, count in true.items() if count}
    assert (found.reader_surplus, found.queue_surplus) == ({}, {})
    for letter, _, dropped in numbered:
        mine = [one for one in found.holes if one.series == READER + letter]
        assert tally(mine)[BY_READER] == dropped


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(-200_000, 10)), max_size=12),
    st.integers(0, 300),
    st.integers(0, 300),
    st.integers(0, 300),
    st.sampled_from([5, 100, 100_000]),
)  # fmt: skip
def test_whatever_counters_say_the_sums_agree(
    sizes: list[tuple[int, int]], dropped: int, full: int, size: int, silent: int
) -> None:
    holes, number = [], 1
    for length, age in sizes:
        at = NOW + age * SECOND
        holes.append(hole(number, number + length - 1, since=at - SECOND, until=at))
        number += length + 1
    reports = [
        reader_report(("n", number + 1000, dropped), at=NOW - silent * SECOND, events=killed()),
        queue_report("normal queue", full=full, size=size),
    ]
    found = explained(holes, *reports)
    told = tally(found.holes)
    assert sum(told.values()) == sum(one.missing for one in holes)
    assert all(count >= 0 for count in told.values())
    assert told[BY_READER] + found.reader_surplus.get(N, 0) == dropped
    assert told[BY_QUEUE] + found.queue_surplus.get("normal", 0) == full
