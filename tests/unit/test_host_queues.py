"""A queue that sleeps on its disk is noticed from rsyslogd's figures; one that waits for the shipper is left alone."""

import json

import pytest

from shipper.host.queues import Queues


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queues(clock: Clock) -> Queues:
    return Queues(clock)


def report(queues: Queues, clock: Clock, normal: tuple[int, int], heartbeat: int = 3) -> None:
    sizes = {
        "heartbeat queue[DA]": 0, "heartbeat queue": heartbeat,
        "normal queue[DA]": normal[1], "normal queue": normal[0], "main Q": 0,
    }  # fmt: skip
    for name, size in sizes.items():
        figures = json.dumps({"name": name, "origin": "core.queue", "size": size, "enqueued": int(clock.now)})
        assert queues.hear(f"Mon Nov 23 04:46:06 2026: {figures}")
    assert queues.hear('Mon Nov 23 04:46:06 2026: {"name": "normal", "origin": "core.action", "processed": 5}')


def told(queues: Queues, clock: Clock, *reports: tuple[tuple[int, int], int]) -> str:
    """What is asleep after reports, 30 s apart."""
    for normal, heartbeat in reports:
        report(queues, clock, normal, heartbeat)
        clock.now += 30
    report(queues, clock, (0, 0))  # a report is complete when the next begins
    return queues.asleep()


ASLEEP = ((0, 6532), 3)


def test_records_on_disk_that_nobody_sends_are_told(queues: Queues, clock: Clock) -> None:
    # Some more or fewer reports may wait at the moment of a report.
    assert told(queues, clock, ASLEEP, ((0, 6532), 7), ASLEEP, ((0, 6532), 7)) == "6,532 records of the queue normal"
    queues.forget()
    assert queues.asleep() == ""


@pytest.mark.parametrize(
    "between",
    [
        ((0, 0), 3),
        ((0, 6000), 3),  # it is sending
        ((40, 6532), 3),  # it has some in its hand: the shipper does not answer
        ((0, 6532), 37),  # reports do not go out either
    ],
)
def test_all_else_is_left_alone(queues: Queues, clock: Clock, between: tuple[tuple[int, int], int]) -> None:
    assert told(queues, clock, ASLEEP, ASLEEP, between, ASLEEP) == ""


def test_a_queue_may_stand_still_for_a_moment(queues: Queues, clock: Clock) -> None:
    assert told(queues, clock, ASLEEP) == ""
    queues.forget()
    assert told(queues, clock, ASLEEP) == ""  # of another rsyslogd


def test_what_waits_is_told_but_for_reports(queues: Queues, clock: Clock) -> None:
    assert queues.waiting() is None
    report(queues, clock, (12, 3400))
    assert queues.waiting() == {"memory": 12, "disk": 3400}
    queues.forget()
    assert queues.waiting() is None


def put(queues: Queues, clock: Clock, enqueued: int, in_memory: int, on_disk: int = 0) -> float:
    """Up to when all was sent, after one more report, 10 s later."""
    clock.now += 10
    for name, size in (("normal queue[DA]", on_disk), ("normal queue", in_memory)):
        figures = json.dumps({"name": name, "origin": "core.queue", "size": size, "enqueued": enqueued})
        assert queues.hear(f"Mon Nov 23 04:46:06 2026: {figures}")
    return queues.sent_until()


def test_what_is_in_memory_only_is_not_sent(queues: Queues, clock: Clock) -> None:
    assert queues.sent_until() == 0
    assert put(queues, clock, 0, 0) == 1010
    assert put(queues, clock, 0, 0) == 1020
    assert put(queues, clock, 100, 100) == 1020  # the shipper is away, and all of them fit into memory
    assert put(queues, clock, 100, 100) == 1020
    assert put(queues, clock, 3000, 150, 2850) == 1040  # the rest is on disk; of that the last 500 may be lost
    assert put(queues, clock, 3000, 150, 2850) == 1040
    assert put(queues, clock, 5000, 40) == 1060
    assert put(queues, clock, 5000, 0) == 1080
    queues.forget()
    assert queues.sent_until() == 0


def test_a_long_wait_is_remembered_with_bounds(queues: Queues, clock: Clock) -> None:
    assert put(queues, clock, 0, 0) == 1010
    for number in range(1, 3000):
        assert put(queues, clock, number, number) == 1010
    assert put(queues, clock, 3000, 0) == clock.now


@pytest.mark.parametrize(
    "line",
    [
        "omrelp: could not connect", "x: {", 'x: {"origin":', 'x: {"origin": "core.queue"}',
        'x: {"origin": 1, "name": []}x', 'x: {"name": "q", "origin": "core.queue", "size": "many"}',
        'x: {"name": "q", "origin": "core.queue", "size": []}',
    ],
)  # fmt: skip
def test_what_is_no_figure_is_a_line_like_any_other(queues: Queues, line: str) -> None:
    assert not queues.hear(line)
    assert queues.asleep() == ""
