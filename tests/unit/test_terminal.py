"""What a terminal is sent: nothing that a stranger chose to steer it, and columns that fit."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.api.visible import visible
from shipper.cli import terminal
from shipper.cli.columns import Columns
from shipper.cli.terminal import Style
from tests.unit.api_world import record
from tests.unit.cli_world import harmless

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


def test_asking_stays_light() -> None:
    program = "import sys, shipper.cli.terminal, shipper.api.visible, shipper.api.shown; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"fastapi", "pydantic", "urllib.request", "elasticsearch", "jinja2"} & set(said)
