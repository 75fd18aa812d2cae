"""The backlog: nobody waits, the more important is kept, and every drop is counted."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.host import relay as relays
from shipper.host import shared
from shipper.host.relay import Relay
from shipper.host.shared import Cell, Shared


@pytest.fixture
def numbers(run_dir: Path) -> Shared:
    return shared.create(run_dir / "state")


@pytest.fixture
def rsyslogd_end(run_dir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(run_dir / "relay"))
        end.setblocking(False)
        yield end


@pytest.fixture
def connected(run_dir: Path, rsyslogd_end: socket.socket) -> Iterator[socket.socket]:
    with relays.connect(str(run_dir / "relay")) as relay:
        yield relay


def read(end: socket.socket) -> list[bytes]:
    """What rsyslogd would read now."""
    found = []
    while True:
        try:
            found.append(end.recv(2**21))
        except BlockingIOError:
            return found


def drain(relay: Relay, end: socket.socket) -> list[bytes]:
    """All that rsyslogd gets in the end."""
    found = read(end)
    while not relay.flush():
        found += read(end)
    return found + read(end)


def test_it_sends_at_once(connected: socket.socket, rsyslogd_end: socket.socket, numbers: Shared) -> None:
    relay = Relay(connected, 10_000, numbers)
    relay.send("n", b"<14>one")
    assert read(rsyslogd_end) == [b"<14>one"]
    assert (relay.waiting, relay.forwarded) == (0, 1)


def test_what_waits_goes_out_warnings_first(
    connected: socket.socket, rsyslogd_end: socket.socket, numbers: Shared
) -> None:
    relay = Relay(connected, 10**6, numbers)
    while not relay.waiting:
        relay.send("n", b"filling")
    relay.send("n", b"n1")
    relay.send("w", b"w1")
    relay.send("h", b"h1")
    relay.send("n", b"n2")
    relay.publish()
    assert numbers.cells[Cell.BACKLOG_RECORDS] == 5
    came = drain(relay, rsyslogd_end)
    assert [one for one in came if one != b"filling"] == [b"w1", b"h1", b"n1", b"n2"]
    assert relay.waiting_bytes == relay.waiting == 0
    assert relay.forwarded == len(came)
    assert numbers.snapshot().dropped == 0


def test_full_of_lesser_records_the_newest_of_them_make_room(
    connected: socket.socket, rsyslogd_end: socket.socket, numbers: Shared
) -> None:
    relay = Relay(connected, 3_000, numbers)
    sent = {"n": 0, "w": 0}
    for letter, count in (("n", 600), ("w", 10), ("n", 5), ("w", 600)):
        for _ in range(count):
            sent[letter] += 1
            relay.send(letter, b"%s%d" % (letter.encode(), sent[letter]))
            assert relay.waiting_bytes <= 3_000
    came = drain(relay, rsyslogd_end)
    for letter, dropped in (("n", Cell.N_DROPPED), ("w", Cell.W_DROPPED)):
        kept = [int(one[1:]) for one in came if one[:1] == letter.encode()]
        assert kept == list(range(1, len(kept) + 1)), "the oldest are kept"
        assert sent[letter] - len(kept) == numbers.cells[dropped]
        assert numbers.cells[dropped] > 0


def test_a_warning_above_the_whole_limit_is_dropped_and_counted(
    connected: socket.socket, rsyslogd_end: socket.socket, numbers: Shared
) -> None:
    relay = Relay(connected, 3_000, numbers)
    while not relay.waiting:
        relay.send("n", b"n")
    relay.send("w", b"x" * 4_000)
    assert numbers.cells[Cell.W_DROPPED] == 1
    assert read(rsyslogd_end)


def test_one_that_can_never_be_sent_does_not_stop_the_others(
    connected: socket.socket, rsyslogd_end: socket.socket, numbers: Shared
) -> None:
    relay = Relay(connected, 10**8, numbers)
    relay.send("n", b"x" * (relays.longest(connected) + 10_000))
    relay.send("n", b"after")
    assert read(rsyslogd_end) == [b"after"]
    assert numbers.cells[Cell.N_DROPPED] == 1


def test_the_longest_datagram_can_be_sent(
    connected: socket.socket, rsyslogd_end: socket.socket, numbers: Shared
) -> None:
    longest = min(relays.longest(connected), 2**21)
    relay = Relay(connected, 10**8, numbers)
    relay.send("n", b"x" * longest)
    assert relay.unread
    assert [len(one) for one in drain(relay, rsyslogd_end)] == [longest]
    assert not relay.unread


def test_giving_up_counts_all_that_waited(
    connected: socket.socket, rsyslogd_end: socket.socket, numbers: Shared
) -> None:
    relay = Relay(connected, 10**6, numbers)
    for _ in range(1000):
        relay.send("n", b"n")
    waiting = relay.waiting
    assert waiting
    relay.give_up()
    assert (relay.waiting, relay.waiting_bytes, numbers.cells[Cell.N_DROPPED]) == (0, 0, waiting)
    assert len(read(rsyslogd_end)) == 1000 - waiting


def test_writers_wait_only_for_an_rsyslogd_that_is_quick(
    connected: socket.socket, rsyslogd_end: socket.socket, numbers: Shared
) -> None:
    relay = Relay(connected, 200_000, numbers)
    while relay.waiting < 600:  # more than half of what may wait
        relay.send("n", b"<14>" + b"x" * 100)
    assert not relay.worth_waiting(10.0)  # nothing is known of it yet
    for _ in range(50):  # 550 in 50 ms
        relay.flush()
        read(rsyslogd_end)
    while relay.waiting < 600:
        relay.send("n", b"<14>" + b"x" * 100)
    assert relay.worth_waiting(10.05)
    assert relay.worth_waiting(10.06)
    assert not relay.worth_waiting(10.11)  # it has taken nothing meanwhile
    drain(relay, rsyslogd_end)
    assert not relay.worth_waiting(10.12)  # and nothing waits
