"""Words and phrases, without a server; that a real Elasticsearch says the same is in tests/contract/test_words.py."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import QueryError
from shipper.search.words import MAX_PHRASES, MAX_QUERY_TEXT, MAX_WORD, parse_text, words

CASES = {
    "": [],
    "  \t\n": [],
    "timed_out": ["timed_out"],
    "com.shop.Cart": ["com.shop.cart"],
    "10.0.0.1": ["10.0.0.1"],
    "10.0.0.1:443": ["10.0.0.1", "443"],
    "Ä": ["ä"],
    "a:b": ["a:b"],
    "it's": ["it's"],
    "'quoted'": ["quoted"],
    "x=1,y=2": ["x", "1", "y", "2"],
    "1,000.5": ["1,000.5"],
    "1;2": ["1;2"],
    "a;b a,b": ["a", "b", "a", "b"],
    "a.1 1.a": ["a", "1", "1", "a"],
    "a..b": ["a", "b"],
    "end.": ["end"],
    "_ __ _a_": ["_a_"],
    "a_.b": ["a_", "b"],
    "_____": [],
    "/var/log/syslog.1": ["var", "log", "syslog", "1"],
    "https://shop.example/cart?id=7&x=%20": ["https", "shop.example", "cart", "id", "7", "x", "20"],
    "6d2f3a4e-0c1b": ["6d2f3a4e", "0c1b"],
    "[req-38101a0b]": ["req", "38101a0b"],
    "me@shop.example": ["me", "shop.example"],
    "日本語": ["日", "本", "語"],
    "ひらがな": ["ひ", "ら", "が", "な"],
    "カタカナ": ["カタカナ"],
    "한국어 로그": ["한국어", "로그"],
    "ภาษาไทย": ["ภาษาไทย"],
    "😀😀": ["😀", "😀"],
    "👩\u200d👩\u200d👧": ["👩\u200d👩\u200d👧"],
    "👍🏽": ["👍🏽"],
    "🇩🇪🇫": ["🇩🇪"],
    "#\ufe0f\u20e3": ["#\ufe0f\u20e3"],
    "cafe\u0301": ["cafe\u0301"],
    "\u0301a": ["a"],
    "a\u00adb": ["a\u00adb"],
    "a\u200bb": ["a", "b"],
    "STRASSE Straße": ["strasse", "straße"],
    "\u03a3\u0391\u03a3": ["\u03c3\u03b1\u03c3"],  # no final sigma
    "\u0130": ["i"],
    "١٢٣": ["١٢٣"],
    'צה"ל': ['צה"ל'],
    "a\u2019b": ["a\u2019b"],
    "\x00\x1b[31mred": ["31mred"],
}


@pytest.mark.parametrize(("text", "expected"), CASES.items(), ids=[ascii(text) for text in CASES])
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


LONG = {
    "letters": ("a" * 300, [255, 45]),
    "exactly": ("a" * 255, [255]),
    "beyond ASCII": ("é" * 600, [255, 255, 90]),
    "pairs": ("\U0001d400" * 200, [127, 73]),
    "dotted": ("a" * 254 + ".b", [254, 1]),
    "connectors first": ("_" * 300 + "a", [255]),
    "connectors only": ("_" * 600, []),
    "beside others": ("x " + "1" * 256 + " y", [1, 255, 1, 1]),
}


@pytest.mark.parametrize(("text", "lengths"), LONG.values(), ids=LONG.keys())
def test_a_long_word_is_cut(text: str, lengths: list[int]) -> None:
    assert [len(word) for word in words(text)] == lengths


@given(st.text())
def test_words_of_words_are_themselves(text: str) -> None:
    """What a question is cut into is what the stored message was cut into, also after joining by spaces."""
    found = words(text)
    assert words(" ".join(found)) == found
    assert all(0 < len(word) <= MAX_WORD and " " not in word for word in found)


@given(st.text(alphabet=st.characters(max_codepoint=127)), st.sampled_from("é日😀"))
def test_the_fast_way_and_the_general_way_agree(text: str, other: str) -> None:
    glued = f"{text} {other}"  # the chunk of `other` goes the general way, the rest the fast one
    assert words(glued) == words(text) + words(other)
    assert words(text.replace(" ", "\u2003")) == words(text) or " " not in text


@pytest.mark.parametrize("unit", ["_", "a", "a.", "a:", "é", "_.", 'ש"', "\u200d", "😀\u200d", "_1", "é_"])
def test_time_grows_with_the_length_only(unit: str) -> None:
    started = time.perf_counter()
    words("é" + unit * (200_000 // len(unit)))
    assert time.perf_counter() - started < 3


QUESTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "": (),
    "timed_out": (("timed_out",),),
    "connection refused": (("connection",), ("refused",)),
    '"connection refused"': (("connection", "refused"),),
    "status=500": (("status", "500"),),
    'before "in a phrase" after': (("before",), ("in", "a", "phrase"), ("after",)),
    'glued"to a phrase"': (("glued",), ("to", "a", "phrase")),
    'lone " quote': (("lone",), ("quote",)),
    '"never closed here': (("never",), ("closed",), ("here",)),
    '"" " "': (),
    "!!! ---": (),
    "ÄRGER  \t x": (("ärger",), ("x",)),
}


@pytest.mark.parametrize(("text", "phrases"), QUESTIONS.items())
def test_parse_text(text: str, phrases: tuple[tuple[str, ...], ...]) -> None:
    assert parse_text(text) == phrases


def test_a_question_has_bounds() -> None:
    assert parse_text("a" * MAX_QUERY_TEXT)
    with pytest.raises(QueryError, match="longer than 2000 characters") as too_long:
        parse_text("a" * (MAX_QUERY_TEXT + 1))
    assert too_long.value.position == MAX_QUERY_TEXT
    assert len(parse_text("a " * MAX_PHRASES)) == MAX_PHRASES
    with pytest.raises(QueryError, match="more than 64") as too_many:
        parse_text("a " * (MAX_PHRASES + 1))
    assert too_many.value.position == 2 * MAX_PHRASES


def test_letters_of_newer_unicode_have_no_words() -> None:
    """Nor have they in Elasticsearch: both know Unicode 9 to 12."""
    assert unicodedata.name("\U00010570") == "VITHKUQI CAPITAL LETTER A"  # Unicode 14
    assert words("\U00010570") == []
