"""Messages grouped by what they have alike: the template of a message, and which templates are one pattern.

What varies from one message to the next (numbers, ids, addresses, times, quoted text) is masked; templates that differ
in one word only become one pattern when there are several of them. Nothing is stored: a template is found when asked.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final

from shipper.search.expression import Expression, Words, both
from shipper.search.words import words

#: Characters of a message that are looked at: its first line, cut.
LONGEST: Final = 400
#: What a word stands for that differs between the messages of one pattern.
ANYTHING: Final = "<*>"
#: So many templates that differ in one word only are one pattern.
_ALIKE: Final = 4
#: Longer templates are compared in these first words only.
_MOST_WORDS: Final = 40
_MOST_PHRASES: Final = 12
_TORN_FIRST: Final = re.compile(r"^[^\s=()\[\]{}/\"]+")
_TORN_LAST: Final = re.compile(r"[^\s=()\[\]{}/\"]+$")

_MASKS: Final = (
    ("text", r'"[^"]*"|(?<!\w)\'[^\']*\'(?!\w)'),
    (
        "time",
        r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?|\b\d\d:\d\d:\d\d(?:[.,]\d+)?",
    ),
    ("id", r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
    ("ip", r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"),
    ("hex", r"\b0x[0-9a-fA-F]+\b"),
    # Hexadecimal ids too: some of them happen to have digits only.
    (
        "n",
        r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}\b|\b(?=[A-F]*\d)(?=\d*[A-F])[0-9A-F]{7,}\b"
        r"|(?<![A-Za-z_])[-+]?\d+(?:[.,]\d+)*|(?<=[A-Za-z_])\d+",
    ),
)
_MASK: Final = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _MASKS))
_MASKED: Final = re.compile(r"<(?:text|time|id|ip|hex|n|\*)>")


def template(message: str) -> str:
    """Return the first line of a message with what varies masked: `user <n> took <n>ms`."""
    line = message.lstrip().partition("\n")[0]
    if len(line) > LONGEST:
        line = line[:LONGEST].rpartition(" ")[0]  # half a word would be another word
    line = line.rstrip()
    return _MASK.sub(lambda found: f"<{found.lastgroup}>", line)


def merged(templates: Collection[str]) -> dict[str, str]:
    """Return for each template the pattern that it belongs to, often itself."""
    alike: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    for one in templates:
        parts = one.split(" ")[:_MOST_WORDS]
        if len(parts) < 3:
            continue
        for place in range(len(parts)):
            alike[place, " ".join(parts[:place]), " ".join(one.split(" ")[place + 1 :])].append(one)
    pattern_of = {one: one for one in templates}
    for (_, before, after), members in sorted(alike.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(members) < _ALIKE:
            break
        if (before or after) and all(pattern_of[one] == one for one in members):
            pattern = " ".join(part for part in (before, ANYTHING, after) if part)
            pattern_of.update(dict.fromkeys(members, pattern))
    return pattern_of


def belongs(message: str, pattern: str) -> bool:
    """Say whether a message is one of a pattern."""
    found = template(message)
    before, star, after = pattern.partition(ANYTHING)
    return found == pattern or bool(
        star
        and len(found) >= len(before) + len(after)
        and found.startswith(before)
        and found.endswith(after)
        and " " not in found[len(before) : len(found) - len(after)]
    )


def expression(pattern: str) -> Expression | None:
    """Return what all messages of a pattern match (and perhaps some others): the words between its masks."""
    return both(Words(found, " ".join(found), "message") for found in phrases(_MASKED.split(pattern))[:_MOST_PHRASES])


def phrases(pieces: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the whole words of each piece of a cut text, without those that the cut may have torn."""
    found = []
    for place, piece in enumerate(pieces):
        kept = piece if place == 0 else _TORN_FIRST.sub("", piece)
        kept = kept if place == len(pieces) - 1 else _TORN_LAST.sub("", kept)
        phrase = tuple(words(kept))
        if phrase:
            found.append(phrase)
    return found
