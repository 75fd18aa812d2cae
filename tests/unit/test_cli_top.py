"""context, top, patterns and compare: what they ask, how they answer, exit codes."""

import csv
import io
import json
from typing import Any

import pytest

from shipper.errors import QueryError
from tests.unit.api_world import record
from tests.unit.cli_world import Ask, Server, harmless, server, shipper

__all__ = ["server", "shipper"]  # fixtures

_NOW = "2026-11-22T14:30:00.000000Z"


def _context(**changes: Any) -> tuple[int, Any]:
    lines = [{"id": f"an-{number:010d}", **record(number, f"line {number}\x1b")} for number in range(1, 4)]
    return 200, {
        "record": lines[1], "before": lines[:1], "after": lines[2:], "kind": "task", "incomplete": [], **changes
    }  # fmt: skip


def test_context(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    alone = _context(before=[], after=[])
    server.answers = [_context(incomplete=["day lost"]), _context(), _context(), alone, alone]
    options = ("--at", "1795357800000000001", "--kind", "host", "-B", "1", "-A", "9")
    assert shipper("context", "an-0000000002", *options) == 0
    assert server.asked == ["/api/v1/records/an-0000000002/context?at=1795357800000000001&kind=host&before=1&after=9"]
    out, err = capsys.readouterr()
    assert [line[:1] for line in out.splitlines()] == ["t", " ", ">", " "]
    assert out.splitlines()[0] == "task of an-0000000002"
    assert harmless(out)
    assert err == "warning: possibly incomplete: day lost\n"
    assert shipper("context", "an-0000000002", "--at", "2026-11-22T14:30:00.000000001Z", "--json") == 0
    assert "at=1795357800000000001&" in server.asked[1]
    assert [json.loads(line)["event.sequence"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 3]
    assert shipper("context", "an-0000000002", "--raw") == 0
    assert capsys.readouterr().out.splitlines()[2] == "line 3\x1b"
    assert shipper("context", "an-0000000002") == 0
    assert "no neighbours" in capsys.readouterr().out
    assert shipper("context", "an-0000000002", "-A", "0") == 0  # nobody asked whether there are any after it
    assert "no neighbours" not in capsys.readouterr().out


def test_context_of_nothing(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [(404, {"error": {"message": "no record has this id", "position": None}})]
    assert shipper("context", "../../x?y#z") == 1
    assert server.asked[0].startswith("/api/v1/records/..%2F..%2Fx%3Fy%23z/context?")
    assert capsys.readouterr() == ("", "no record has this id\n")
    with pytest.raises(QueryError):
        shipper("context", "an-0000000002", "--at", "some day")


def _top(**changes: Any) -> tuple[int, Any]:
    values = [{"value": "shop\x1b[2J", "count": 1500, "share": 0.75}, {"value": "", "count": 3, "share": 0.0015}]
    return 200, {
        "field": "service.name", "values": values, "total": 2000, "without": 7, "others": 490, "incomplete": [],
        **changes,
    }  # fmt: skip


def test_top(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [_top(incomplete=["an estimate"]), _top(), _top(), _top(values=[], others=0, without=0)]
    assert shipper("top", "app", "level:error", "--since", "1h", "--limit", "2") == 0
    assert server.asked == ["/api/v1/top?query=level%3Aerror&start=1h&field=app&limit=2"]
    out, err = capsys.readouterr()
    first, second, others, without = out.splitlines()
    assert first.split() == ["1,500", "75.0", "%", "━" * 20, "shop\\x1b[2J"]
    assert second.split() == ["3", "0.1", "%", "━", '""']
    assert (others, without) == ("  490  of other values", "    7  without one")
    assert err == "warning: an estimate\n"
    assert shipper("top", "app", "--csv") == 0
    assert list(csv.reader(io.StringIO(capsys.readouterr().out)))[:2] == [
        ["value", "count", "share"], ["shop\\x1b[2J", "1500", "0.75"]
    ]  # fmt: skip
    assert shipper("top", "app", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["value"] == "shop\x1b[2J"
    assert shipper("top", "app") == 1
    assert capsys.readouterr() == ("", "no record matches\n")
    with pytest.raises(QueryError, match="top of which field"):
        shipper("top")


def test_patterns(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = {
        "template": "charge <n> failed\x1b", "count": 1200, "share": 0.6, "first": _NOW, "last": _NOW, "since": None,
        "levels": {"error": 1200}, "apps": {f"app-{number}": 5 - number for number in range(5)}, "example": record(1),
        "query": "message: failed",
    }  # fmt: skip
    told = {"patterns": [pattern, {**pattern, "since": "2026-11-20T00:00:00Z"}], "looked_at": 1500, "total": 2000}
    server.answers = [(200, {**told, "incomplete": []})] * 2
    assert shipper("top", "--patterns", "level:error", "--since", "1d") == 0
    assert server.asked == ["/api/v1/patterns?query=level%3Aerror&start=1d&limit=50"]
    lines = capsys.readouterr().out.splitlines()
    names = "error, app-0, app-1, app-2, and 2 more"
    assert lines[0] == f"1,200   60.0 %  from 2026-11-22 14:30:00  last 2026-11-22 14:30:00  {names}"
    assert lines[1].strip() == "charge <n> failed\\x1b"
    assert "since 2026-11-20 00:00:00" in lines[2]
    assert lines[4] == "from 1,500 of 2,000 records"
    assert shipper("top", "--patterns", "--csv") == 0
    assert capsys.readouterr().out.startswith("count,share,first,last,since,template,query\n1200,0.6,")
    with pytest.raises(QueryError, match="leave out the field"):
        shipper("top", "--patterns", "app", "level:error")


def test_compare(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(*changes: str) -> tuple[int, Any]:
        patterns = [
            {"template": f"{change} <n>\x1b", "a": 1, "b": 2000, "change": change, "example": {}, "query": "q"}
            for change in changes
        ]
        side = {"total": 1, "looked_at": 1}
        return 200, {"a": side, "b": {**side, "total": 3000}, "patterns": patterns, "incomplete": []}

    server.answers = [answer("new", "same"), answer("same"), answer("gone")]
    assert shipper("compare", "--app", "shop", "--versions", "1.4.1", "1.4.2") == 0
    assert server.asked == ["/api/v1/compare?app=shop&version_a=1.4.1&version_b=1.4.2&limit=50"]
    patterns = "new   1 → 2,000\n      new <n>\\x1b\nsame  1 → 2,000\n      same <n>\\x1b\n"
    assert capsys.readouterr().out == f"before 1 record, now 3,000 records\n{patterns}"
    assert shipper("compare", "x", "--since", "-1h", "--before", "-1d", "--before-until", "2h") == 1
    assert "query=x&start=-1h&before_start=-1d&before_end=2h" in server.asked[1]
    assert capsys.readouterr().err == "nothing changed\n"
    assert shipper("compare", "--since", "1h", "--before", "1d", "--json") == 0
    assert json.loads(capsys.readouterr().out)["change"] == "gone"
