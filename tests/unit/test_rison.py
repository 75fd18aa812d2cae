"""Rison: what we write is what Kibana's own decoder reads, for 20,000 questions of any text; and the locator's JSON."""

import random
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.api import rison
from shipper.api.kibana import Discover, base_url
from shipper.search import kql
from shipper.search.expression import And, Equals, Expression, Like, Not, Or, Words
from shipper.search.words import words

QUERIES = 20_000
BASE = base_url("https://logs.example/kibana", "team-a")

#: Written and read back by hand, from the format's own description.
KNOWN: dict[str, Any] = {
    "a": "a",
    "''": "",
    "'0'": "0",
    "'-a'": "-a",
    "'a b'": "a b",
    "'!!!''": "!'",
    "'a\nb'": "a\nb",
    "true": "true",
    "!t": True,
    "!f": False,
    "!n": None,
    "-1.5": -1.5,
    "1e22": 1e22,
    "!()": [],
    "()": {},
    "(a:!(1,(b:'(c)')))": {"a": [1, {"b": "(c)"}]},
    "('a:b':c)": {"a:b": "c"},
}

#: Reads one address a line and writes what Kibana would find in it: of the locator, of `_g` and of `_a`.
DECODER = """
const rison = require(process.argv[1])
const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(line => line)
const told = lines.map(line => {
  const asked = JSON.parse(line)
  const there = new URL(asked.locator)
  const hash = new URL(asked.edit).hash
  const state = new Map(hash.slice(hash.indexOf('?') + 1).split('&').map(part => {
    const at = part.indexOf('=')
    return [part.slice(0, at), rison.decode(decodeURIComponent(part.slice(at + 1)))]
  }))
  return JSON.stringify([JSON.parse(there.searchParams.get('p')), state.get('_g'), state.get('_a')])
})
process.stdout.write(told.join('\\n'))
"""
#: The same for values of any shape, without an address.
VALUES = """
const rison = require(process.argv[1])
const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(line => line)
const told = lines.map(line => rison.decode(decodeURIComponent(JSON.parse(line))))
process.stdout.write(told.map(value => JSON.stringify(value)).join('\\n'))
"""


@pytest.mark.parametrize("text", KNOWN)
def test_values_are_written_as_rison_has_them(text: str) -> None:
    assert rison.encode(KNOWN[text]) == text


def test_what_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError):
        rison.encode(object())


def test_nothing_that_ends_an_address_or_a_page_is_left() -> None:
    everything = "".join(map(chr, range(0x3000)))
    assert not set(rison.quoted(everything)) & set('&#+"<>\\ ?/=%') - {"%"}
    assert rison.quoted("a\ud800b") == "'a%3Fb'"


def _node(script: str, folder: str, lines: list[Any], tmp_path: Path) -> list[Any]:
    given = tmp_path / "given"
    given.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    with given.open() as file:
        done = subprocess.run(["node", "-e", script, folder], stdin=file, capture_output=True, timeout=300, check=True)
    return [orjson.loads(line) for line in done.stdout.split(b"\n")]


def test_20000_questions_survive_the_address(rison_node: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    distinct: dict[str, Discover] = {}
    while len(distinct) < QUERIES:
        one = _question(chance)
        distinct[one.kql] = one
    asked = list(distinct.values())
    assert max(len(one.kql) for one in asked) >= 2000
    lines = [{"locator": one.url(BASE), "edit": one.edit_url(BASE)} for one in asked]
    assert all(url.isascii() and url.isprintable() for line in lines for url in line.values())
    found = _node(DECODER, rison_node, lines, tmp_path)
    assert len(found) == QUERIES
    for one, (there, shared, own) in zip(asked, found, strict=True):
        assert there == one.parameters_in(BASE)
        assert own.pop("index") == there.pop("dataViewId") == "logs-mesos-team-a"
        assert shared["time"] == there.pop("timeRange")
        assert own == there
        assert own["query"]["query"] == one.kql


def test_values_of_any_shape_survive(rison_node: str, tmp_path: Path) -> None:
    chance = random.Random(8)
    values = [_value(chance, chance.randrange(6)) for _ in range(2000)]
    deep: Any = "'!)"
    for _ in range(100):
        deep = chance.choice(([deep], {"a": deep}, {"'": [deep, None]}))
    values.append(deep)
    found = _node(VALUES, rison_node, [rison.quoted(value) for value in values], tmp_path)
    assert found == values


_CHARACTERS = (
    "!'():,*@$", "%%25%2F", "\\\\", '"', "\n\r\t", "\x00\x01\x1b\x7f\x85", "\u2028\u2029\u200b\u202e\ufeff",
    "äöß→你好💥👩\u200d👩", "&#+?/= ;<>`{}[]|^~", "abcxyz019._-", "\ud7ff\ue000\uffff\U0010ffff",
)  # fmt: skip


def _text(chance: random.Random) -> str:
    length = 2000 if chance.random() < 0.005 else chance.choice((0, 1, 1, 2, 3, 5, 8, 20, 60))
    kinds = chance.sample(_CHARACTERS, chance.randrange(1, 4))
    return "".join(chance.choice(chance.choice(kinds)) for _ in range(length))


def _question(chance: random.Random) -> Discover:
    """Any text, or KQL as we write it of any values."""
    asked = _text(chance) if chance.random() < 0.3 else kql.write(_expression(chance, chance.randrange(4)))
    start = chance.randrange(2**62)
    fields = tuple(_text(chance) for _ in range(chance.randrange(3)))
    return Discover(asked, start, start + 10**9, chance.random() < 0.5, fields, chance.choice((None, "log.level")))


def _expression(chance: random.Random, depth: int) -> Expression:
    if depth:
        parts = tuple(_expression(chance, depth - 1) for _ in range(chance.randrange(1, 4)))
        return chance.choice((And(parts), Or(parts), Not(parts[0])))
    text, field = _text(chance), chance.choice(("service.name", "labels.a b", "labels.ä:*", "host.name"))
    if chance.random() < 0.2 and (cut := tuple(words(text))):
        return Words(cut, text, "message")
    return Like(f"{text.replace(chr(92), '')}*", field) if chance.random() < 0.2 else Equals(field, text)


def _value(chance: random.Random, depth: int) -> Any:
    if not depth:
        return chance.choice((None, True, False, 0, -1, 2**53, 0.5, -1e-7, 1e22, _text(chance), _text(chance)))
    inside = [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return inside if chance.random() < 0.5 else {_text(chance): one for one in inside}
