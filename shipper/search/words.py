"""What a word is, once for all stores: the `standard` analyser of Elasticsearch, in Python.

The rules are Unicode's default word boundaries (UAX #29) as Lucene's StandardTokenizer applies them: runs of letters
and digits with `_`, joined by `.` `'` `:` between two letters and by `.` `,` `;` `'` between two digits; Han, Hiragana
and emoji stand alone; combining marks belong to the word before. So `timed_out`, `com.shop.Cart` and `10.0.0.1` are one
word each. Words are lower-cased and cut after 255 UTF-16 units.

Known to differ from the server, all of it rare enough to leave: emoji that are letters too (U+2139, U+24C2, U+1F170,
U+1F171, U+1F17E, U+1F17F) when a zero width joiner or a tag ties them to another emoji; letters whose upper case came
to Unicode after the Python that runs this.
"""

import re
from bisect import bisect_right
from typing import Final

from shipper.errors import QueryError
from shipper.search._word_classes import RANGES
from shipper.search.query import Phrase

#: Longest word, in UTF-16 units: `max_token_length` of the `standard` analyser.
MAX_WORD: Final = 255
#: Bounds of a question typed by a person.
MAX_QUERY_TEXT: Final = 2000
MAX_PHRASES: Final = 64

_ASCII_WORD: Final = re.compile(r"\w+(?:(?:(?<=[a-zA-Z])[.:'](?=[a-zA-Z])|(?<=\d)[.,;'](?=\d))\w+)*", re.ASCII)


class _Classes(dict[int, str]):
    """Class letter of a code point, found on first use: what `str.translate` asks for."""

    def __init__(self) -> None:
        super().__init__()
        ranges = []
        for name, text in RANGES.items():
            for part in text.split():
                first, _, last = part.partition("-")
                ranges.append((int(first, 16), int(last or first, 16), name))
        self._ranges = sorted(ranges)
        self._starts = [first for first, _, _ in self._ranges]
        ascii_classes = {"_": "U", ".": "m", "'": "q", ":": "l", ",": "n", ";": "n", '"': "d", "#": "#", "*": "#"}
        for code in range(128):
            char = chr(code)
            self[code] = "A" if char.isalpha() else "N" if char.isdigit() else ascii_classes.get(char, "o")

    def __missing__(self, code: int) -> str:
        at = bisect_right(self._starts, code) - 1
        name = "o"
        if at >= 0 and code <= self._ranges[at][1]:
            name = self._ranges[at][2]
        self[code] = name
        return name


def _grammar() -> re.Pattern[str]:
    """Return the rules as one pattern over class letters, one per character."""
    mark = "[xzvwytTsM]*+"  # WB4: they belong to the character before
    connector = f"U{mark}"
    # WB7a to WB7c: after a Hebrew letter a single quote belongs to the word, a double quote if a Hebrew letter follows.
    hebrew = f"H{mark}(?:q{mark}|d{mark}H{mark})?"
    letter = f"(?:A{mark}|H{mark}(?![qd]))"
    letters = f"{letter}(?:[lmq]{mark}[AH]{mark}|(?:{connector})*{letter})*"  # WB5 to WB7, WB13a, WB13b
    digits = f"N{mark}(?:(?:[nmq]{mark}|(?:{connector})*)N{mark})*"  # WB8, WB11, WB12
    katakana = f"K{mark}(?:(?:{connector})*K{mark})*"  # WB13
    part = f"(?:{katakana}|(?:{letters}|{hebrew}|{digits})+)"
    word = f"(?:{connector})*{part}(?:(?:{connector})+{part})*(?:{connector})*"
    # UTS #51, emoji_sequence: a style sign may follow (not a skin tone), and a zero width joiner ties two together.
    tied = "[xzytTsM]*"
    picture = f"P{tied}v?"
    emoji = f"(?:z*{picture}|M{tied})(?:z*(?<=z){picture}|(?<=v)zM{tied})*(?:t+T)?"
    keycap = f"#{tied}v?y{tied}"
    flag = f"R{mark}R{mark}"
    asian = f"[Ss]{mark}(?:S{mark})*"
    return re.compile(f"{word}|{emoji}|{keycap}|{flag}|{asian}|I{mark}")


_CLASSES: Final = _Classes()
_GRAMMAR: Final = _grammar()
#: No word goes beyond a character that the rules do not name.
_RUN: Final = re.compile("[^o]+")
_CONNECTORS: Final = re.compile("U[UxvwytT]*")


def words(text: str) -> list[str]:
    """Return the words of a text, in order, lower-cased. Takes time in proportion to the length of the text."""
    if text.isascii():
        return _ascii_words(text)
    found: list[str] = []
    plain: list[str] = []
    for chunk in text.split(" "):
        if chunk.isascii():
            plain.append(chunk)
            continue
        found += _ascii_words(" ".join(plain))
        found += _unicode_words(chunk)
        plain.clear()
    return found + _ascii_words(" ".join(plain))


def _ascii_words(text: str) -> list[str]:
    found: list[str] = _ASCII_WORD.findall(text.lower())
    if "_" in text:
        found = [word for word in found if word[0] != "_" or word.strip("_")]
    if len(text) > MAX_WORD and any(len(word) > MAX_WORD for word in found):
        return _unicode_words(text)
    return found


def _unicode_words(text: str) -> list[str]:
    """Words of any text, by class letters."""
    classes = text.translate(_CLASSES)
    found: list[str] = []
    for run in _RUN.finditer(classes):
        start, end = run.span()
        if end - start <= MAX_WORD // 2:
            found += [lower(text[slice(*match.span())]) for match in _GRAMMAR.finditer(classes, start, end)]
        else:
            _long_run(text, classes, start, end, found)
    return found


def _long_run(text: str, classes: str, at: int, end: int, found: list[str]) -> None:
    """Add the words of a long run: like the server, with a view of 255 units from where a word starts."""
    wide = max(text[at:end]) > "\uffff"
    while at < end:
        view = min(end, _view(text, at) if wide else at + MAX_WORD)
        match = _GRAMMAR.match(classes, at, view)
        if match is not None:
            found.append(lower(text[at : match.end()]))
            at = match.end()
        elif (connectors := _CONNECTORS.match(classes, at, end)) is not None:
            # They start a word only when what they lead to is in view.
            at = max(at + 1, connectors.end() - MAX_WORD + 1) if connectors.end() > view - 1 else connectors.end()
        else:
            at += 1


def _view(text: str, start: int) -> int:
    """Where 255 UTF-16 units from `start` end; half a pair is not seen."""
    units = 0
    for end in range(start, min(start + MAX_WORD, len(text))):
        units += 2 if text[end] > "\uffff" else 1
        if units > MAX_WORD:
            return end
    return min(start + MAX_WORD, len(text))


def lower(word: str) -> str:
    """Lower-case each character by itself, as Java does: no final sigma, no dot added to `i`."""
    return word.replace("\u03a3", "\u03c3").replace("\u0130", "i").lower()


_CHUNK: Final = re.compile(r'"([^"]*)"|([^\s"]+)')


def parse_text(text: str) -> tuple[Phrase, ...]:
    """Return the phrases that a person asks for: each chunk between spaces and each "quoted string" cut into words.

    All must occur. Several words of one chunk must stand next to each other (`a=b`); a lone quote means nothing.
    QueryError when the text is longer than 2,000 characters or has more than 64 phrases.
    """
    if len(text) > MAX_QUERY_TEXT:
        raise QueryError(f"the text is longer than {MAX_QUERY_TEXT} characters", MAX_QUERY_TEXT)
    phrases: list[Phrase] = []
    for chunk in _CHUNK.finditer(text):
        phrase = tuple(words(chunk[1] if chunk[1] is not None else chunk[2]))
        if phrase and len(phrases) == MAX_PHRASES:
            raise QueryError(f"more than {MAX_PHRASES} words or phrases", chunk.start())
        if phrase:
            phrases.append(phrase)
    return tuple(phrases)
