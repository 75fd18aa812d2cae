"""How answers are shown: JSON, CSV, bare messages, columns, pager, progress; where the token comes from; carets."""

import csv
import io
import json
import os
import pty
import random
import re
import subprocess
import sys
import tty
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.cli import ask, main, waiting
from shipper.cli.columns import ALL, Columns, chosen
from shipper.cli.output import Output, csv_line, json_line, output_of
from shipper.cli.terminal import Style, cells
from shipper.errors import ConfigError, QueryError, ShipperError
from tests.unit.api_world import record
from tests.unit.cli_world import Ask, Server, harmless, page, parse, server, shipper

__all__ = ["server", "shipper"]  # fixtures


@given(st.text(st.characters(exclude_categories=[])))
def test_json_is_exact_and_harmless(text: str) -> None:
    line = json_line({text: [text]})
    assert json.loads(line) == {text: [text]}
    assert harmless(line)
    assert "\n" not in line


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", '=HYPERLINK("http://x","y")'])
def test_no_formula_gets_into_a_spreadsheet(text: str) -> None:
    ((cell,),) = csv.reader([csv_line([text])])
    assert cell.startswith("'")


@given(st.text())
def test_csv_is_harmless_and_one_row(text: str) -> None:
    line = csv_line([text, 1, -2.5, None, {"a": [text]}])
    assert harmless(line.replace("\t", ""))
    ((first, *rest),) = csv.reader(io.StringIO(line, newline=""))
    assert rest[:3] == ["1", "-2.5", ""]
    assert text.isalnum() is False or first == text or not harmless(text)


def test_search_as_csv(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [page(record(1, "=x, y\nz"), cursor="c"), page(record(2, "b", labels={"cart": 5}))]
    assert shipper("search", "--csv", "--limit", "0", "--columns", "time,app,labels.cart,message") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        ["time", "app", "labels.cart", "message"],
        ["2026-11-22T14:30:00.000000Z", "shop-api", "", "'=x, y\nz"],
        ["2026-11-22T14:30:00.000000Z", "shop-api", "5", "b"],
    ]


def test_raw_is_exact_in_a_pipe(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [page(record(1, "a\x1b[31m\ta"), record(2, "b"))]
    assert shipper("search", "--raw") == 0
    assert capsys.readouterr().out == "a\x1b[31m\ta\nb\n"


def test_columns_go_by_width() -> None:
    assert chosen(None, Style()) == ALL == chosen(None, Style(width=200))
    assert chosen(None, Style(width=80)) == ("time", "level", "app", "message")
    assert chosen(None, Style(width=60)) == ("time", "level", "message")
    for names in ("", ",", ",".join(["app"] * 33)):
        with pytest.raises(QueryError, match="1 to 32 names"):
            chosen(names, Style())
    with pytest.raises(QueryError, match="no field levle: did you mean"):
        chosen("time,levle", Style())


@given(st.text(max_size=200), st.integers(40, 200))
def test_columns_fit(text: str, width: int) -> None:
    columns = Columns(Style(width=width), columns=chosen("task,message,user,id", Style()))
    told = record(1, text, orchestrator__resource__id=text, user__id=[text, 1], id=text)
    columns.see([told])
    lines = columns.lines(told)
    assert harmless("\n".join(lines))
    assert len(lines) == 1 or all(cells(line) <= width for line in lines[1:])


def test_an_error_in_a_query_shows_where(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    query = "app:shop 你\x1b and (level:error"
    message = "query: this parenthesis is not closed"
    server.answers = [(400, {"error": {"message": message, "position": query.index("(")}})]
    assert main(["search", query, "--url", f"http://127.0.0.1:{server.server_port}"]) == 2
    error, shown, caret = capsys.readouterr().err.splitlines()
    assert error == f"error: {message}"
    assert shown == "  app:shop 你\\x1b and (level:error"
    assert caret.index("^") == cells(shown[: shown.index("(")])  # one character of it takes two columns
    assert caret.strip() == "^"


@given(st.text(max_size=2000), st.integers(0, 2000))
def test_a_caret_never_leaves_the_query(query: str, place: int) -> None:
    error = ask.pointed(QueryError("query: wrong", place), query)
    assert harmless(str(error))
    lines = str(error).splitlines()
    if place <= len(query):
        assert len(lines) == 3
        assert cells(lines[2]) <= cells(lines[1]) + 1
    else:
        assert lines == ["query: wrong"]


def test_a_time_of_whole_seconds_is_as_wide_and_ends_like_all_others() -> None:
    line = Columns(Style(), columns=("time", "message")).lines({"@timestamp": "2026-11-22T14:30:00Z", "message": "x"})[
        0
    ]
    assert line == "2026-11-22 14:30:00     x"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("start: not a time: 'start'; accepted: now", "--since: not a time: 'start'; accepted: now"),
        ("start is not before end: no record can match", "--since is not before --until: no record can match"),
        ("before_start is not before before_end", "--before is not before --before-until"),
        ("query: the end of start: is missing", "query: the end of start: is missing"),
    ],
)
def test_an_error_names_the_option_not_the_parameter(said: str, shown: str) -> None:
    assert str(ask.in_options(QueryError(said))) == shown


def test_an_error_in_another_parameter_shows_no_place() -> None:
    assert str(ask.pointed(QueryError("start: not a time", 3), "some query")) == "start: not a time"


def _token(*arguments: str, **environment: str) -> str:
    return ask.token_of(parse("search", *arguments), environment)


def test_the_token(tmp_path: Path, server: Server, shipper: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    assert _token() == ""
    assert _token(SHIPPER_TOKEN="t1") == "t1"
    assert _token("--token-file", str(file), SHIPPER_TOKEN="t1") == "from-the-file"
    for text in ("", " \n", "two words", "t\x00", "ä", "x" * 600):
        file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            _token("--token-file", str(file))
        assert text.strip() not in str(caught.value) or not text.strip()
    with pytest.raises(ConfigError, match="No such file"):
        _token("--token-file", str(tmp_path / "none"))
    monkeypatch.setenv("SHIPPER_TOKEN", "t2")
    server.answers = [page(record(1)), (401, {"error": {"message": "who asks?", "position": None}})]
    assert shipper("search") == 0
    assert server.headers["Authorization"] == "Bearer t2"
    with pytest.raises(ShipperError, match=r"who asks\? \(set \$SHIPPER_TOKEN or --token-file\)"):
        shipper("search")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _Terminal())
    assert output_of("text", environment={"TERM": "xterm"}).style.colour
    assert not output_of("text", "never", environment={"TERM": "xterm"}).style.colour
    assert output_of("text", "always", environment={"NO_COLOR": "1"}).style.colour
    assert not output_of("json", "always", environment={}).style.colour


def _pager(folder: Path, text: str) -> str:
    program = folder / "pager"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return str(program)


def _through(pager: str, lines: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    out = output_of("text", environment={**os.environ, "PAGER": pager, "TERM": "xterm"})
    with out:
        out.write(lines)
        out.say("and a note\x1b")
    return capfd.readouterr().out


def test_the_pager_gets_all_of_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _through(_pager(tmp_path, 'echo "$LESS"; cat'), ["one", "two"], capfd, monkeypatch)
    assert said == "FRX\none\ntwo\nand a note\\x1b\n"


@pytest.mark.parametrize("pager", ["", "cat", "/no/such/program", '"'])
def test_without_a_pager(pager: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _through(pager, ["one"], capfd, monkeypatch) == "one\n"


def test_a_pager_that_is_left_is_no_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: Server, shipper: Ask
) -> None:
    server.answers = [page(*(record(number, "x" * 1000) for number in range(1000)))]
    monkeypatch.setenv("PAGER", _pager(tmp_path, "exit 0"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert shipper("search") == 0
    assert capfd.readouterr().err == ""


def test_waiting_is_spoken_of_on_a_terminal_only() -> None:
    quiet, told = io.StringIO(), _Terminal()
    for stream in (quiet, told):
        wait = waiting.Waiting(lambda: True, stream, quiet_seconds=0.0)
        wait.note = "12 records\x1b so far"
        with wait:
            while stream is told and not stream.getvalue():
                pass
    assert quiet.getvalue() == ""
    assert "12 records\\x1b so far" in told.getvalue()
    assert told.getvalue().endswith("\r\x1b[K")
    with waiting.Waiting(lambda: True, told):
        length = len(told.getvalue())
    assert len(told.getvalue()) == length


@cache
def fuzz(count: int = 10_000, seed: int = 5) -> list[dict[str, Any]]:
    """Records whose every text is chance: all of C0, C1, bidi, surrogates, and pieces of escape sequences."""
    chance = random.Random(seed)
    pieces = [
        "\x1b[2J",
        "\x1b]0;t\x07",
        "\x9b31m",
        "\r",
        "\x00",
        "\u202e",
        "\u2066",
        "\ud800",
        "\x08",
        "\n",
        "\t",
        "a",
        "ß",
        "你",
    ]

    def text() -> str:
        return "".join(
            chance.choice(pieces) if chance.random() < 0.5 else chr(chance.randrange(0x250)) for _ in range(20)
        )

    return [
        record(number, text(), host__name=text(), service__name=text(), log__level=chance.choice(["error", text()]))
        for number in range(count)
    ]


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_10000_lines_into_a_pipe(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    from shipper.cli.search import RecordsShown

    RecordsShown(Output(form), None).show(fuzz())
    assert harmless(capsys.readouterr().out.replace("\t", "") if form == "csv" else capsys.readouterr().out)


_SHOW = """
import argparse, sys
from shipper.cli import ask
from shipper.cli.search import RecordsShown
from tests.unit.test_cli_forms import fuzz
form, colour = sys.argv[1:]
sys.stdout.reconfigure(errors="backslashreplace")
with ask.output_of(form, colour, paged=False) as out:
    RecordsShown(out, None).show(fuzz())
"""


@pytest.mark.parametrize("form", ["text", "raw"])
def test_10000_lines_on_a_terminal(form: str) -> None:
    """A real pseudo-terminal: nothing but text, newlines and our own colours, which are exactly `ESC [ digits m`."""
    own, theirs = pty.openpty()
    tty.setraw(theirs)  # a newline stays one
    argv = [sys.executable, "-c", _SHOW, form, "always"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONUTF8": "1"}
    with subprocess.Popen(argv, stdout=theirs, stdin=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        said = b"".join(_pieces(own))
    os.close(own)
    assert process.returncode == 0
    shown = said.decode()
    assert shown.count("\n") >= 10_000
    plain = re.sub("\x1b\\[[0-9;]{1,8}m", "", shown)
    assert (form == "text") is (plain != shown)
    assert harmless(plain.replace("\t", "") if form == "raw" else plain)


def _pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 2**16)
        except OSError:  # the other end is closed
            return
        if not piece:
            return
        yield piece
