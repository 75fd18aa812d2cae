"""The language: what texts mean, what is wrong with them and where, limits; and that nothing else ever happens."""

import contextlib
import string
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.errors import QueryError
from shipper.record.fields import FIELDS
from shipper.record.levels import LEVELS
from shipper.record.times import to_ns
from shipper.search.expression import And, Between, Equals, Everything, Expression, Like, Not, Or, Present, Words
from shipper.search.kql import MAX_CLAUSES, MAX_DEPTH, MAX_TEXT, parse, write
from shipper.search.normal import NOTHING, normalise
from shipper.search.words import words

NOW = to_ns("2026-11-22T14:30:00Z")
HOUR = 3600 * 10**9
STATUS = "http.response.status_code"


def w(text: str, field: str | None = None) -> Words:
    return Words(tuple(words(text)), text, field)


def at(text: str) -> int:
    return to_ns(f"2026-11-{text}Z")


def levels(*names: str) -> Or:
    return Or(tuple(Equals("log.level", name) for name in names))


A, B, C = w("a"), w("b"), w("c")
ERROR = Equals("log.level", "error")

MEANINGS: dict[str, Expression] = {
    "": Everything(),
    "   ": Everything(),
    "*": Everything(),
    "*:*": Everything(),
    # words
    "a": A,
    "a b": And((A, B)),
    '"a b"': w("a b"),
    "timed_out": w("timed_out"),
    "a=b": w("a=b"),
    "/api/v1/cart": w("/api/v1/cart"),
    "/api/v1/cart/": w("/api/v1/cart/"),
    "http://shop/a": w("http://shop/a"),
    "12:30:05": w("12:30:05"),
    "10.0.0.1:8080": w("10.0.0.1:8080"),
    "Foo::bar": w("Foo::bar"),
    r"C:\\temp": w("C:\\temp"),
    "a -> b": And((A, B)),
    "a - b & c": And((A, B, C)),
    "call() a": And((w("call"), A)),
    "x != a": And((w("x"), A)),
    "a b!": And((A, w("b!"))),
    r"\and": w("and"),
    '"and"': w("and"),
    "android": w("android"),
    r"a\:b": w("a:b"),
    r'"a\"b\\c\tdé"': w('a"b\\c\tdé'),
    r'"C:\dir"': w("C:\\dir"),
    # operators, by their order: not, and, or
    "a and b": And((A, B)),
    "a AND b": And((A, B)),
    "a && b": And((A, B)),
    "a or b": Or((A, B)),
    "a || b": Or((A, B)),
    "not a": Not(A),
    "NOT a": Not(A),
    "!a": Not(A),
    "-a": Not(A),
    "+a": A,
    "+a -b": And((A, Not(B))),
    "not not a": A,
    "!!!a": Not(A),
    "not +a": Not(A),
    "a or b c": Or((A, And((B, C)))),
    "a b or c": Or((And((A, B)), C)),
    "not a b": And((Not(A), B)),
    "not (a b)": Not(And((A, B))),
    "(a or b) c": And((Or((A, B)), C)),
    "((a))": A,
    "a or (b or c)": Or((A, B, C)),
    "a (b c)": And((A, B, C)),
    "not(a)": Not(A),
    "not *": NOTHING,
    # fields
    "level:error": ERROR,
    "level : error": ERROR,
    "level: ERR": ERROR,
    "log.level:error": ERROR,
    "level:(error or warn)": levels("error", "warn"),
    "level:(not error)": Not(ERROR),
    "host:web-1": Equals("host.name", "web-1"),
    'host:"web 1"': Equals("host.name", "web 1"),
    'host:""': Equals("host.name", ""),
    r"host:web\ 1": Equals("host.name", "web 1"),
    "host:(web-1 and -web-2)": And((Equals("host.name", "web-1"), Not(Equals("host.name", "web-2")))),
    "task:x y": And((Equals("orchestrator.resource.id", "x"), w("y"))),
    "request:r-1": Equals("http.request.id", "r-1"),
    "service:shop": Equals("service.name", "shop"),
    "app:shop-api": Equals("service.name", "shop-api"),
    "app:/shop/api": Equals("orchestrator.resource.name", "/shop/api"),
    "app:/shop/*": Like("/shop/*", "orchestrator.resource.name"),
    'app:"/shop/*"': Like("/shop/*", "orchestrator.resource.name"),
    "app:(/shop/api or shop)": Or((Equals("orchestrator.resource.name", "/shop/api"), Equals("service.name", "shop"))),
    r'app:"/shop?/*"': Like(r"/shop\?/*", "orchestrator.resource.name"),
    'service:"/shop/*"': Equals("service.name", "/shop/*"),
    "trace.id:*": Present("trace.id"),
    "_exists_:trace": Present("trace.id"),
    "-_exists_:labels.a": Not(Present("labels.a")),
    'host:"*"': Equals("host.name", "*"),
    r"host:\*": Equals("host.name", "*"),
    r"labels.a\*b:1": Equals("labels.a*b", "1"),
    "host:'a*": Like("'a*", "host.name"),
    "host:web*": Like("web*", "host.name"),
    "host:w?b**": Like("w?b*", "host.name"),
    r"host:a\*b*": Like(r"a\*b*", "host.name"),
    r"host:a\*b": Equals("host.name", "a*b"),
    "labels.cart:17": Equals("labels.cart", "17"),
    "labels.a.b:1*": Like("1*", "labels.a.b"),
    "labels:*": Present("labels"),
    '"labels.odd key":x': Equals("labels.odd key", "x"),
    r"labels.odd\ key:x": Equals("labels.odd key", "x"),
    "labels.app.kubernetes.io/name:x": Equals("labels.app.kubernetes.io/name", "x"),
    'message:"a b"': w("a b", "message"),
    "message:(a or b)": Or((w("a", "message"), w("b", "message"))),
    "error.message:tim*": Like("tim*", "error.message"),
    "client.ip:10.0.0.0/8": Equals("client.ip", "10.0.0.0/8"),
    "client.ip:2001:db8::1": Equals("client.ip", "2001:db8::1"),
    # wildcards in words
    "tim*": Like("tim*"),
    "TIM?": Like("tim?"),
    "10.0.*": Like("10.0.*"),
    "com.Shop.*": Like("com.shop.*"),
    "*.shop": Like("*.shop"),
    "/api/v1/ca*": And((w("api v1"), Like("ca*"))),
    "a-b*-c": And((A, Like("b*"), C)),
    "foo-*": w("foo"),
    "/cart?id=5": w("/cart?id=5"),
    "http://shop/cart?id=5&n=1": w("http://shop/cart?id=5&n=1"),
    "/cart?id=5*": And((w("cart id"), Like("5*"))),
    "url.path:/cart?id=5": Equals("url.path", "/cart?id=5"),
    "us?r=5": And((Like("us?r"), w("5"))),
    # ranges
    "status:500": Equals(STATUS, 500),
    "status:-1": Equals(STATUS, -1),
    "status >= 500": Between(STATUS, 500, None),
    "status > 500": Between(STATUS, 501, None),
    "status<500": Between(STATUS, None, 500),
    "status <= 500": Between(STATUS, None, 501),
    "status:>=500": Between(STATUS, 500, None),
    "status:(404 or >=500)": Or((Equals(STATUS, 404), Between(STATUS, 500, None))),
    "status:[500 TO 599]": Between(STATUS, 500, 600),
    "status:{500 to 599}": Between(STATUS, 501, 599),
    "status:[500 TO 599}": Between(STATUS, 500, 599),
    "status:{ 500 TO 599 ]": Between(STATUS, 501, 600),
    "status:[* TO 599]": Between(STATUS, None, 600),
    "status:[500 TO *]": Between(STATUS, 500, None),
    "status:[* TO *]": Present(STATUS),
    "status >= 500 and status < 600": Between(STATUS, 500, 600),
    "status < 500 and status >= 600": And((Between(STATUS, None, 500), Between(STATUS, 600, None))),
    f"status <= {2**63 - 1}": Present(STATUS),
    f"status > {2**63 - 1}": NOTHING,
    "level >= critical": levels("critical", "alert", "emergency"),
    "level > alert": Equals("log.level", "emergency"),
    "level < debug": Equals("log.level", "trace"),
    "level:[info TO warn]": levels("info", "notice", "warn"),
    "level > emergency": NOTHING,
    # times cover what was typed of them
    "time:2026-11-21": Between("@timestamp", at("21T00:00:00"), at("22T00:00:00")),
    "@timestamp:2026-11-21T10:30": Between("@timestamp", at("21T10:30:00"), at("21T10:31:00")),
    '@timestamp:"2026-11-21 10:30:05"': Between("@timestamp", at("21T10:30:05"), at("21T10:30:06")),
    "@timestamp:2026-11-21T10:30:05.12Z": Between("@timestamp", at("21T10:30:05.12"), at("21T10:30:05.13")),
    "@timestamp:2026-11-21T10:30+02:00": Between("@timestamp", at("21T08:30:00"), at("21T08:31:00")),
    "@timestamp:2026-11": Between("@timestamp", at("01T00:00:00"), to_ns("2026-12-01T00:00:00Z")),
    "@timestamp:yesterday": Between("@timestamp", at("21T00:00:00"), at("22T00:00:00")),
    "@timestamp:now/d": Between("@timestamp", at("22T00:00:00"), at("23T00:00:00")),
    "@timestamp:now-1d/w": Between("@timestamp", at("16T00:00:00"), at("23T00:00:00")),
    "@timestamp:now/M": Between("@timestamp", at("01T00:00:00"), to_ns("2026-12-01T00:00:00Z")),
    "@timestamp:now/y": Between("@timestamp", to_ns("2026-01-01T00:00:00Z"), to_ns("2027-01-01T00:00:00Z")),
    "@timestamp > 2026-11-21": Between("@timestamp", at("22T00:00:00"), None),
    "@timestamp >= 2026-11-21": Between("@timestamp", at("21T00:00:00"), None),
    "@timestamp <= 2026-11-21": Between("@timestamp", None, at("22T00:00:00")),
    "@timestamp < 2026-11-21": Between("@timestamp", None, at("21T00:00:00")),
    "@timestamp >= now-15m": Between("@timestamp", NOW - HOUR // 4, None),
    "@timestamp >= now-1d+2h": Between("@timestamp", NOW - 22 * HOUR, None),
    "event.created > 2h": Between("event.created", NOW - 2 * HOUR + 1, None),
    "@timestamp:[now-2h TO now-1h}": Between("@timestamp", NOW - 2 * HOUR, NOW - HOUR),
    '@timestamp >= "yesterday 14:00"': Between("@timestamp", at("21T14:00:00"), None),
}  # fmt: skip


@pytest.mark.parametrize("text", MEANINGS)
def test_what_a_text_means(text: str) -> None:
    assert parse(text, NOW) == MEANINGS[text]


@pytest.mark.parametrize("text", MEANINGS)
def test_what_is_written_means_the_same(text: str) -> None:
    assert parse(write(MEANINGS[text]), NOW) == MEANINGS[text]


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        (Everything(), "*"),
        (Or(()), "not *"),
        (And((A, Or((B, C)))), "a and (b or c)"),
        (Or((And((A, B)), C)), "a and b or c"),
        (Not(And((A, B))), "not (a and b)"),
        (levels("error", "warn"), 'log.level: ("error" or "warn")'),
        (Not(levels("error", "warn")), 'not log.level: ("error" or "warn")'),
        (And((A, levels("error", "warn"))), 'a and log.level: ("error" or "warn")'),
        (Equals("labels.a b", 'x"y\\'), r'"labels.a b": "x\"y\\"'),
        (Equals("host.name", "a\nb\x01"), r'host.name: "a\nb\u0001"'),
        (Like("/shop/*", "orchestrator.resource.name"), "orchestrator.resource.name: /shop/*"),
        (Like(r"a b\*(*", "host.name"), r"host.name: a\u0020b\*\(*"),
        (Between(STATUS, 500, 600), f"{STATUS} >= 500 and {STATUS} < 600"),
        (Not(Between(STATUS, 500, 600)), f"not ({STATUS} >= 500 and {STATUS} < 600)"),
        (Between("@timestamp", at("21T00:00:00"), None), '@timestamp >= "2026-11-21T00:00:00.000000Z"'),
        (Present("labels.cart"), "labels.cart: *"),
        (w("and"), '"and"'),
        (w("/api/v1"), '"/api/v1"'),
    ],
)
def test_what_is_written(expression: Expression, written: str) -> None:
    assert write(expression) == written
    assert parse(written, NOW) == normalise(expression)


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("a leve:error", 2, "there is no field 'leve'; did you mean level?"),
        ("statuscode:1", 0, "did you mean status?"),
        ("lables.cart:1", 0, "did you mean labels.cart?"),
        ("cart:1", 0, 'a key of a structured record is labels.cart; text with a sign in it is put in "quotes"'),
        ('{"a":1}', 1, "there is no field 'a'"),
        ("lab*:1", 0, "the name of a field has no wildcards"),
        ("labels.*:1", 0, "the name of a field has no wildcards"),
        ("_exists_:labels.*", 9, "the name of a field has no wildcards"),
        ("hostname:a", 0, "did you mean host?"),
        ("app:'a'", 4, 'quotes are written "…"'),
        ("app:\u201ca b\u201d", 4, 'quotes are written "…"'),
        (r"\*", 0, "there is no word in it"),
        ("*:a", 0, "the name of a field has no wildcards"),
        ("level != error", 0, '!= is not known: write not level:…, or put the text in "quotes"'),
        ("event.original:a", 0, "'event.original' is kept but cannot be searched"),
        ("labels:17", 7, "labels has keys: write labels.KEY:17"),
        ("labels.a:*b", 9, "a * stands only at the end"),
        ("labels.a:b?", 9, "a * stands only at the end"),
        ("level:loud", 6, "there is no level 'loud'; known: trace debug"),
        ("level >= loud", 9, "there is no level 'loud'"),
        ("status:abc", 7, "status is a whole number, not 'abc'"),
        ("status:4.5", 7, "status is a whole number"),
        ("status:5xx", 7, "a range is status >= 500 or status:[500 TO 599]"),
        ("status:99999999999999999999", 7, "status is a whole number"),
        ("status:9223372036854775808", 7, "a number of at most 9223372036854775807"),
        ("status:5*", 7, "no wildcards in a number: write a range, as status >= …"),
        ("time:2026*", 5, "no wildcards in a time"),
        ("status >= 5*", 10, "no wildcards in the bound of a range"),
        ("status:[a TO 5]", 8, "status is a whole number"),
        ("status:[1 5]", 7, "a range is written [1 TO 5]"),
        ("status:[1 TO 5", 7, "a range is written [1 TO 5]"),
        ("host > a", 7, "host has no order: a range is for numbers, times and level; write host:a"),
        ("host:[a TO b]", 6, "host has no order"),
        ("client.ip:10.*", 10, "client.ip is an address or a network"),
        ("client.ip >= 10.0.0.1", 13, "client.ip has no order"),
        ("@timestamp:soon", 11, "not a time: 'soon'; accepted: now, 15m"),
        ("@timestamp > -", 13, "not a time"),
        ("time >= 2026-11-22 14:00 a", 8, 'a time with a space in it is put in "quotes", as "2026-11-22 14:00"'),
        ("time:[2026-11-22 14:00 TO now]", 6, 'a time with a space in it is put in "quotes"'),
        ("@timestamp:15m", 11, "this is one moment: write @timestamp >= 15m"),
        ("@timestamp:now", 11, "this is one moment"),
        ("message:-", 8, "there is no word in it"),
        ("tiemout~", 7, "~ (fuzzy) is not supported: use * or ?"),
        ('"a b"~5', 5, "~ behind a phrase is not supported"),
        ("a^2", 1, "^ (boost) is not supported"),
        ("(a b)^2", 5, "^ (boost) is not supported"),
        ("a /tim.*out/", 2, "regular expressions are not supported: use words and * or ?"),
        ("url.path:/[0-9]+/", 9, "regular expressions are not supported"),
        ("(a", 0, "this parenthesis is not closed"),
        ("a (b (c)", 2, "this parenthesis is not closed"),
        ("a)", 1, "this parenthesis closes nothing"),
        (")", 0, "a word or a value is missing here"),
        ('a "b', 2, "this quote is not closed"),
        ("a and", 2, 'nothing stands behind "and"; the word itself is put in "quotes"'),
        ("a or", 2, 'nothing stands behind "or"'),
        ("not", 0, 'nothing stands behind "not"'),
        ("(a or)", 3, 'nothing stands behind "or"'),
        ("or a", 0, 'nothing stands before "or"'),
        ("a and and b", 6, 'nothing stands before "and"'),
        ("a or - ", 5, "there is no word in it"),
        ("not -- a", 4, "there is no word in it"),
        ("--- ...", 0, "there is no word in it; a word is made of letters and digits"),
        ("level:", 6, "a value is missing behind level:"),
        ("(level:)", 7, "a value is missing behind level:"),
        ("level:()", 6, "there is no word in it"),
        ("a*b*c*d*e*f*g*h*i*j*k*", 0, "more than 10 wildcards in one word"),
        ('app:"/' + 11 * "*a" + '"', 4, "more than 10 wildcards in one word"),
        ("a\0", 1, "there is a character in it that no text has"),
        ("a\ud800", 1, "there is a character in it that no text has"),
        ("a" * (MAX_TEXT + 1), MAX_TEXT, "the question is longer than 2000 characters"),
        ("a " * (MAX_CLAUSES + 1), 2 * MAX_CLAUSES, "more than 64 conditions"),
        ("host:(" + "a or " * MAX_CLAUSES + "a)", 6 + 5 * MAX_CLAUSES, "more than 64 conditions"),
        ("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1), MAX_DEPTH, "more than 20 parentheses in each other"),
        ("(" * 1999 + "a", MAX_DEPTH, "more than 20 parentheses"),
        ("host:" + "(" * 1990, 5 + MAX_DEPTH, "more than 20 parentheses"),
    ],
)
def test_errors_say_what_and_where(text: str, position: int, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text, NOW)
    assert said in str(caught.value)
    assert caught.value.position == position
    assert "\n" not in str(caught.value)


def test_limits_are_reached_exactly() -> None:
    assert parse("a" * MAX_TEXT, NOW)
    assert parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH, NOW) == A
    assert parse("a " * MAX_CLAUSES, NOW) == And((A,) * MAX_CLAUSES)
    assert parse("!" * 1998 + "a", NOW) == A
    assert parse("not " * 499 + "a", NOW) == Not(A)


_PIECES = [
    "and", "or", "not", "AND", "&&", "||", "!", "-", "+", "(", ")", '"', "\\", ":", ">=", "<", "[", "]", "{", "}", "=",
    " TO ", "*", "?", "~", "^2", "/", "now-", "15m", "2026-11-22", "level", "status", "labels.", "client.ip", "app",
    "@timestamp", "a", "5", "é", "中", " ", "  ", "\t", "\n", "\\u0041", "\\u00", "_exists_:", "warn", "10.0.0.0/8",
    ".", "'", "\u202e",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_PIECES), max_size=25).map("".join)))
@example("level:[a TO")
@example("_exists_:")
@example("@timestamp:now/d/d")
@example("labels.:x")
@example("\\")
@example("a:\\")
@example('"\\')
def test_any_text_has_a_meaning_or_an_error(text: str) -> None:
    found: Expression | QueryError
    try:
        found = parse(text, NOW)
    except QueryError as error:
        found = error
    if isinstance(found, QueryError):
        assert found.position is not None
        assert 0 <= found.position <= len(text)
    else:
        assert parse(write(found), NOW) == found == normalise(found)


@pytest.mark.parametrize(
    "piece",
    ['"', "(", ")", "a", "a ", "*", "a*", "\\", "!", "-", "not ", "a:", "/", "/a", "[", "labels.a:[", "now-1d", "<",
     "é.", "a.", "1,", "{", "&&", "^", "~", "'", "a/*", "-*", "_", "\u203f", "ア", "👩\u200d"],
)  # fmt: skip
def test_it_takes_no_time_whatever_the_text(piece: str) -> None:
    text = (piece * MAX_TEXT)[:MAX_TEXT]
    start = time.thread_time()
    for prefix in ("", "host:", "@timestamp:", "labels.", "client.ip:", 'message:"'):
        with contextlib.suppress(QueryError):
            write(parse((prefix + text)[:MAX_TEXT], NOW))
    assert time.thread_time() - start < 1.0


_TEXT = st.text(
    st.sampled_from(string.ascii_letters + string.digits + " ._-/:;,'\"\\*?()[]{}<>~^!&|+=@é中Ⅷ\t\n"), max_size=12
)
_WORD = st.text(st.sampled_from(string.ascii_lowercase + string.digits + "_éß"), min_size=1, max_size=8)
_KEYWORDS = st.sampled_from([f.name for f in FIELDS if f.kind == "keyword" and f.name != "log.level"])
_LONGS = st.sampled_from([f.name for f in FIELDS if f.kind == "long"])
_TIMES = st.sampled_from(["@timestamp", "event.created", "shipper.received_at"])
_ANY_FIELD = st.sampled_from([f.name for f in FIELDS if f.kind != "unindexed"] + ["labels.a b", "marathon.labels.x:y"])
_TEXT_FIELD = st.sampled_from([None, "message", "error.message"])
_NUMBER = st.integers(-(2**63) + 1, 2**63 - 1)
_TIME = st.integers(0, NOW * 2)


def _words_of(text: str, field: str | None) -> Expression:
    return Words(tuple(words(text)), text, field)


def _like_of(signs: list[str], field: str) -> Expression:
    return Like("".join(signs), field)


_SIGNS = st.lists(
    st.sampled_from(["*", "?", "\\*", "\\?", "\\\\", "a", "/", " ", ".", ":", "(", '"', "é", "~", "^"]), max_size=8
)
_LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.just(Everything()),
    st.builds(_words_of, _TEXT.filter(lambda text: bool(words(text))), _TEXT_FIELD),
    st.builds(
        lambda word, field: Like(f"{word}*", field), _WORD.filter(lambda word: words(word) == [word]), _TEXT_FIELD
    ),
    st.builds(_like_of, _SIGNS, _KEYWORDS),
    st.builds(Equals, _KEYWORDS, _TEXT),
    st.builds(lambda level: Equals("log.level", level), st.sampled_from(LEVELS)),
    st.builds(lambda key, text: Equals(f"labels.{key}", text), _TEXT.filter(bool), _TEXT),
    st.builds(lambda key, text: Like(f"{text}*", f"labels.{key}"), _WORD, _WORD),
    st.builds(Equals, _LONGS, _NUMBER),
    st.builds(Between, _LONGS, st.none() | _NUMBER, st.none() | _NUMBER),
    st.builds(Between, _TIMES, st.none() | _TIME, st.none() | _TIME),
    st.builds(Equals, st.just("client.ip"), st.sampled_from(["10.0.0.1", "10.0.0.0/8", "2001:db8::/32", "::1"])),
    st.builds(Present, _ANY_FIELD),
)
_TREES: st.SearchStrategy[Expression] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda parts: And(tuple(parts)), st.lists(inner, max_size=4)),
        st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, max_size=4)),
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(_TREES)
def test_every_expression_is_read_back_as_it_was_written(tree: Expression) -> None:
    assert parse(write(tree), NOW) == normalise(tree) == normalise(normalise(tree))
