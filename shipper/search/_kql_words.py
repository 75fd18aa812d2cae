"""Free words of a question: a chunk cut into words and, where it has wildcards, patterns of one word each.

A pattern covers one whole word, so a chunk that is several words becomes several conditions: `/api/v1/ca*` is the
words `api v1` beside each other, and a word that begins with `ca`. A wildcard beside `.`, `:` or `,` is taken to go
on with the word (`com.shop.*`, `10.0.*`).
"""

from itertools import groupby
from typing import Final

from shipper.search._kql_scan import Literal
from shipper.search.expression import Expression, Words
from shipper.search.normal import like
from shipper.search.words import words

#: What stands for `*` and `?` while words are cut: connectors join letters and digits on both sides, …
_CONNECTORS: Final = ("\u203f", "\u2040")
#: … but beside a sign that joins two letters or two digits a letter or a digit must stand. All of dead scripts.
_LETTERS: Final = ("\U00010000", "\U00010001")
_DIGITS: Final = ("\U000104a0", "\U000104a1")
_STANDING: Final = str.maketrans(dict(zip("".join((*_CONNECTORS, *_LETTERS, *_DIGITS)), "*?*?*?", strict=True)))
_CLEARED: Final = dict.fromkeys(_STANDING, " ")
_JOINING: Final = frozenset(".:,;'")


def conditions(chunk: Literal, field: str | None) -> list[Expression]:
    """Return what a chunk asks of a text field; nothing when there is no word in it."""
    if not chunk.wild:
        found = tuple(words(chunk.text))
        return [Words(found, chunk.text, field)] if found else []
    cut = [word.translate(_STANDING) for word in words(_marked(chunk.pattern))]
    parts: list[Expression] = []
    for wild, group in groupby(cut, key=lambda word: "*" in word or "?" in word):
        if wild:
            parts += [like(word, field) for word in group if word.strip("*?")]
        else:
            phrase = tuple(group)
            parts.append(Words(phrase, " ".join(phrase), field))
    return parts


def _marked(pattern: str) -> str:
    """Return a pattern with its wildcards as characters that the rules of words see as part of a word."""
    signs: list[tuple[str, bool]] = []  # character, whether it is a wildcard
    at = 0
    while at < len(pattern):
        step = 2 if pattern[at] == "\\" and at + 1 < len(pattern) else 1
        signs.append((pattern[at + step - 1], step == 1 and pattern[at] in "*?"))
        at += step
    text = [(char if wild else char.translate(_CLEARED)) for char, wild in signs]
    for place, (char, wild) in enumerate(signs):
        if wild:
            text[place] = _standing(signs, place)[char == "?"]
    return "".join(text)


def _standing(signs: list[tuple[str, bool]], place: int) -> tuple[str, str]:
    for step in (-1, 1):
        beside, beyond = place + step, place + 2 * step
        if 0 <= beside < len(signs) and signs[beside][0] in _JOINING and not signs[beside][1]:
            digit = 0 <= beyond < len(signs) and signs[beyond][0].isdecimal()
            return _DIGITS if digit else _LETTERS
    return _CONNECTORS
