"""A datagram becomes PRI and message, and these a JSON object; nothing that a writer sends makes it another one."""

import base64
import time
from datetime import datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.host.stamp import LONGEST_MESSAGE, Clock, Stamp, cut, split

START = "0t8k2l4abcde"
NOW = 1_795_400_000_123_456_789


@pytest.mark.parametrize(
    ("data", "pri", "message"),
    [
        (b"<0>x", 0, b"x"),
        (b"<191>x\n", 191, b"x"),
        (b"<14>", 14, b""),
        (b"<14>\n\n", 14, b"\n"),
        (b"<192>x", 13, b"<192>x"),
        (b"<999>x", 13, b"<999>x"),
        (b"<abc", 13, b"<abc"),
        (b"<014>x", 13, b"<014>x"),
        (b"<>x", 13, b"<>x"),
        (b"< 1>x", 13, b"< 1>x"),
        (b"<1 4>", 13, b"<1 4>"),
        (b"14>x", 13, b"14>x"),
        (b" <14>x", 13, b" <14>x"),
        (b"\n", 13, b""),
    ],
)
def test_a_pri_is_taken_off_when_it_is_one(data: bytes, pri: int, message: bytes) -> None:
    assert split(data) == (pri, message)


@pytest.mark.parametrize("text", ["x" * 9, "ä" * 5, "€" * 4, "\N{PILE OF POO}" * 3])
def test_a_cut_never_halves_a_character(text: str) -> None:
    whole = text.encode()
    for longest in range(len(whole) + 2):
        part = cut(whole, longest)
        assert longest - 4 < len(part) <= max(longest, 0) or len(part) == len(whole)
        assert text.startswith(part.decode())


def test_a_cut_of_what_is_no_text_is_at_the_limit() -> None:
    assert cut(b"\x80" * 20, 10) == b"\x80" * 10


def test_times_have_microseconds_and_this_hosts_offset() -> None:
    spelt = Clock().spell(NOW).decode()
    found = datetime.fromisoformat(spelt)
    assert found.timestamp() == pytest.approx(NOW / 1e9, abs=1e-6)
    assert found.utcoffset() == datetime.fromtimestamp(NOW / 1e9).astimezone().utcoffset()
    assert spelt[19:26] == ".123456"
    assert spelt[-3] == ":"


@pytest.mark.parametrize("zone", ["Australia/Sydney", "America/St_Johns", "UTC"])
def test_every_offset_has_a_colon(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        spelt = Clock().spell(NOW).decode()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert datetime.fromisoformat(spelt).timestamp() == pytest.approx(NOW / 1e9, abs=1e-6)
    assert len(spelt) == len("2026-11-23T10:00:00.000000+11:00")


def test_the_object_has_its_members_in_order() -> None:
    datagram, truncated = Stamp('we"b', START).compose("w", 17, NOW, "socket", 11, b',"container":"c"', b"hello")
    assert datagram[:4] == b"<12>"
    record = orjson.loads(datagram[4:])
    assert list(record) == [
        "v", "series", "sequence", "host_time", "host", "input", "pri", "container", "message"
    ]  # fmt: skip
    assert (record["series"], record["sequence"], record["host"]) == (START + "w", "17", 'we"b')
    assert not truncated


@given(st.binary(max_size=300))
def test_any_bytes_come_back(message: bytes) -> None:
    datagram, _ = Stamp("web", START).compose("n", 1, NOW, "socket", 14, b"", message)
    record = orjson.loads(datagram.removeprefix(b"<14>"))
    exact = record.get("message_base64")
    assert message == (record["message"].encode() if exact is None else base64.b64decode(exact))
    assert record["message"] == message.decode(errors="replace")


@pytest.mark.parametrize("filling", [b"x", b"\x01", b"\xff", "ä".encode(), b'"'])
@pytest.mark.parametrize("longest", [1_000, 200_000, 1_000_000])
def test_no_datagram_is_longer_than_rsyslogd_takes(filling: bytes, longest: int) -> None:
    message = filling * (300_000 // len(filling))
    datagram, truncated = Stamp("web", START, longest).compose("h", 1, NOW, "socket", 14, b"", message)
    assert longest // 4 < len(datagram) <= longest or len(datagram) <= LONGEST_MESSAGE * 7
    assert len(datagram) <= longest
    assert truncated
    record = orjson.loads(datagram.removeprefix(b"<190>"))
    assert record["truncated"] == "1"
    assert len(record["message"].encode()) > longest // 10
