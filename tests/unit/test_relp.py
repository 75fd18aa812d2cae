"""RELP by bytes: every rule of the frame and of the session, and that chopping the stream changes nothing."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shipper import __version__
from shipper.errors import WireError
from shipper.wire.relp import SERVER_CLOSE, Command, Records, RelpServer, answers

OPEN = b"1 open 86 relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog\n"
LIMIT = 1000


def server(max_frame_bytes: int = LIMIT, in_flight: int = 100) -> RelpServer:
    return RelpServer(max_frame_bytes, in_flight)


def opened(max_frame_bytes: int = LIMIT, in_flight: int = 100) -> RelpServer:
    made = server(max_frame_bytes, in_flight)
    made.receive_data(OPEN)
    made.answered(1)
    return made


def frame(txnr: int, payload: bytes, command: bytes = b"syslog") -> bytes:
    return b"%d %b %d %b\n" % (txnr, command, len(payload), payload) if payload else b"%d %b 0\n" % (txnr, command)


def flat(events: list[Records | Command]) -> list[tuple[bytes, bytes]]:
    """One (number, payload) per record and (name, answer) per command, in order."""
    found: list[tuple[bytes, bytes]] = []
    for event in events:
        if isinstance(event, Records):
            found += zip(event.txnrs, event.payloads, strict=True)
        else:
            found.append((event.name, event.answer))
    return found


def test_open_is_answered_with_offers() -> None:
    (event,) = server().receive_data(OPEN)
    assert isinstance(event, Command)
    offers = b"200 OK\nrelp_version=0\nrelp_software=shipper,%b\ncommands=syslog" % __version__.encode()
    assert event == Command(b"open", b"1 rsp %d %b\n" % (len(offers), offers))


@pytest.mark.parametrize(
    ("stream", "expected", "why"),
    [
        (b"2 syslog 3 abc\n", [(b"2", b"abc")], "plain"),
        (b"2 syslog 4 abc\n\n", [(b"2", b"abc")], "the template's own newline is taken off"),
        (b"2 syslog 5 abc\n\n\n", [(b"2", b"abc\n")], "but only one"),
        (b"2 syslog 5 a\nb\r\n\n", [(b"2", b"a\nb\r")], "line ends inside a record are its own"),
        (b"2 syslog 1 \n\n", [(b"2", b"")], "a record of a newline alone is empty"),
        (b"2 syslog 0\n", [(b"2", b"")], "no data: no space either"),
        (b"2 syslog 0 \n", [(b"2", b"")], "no data, with a space"),
        (b"2 syslog 3    \n", [(b"2", b"   ")], "spaces are data"),
        (b"2 syslog 003 abc\n", [(b"2", b"abc")], "NUMBER = 1*9DIGIT allows zeros in front"),
        (b"007 syslog 3 abc\n", [(b"007", b"abc")], "and the number is echoed as it was sent"),
        (b"999999999 syslog 1 a\n1 syslog 1 b\n", [(b"999999999", b"a"), (b"1", b"b")], "numbers wrap"),
        (b"5 syslog 1 a\n5 syslog 1 b\n3 syslog 1 c\n", [(b"5", b"a"), (b"5", b"b"), (b"3", b"c")], "reuse, back"),
        (b"2 syslog 16 3 syslog 3 abc\n\n\n", [(b"2", b"3 syslog 3 abc\n")], "a frame inside a record is its text"),
        (b"2 syslog 2 \x00\xff\n", [(b"2", b"\x00\xff")], "any octets"),
        (b"2 syslog 1 a\n3 syslog 0\n4 syslog 1 b\n", [(b"2", b"a"), (b"3", b""), (b"4", b"b")], "order kept"),
        (b"2 close 0\n", [(b"close", b"2 rsp 0\n")], "close"),
        (b"2 close 0\n3 syslog 1 a\n", [(b"close", b"2 rsp 0\n"), (b"3", b"a")], "what came after it is not lost"),
        (b"2 starttls 0\n3 syslog 1 a\n", [(b"starttls", b"2 rsp 19 500 unknown command\n"), (b"3", b"a")], "500"),
        (b"2 rsp 6 200 OK\n", [(b"rsp", b"2 rsp 19 500 unknown command\n")], "we ask nothing, so no answer fits"),
        (b"2 SYSLOG 1 a\n", [(b"SYSLOG", b"2 rsp 19 500 unknown command\n")], "commands have a case"),
        (b"2 " + b"a" * 32 + b" 0\n", [(b"a" * 32, b"2 rsp 19 500 unknown command\n")], "32 letters are allowed"),
        (b"2 syslog 1000 " + b"x" * 1000 + b"\n", [(b"2", b"x" * 1000)], "as long as the limit"),
    ],
)  # fmt: skip
def test_frames(stream: bytes, expected: list[tuple[bytes, bytes]], why: str) -> None:
    relp = opened()
    assert flat(relp.receive_data(stream)) == expected, why
    assert relp.error is None
    assert relp.partial == 0
    slow = opened()
    one_by_one = [event for i in range(len(stream)) for event in slow.receive_data(stream[i : i + 1])]
    assert flat(one_by_one) == expected, f"{why}, one byte per packet"


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"x", "transaction number must be 1 to 9 digits"),
        (b"GET / HTTP/1.1\r\n", "transaction number must be 1 to 9 digits"),
        (b"\x16\x03\x01", "transaction number must be 1 to 9 digits"),
        (b" 2 syslog 1 a\n", "transaction number must be 1 to 9 digits"),
        (b"\n", "transaction number must be 1 to 9 digits"),
        (b"-2 syslog 1 a\n", "transaction number must be 1 to 9 digits"),
        (b"+2 syslog 1 a\n", "transaction number must be 1 to 9 digits"),
        (b"1_0 syslog 1 a\n", "transaction number must be 1 to 9 digits"),
        ("٢ syslog 1 a\n".encode(), "transaction number must be 1 to 9 digits"),
        (b"1234567890 syslog 1 a\n", "transaction number must be 1 to 9 digits"),
        (b"1234567890", "transaction number must be 1 to 9 digits"),
        (b"0 syslog 1 a\n", "transaction number 0 is the server's"),
        (b"000 close 0\n", "transaction number 0 is the server's"),
        (b"2  1 a\n", "command must be 1 to 32 letters"),
        (b"2 sys-log 1 a\n", "command must be 1 to 32 letters"),
        (b"2 syslog\n", "command must be 1 to 32 letters"),
        (b"2 " + b"a" * 33, "command must be 1 to 32 letters"),
        (b"2 syslog -1 a\n", "length must be 1 to 9 digits"),
        (b"2 syslog +1 a\n", "length must be 1 to 9 digits"),
        (b"2 syslog 1_0 aaaaaaaaaa\n", "length must be 1 to 9 digits"),
        (b"2 syslog  1 a\n", "length must be 1 to 9 digits"),
        (b"2 syslog \n", "length must be 1 to 9 digits"),
        (b"2 syslog 1a\n", "length must be 1 to 9 digits"),
        (b"2 syslog 3\r\nabc", "length must be 1 to 9 digits"),
        (b"2 syslog 1000000000 ", "length must be 1 to 9 digits"),
        (b"2 syslog 3\nabc\n", "frame of 3 bytes ends before its data"),
        (b"2 syslog 1001 ", "frame of 1001 bytes is over the limit of 1000"),
        (b"2 syslog 999999999 a", "frame of 999999999 bytes is over the limit of 1000"),
        (b"2 nonsense 1001 ", "frame of 1001 bytes is over the limit of 1000"),
        (b"2 syslog 3 abcd\n", "byte 0x64 where a frame of 3 bytes should end with LF"),
        (b"2 syslog 3 ab\n3 syslog", "byte 0x33 where a frame of 3 bytes should end with LF"),
        (b"2 close 0 x", "byte 0x78 where a frame of 0 bytes should end with LF"),
    ],
)
@pytest.mark.parametrize("packet", [10_000, 1])
def test_broken_frames(stream: bytes, error: str, packet: int) -> None:
    """All records before the broken frame are handed out, none after it."""
    relp = opened()
    stream = b"7 syslog 4 good\n" + stream + b" 9 syslog 3 bad\n"
    events = [event for i in range(0, len(stream), packet) for event in relp.receive_data(stream[i : i + packet])]
    assert flat(events) == [(b"7", b"good")]
    assert isinstance(relp.error, WireError)
    assert str(relp.error) == error
    assert relp.partial == 0
    assert relp.receive_data(b"9 syslog 3 bad\n") == []


def test_syslog_before_open() -> None:
    relp = server()
    assert relp.receive_data(b"1 syslog 1 a\n") == []
    assert str(relp.error) == "syslog before open"


def test_open_repeated_and_used_at_once() -> None:
    """Behind a proxy without a backend librelp sends several; and a peer may not wait for the answer."""
    relp = server()
    events = relp.receive_data(OPEN + OPEN + b"2 syslog 1 a\n" + OPEN + b"3 syslog 1 b\n")
    assert [name for name, _ in flat(events)] == [b"open", b"open", b"2", b"open", b"3"]
    assert relp.error is None


@pytest.mark.parametrize("packet", [10_000, 7])
def test_frames_in_flight(packet: int) -> None:
    relp = opened(in_flight=3)
    stream = b"".join(frame(number, b"abc") for number in range(2, 6))
    events = [event for i in range(0, len(stream), packet) for event in relp.receive_data(stream[i : i + packet])]
    assert [number for number, _ in flat(events)] == [b"2", b"3", b"4"]
    assert str(relp.error) == "more than 3 frames in flight"


def test_answers_make_room() -> None:
    relp = opened(in_flight=3)
    for number in range(2, 50):
        assert flat(relp.receive_data(frame(number, b"abc"))) == [(b"%d" % number, b"abc")]
        relp.answered(1)
    assert relp.error is None


def test_commands_count_as_in_flight() -> None:
    relp = opened(in_flight=3)
    assert len(relp.receive_data(b"2 nonsense 0\n" * 4)) == 3
    assert str(relp.error) == "more than 3 frames in flight"


def test_goodbye_with_a_full_window() -> None:
    relp = opened(in_flight=3)
    events = relp.receive_data(frame(2, b"a") + frame(3, b"b") + frame(4, b"c") + b"5 close 0\n")
    assert flat(events)[-1] == (b"close", b"5 rsp 0\n")
    assert relp.error is None


def test_answers() -> None:
    assert answers([]) == b""
    assert answers([b"2"]) == b"2 rsp 6 200 OK\n"
    assert answers([b"2", b"3", b"999999999"]) == b"2 rsp 6 200 OK\n3 rsp 6 200 OK\n999999999 rsp 6 200 OK\n"
    assert SERVER_CLOSE == b"0 serverclose 0\n"


def test_eof_drops_what_is_unfinished() -> None:
    relp = opened()
    assert relp.receive_data(b"2 syslog 100 abc") == []
    assert relp.partial == 16
    relp.receive_eof()
    assert relp.partial == 0


def test_large_frame_in_small_pieces_is_not_looked_at_again_and_again() -> None:
    """Held as it came: looking at each piece would copy 1 MiB 10 000 times."""
    relp = opened(max_frame_bytes=2**20)
    stream = frame(2, b"x" * 2**20)
    pieces = [stream[i : i + 100] for i in range(0, len(stream), 100)]
    looks = 0

    for piece in pieces[:-1]:
        before = relp._unfinished
        assert relp.receive_data(piece) == []
        looks += relp._unfinished is not before
    assert looks <= 2
    assert flat(relp.receive_data(pieces[-1])) == [(b"2", b"x" * 2**20)]


payloads = st.lists(st.binary(max_size=60) | st.sampled_from([b"x" * 999, b"\n", b"2 syslog 1 a\n"]), max_size=12)


@given(payloads, st.data())
def test_any_chopping_gives_the_same(texts: list[bytes], data: st.DataObject) -> None:
    stream = OPEN + b"".join(frame(number, text) for number, text in enumerate(texts, 2)) + b"99 close 0\n"
    whole = flat(server().receive_data(stream))
    assert [text for _, text in whole[1:-1]] == [text.removesuffix(b"\n") for text in texts]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    relp, chopped = server(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        chopped += relp.receive_data(stream[start:end])
    assert flat(chopped) == whole
    assert relp.partial == 0


words = [b"2", b" ", b"syslog", b"open", b"close", b"0", b"5", b"\n", b"abcde", b"999999999", b"-1"]
pieces_of_frames = st.sampled_from([*words, OPEN, b"2 syslog 5 abcde\n"])


@given(st.lists(st.lists(pieces_of_frames | st.binary(max_size=8), max_size=10).map(b"".join), max_size=20))
@example([OPEN, b"2 syslog 1000 ", b"x" * 2000])
def test_whatever_comes_only_a_wire_error(reads: list[bytes]) -> None:
    relp = server()
    for data in reads:
        for event in relp.receive_data(data):
            assert isinstance(event, Command | Records)
        assert relp.partial <= LIMIT + 54 + len(data)
    assert relp.error is None or isinstance(relp.error, WireError)
