"""What Elasticsearch is asked for an expression, and what it is never asked."""

import json
from typing import Any

import pytest

from shipper.errors import QueryError
from shipper.search.expression import (
    And,
    Between,
    Equals,
    Everything,
    Expression,
    Like,
    Not,
    Or,
    Present,
    Words,
)
from shipper.stores._elasticsearch_where import ALL, NONE, compiled

SHOP = Equals("service.name", "shop")
MAIL = Equals("service.name", "mail")
WEB = Equals("host.name", "web-1")
T_SHOP = {"term": {"service.name": "shop"}}
USER = Present("user.id")
T_USER = {"exists": {"field": "user.id"}}
T_WEB = {"term": {"host.name": "web-1"}}
SECOND = 10**9


def like(field: str, value: str) -> dict[str, Any]:
    return {"wildcard": {field: {"value": value}}}


CASES: list[tuple[Expression, dict[str, Any]]] = [
    (Everything(), ALL),
    (And(()), ALL),
    (Or(()), NONE),
    (Not(Or(())), ALL),
    (Not(Everything()), {"bool": {"must_not": [ALL]}}),
    (SHOP, T_SHOP),
    (Not(Not(SHOP)), T_SHOP),
    (Or((SHOP, MAIL)), {"terms": {"service.name": ["shop", "mail"]}}),
    (And((SHOP, And((WEB, Not(USER))))), {"bool": {"filter": [T_SHOP, T_WEB], "must_not": [T_USER]}}),
    (Equals("url.path", "x" * 1024), {"term": {"url.path": "x" * 1024}}),
    (Equals("url.path", "x" * 1025), NONE),
    (Equals("url.path", "half \ud800"), NONE),
    (Equals("no.such.field", "x"), NONE),
    (Equals("message", "x"), NONE),
    (Equals("event.sequence", "7"), {"term": {"event.sequence": 7}}),
    (Equals("event.sequence", 2**63), NONE),
    (Equals("event.sequence", "seven"), NONE),
    (Equals("client.ip", "10.1.2.3"), {"term": {"client.ip": "10.1.2.3"}}),
    (Equals("client.ip", "10.1.2.3/8"), {"term": {"client.ip": "10.0.0.0/8"}}),
    (Equals("client.ip", "2001:DB8::1"), {"term": {"client.ip": "2001:db8::1"}}),
    (Equals("client.ip", "fe80::1%eth0"), NONE),
    (Equals("client.ip", "10.1.2"), NONE),
    (Equals("client.ip", "::ffff:10.0.0.0/120"),
     {"range": {"client.ip": {"gte": "::ffff:a00:0", "lte": "::ffff:a00:ff"}}}),
    (Equals("labels.cart", 7), {"term": {"labels.cart": "7"}}),
    (Equals("labels." + "k" * 40_000, "x"), NONE),
    (Like("*a*", "labels"), NONE),
    (Equals("labels", "x"), NONE),
    (Present("labels.a*"), {"prefix": {"labels.a*": ""}}),
    (Present("labels"), {"exists": {"field": "labels"}}),
    (Present("event.original"), NONE),
    (Present("http"), NONE),
    (Present("mess*"), NONE),
    (Words(("a", "b"), "a b", "message"), {"match_phrase": {"message": "a b"}}),
    (Words(("a",), "a", "service.name"), NONE),
    (Words((), "-", "message"), NONE),
    (Like("Time*", None), like("message", "time*")),
    (Like("Time*", "error.message"), like("error.message", "time*")),
    (Like("Time*", "service.name"), like("service.name", "Time*")),
    (Like("a**b***", "service.name"), like("service.name", "a*b*")),
    (Like(r"a\*b\?\\\x" + "\\", "service.name"), like("service.name", r"a\*b\?\\x" + "\\\\")),
    (Like("abc*", "labels.cart"), {"prefix": {"labels.cart": "abc"}}),
    (Like("*", "labels.cart"), {"prefix": {"labels.cart": ""}}),
    (Like(r"a\*c", "labels.cart"), {"term": {"labels.cart": "a*c"}}),
    (Like("half \ud800*", "service.name"), NONE),
    (Between("event.sequence", -5, 7), {"range": {"event.sequence": {"gte": -5, "lt": 7}}}),
    (Between("event.sequence", -(2**70), 2**70), {"exists": {"field": "event.sequence"}}),
    (Between("event.sequence", 2**70, None), NONE),
    (Between("event.sequence", None, -(2**70)), NONE),
    (Between("event.sequence", 7, 7), NONE),
    (Between("service.name", 1, 2), NONE),
    (Between("@timestamp", -1, 5), {"range": {"@timestamp": {"lt": "1970-01-01T00:00:00.000000005Z"}}}),
    (Between("@timestamp", None, 0), NONE),
    (Between("event.ingested", 1_999_999, None), {"range": {"event.ingested": {"gte": "1970-01-01T00:00:00.001000Z"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), CASES, ids=[repr(case[0])[:60] for case in CASES])
def test_what_is_asked(expression: Expression, expected: dict[str, Any]) -> None:
    assert compiled(expression) == expected


def test_words_anywhere_are_a_message_or_an_id() -> None:
    assert compiled(Words(("4bf9", "1"), "4bf9-1")) == {
        "bool": {
            "should": [
                {"match_phrase": {"message": "4bf9 1"}},
                {"term": {"http.request.id": "4bf9-1"}},
                {"term": {"trace.id": "4bf9-1"}},
            ],
            "minimum_should_match": 1,
        }
    }


@pytest.mark.parametrize("pattern", ["*a", "a*b", "a?", "?"])
def test_below_a_flattened_field_only_a_beginning_can_be_asked(pattern: str) -> None:
    with pytest.raises(QueryError, match=r"labels\.cart"):
        compiled(Like(pattern, "labels.cart"))


def nested(levels: int) -> Expression:
    """An `and` with a `not` and an `or` at every level, as parentheses make them."""
    found: Expression = Words(("x",), "x")
    for level in range(levels):
        found = And((Equals("user.id", str(level)), Not(Or((Present("trace.id"), found)))))
    return found


def test_twenty_parentheses_can_be_asked() -> None:
    assert json.dumps(compiled(nested(20))).count('"bool"') == 21


def test_what_the_server_would_refuse_is_told() -> None:
    with pytest.raises(QueryError, match="flatter"):
        compiled(nested(40))


def test_an_and_of_two_ors_keeps_both() -> None:
    both = And((Or((SHOP, WEB)), Or((MAIL, Present("trace.id")))))
    found = compiled(both)["bool"]
    assert found["minimum_should_match"] == 1
    assert found["should"] == [{"terms": {"service.name": ["shop"]}}, {"terms": {"host.name": ["web-1"]}}]
    assert found["filter"] == [
        {"bool": {"should": [{"exists": {"field": "trace.id"}}, {"terms": {"service.name": ["mail"]}}],
                  "minimum_should_match": 1}}
    ]  # fmt: skip
