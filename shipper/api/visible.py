"""Text of strangers, made safe to look at: what cannot be seen, or moves what can be seen, becomes an escape.

Records are written by anybody. A terminal obeys ESC and C1 codes, every display obeys bidi overrides, and an invisible
character hides in a name; each of them is shown as what it is (`\\x1b`, `\\u202e`). Joiners that scripts and emoji
need (U+200C, U+200D, variation selectors) stay. Used by the page and by the command line, so nothing heavy here.
"""

import re
from collections.abc import Callable

#: C0 without tab and newline, DEL, C1, soft hyphen, bidi and other format characters, line separators, surrogates
#: (which no stream can encode), private use, noncharacters, tags.
_PATTERN = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff\U000f0000-\U0010ffff]"
)
UNSAFE = re.compile(_PATTERN)
#: A line ends at \n or \r\n; a lone \r would let a line overwrite itself, so it is shown.
_LINE_END = re.compile("\r\n")


def escape(character: str) -> str:
    """Return a character as Python would write it: `\\x1b`, `\\u202e`, `\\U000e0041`."""
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str, mark: Callable[[str], str] = str) -> str:
    """Return text with every unsafe character escaped; `mark` may dress an escape. Newlines and tabs stay."""
    return UNSAFE.sub(lambda found: mark(escape(found[0])), _LINE_END.sub("\n", text))


def pieces(text: str) -> list[tuple[bool, str]]:
    """Return text as (is an escape, part) pairs, in order: for displays that dress escapes themselves."""
    found = []
    end = 0
    text = _LINE_END.sub("\n", text)
    for match in UNSAFE.finditer(text):
        if match.start() > end:
            found.append((False, text[end : match.start()]))
        found.append((True, escape(match[0])))
        end = match.end()
    if end < len(text):
        found.append((False, text[end:]))
    return found
