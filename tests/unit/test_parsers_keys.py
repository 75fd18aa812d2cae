"""Known keys and plain text: which key becomes which field, and which values do not."""

import json
from typing import Any

import pytest

from shipper.parsers.plain import find_level
from shipper.record import ids
from tests.contract.parsing import fields_of, stamped

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def _read(document: dict[str, Any]) -> dict[str, Any]:
    return fields_of(stamped(json.dumps(document)))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"lvl": "WRN"}, {"log.level": "warn"}),
        ({"@level": "D"}, {"log.level": "debug"}),
        ({"severity": 3}, {"log.level": "error"}),
        ({"ts": 1795351714}, {"@timestamp": "2026-11-22T12:48:34.000000Z"}),
        ({"ts": 1795351714.25}, {"@timestamp": "2026-11-22T12:48:34.250000Z"}),
        ({"ts": "1795351714250"}, {"@timestamp": "2026-11-22T12:48:34.250000Z"}),
        ({"date": "2026-11-22t12:48:34z"}, {"@timestamp": "2026-11-22T12:48:34Z"}),
        ({"time": -1, "ts": 1795351714}, {"@timestamp": "2026-11-22T12:48:34.000000Z", "labels": {"time": -1}}),
        ({"time": True}, {"labels": {"time": True}}),
        ({"time": "yesterday"}, {"labels": {"time": "yesterday"}}),
        ({"time": 1e300}, {"labels": {"time": 1e300}}),
        ({"requestId": "a/b+c=1"}, {"http.request.id": "a/b+c=1"}),
        ({"req_id": 12}, {"http.request.id": "12"}),
        ({"request_id": "x" * 129}, {"labels": {"request_id": "x" * 129}}),
        ({"request_id": "null"}, {"labels": {"request_id": "null"}}),
        ({"traceId": TRACE.upper(), "spanId": SPAN}, {"trace.id": TRACE, "span.id": SPAN}),
        ({"trace_id": "0" * 32}, {"labels": {"trace_id": "0" * 32}}),
        ({"duration": "2h"}, {"event.duration": 7_200_000_000_000}),
        ({"duration": "12"}, {"labels": {"duration": "12"}}),
        ({"elapsed_ms": "12.5"}, {"event.duration": 12_500_000}),
        ({"duration_s": 1e300}, {"labels": {"duration_s": 1e300}}),
        ({"duration_ns": -1}, {"labels": {"duration_ns": -1}}),
        ({"status": "404"}, {"http.response.status_code": 404}),
        ({"status": 1200}, {"labels": {"status": 1200}}),
        ({"line": 2**70}, {"labels": {"line": str(2**70)}}),
        ({"client_ip": "fe80::1%eth0"}, {"labels": {"client_ip": "fe80::1%eth0"}}),
        ({"remote_addr": "10.0.0.1"}, {"client.ip": "10.0.0.1"}),
        ({"url": "https://x.example/a"}, {"labels": {"url": "https://x.example/a"}}),
        ({"uri": "/a?b=c"}, {"url.path": "/a", "url.query": "b=c"}),
        ({"caller": "nowhere"}, {"labels": {"caller": "nowhere"}}),
        ({"error": "bad"}, {"error.message": "bad"}),
        ({"error": "a\nb"}, {"error.stack_trace": "a\nb"}),
        ({"error": {"type": 5, "message": "bad"}}, {"error.message": "bad", "error.type": "5"}),
        ({"exc_info": True}, {"labels": {"exc_info": True}}),
        ({"service": ""}, {"labels": {"service": ""}}),
        ({"service": "s" * 9000}, {"labels": {"service": "s" * 8192}, "tags": ["label_cut"]}),
        ({"labels": "none"}, {"labels": {"labels": "none"}}),
        ({"labels": {"a": None}}, {}),
        ({"http": {"request": {"id": "r-1", "x": 1}}}, {"http.request.id": "r-1", "labels": {"http.request.x": 1}}),
    ],
)
def test_keys(document: dict[str, Any], expected: dict[str, Any]) -> None:
    fields = fields_of(stamped(json.dumps(document)))
    base = _read({})
    changed = {name: value for name, value in fields.items() if base.get(name) != value and name != "message"}
    assert changed == expected


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("INFO x", "info"),
        ("x INFO: y", "info"),
        ("081109 203615 148 WARN dfs.DataNode: x", "warn"),
        ("[notice] x", "notice"),
        ("<error> x", "error"),
        ("x [Error] y", "error"),
        ("x level=warning y", "warn"),
        ('"severity": "CRITICAL"', "critical"),
        ("Warning: x", "warn"),
        ("debug - x", "debug"),
        ("W1122 23:48:34.1 7 x.cc:1] y", "warn"),
        ("an error happened", None),
        ("no INFORMATION", None),
        ("MYERROR", None),
        ("SUB_INFO", None),
        ("x" * 120 + " ERROR", None),
        ("Info desk opened", None),
        ("", None),
    ],
)
def test_level_of_a_line(line: str, level: str | None) -> None:
    assert find_level(line) == level


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-01-extra", False),
        (f"01-{TRACE}-{SPAN}-01-extra", True),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        ("", False),
    ],
)
def test_traceparent(value: str, valid: bool) -> None:
    assert ids.traceparent(value) == ((TRACE, SPAN) if valid else None)


def test_logfmt_without_a_message_keeps_the_line() -> None:
    fields = fields_of(stamped("level=info user_id=7 x.y=z"))
    assert fields["message"] == "level=info user_id=7 x.y=z"
    assert fields["user.id"] == "7"
    assert fields["labels"] == {"x.y": "z"}
