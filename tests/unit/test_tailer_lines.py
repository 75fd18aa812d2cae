"""Lines of a file: where they end, what is cut, and that how a file is read in pieces changes nothing."""

import base64
import random
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.host import lines
from shipper.host.lines import LARGEST_DATAGRAM, LONGEST_LINE, Encoder, Origin
from tests.unit.tailer_world import World, sandbox


def encoded(data: bytes) -> list[dict[str, str]]:
    encoder = Encoder("0123456789abcdeff", "web-3", Origin(b"/logs/a"))
    datagrams = list(encoder.datagrams(data, 0, 0, "2026-11-23T10:00:00.000000+11:00"))
    assert max(map(len, datagrams), default=0) <= LARGEST_DATAGRAM
    return [orjson.loads(datagram[4:]) for datagram in datagrams]


def test_series_differ_by_all_that_makes_a_generation() -> None:
    same = ("web-3", b"/logs/a", 1, 2, 3)
    assert lines.series(*same) == lines.series(*same)
    others = [("web-4", *same[1:]), (same[0], b"/logs/b", *same[2:]), (*same[:2], 12, 2, 3), (*same[:3], 3, 3),
              (*same[:4], 4)]  # fmt: skip
    assert len({lines.series(*other) for other in [same, *others]}) == 6


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", 0),
        (b"unfinished", 0),
        (b"one\ntwo", 4),
        (b"one\ntwo\n", 8),
        (b"x" * LONGEST_LINE, 0),
        (b"x" * (LONGEST_LINE + 1), LONGEST_LINE + 1),
        (b"x" * (LONGEST_LINE + 9), LONGEST_LINE + 1),
    ],
)
def test_what_is_complete(data: bytes, size: int) -> None:
    assert lines.complete(data) == size


def test_empty_lines_are_not_numbered() -> None:
    found = encoded(b"\none\n\n\ntwo\n\n")
    assert [(record["sequence"], record["offset"], record["message"]) for record in found] == [
        ("1", "1", "one"),
        ("2", "7", "two"),
    ]


@pytest.mark.parametrize("text", ["carriage return\r", "NUL \0 kept", 'q"\\\t\x1b', "é \u2028 \U0001f600", " \t "])
def test_texts_are_exact(text: str) -> None:
    assert [record["message"] for record in encoded(text.encode() + b"\n")] == [text]


def test_bytes_that_are_no_text_come_exactly_beside_what_can_be_shown() -> None:
    (record,) = encoded(b"caf\xe9 \xff\n")
    assert record["message"] == "caf\ufffd \ufffd"
    assert base64.b64decode(record["message_base64"]) == b"caf\xe9 \xff"
    assert list(record)[-3:] == ["offset", "message_base64", "message"]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"x" * LONGEST_LINE, None),
        (b"x" * (LONGEST_LINE + 1), LONGEST_LINE),
        (b"x" + "é".encode() * (LONGEST_LINE // 2), LONGEST_LINE - 1),
        (b"xy" + "\U0001f600".encode() * (LONGEST_LINE // 4), LONGEST_LINE - 2),
    ],
)
def test_a_long_line_is_cut_between_characters(line: bytes, kept: int | None) -> None:
    (record,) = encoded(line + b"\n")
    assert record["message"].encode() == line[:kept]
    assert record.get("truncated") == (None if kept is None else "1")
    assert "message_base64" not in record


@pytest.mark.parametrize(
    "line",
    [b"\0" * LONGEST_LINE, b"\xff" * LONGEST_LINE, random.Random(1).randbytes(LONGEST_LINE)],
    ids=["zeros", "ones", "any"],
)
def test_what_would_be_too_large_as_json_is_cut(line: bytes) -> None:
    line = line.replace(b"\n", b" ")
    (record,) = encoded(line)
    kept = base64.b64decode(record.get("message_base64", "")) or record["message"].encode()
    assert record["truncated"] == "1"
    assert line.startswith(kept)
    assert len(kept) > LARGEST_DATAGRAM // 8


def test_a_halved_record_is_still_one() -> None:
    encoder = Encoder("0123456789abcdeff", "web-3", Origin(b"/logs/a"))
    (datagram,) = encoder.datagrams(b"\xff" * 100, 0, 0, "now")
    record = orjson.loads(lines.halve(datagram)[4:])
    assert (record["message"], record["truncated"], record["sequence"]) == ("\ufffd" * 50, "1", "1")


#: Chosen by number, as they are too long to be shown.
_SPECIAL = [b"\n", b"\n\n", b"x" * 70_000, b"y" * (LONGEST_LINE + 5), b"\xc3\xa9\n", b"z" * LONGEST_LINE + b"\n"]
_PIECES = st.lists(st.one_of(st.binary(max_size=20), st.integers(0, len(_SPECIAL) - 1)), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=_PIECES, kills=st.sets(st.integers(0, 11), max_size=4), waits=st.sets(st.integers(0, 11), max_size=3))
def test_any_growth_and_any_kill_give_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes | int], kills: set[int], waits: set[int]
) -> None:
    """As one file read at once, except that an unfinished line that has stood for 5 s ends there."""
    world = World(tmp_path_factory.mktemp("world"))
    log = sandbox(world.root) / "stdout"
    written = [_SPECIAL[piece] if isinstance(piece, int) else piece for piece in pieces]
    expected = _write_and_read(world, log, written, kills, waits)
    world.stored()
    found = list({int(record["sequence"]): record for record in world.records}.values())
    assert len(found) == len(expected)
    for record, line in zip(found, expected, strict=True):
        exact = base64.b64decode(record.get("message_base64", "")) or record["message"].encode()
        if "truncated" in record:
            assert line.startswith(exact)
            assert len(exact) > LARGEST_DATAGRAM // 8
        else:
            assert exact == line


def _write_and_read(world: World, log: Path, pieces: list[bytes], kills: set[int], waits: set[int]) -> list[bytes]:
    """Do it, and return the lines that ought to come."""
    expected: list[bytes] = []
    rest, skipping = b"", False
    for number, piece in enumerate(pieces):
        with log.open("ab") as file:
            file.write(piece)
        *whole, rest = (rest + piece).split(b"\n")
        if whole and skipping:
            whole, skipping = whole[1:], False
        expected += [line[:LONGEST_LINE] for line in whole if line]
        if len(rest) > LONGEST_LINE and not skipping:
            expected.append(rest[:LONGEST_LINE])
            skipping = True
        if number in waits:
            world.seconds(6)
            if rest and not skipping:
                expected.append(rest)
            rest = b""
        world.seconds(0.5)
        if number in kills:
            world.start()
    world.seconds(7)
    return expected + ([rest] if rest and not skipping else [])
