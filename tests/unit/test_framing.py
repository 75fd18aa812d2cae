"""Syslog over TCP by bytes: both framings, cuts at the limit, and that chopping the stream changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import WireError
from shipper.wire.framing import SyslogFraming

LIMIT = 10
LONG = b"0123456789"


def read(stream: bytes, packet: int = 10_000, limit: int = LIMIT) -> tuple[list[bytes], SyslogFraming]:
    framing = SyslogFraming(limit)
    found: list[bytes] = []
    for i in range(0, len(stream), packet):
        found += framing.receive_data(stream[i : i + packet])
    return found + framing.receive_eof(), framing


@pytest.mark.parametrize(
    ("stream", "expected", "truncated", "why"),
    [
        (b"<1>a\n<2>b\n", [b"<1>a", b"<2>b"], 0, "LF"),
        (b"<1>a\0<2>b\0", [b"<1>a", b"<2>b"], 0, "NUL"),
        (b"<1>a\r\n<2>b\r\n", [b"<1>a", b"<2>b"], 0, "CR LF"),
        (b"<1>a\n\0<2>b\n\0", [b"<1>a", b"<2>b"], 0, "LF NUL is one end"),
        (b"\n\n<1>a\n\r\n\n", [b"<1>a"], 0, "empty lines are no messages"),
        (b"<1>a\r\r\n", [b"<1>a\r"], 0, "one CR only"),
        (b"<1>a\rb\n", [b"<1>a\rb"], 0, "a CR inside is text"),
        (b"<1>a\x85\xe2\x80\xa8\x0b\x0c\n", [b"<1>a\x85\xe2\x80\xa8\x0b\x0c"], 0, "no other line ends"),
        (b"<1>a\n<2>b", [b"<1>a", b"<2>b"], 0, "the last line has no end"),
        (b"<1>a\n<2>b\r", [b"<1>a", b"<2>b"], 0, "or half of one"),
        (b"0 text\n", [b"0 text"], 0, "0 is no length"),
        (b"{}\n12\n", [b"{}", b"12"], 0, "the first byte decides, digits later are text"),
        (b"x" + LONG[1:] + b"\r\nb\n", [b"x123456789", b"b"], 0, "as long as the limit, CR LF"),
        (b"x" + LONG + b"\nb\n", [b"x012345678", b"b"], 1, "one longer"),
        (b"x" + LONG * 50 + b"\nb\n", [b"x012345678", b"b"], 1, "far longer: cut once, the rest skipped"),
        (b"x" + LONG * 50, [b"x012345678"], 1, "far longer, and no end"),
        (b"x" * 11 + b"\n" + b"y" * 12 + b"\nz\n", [b"x" * 10, b"y" * 10, b"z"], 2, "two of them"),
        (b"", [], 0, "nothing"),
        (b"4 <1>a6 <2>b\n\n", [b"<1>a", b"<2>b\n\n"], 0, "octet counting: all octets are the message's"),
        (b"1 a1 b1 c", [b"a", b"b", b"c"], 0, "one octet each"),
        (b"10 " + LONG + b"1 b", [LONG, b"b"], 0, "as long as the limit"),
        (b"11 " + LONG + b"x1 b", [LONG, b"b"], 1, "one longer"),
        (b"50 " + LONG * 5 + b"1 b", [LONG, b"b"], 1, "far longer: the rest skipped"),
        (b"50 " + LONG * 4, [LONG], 1, "far longer, and the end does not come"),
        (b"999999999 " + LONG * 4, [LONG], 1, "the longest"),
        (b"4 <1>a4 <2", [b"<1>a", b"<2"], 1, "the last one is not whole: kept as cut"),
        (b"4 <1>a4 ", [b"<1>a"], 0, "nothing of it is there"),
        (b"4 <1>a4", [b"<1>a"], 0, "not even its length"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packet", [10_000, 1, 3])
def test_messages(stream: bytes, expected: list[bytes], truncated: int, why: str, packet: int) -> None:
    found, framing = read(stream, packet)
    assert found == expected, why
    assert framing.truncated == truncated, why
    assert framing.partial == 0


@pytest.mark.parametrize(
    "garbage",
    [b"x", b"0 a", b"\n", b" 1 a", b"4_0 x", b"+4 x", b"4x", b"4\n<1>a", b"1234567890 a", b"<2>b\n", "٤ x".encode()],
)  # fmt: skip
@pytest.mark.parametrize("packet", [10_000, 1])
def test_octet_counting_gone_wrong(garbage: bytes, packet: int) -> None:
    """There is no way to find the next message, so all before it are handed out and the connection is done."""
    found, framing = read(b"4 <1>a" + garbage + b" 1 b", packet)
    assert found == [b"<1>a"]
    assert isinstance(framing.error, WireError)
    assert framing.partial == 0
    assert framing.receive_data(b"1 c") == []


@given(st.binary(max_size=120), st.data())
def test_any_chopping_gives_the_same_whatever_comes(stream: bytes, data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from([b"", b"<", b"4 <1>a"])) + stream.replace(b"x", b"\n")
    whole, reference = read(stream)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    framing, chopped = SyslogFraming(LIMIT), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        chopped += framing.receive_data(stream[start:end])
        assert framing.partial <= LIMIT + 10 + (end - start)
    chopped += framing.receive_eof()
    assert chopped == whole
    assert framing.truncated == reference.truncated
    assert (framing.error is None) == (reference.error is None)
    assert all(0 < len(message) <= LIMIT for message in whole)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=20), st.integers(1, 40))
def test_octet_counted_messages_come_as_sent(messages: list[bytes], packet: int) -> None:
    found, framing = read(b"".join(b"%d %b" % (len(message), message) for message in messages), packet)
    assert found == [message[:LIMIT] for message in messages]
    assert framing.truncated == sum(len(message) > LIMIT for message in messages)
    assert framing.error is None
