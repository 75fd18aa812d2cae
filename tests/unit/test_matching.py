"""The filter of the live tail: what it finds in records that are not as they mostly are, and how little it costs.

That it means the same as the stores is tested in tests/contract/test_queries.py.
"""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.record.times import to_ns
from shipper.search.expression import Between, Equals, Expression, Like, Present, Words
from shipper.search.kql import parse
from shipper.search.matching import matcher
from tests import naive
from tests.unit.api_world import record, shop

NOW = to_ns("2026-11-22T14:30:00Z")
STATUS = "http.response.status_code"


def found(text: str, **fields: Any) -> bool:
    return matcher(parse(text, NOW))(record(1, **fields))


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("timed", {"message": "timed out"}, True),
        ("time", {"message": "timed out"}, False),
        ("TIMED", {"message": "Timed out"}, True),
        ('"out timed"', {"message": "timed out"}, False),
        ('"timed out"', {"message": ["x timed", "out", "timed out"]}, True),
        ('"timed out"', {"message": ["x timed", "out"]}, False),
        ("17", {"message": 17}, True),
        ("timed", {"message": None}, False),
        ("\u03c3\u03b1\u03c3", {"message": "\u03a3\u0391\u03a3"}, True),
        ("istanbul", {"message": "İSTANBUL"}, True),
        ("r-1", {"message": "x", "http__request__id": "r-1"}, True),
        ("r-1", {"message": "x", "trace__id": "r-1"}, True),
        ("message:r-1", {"message": "x", "trace__id": "r-1"}, False),
        ("tim*", {"message": "it timed"}, True),
        ("tim*", {"message": "untimed"}, False),
        ("host:web-3", {}, True),
        ("host:web-3", {"host__name": ["web-1", "web-3"]}, True),
        ("host:17", {"host__name": 17}, True),
        ("host:true", {"host__name": True}, True),
        (f"host:{'a' * 1024}", {"host__name": "a" * 1024}, True),
        (f"host:{'a' * 1025}", {"host__name": "a" * 1025}, False),
        (f"host:{'😀' * 512}", {"host__name": "😀" * 512}, True),
        (f"host:{'😀' * 513}", {"host__name": "😀" * 513}, False),
        ("host:*", {"host__name": "a" * 1025}, False),
        ("host:a*", {"host__name": "a" * 1025}, False),
        ("host:*", {"host__name": None}, False),
        ("host:*", {"host__name": []}, False),
        ("host:*", {"host__name": ""}, True),
        ("host:w*b*3", {}, True),
        ("host:w*b?3", {}, True),
        ("host:w*b?4", {}, False),
        ("host:a*", {"host__name": "a\nb"}, True),
        ("status >= 500", {"http__response__status_code": 500}, True),
        ("status >= 500", {"http__response__status_code": [200, 502]}, True),
        ("status:200", {"http__response__status_code": "200"}, True),
        ("status:*", {"http__response__status_code": "abc"}, False),
        ("status:*", {"http__response__status_code": True}, False),
        ("status:*", {"http__response__status_code": 2**63}, False),
        ("client.ip:10.0.0.0/8", {"client__ip": "10.9.8.7"}, True),
        ("client.ip:10.0.0.0/8", {"client__ip": "::ffff:10.9.8.7"}, True),
        ("client.ip:*", {"client__ip": "10.0.0.0/8"}, False),
        ("client.ip:*", {"client__ip": "fe80::1%eth0"}, False),
        ("labels.a.b:1", {"labels": {"a": {"b": 1}}}, True),
        ("labels.a.b:1", {"labels": {"a.b": 1}}, True),
        ("labels.a.b:1", {"labels": [{"a": [{"b": [0, 1]}]}]}, True),
        ("labels.a:*", {"labels": {"a": {"b": 1}}}, False),
        ("labels.a:*", {"labels": {"a": None}}, False),
        ("labels.a:*", {"labels": {"": {"a": 1}}}, False),
        ("labels.a:true", {"labels": {"a": True}}, True),
        ("labels.a:1.5", {"labels": {"a": 1.5}}, True),
        ("labels.a:x*", {"labels": {"a": "xy"}}, True),
        (f"labels.a:{2**70}", {"labels": {"a": 2**70}}, True),
        ("labels:*", {"labels": {"a": {}}}, False),
        ("labels:*", {"labels": {"a": {"b": 0}}}, True),
        ("labels:*", {"labels": "text"}, True),
        ("@timestamp >= 2026", {"at": "not a time"}, False),
        ("event.created:*", {"event__created": 17}, False),
        (
            'shipper.received_at:"2026-11-22T14:30:00.123"',
            {"shipper__received_at": "2026-11-22T14:30:00.123999Z"},
            True,
        ),
        ("level >= warn", {"log__level": "error"}, True),
        ("not level:*", {"log__level": None}, True),
    ],
)
def test_values_as_an_index_has_them(text: str, fields: dict[str, Any], expected: bool) -> None:
    text = text.replace(" 2026", " 2026-01-01") if text.endswith(" 2026") else text
    assert found(text, **fields) is expected


def test_the_end_of_a_time_of_milliseconds() -> None:
    whole = to_ns("2026-11-22T14:30:00.123Z")
    made = record(
        1, shipper__received_at="2026-11-22T14:30:00.123456789Z", event__created="2026-11-22T14:30:00.123456789Z"
    )
    assert matcher(Between("shipper.received_at", whole, whole + 1))(made)
    assert not matcher(Between("shipper.received_at", whole + 1, None))(made)
    assert not matcher(Between("event.created", whole, whole + 1))(made)
    assert matcher(Between("event.created", whole + 456_789, whole + 456_790))(made)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
    | st.sampled_from(["10.0.0.1", "2026-11-22T14:30:00Z", "17", "a.b", "timed out"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b", "a.b", ""]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.text(max_size=5),
    st.lists(st.text(max_size=3), max_size=3),
)
_ASKED: tuple[Expression, ...] = (
    Words(("a",), "a"),
    Like("a*"),
    Like("*", "host.name"),
    Equals("host.name", "a"),
    Equals(STATUS, 17),
    Between(STATUS, 0, None),
    Equals("client.ip", "10.0.0.0/8"),
    Between("@timestamp", 0, None),
    Present("message"),
    Present("labels"),
    *(Present(f"labels.{key}") for key in ("a", "b", "a.b", "a.a.b")),
    Equals("labels.a.b", "17"),
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["message", "host.name", STATUS, "client.ip", "@timestamp"]), _SCALARS), _VALUES)
def test_no_value_stops_it_and_all_agree(fields: dict[str, Any], labels: Any) -> None:
    made = {**fields, "labels": labels}
    for expression in _ASKED:
        assert matcher(expression)(made) is naive.matches(made, expression), expression


@pytest.mark.parametrize("pattern", ["*a*b*c*d*e*f*g*h*i*j", "*?a?*?b?*?c?*", "?" * 10, "*" * 10 + "b"])
def test_no_pattern_takes_long(pattern: str) -> None:
    matches = matcher(Like(pattern, "host.name"))
    made = record(1, host__name="a" * 1024)
    start = time.thread_time()
    assert not matches(made)
    assert time.thread_time() - start < 0.1


@pytest.mark.alone
def test_a_hundred_filters_look_at_a_record_in_little_time() -> None:
    """5,000 records a second, 100 tails: 500,000 questions a second of which nearly all are answered no."""
    records = [made for made in shop(400) if len(made["message"]) < 1000]
    texts = (
        "app:shop-{0}", "level >= error host:web-{0}", '"user {0}" timed', "http.request.id:req-{0}", "app:/shop/{0}/*",
        "labels.cart:{0} or status:{0}", "refused{0}*", "not level:info and app:(a{0} or b{0})", "order {0} failed",
        "error.type:x{0}*",
    )  # fmt: skip
    filters = [matcher(parse(text.format(n), NOW)) for n in range(10) for text in texts]
    best = float("inf")
    for _ in range(5):
        start = time.thread_time()
        for made in records:
            for matches in filters:
                matches(made)
        best = min(best, (time.thread_time() - start) / len(records) / len(filters))
    assert best < 2e-6, f"{best * 1e9:.0f} ns each"
