"""What a terminal is sent: nothing that a stranger chose to steer it, columns that fit, and the commands' promises."""

import argparse
import json
import re
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.api.visible import visible
from shipper.cli import terminal
from shipper.cli.ask import add_commands
from shipper.cli.terminal import Columns, Style
from shipper.errors import ShipperError
from tests.servers.process import free_port
from tests.unit.api_world import record, request_story

ESCAPED = {
    "\x1b[31m": "\\x1b[31m",
    "\x00": "\\x00",
    "bell\x07": "bell\\x07",
    "a\x08b": "a\\x08b",
    "over\rwritten": "over\\x0dwritten",
    "dos\r\nline": "dos\nline",
    "\x7f": "\\x7f",
    "\x9b31m": "\\x9b31m",
    "\x85": "\\x85",
    "\u202egnp.exe": "\\u202egnp.exe",
    "\u2066x\u2069": "\\u2066x\\u2069",
    "zero\u200bwidth": "zero\\u200bwidth",
    "\u2028": "\\u2028",
    "\ufeff": "\\ufeff",
    "\ud800": "\\ud800",
    "\U000e0041": "\\U000e0041",
    "ä 你好 👩\u200d👧 שלום \u200c \ufffd": "ä 你好 👩\u200d👧 שלום \u200c \ufffd",
    "tab\tand\nnewline": "tab\tand\nnewline",
}
_BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def harmless(text: str) -> bool:
    """No control character but a newline, no bidi control, nothing that cannot be encoded."""
    text.encode()
    return not any(char in _BIDI or (unicodedata.category(char) == "Cc" and char != "\n") for char in text)


@pytest.mark.parametrize("text", ESCAPED)
def test_what_cannot_be_seen_is_escaped(text: str) -> None:
    assert visible(text) == ESCAPED[text]


@given(st.text(st.characters(exclude_categories=[])))
def test_no_text_steers_a_terminal(text: str) -> None:
    assert harmless(terminal.one_line(text))
    assert "\n" not in terminal.one_line(text)
    for style in (Style(), Style(width=80)):
        assert harmless("\n".join(terminal.message_lines(text, style, 30)))
        lines = Columns(style).lines({"message": text, "host.name": text, "service.name": text, "log.level": text})
        assert harmless("\n".join(lines))


def test_blns_does_not_steer_a_terminal(hostile: Any) -> None:
    for line in (hostile / "blns.txt").read_text(errors="surrogateescape").splitlines():
        shown = "\n".join(Columns(Style(width=100)).lines(record(1, line, host__name=line, service__name=line)))
        assert harmless(shown)


@given(st.text(), st.integers(41, 200))
def test_lines_fit_the_terminal(text: str, width: int) -> None:
    lines = Columns(Style(width=width)).lines({**record(1, text), "@timestamp": "2026-11-22T14:30:00.000000Z"})
    assert all(terminal.cells(line) <= width for line in lines)


@given(st.text(), st.integers(3, 50))
def test_wrapping_loses_nothing(line: str, width: int) -> None:
    pieces = list(terminal.wrap(line, width))
    assert "".join(pieces) == line
    assert all(terminal.cells(piece) <= width for piece in pieces)


def test_later_lines_stand_under_the_first() -> None:
    first, second = Columns(Style()).lines(record(1, "one\ntwo"))
    assert first.index("one") == second.index("two")
    assert second.strip() == "two"


def test_long_messages_are_cut_on_a_terminal_only() -> None:
    text = "word " * 20_000
    assert len(terminal.message_lines(text, Style(width=100), 40)) == terminal.MOST_LINES + 1
    assert terminal.message_lines(text, Style(), 40) == [text]


class _Stream:
    def __init__(self, tty: bool) -> None:
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("tty", "environment", "colour"),
    [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False), (False, {}, False)],
)
def test_colours_only_on_a_terminal(tty: bool, environment: dict[str, str], colour: bool) -> None:
    style = terminal.style_of(_Stream(tty), environment)  # type: ignore[arg-type]
    assert style.colour is colour
    assert (style.width is None) is not tty
    lines = Columns(style).lines(record(1, log__level="error"))
    assert ("\x1b[" in lines[0]) is colour


class _Server(HTTPServer):
    """Answers each path with what it was told to, and remembers what was asked."""

    def __init__(self, answers: list[tuple[int, Any]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body = self.server.answers.pop(0)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


Ask = Callable[..., int]


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server([]) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def shipper(server: _Server) -> Ask:
    """The commands, against the server that the test tells what to answer."""

    def run(*arguments: str) -> int:
        options = parse(*arguments, "--url", f"http://127.0.0.1:{server.server_port}")
        return int(options.function(options))

    return run


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    return parser.parse_args(arguments)


def page(*records: dict[str, Any], cursor: str | None = None, incomplete: tuple[str, ...] = ()) -> tuple[int, Any]:
    searched = {"start": "2026-11-22T13:30:00.000000Z", "end": None}
    return 200, {"records": records, "next_cursor": cursor, "incomplete": incomplete, "searched": searched}


def test_search_sends_every_option(server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [page(record(1, "timed out"))]
    options = "--app a --host h --level warn --level error --min-level info --request-id r --since -1h --until now"
    assert shipper("search", "timed out", *options.split(), "--limit", "7", "--order", "oldest") == 0
    assert server.asked == [
        "/api/v1/records?text=timed+out&app=a&host=h&level=warn&level=error&min_level=info&request_id=r"
        "&start=-1h&end=now&order=oldest&limit=7"
    ]
    assert "timed out" in capsys.readouterr().out


def test_search_finds_nothing(server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [page()]
    assert shipper("search", "x") == 1
    assert capsys.readouterr() == ("", "no record matches\n")


def test_limit_0_reads_all_pages_of_one_time_range(
    server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [
        page(record(1), cursor="c1"),
        page(record(2), cursor="c2", incomplete=("day lost",)),
        page(record(3)),
    ]
    assert shipper("search", "--since", "1h", "--limit", "0", "--json") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["event.sequence"] for line in out.splitlines()] == [1, 2, 3]
    assert err == "warning: possibly incomplete: day lost\n"
    assert "start=2026-11-22T13%3A30%3A00.000000Z" in server.asked[1]
    assert "cursor=c2" in server.asked[2]


def test_a_limit_says_that_there_is_more(server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [page(record(1), cursor="c1")]
    assert shipper("search", "--limit", "1") == 0
    assert "there are more" in capsys.readouterr().err


def test_json_is_exact(server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    told = record(1, "\x1b[31m \u202e ä \n\t \x00")
    server.answers = [page(told)]
    assert shipper("search", "--json") == 0
    assert json.loads(capsys.readouterr().out) == told


def _story(**changes: Any) -> dict[str, Any]:
    records = request_story("r1")
    service = {"name": "shop-web", "first": records[0]["@timestamp"], "last": records[-1]["@timestamp"]}
    return {
        "request_id": "r1",
        "records": records,
        "services": [{**service, "count": 2, "errors": 1, "worst_level": "error", "hosts": ["web-3"]}],
        "first_error": records[6],
        "holes": [],
        "cut": False,
        "complete": True,
        "incomplete": [],
        **changes,
    }


def test_request_tells_the_story(server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [(200, _story())]
    assert shipper("request", "r1") == 0
    out = capsys.readouterr().out
    assert out.startswith("request r1  11 records, 4.090 s, from 2026-11-22 14:20:00.000 UTC\n")
    assert "first error  +4.021 s  shop-payment: charge failed" in out
    assert "\ncomplete as far as the ledger knows\n" in out
    assert re.search(r"^\+2\.013 s 14:20:02\.013 warn +pay-1 +shop-payment provider slow", out, re.MULTILINE)


def test_request_says_what_may_be_missing(server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [(200, _story(complete=False, incomplete=["12 records of host web-3 \x1b[2J missing"]))]
    assert shipper("request", "r1") == 0
    assert "possibly incomplete\n  12 records of host web-3 \\x1b[2J missing\n" in capsys.readouterr().out


def test_request_that_nobody_made(server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [(404, {"error": {"message": "no record carries the request id x", "position": None}})]
    assert shipper("request", "x") == 1
    assert capsys.readouterr() == ("", "no record carries the request id x\n")


def test_dead_letters(server: _Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    letter = {
        "id": "abcn-0000000001",
        "reason": "rejected",
        "detail": "too \x1b big",
        "received_at": "2026",
        "host": "h",
    }
    server.answers = [(200, {"dead_letters": [letter]}), (200, {"dead_letters": []})]
    assert shipper("dead-letters", "list") == 0
    assert "too \\x1b big" in capsys.readouterr().out
    assert shipper("dead-letters") == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, {"error": {"message": "start: not a time", "position": 3}}), "start: not a time"),
        ((503, {"error": {"message": "the store is busy", "position": None}}), "the store is busy"),
        ((302, b""), "is not shipper \\(HTTP 302\\)"),
        ((404, b"<html>"), "is not shipper"),
        ((200, b"<html>"), "is not shipper"),
        ((200, b"[]"), "is not shipper"),
    ],
)
def test_errors_are_one_line(server: _Server, shipper: Ask, answer: tuple[int, Any], said: str) -> None:
    server.answers = [answer]
    with pytest.raises(ShipperError, match=said):
        shipper("search")
    assert len(server.asked) == 1  # no redirect was followed


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    options = parse("search", "--url", url)
    said = f"cannot reach {url} (connection refused): is shipper running? set SHIPPER_URL or --url"
    with pytest.raises(ShipperError, match=re.escape(said)):
        options.function(options)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x", "x", "http://", "http://[", "http://a b"])
def test_only_http_urls(url: str) -> None:
    options = parse("search", "--url", url)
    with pytest.raises(ShipperError):
        options.function(options)


def test_a_reader_that_goes_away_is_no_error(server: _Server) -> None:
    server.answers = [page(*(record(n, "x" * 1000) for n in range(1000)))]
    program = (
        "import sys; from tests.unit.test_terminal import parse; o = parse(*sys.argv[1:]); sys.exit(o.function(o))"
    )
    argv = [sys.executable, "-c", program, "search", "--url", f"http://127.0.0.1:{server.server_port}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_asking_stays_light() -> None:
    program = "import sys, shipper.cli.terminal, shipper.api.visible, shipper.api.shown; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"fastapi", "pydantic", "urllib.request", "elasticsearch", "jinja2"} & set(said)
