"""Syslog: which year and zone a stamp means; which word is the host and which the tag."""

from typing import Any

import pytest

from shipper.record import Record, times
from tests.contract.parsing import fields_of, read, stamped


def _timestamp(stamp: str, host_time: str) -> str:
    return str(fields_of(stamped(f"{stamp} shop[7]: hello", host_time=host_time))["@timestamp"])


@pytest.mark.parametrize(
    ("stamp", "host_time", "timestamp"),
    [
        # The turn of the year, from both sides, in zones in which UTC is still in the other year.
        ("Dec 31 23:59:30", "2027-01-01T00:00:10.000000+11:00", "2026-12-31T12:59:30Z"),
        ("Jan  1 00:00:05", "2026-12-31T23:59:50.000000+11:00", "2026-12-31T13:00:05Z"),
        ("Dec 31 23:59:30", "2027-01-01T00:00:10.000000-08:00", "2027-01-01T07:59:30Z"),
        ("Jan  1 00:00:05", "2027-01-01T10:00:10.000000Z", "2027-01-01T00:00:05Z"),
        # Half a year: the nearest.
        ("May 26 12:00:00", "2026-11-22T12:00:00.000000Z", "2026-05-26T12:00:00Z"),
        ("May 20 12:00:00", "2026-11-22T12:00:00.000000Z", "2027-05-20T12:00:00Z"),
        # A leap day.
        ("Feb 29 12:00:00", "2028-02-29T12:00:30.000000Z", "2028-02-29T12:00:00Z"),
        ("Feb 29 12:00:00", "2026-11-22T12:00:00.000000Z", "2028-02-29T12:00:00Z"),
        ("Feb 29 23:30:00", "2028-03-01T00:10:00.000000+11:00", "2028-02-29T12:30:00Z"),
        # The year is said.
        ("Nov 22 2019 12:00:00", "2026-11-22T12:00:00.000000+05:45", "2019-11-22T06:15:00Z"),
        # Sydney: 02:30 does not exist on 2026-10-04 and exists twice on 2026-04-05: the host's offset decides.
        ("Oct  4 02:30:00", "2026-10-04T03:30:30.000000+11:00", "2026-10-03T15:30:00Z"),
        ("Apr  5 02:30:00", "2026-04-05T02:30:30.000000+11:00", "2026-04-04T15:30:00Z"),
        ("Apr  5 02:30:00", "2026-04-05T02:30:30.000000+10:00", "2026-04-04T16:30:00Z"),
        # Lord Howe Island, Nepal.
        ("Oct  4 02:45:00", "2026-10-04T02:45:30.000000+11:00", "2026-10-03T15:45:00Z"),
        ("Nov 22 12:00:00", "2026-11-22T12:00:30.000000+05:45", "2026-11-22T06:15:00Z"),
        # The host's finer time, when it is at most two seconds later and never when it is earlier.
        ("Nov 22 12:00:00", "2026-11-22T12:00:00.000000Z", "2026-11-22T12:00:00.000000Z"),
        ("Nov 22 12:00:00", "2026-11-22T12:00:01.999999Z", "2026-11-22T12:00:01.999999Z"),
        ("Nov 22 12:00:00", "2026-11-22T12:00:02.000000Z", "2026-11-22T12:00:00Z"),
        ("Nov 22 12:00:01", "2026-11-22T12:00:00.999999Z", "2026-11-22T12:00:01Z"),
        ("Nov 22 12:00:00.250", "2026-11-22T12:00:00.999999Z", "2026-11-22T12:00:00.250Z"),
        ("Dec 31 23:59:60", "2027-01-01T00:00:30.000000Z", "2026-12-31T23:59:59Z"),
    ],
)
def test_time_of_a_stamp(stamp: str, host_time: str, timestamp: str) -> None:
    assert _timestamp(stamp, host_time) == timestamp


IMPOSSIBLE = [
    *("Feb 30 12:00:00", "Apr 31 12:00:00", "Nov  0 12:00:00", "Foo 22 12:00:00"),
    *("Nov 22 24:00:00", "Nov 22 12:60:00", "Nov 22 12:00:61"),
]


@pytest.mark.parametrize("stamp", IMPOSSIBLE)
def test_no_such_time_is_text(stamp: str) -> None:
    fields = fields_of(stamped(f"{stamp} shop[7]: hello"))
    assert fields["message"] == f"{stamp} shop[7]: hello"
    assert fields["@timestamp"] == fields["event.created"]


def test_a_record_that_no_host_stamped_is_read_in_utc_near_the_time_of_its_reading() -> None:
    record = Record(b"<13>Dec 31 23:59:30 web-3 shop: hello", times.to_ns("2027-01-01T00:10:00Z"))
    read(record)
    assert record.fields["@timestamp"] == "2026-12-31T23:59:30Z"
    assert record.fields["shipper.assumed"] == ("year", "zone")
    assert (record.series, record.host_time, record.day) == ("", "", "")


@pytest.mark.parametrize(
    ("text", "hostname", "appname", "message"),
    [
        ("shop: hello", None, "shop", "hello"),
        ("shop[7]: hello", None, "shop", "hello"),
        ("web-3 shop: hello", "web-3", "shop", "hello"),
        ("web-3.example.com shop[7]: hello", "web-3.example.com", "shop", "hello"),
        ("2001:db8::1 shop[7]: hello", "2001:db8::1", "shop", "hello"),
        ("10.0.0.1 %ASA-6-302013: Built", "10.0.0.1", "%ASA-6-302013", "Built"),
        ("shop[7] hello", None, "shop", "hello"),
        ("kernel: [   12.5] usb 1-1: new", None, "kernel", "[   12.5] usb 1-1: new"),
        ("just a message", None, None, "just a message"),
        ("a message with: a colon", None, None, "a message with: a colon"),
        ('{"a": 1}', None, None, '{"a": 1}'),
        ("http://x.example/ called", None, None, "http://x.example/ called"),
        ("INFO cart: updated", None, None, "INFO cart: updated"),
        ("", None, None, ""),
    ],
)
def test_host_or_tag(text: str, hostname: str | None, appname: str | None, message: str) -> None:
    fields: dict[str, Any] = fields_of(stamped(f"Nov 22 23:48:34 {text}"))
    assert fields.get("log.syslog.hostname") == hostname
    assert fields.get("log.syslog.appname") == appname
    assert fields["message"] == message
    assert fields["host.name"] == "web-3"


def test_pri_zero_and_the_last_one() -> None:
    first, last, beyond = (fields_of(f"<{pri}>1 - - - - - - x".encode()) for pri in (0, 191, 192))
    assert (first["log.syslog.facility.code"], first["log.syslog.severity.code"]) == (0, 0)
    assert (last["log.syslog.facility.code"], last["log.syslog.severity.code"]) == (23, 7)
    assert "log.syslog.severity.code" not in beyond


def test_service_name_is_the_appname_when_nothing_else_says_it() -> None:
    assert fields_of(stamped("Nov 22 23:48:34 shop[7]: hello"))["service.name"] == "shop"
    assert fields_of(stamped('Nov 22 23:48:34 shop[7]: {"service":"cart"}'))["service.name"] == "cart"
    assert "service.name" not in fields_of(stamped("hello"))


def test_the_application_s_time_replaces_the_header_s_and_what_was_assumed_of_it() -> None:
    fields = fields_of(stamped('Nov 22 23:48:34 shop[7]: {"time":"2026-11-22T12:48:30Z","msg":"m"}'))
    assert fields["@timestamp"] == "2026-11-22T12:48:30Z"
    assert "shipper.assumed" not in fields
