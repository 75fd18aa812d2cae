"""Our words are those of a real Elasticsearch: character by character, on a table and on generated text."""

import json
import random
import urllib.request
from collections.abc import Iterable, Sequence

import pytest

from shipper.search._word_classes import RANGES
from shipper.search.words import words
from tests.unit.test_words import CASES, LONG

#: Emoji that are letters too, where a joiner or a tag follows: known to differ, see `shipper.search.words`.
LETTER_EMOJI = {0x2139, 0x24C2, 0x1F170, 0x1F171, 0x1F17E, 0x1F17F}


def analysed(url: str, texts: Sequence[str]) -> list[list[str]]:
    """What the server's `standard` analyser makes of each text."""
    body = json.dumps({"analyzer": "standard", "text": list(texts)}).encode()
    request = urllib.request.Request(f"{url}/_analyze", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        tokens = json.loads(answer.read())["tokens"]
    found: list[list[str]] = [[] for _ in texts]
    index, end = 0, _units(texts[0])
    for token in tokens:
        while token["start_offset"] >= end:  # texts follow each other with one unit between them
            index += 1
            end += 1 + _units(texts[index])
        found[index].append(token["token"])
    return found


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def assert_agree(url: str, texts: Iterable[str]) -> None:
    texts = [text for text in texts if text]
    different = [
        (text, ours, theirs)
        for text, theirs in zip(texts, analysed(url, texts), strict=True)
        if (ours := words(text)) != theirs
    ]
    assert not different, f"{len(different)} of {len(texts)}, first {different[0]!a}"


def test_the_table(elasticsearch_url: str) -> None:
    assert_agree(elasticsearch_url, [*CASES, *(text for text, _ in LONG.values())])


@pytest.mark.parametrize("frame", ["{}", "a{}a", "1{}1", "ア{}ア", "_{}", "{}é"])
def test_every_character(elasticsearch_url: str, frame: str) -> None:
    codes = [c for c in range(0x21, 0x32000) if not 0xD800 <= c < 0xF900]
    codes += range(0xE0000, 0xE0200)
    for start in range(0, len(codes), 2500):
        assert_agree(elasticsearch_url, [frame.format(chr(code)) for code in codes[start : start + 2500]])


def _one_of_each_class(chance: random.Random) -> list[str]:
    found = []
    for text in RANGES.values():
        codes = [int(part.split("-")[0], 16) for part in text.split()]
        found += [chr(code) for code in chance.choices(codes, k=6) if code not in LETTER_EMOJI]
    return found


@pytest.mark.parametrize("seed", range(5))
def test_generated_text(elasticsearch_url: str, seed: int) -> None:
    chance = random.Random(seed)
    plain = "abZ19__.:',;\"# */=\t-é"
    exotic = _one_of_each_class(chance) + list(plain) * 2
    assert_agree(elasticsearch_url, ["".join(chance.choices(plain, k=chance.randrange(1, 15))) for _ in range(2000)])
    assert_agree(elasticsearch_url, ["".join(chance.choices(exotic, k=chance.randrange(1, 9))) for _ in range(4000)])


@pytest.mark.parametrize("seed", range(3))
def test_generated_long_words(elasticsearch_url: str, seed: int) -> None:
    chance = random.Random(seed)
    weights = [30, 30, 20, 20, 1, 1, 1, 1, 1]
    assert_agree(
        elasticsearch_url,
        ["".join(chance.choices("ab1_.:'é\U0001d400", weights, k=chance.randrange(200, 900))) for _ in range(200)],
    )
