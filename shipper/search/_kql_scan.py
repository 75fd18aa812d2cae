"""Reading the text of a question, piece by piece: literals, names of fields, keywords. Positions count characters."""

import re
from dataclasses import dataclass
from typing import Final

from shipper.errors import QueryError

#: Wildcards of one literal: more would cost Elasticsearch too many states of its automaton.
MOST_WILDCARDS: Final = 10

_BLANK: Final = re.compile(r"\s*")
_UNQUOTED: Final = re.compile(r'(?:[^\s()"\\]|\\.|\\$)+', re.DOTALL)
_BOUND: Final = re.compile(r'(?:[^\s()"\\\]}]|\\.)+', re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SIGN: Final = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL)
_QUOTED_SIGN: Final = re.compile(r'\\u[0-9a-fA-F]{4}|\\[tnr"\\]|.', re.DOTALL)
_SPACES: Final = {r"\t": "\t", r"\n": "\n", r"\r": "\r"}

_KEYWORD: Final = re.compile(r'(and|or|not)(?=[\s()"]|$)|(&&)|(\|\|)', re.IGNORECASE)
_KEYWORDS: Final = ("and", "and", "or")
_NAME: Final = re.compile(r'((?:[^\W\d]|[@*])(?:[\w.@*/-]|\\.)*|"(?:[^"\\]|\\.)*")\s*(:(?!:|//)|[<>]=?|!=)', re.DOTALL)
_COMPARISON: Final = re.compile(r"[<>]=?")
_CLOCK: Final = re.compile(r"\s+\d{1,2}:\d\d")
#: The query string of an address: what is pasted has no wildcard there.
_QUERY_STRING: Final = re.compile(r"(/[^/?*\\]*)\?(?=[\w.%\[\]-]+=)")
_TO: Final = re.compile(r"to(?=\s)", re.IGNORECASE)
_SIGNED: Final = re.compile(r'[+-](?=[\w"(@*/\\])|!(?!=)')
_BARE_WORD: Final = re.compile(r"[\w*]\Z")

_REGEX: Final = re.compile(r"/((?:[^/\s\\]|\\.)+)/(?=[\s)]|$)")
_REGEX_SIGNS: Final = re.compile(r"[.][*+?]|[(\[|^$+]|\\[dwsbDWSB]")
_FUZZY: Final = re.compile(r"(?<=[\w*])~[\d.]*\Z")
_BOOST: Final = re.compile(r"(?<=[\w*])\^[\d.]+\Z")


@dataclass(frozen=True, slots=True)
class Literal:
    """What stands for a value: its text, and a pattern in which only wildcards are not escaped."""

    text: str
    pattern: str
    #: Whether the pattern has a wildcard.
    wild: bool
    quoted: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FieldName:
    """The name of a field, and what stands behind it: `:`, a comparison, or "!="."""

    name: str
    operator: str
    start: int
    end: int
    #: Whether it has a wildcard.
    wild: bool = False


def skip_blank(text: str, at: int) -> int:
    """Return where the next piece starts."""
    found = _BLANK.match(text, at)
    return at if found is None else found.end()


def keyword(text: str, at: int) -> tuple[str, int] | None:
    """Return `and`, `or` or `not` and where it ends; None when none stands here."""
    found = _KEYWORD.match(text, at)
    if found is None:
        return None
    word = found[1].lower() if found[1] else "and" if found[2] else "or"
    return word, found.end()


def sign(text: str, at: int) -> tuple[str, int] | None:
    """Return a leading `+`, `-` or `!` and where it ends."""
    found = _SIGNED.match(text, at)
    return None if found is None else (found[0], found.end())


def comparison(text: str, at: int) -> tuple[str, int] | None:
    """Return `<`, `<=`, `>` or `>=` and where it ends."""
    found = _COMPARISON.match(text, at)
    return None if found is None else (found[0], found.end())


def field_name(text: str, at: int) -> FieldName | None:
    r"""Return the name of a field with what follows it; None for `10.0.0.1:80`, `http://…`, `a::b`, `C:\temp`."""
    found = _NAME.match(text, at)
    if found is None or found[1][-1] in "-/" or (len(found[1]) == 1 and text.startswith("\\", found.end())):
        return None
    name = found[1]
    if name[0] == '"':
        return FieldName(_unquote(name[1:-1]), found[2], at, found.end())
    signs = [one[0] for one in _SIGN.finditer(name)]
    return FieldName("".join(map(_plain, signs)), found[2], at, found.end(), wild="*" in signs)


def literal(text: str, at: int, *, bound: bool = False) -> Literal | None:
    """Return the literal that starts here, of a range if `bound`; None when none does."""
    _refuse_regex(text, at)
    if text[at : at + 1] == '"':
        return _quoted(text, at)
    found = (_BOUND if bound else _UNQUOTED).match(text, at)
    if found is None:
        return None
    _refuse_unsupported(found[0], at)
    signs = [one[0] for one in _SIGN.finditer(_QUERY_STRING.sub(r"\1\?", found[0]))]
    wild = sum(one in ("*", "?") for one in signs)
    if wild > MOST_WILDCARDS:
        raise QueryError(f"more than {MOST_WILDCARDS} wildcards in one word", at)
    plain = "".join(map(_plain, signs))
    pattern = "".join(one if one in ("*", "?") else escaped(_plain(one)) for one in signs)
    return Literal(plain, pattern, wild > 0, quoted=False, start=at, end=found.end())


def clock_behind(text: str, at: int) -> bool:
    """Whether a space and a time of day stand here: `14:30`."""
    return _CLOCK.match(text, at) is not None


def range_to(text: str, at: int) -> int | None:
    """Return where the word TO of a range ends; None when it does not stand here."""
    found = _TO.match(text, at)
    return None if found is None else found.end()


def escaped(text: str) -> str:
    """Return a text as a pattern that matches only it."""
    return re.sub(r"([*?\\])", r"\\\1", text)


def _quoted(text: str, at: int) -> Literal:
    found = _QUOTED.match(text, at)
    if found is None:
        raise QueryError('this quote is not closed; a quote that is meant as text is written \\"', at)
    after = text[found.end() : found.end() + 1]
    if after and after in "~^":
        raise QueryError(f"{after} behind a phrase is not supported: leave it out", found.end())
    plain = _unquote(found[1])
    return Literal(plain, escaped(plain), wild=False, quoted=True, start=at, end=found.end())


def _unquote(text: str) -> str:
    return "".join(_plain(one[0]) for one in _QUOTED_SIGN.finditer(text))


def _plain(one: str) -> str:
    """Return what an escape stands for, as in Kibana: a space of some kind, a code, or the character itself."""
    if len(one) == 1:
        return one
    if len(one) == 6:
        return chr(int(one[2:], 16))
    return _SPACES.get(one) or one[1]


def _refuse_regex(text: str, at: int) -> None:
    found = _REGEX.match(text, at)
    if found is not None and _REGEX_SIGNS.search(found[1]):
        raise QueryError('regular expressions are not supported: use words and * or ?, or put the text in "quotes"', at)


def _refuse_unsupported(raw: str, at: int) -> None:
    if found := _FUZZY.search(raw):
        what = "~ (fuzzy) is not supported: use * or ?"
    elif found := _BOOST.search(raw):
        what = "^ (boost) is not supported, records are in the order of time: leave it out"
    else:
        return
    raise QueryError(f'{what}; text with that sign is put in "quotes"', at + found.start())
