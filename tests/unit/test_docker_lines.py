"""What Docker's syslog driver sends becomes lines again: pieces are joined, and nothing grows without a limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.generate import docker
from shipper.host.docker_lines import PIECE, TAG, DockerLine, DockerLines
from shipper.host.origins import UNKNOWN, Origin

FIRST, SECOND = "a1" * 32, "b2" * 32


def known(container: str) -> Origin:
    return Origin(b',"container":"%s","task":"task-of-%s"' % (container.encode(), container[:2].encode()), True, False)


def gone(container: str) -> Origin:
    return Origin(b',"container":"%s"' % container.encode(), True, False)


def datagram(message: bytes, *, container: str = FIRST, pri: int = 30, task: bytes = b"-") -> bytes:
    tag = container.encode() + b"/" + task
    return b"<%d>1 2026-11-23T03:39:42.141052Z web-3 %s 21112 %s - %s\n" % (pri, tag, tag, message)


def messages(lines: list[DockerLine]) -> list[bytes]:
    return [line.message for line in lines]


def test_a_line_says_its_container_and_stream() -> None:
    lines = DockerLines(known)
    (out,) = lines.feed(datagram(b"  hello - world "), 0)
    assert out == DockerLine(known(FIRST), 30, "stdout", b"  hello - world ", truncated=False)
    (err,) = lines.feed(datagram(b"oh\0\xff", pri=27, container=SECOND), 0)
    assert err == DockerLine(known(SECOND), 27, "stderr", b"oh\0\xff", truncated=False)


@pytest.mark.parametrize(
    ("task", "members"),
    [
        (b"shop_api.7f4f3c9e", b',"task":"shop_api.7f4f3c9e"'),
        (b'a "b" ]', b',"task":"a \\"b\\" ]"'),
        (b"a 12 b - c", b',"task":"a 12 b - c"'),
        (b"-", b""),
        (b"x\ny", b""),
        (b"\xff\x1b", b""),
        (b"z" * 256, b""),
    ],
)
def test_the_tag_says_the_task_of_a_container_that_is_gone(task: bytes, members: bytes) -> None:
    (line,) = DockerLines(gone).feed(datagram(b"hello", task=task), 0)
    assert (line.stream, line.message) == ("stdout", b"hello")
    assert line.origin.json == gone(FIRST).json + members
    (line,) = DockerLines(known).feed(datagram(b"hello", task=task), 0)
    assert line.origin == known(FIRST)
    (line,) = DockerLines(lambda container: UNKNOWN).feed(datagram(b"hello", task=b"t1"), 0)
    assert line.origin.json == gone(FIRST).json + b',"task":"t1"'


@pytest.mark.parametrize(
    "data",
    [
        b"<30>Nov 23 03:39:42 dockerd[21112]: hello",
        b"<30>1 2026-11-23T03:39:42Z web-3 api 21112 api - hello",
        b"<30>1 2026-11-23T03:39:42Z web-3 %s/- 21112 %s/- - hello" % (FIRST.encode(), SECOND.encode()),
        b"<29>1 2026-11-23T03:39:42Z web-3 %s/- 21112 %s/- - hello" % (FIRST.encode(), FIRST.encode()),
        b"hello",
        b"",
    ],
)
def test_what_is_no_line_of_a_container_is_given_as_it_came(data: bytes) -> None:
    (line,) = DockerLines(known).feed(data, 0)
    assert line.stream == ""
    assert data.endswith(line.message)
    assert (line.origin.json, line.origin.known) == (b"", True)


def test_a_long_line_is_one_line_again() -> None:
    lines = DockerLines(known)
    whole = bytes(range(65, 90)) * 1601
    pieces = [whole[start : start + PIECE] for start in range(0, len(whole), PIECE)]
    given = [messages(lines.feed(datagram(piece), 0)) for piece in pieces]
    assert given == [[], [], [whole]]
    assert lines.joined == 2
    assert lines.due(10) == []


def test_pieces_of_two_containers_and_two_streams_are_not_mixed() -> None:
    lines = DockerLines(known)
    sources = [(FIRST, 30), (SECOND, 30), (FIRST, 27), (SECOND, 27)]
    for number, (container, pri) in enumerate(sources):
        assert lines.feed(datagram(b"%d" % number * PIECE, container=container, pri=pri), 0) == []
    for number, (container, pri) in enumerate(sources):
        (line,) = lines.feed(datagram(b"end %d" % number, container=container, pri=pri), 0)
        assert line.message == b"%d" % number * PIECE + b"end %d" % number
        assert (line.origin, line.pri) == (known(container), pri)


def test_a_line_of_a_piece_exactly_waits_half_a_second() -> None:
    lines = DockerLines(known)
    assert lines.feed(datagram(b"a" * PIECE), 7.0) == []
    assert lines.due(7.49) == []
    assert messages(lines.due(7.5)) == [b"a" * PIECE]
    assert messages(lines.feed(datagram(b"next"), 7.6)) == [b"next"]


def test_each_piece_starts_the_wait_again() -> None:
    lines = DockerLines(known)
    lines.feed(datagram(b"a" * PIECE), 0.0)
    lines.feed(datagram(b"b" * PIECE, container=SECOND), 0.3)
    lines.feed(datagram(b"a" * PIECE), 0.4)
    assert messages(lines.due(0.8)) == [b"b" * PIECE]
    assert messages(lines.due(0.9)) == [b"a" * PIECE * 2]


def test_a_line_above_the_limit_is_given_cut_at_once_and_its_rest_is_counted() -> None:
    lines = DockerLines(known, limit=PIECE + 100)
    assert lines.feed(datagram(b"a" * PIECE), 0) == []
    (line,) = lines.feed(datagram(b"b" * PIECE), 0)
    assert (line.message, line.truncated) == (b"a" * PIECE + b"b" * 100, True)
    assert lines.feed(datagram(b"c" * PIECE), 0) == []
    assert lines.feed(datagram(b"d" * 10), 0) == []
    assert lines.cut_bytes == 2 * PIECE - 100 + 10
    assert messages(lines.feed(datagram(b"next"), 0)) == [b"next"]
    assert lines.due(10) == []


def test_a_line_of_the_limit_exactly_is_not_cut() -> None:
    lines = DockerLines(known, limit=PIECE + 100)
    lines.feed(datagram(b"a" * PIECE), 0)
    (line,) = lines.feed(datagram(b"b" * 100), 0)
    assert (len(line.message), line.truncated) == (PIECE + 100, False)
    assert lines.cut_bytes == 0


def test_a_line_that_is_cut_and_stops_leaves_nothing() -> None:
    lines = DockerLines(known, limit=PIECE - 1)
    (line,) = lines.feed(datagram(b"a" * PIECE), 0)
    assert (len(line.message), line.truncated) == (PIECE - 1, True)
    assert lines.due(1) == []
    assert messages(lines.feed(datagram(b"next"), 2)) == [b"next"]


def test_a_last_piece_that_goes_over_the_limit_ends_the_line() -> None:
    lines = DockerLines(known, limit=PIECE + 5)
    lines.feed(datagram(b"a" * PIECE), 0)
    (line,) = lines.feed(datagram(b"b" * 10), 0)
    assert (len(line.message), line.truncated, lines.cut_bytes) == (PIECE + 5, True, 5)
    assert messages(lines.feed(datagram(b"next"), 0)) == [b"next"]


def test_waiting_lines_have_limits_of_number_and_bytes() -> None:
    lines = DockerLines(known)
    given = 0
    for number in range(1500):
        given += len(lines.feed(datagram(b"a" * PIECE, container=f"{number:064x}"), 0))
    assert (given, lines.hurried) == (1500 - 1024, 1500 - 1024)
    assert len(lines.due(1)) == 1024

    lines = DockerLines(known, limit=10 * PIECE)
    piled = [
        line
        for _ in range(9)
        for number in range(200)
        for line in lines.feed(datagram(b"a" * PIECE, container=f"{number:064x}"), 0)
    ]
    held = sum(len(line.message) for line in lines.due(1))
    assert held <= 16 * 2**20 < 1800 * PIECE
    assert held + sum(len(line.message) for line in piled) == 1800 * PIECE
    assert lines.hurried == len(piled) > 0
    assert lines.feed(datagram(b"a" * PIECE), 2) == []
    assert lines.due(3), "nothing is held of what was given out"


SOURCE = st.tuples(st.sampled_from([FIRST, SECOND]), st.sampled_from([30, 27]))
LENGTH = st.sampled_from([0, 1, 100, PIECE - 1, PIECE, PIECE + 1])


@given(st.lists(st.tuples(SOURCE, LENGTH, st.floats(0, 0.6))), st.sampled_from([100, PIECE, 2 * PIECE, 131072]))
def test_nothing_is_lost_mixed_or_above_the_limit(sent: list[tuple[tuple[str, int], int, float]], limit: int) -> None:
    lines = DockerLines(known, limit)
    out: list[DockerLine] = []
    now = 0.0
    for (container, pri), length, wait in sent:
        now += wait
        out += lines.due(now)
        mark = container[:1].upper() if pri == 30 else container[:1]
        out += lines.feed(datagram(mark.encode() * length, container=container, pri=pri), now)
    out += lines.due(now + 1)
    assert lines.due(now + 9) == []
    assert sum(len(line.message) for line in out) + lines.cut_bytes == sum(length for _, length, _ in sent)
    for line in out:
        container = FIRST if line.origin == known(FIRST) else SECOND
        mark = container[:1].upper() if line.stream == "stdout" else container[:1]
        assert set(line.message) <= set(mark.encode())
        # A last piece may be longer than any the driver sends; it is given as it came when nothing waits for it.
        assert len(line.message) <= max(limit, PIECE + 1)


def test_the_generated_option_is_the_tag_that_is_read() -> None:
    assert docker.TAG == TAG
