"""Templates of messages: what varies is masked, what differs in one word is one pattern, each finds its messages."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.search import patterns
from shipper.search.expression import And, Expression, Words
from shipper.search.words import words


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("user 17 took 12ms", "user <n> took <n>ms"),
        ("GET /api/v1/cart/3?page=2 200 0.123 s", "GET /api/v<n>/cart/<n>?page=<n> <n> <n> s"),
        ("order 8f14e45f-ceea-467f-ab0f-2f3e4d5a6b7c is paid", "order <id> is paid"),
        ("commit 6f1c2a9e by deadbeef", "commit <n> by deadbeef"),
        ("commit 61234567 by CAFE0123", "commit <n> by <n>"),
        ("connect to 10.0.0.1:5432 refused", "connect to <ip> refused"),
        ("2026-11-22T10:00:00.123Z started", "<time> started"),
        ("at 10:00:00 said \"no way\" and 'never'", "at <time> said <text> and <text>"),
        ("don't mask what isn't quoted", "don't mask what isn't quoted"),
        ("first line 1\nsecond line 2", "first line <n>"),
        ("\n  indented", "indented"),
        ("", ""),
        ("-5 degrees, 1,234.5 left", "<n> degrees, <n> left"),
        ("0x7ffe in web-3", "<hex> in web-<n>"),
    ],
)
def test_what_varies_is_masked(message: str, expected: str) -> None:
    assert patterns.template(message) == expected
    assert patterns.belongs(message, expected)


def test_templates_that_differ_in_one_word_are_one_pattern() -> None:
    logged_in = {f"user {name} logged in" for name in ("alice", "bob", "carol", "dave")}
    others = {"user alice logged out", "disk full"}
    found = patterns.merged(logged_in | others)
    assert {found[one] for one in logged_in} == {"user <*> logged in"}
    assert {one: found[one] for one in others} == {one: one for one in others}


def test_a_few_alike_stay_apart() -> None:
    three = {f"user {name} logged in" for name in ("alice", "bob", "carol")}
    assert patterns.merged(three) == {one: one for one in three}


def test_a_pattern_has_one_word_for_its_star() -> None:
    pattern = "user <*> logged in"
    assert patterns.belongs("user zed logged in", pattern)
    assert not patterns.belongs("user zed the second logged in", pattern)
    assert not patterns.belongs("user logged in", pattern)


def _matches(expression: Expression | None, message: str) -> bool:
    if expression is None:
        return True
    if isinstance(expression, And):
        return all(_matches(part, message) for part in expression.parts)
    assert isinstance(expression, Words)
    said = words(message)
    wanted = list(expression.words)
    return any(said[at : at + len(wanted)] == wanted for at in range(len(said)))


@given(st.text(alphabet=st.sampled_from("ab1 9-.:'\"/=_äÖß\n<>*e0f{}[]"), max_size=60))
def test_every_message_matches_the_question_of_its_template(message: str) -> None:
    template = patterns.template(message)
    assert patterns.belongs(message, template)
    assert _matches(patterns.expression(template), message)


def test_a_long_line_is_cut_between_words() -> None:
    message = "word " * 79 + "torn-at-the-limit and more"
    assert patterns.template(message) == ("word " * 79).rstrip()
    assert patterns.template("x" * 1000) == ""
    assert _matches(patterns.expression(patterns.template(message)), message)


def test_time_grows_with_the_length_only() -> None:
    hostile = ['"' * 100_000, "'" * 100_000, "1." * 50_000, "a1" * 50_000, "-" * 100_000, "f" * 100_000]
    began = time.process_time()
    for message in hostile:
        patterns.template(message)
    patterns.merged({"x " * 200 + str(n) for n in range(1000)})
    assert time.process_time() - began < 2
