"""Two hundred questions that nobody asks in good faith, as links: path and parameters."""

import base64
from collections.abc import Iterator
from urllib.parse import urlencode

from shipper.search import cursor
from shipper.search.query import Place

RECORDS = "/api/v1/records"
#: Every way to ask that takes the language.
WAYS = (RECORDS, "/api/v1/counts", "/api/v1/top", "/api/v1/patterns", "/api/v1/apps", "/")
_NEEDS = {"/api/v1/top": {"field": "app"}}

#: Each is asked as `query`; True: it is refused, and the answer says where.
QUERIES: tuple[tuple[str, bool], ...] = (
    ("(" * 1000 + "a" + ")" * 1000, True),
    ("(" * 21 + "a" + ")" * 21, True),
    ("(" * 1999, True),
    (")" * 1999, True),
    ("not " * 499 + "a", False),
    ("!" * 1990 + "a", False),
    ("-" * 1990 + "a", False),
    (" or ".join(f"w{n}" for n in range(330)), True),
    (" and ".join(f"a:{n}" for n in range(200)), True),
    (" ".join(f"w{n % 10}" for n in range(65)), True),
    ("level:(" + " or ".join(["error"] * 180) + ")", True),
    ("a" * 2001, True),
    ("x" * 60_000, True),
    ("message:[", True),
    ("message:{1 TO", True),
    ("@timestamp:[now TO", True),
    ("level:", True),
    (":", True),
    ("::::", True),
    ("a:b:c:", True),
    ('"never closed', True),
    ("'", False),
    ("and", True),
    ("or or or", True),
    ("not", True),
    ("() ()", True),
    ("&& || !", True),
    ("\\", True),
    ("a\0b", True),
    ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), False),
    ("no_such_field:1", True),
    ("_source:*", True),
    ("_index:logs*", True),
    ("_id:*", True),
    ("_all:x", True),
    ("_field_names:x", True),
    ("__proto__:x", True),
    ("$where:1", False),
    ("event.sequence:[1 TO", True),
    ("event.sequence >= ", True),
    ("event.sequence >= x", True),
    ("event.sequence >= 99999999999999999999999999", False),
    ("event.sequence >= -99999999999999999999999999", False),
    ("event.sequence:1e999", True),
    ("event.sequence:NaN", True),
    ("@timestamp >= now+999999999999y", True),
    ("@timestamp >= 0000-00-00", True),
    ("@timestamp:[2026-13-45 TO *]", True),
    ("@timestamp:*", False),
    ("client.ip:10.0.0.0/99", True),
    ("client.ip:::1", False),
    ("client.ip:[10.0.0.1 TO 10.0.0.300]", True),
    ("*", False),
    ("?", False),
    ("*" * 1900, False),
    ("?" * 1900, False),
    ("*?" * 900, False),
    ("a*" * 900, False),
    ("*a*b*c*d*e*f*g*h*i*j*k*l*m*n*o*p*q*r*s*t*u*v*w*x*y*z*", False),
    ("message:*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", False),
    ("host:" + "*a" * 300, False),
    ("host:" + "?" * 900, False),
    (" or ".join(["*a*"] * 60), False),
    (" or ".join(["host:*a*"] * 60), False),
    ("not *", False),
    ("/(a+)+$/", False),
    ("/.*.*.*.*.*x/", False),
    ("message:/.{1000000}/", False),
    ("fuzzy~2", False),
    (" ".join(["fuzzy~2"] * 60), False),
    ('"a b"~1000000', False),
    ("boost^1e38", False),
    ("{!join from=id to=id}x", False),
    ("_query_:x", True),
    ('{"match_all":{}}', True),
    ('") or ("1"="1', False),
    ("' OR 1=1 --", False),
    ("'; DROP TABLE records; --", False),
    ('x" OR rowid IN (SELECT 1) --', True),
    ("NEAR(a b, 100000)", False),
    ("message MATCH x", False),
    ("a NEAR/99999 b", False),
    ("col : x", True),
    ("^first", False),
    ("${jndi:ldap://x/y}", False),
    ("{{7*7}}", False),
    ("<script>alert(1)</script>", False),
    ("%00%0a%0d", False),
    ("a\r\nSet-Cookie: x=1", True),
    ("\u202e\u2066abc", False),
    ("\ufeff", True),
    ("😀" * 400, False),
    ("e\u0301" * 600, False),
    ("\u0130\u0131\u017fß" * 100, False),
    ("א" * 1000, False),
    ("a" + "\u0301" * 1900, False),
    ("labels.x:1", False),
    ("labels." + "a." * 400 + "b:1", False),
    ("labels..:1", False),
    ("labels.*:1", False),
    ("labels:*", False),
    ("*:*", False),
    ("*.*.*:*", True),
    ("exists:x", True),
    ("_exists_:", True),
    ("_exists_:nope", True),
    ("_exists_:" + "_exists_:" * 100, True),
    ("app:(a or (b or (c or (d or (e or (f))))))", False),
    ("app:" + "(" * 500, True),
    ("app:\\*\\*\\*", False),
    ("app:" + "\\" * 999, False),
    ("a" * 1999 + ":", True),
    ("level:error level:error " * 40, True),
)

#: Other parameters: what would reach an index name, an offset, a script.
PARAMETERS: tuple[tuple[str, dict[str, str]], ...] = (
    (RECORDS, {"index": "_all"}),
    (RECORDS, {"from": "100000"}),
    (RECORDS, {"size": "1000000"}),
    (RECORDS, {"q": "*"}),
    (RECORDS, {"scroll": "1d"}),
    (RECORDS, {"source": '{"query":{"match_all":{}}}'}),
    (RECORDS, {"limit": "1001"}),
    (RECORDS, {"limit": "-1"}),
    (RECORDS, {"limit": "9" * 400}),
    (RECORDS, {"limit": "1e3"}),
    (RECORDS, {"limit": "\u0661\u0660"}),
    (RECORDS, {"order": "newest;drop"}),
    (RECORDS, {"level": "error,_all"}),
    (RECORDS, {"min_level": "x" * 30}),
    (RECORDS, {"start": "now-1d/d", "end": "0000"}),
    (RECORDS, {"start": "9" * 60}),
    (RECORDS, {"start": "-1"}),
    (RECORDS, {"start": "2026-11-22T00:00:00+99:99"}),
    (RECORDS, {"text": "\0"}),
    (RECORDS, {"text": "x" * 1001}),
    (RECORDS, {"app": "../../../etc/passwd"}),
    (RECORDS, {"app": "logs-*,_all"}),
    (RECORDS, {"host": "x" * 257}),
    (RECORDS, {"host": "\x1b[2J"}),
    (RECORDS, {"request_id": "a\r\nX-Evil: 1"}),
    (RECORDS, {"request_id": "x" * 129}),
    (RECORDS, {"request_id": "<script>"}),
    ("/api/v1/counts", {"by": "_id"}),
    ("/api/v1/counts", {"by": "message"}),
    ("/api/v1/counts", {"by": "labels." + "x" * 3000}),
    ("/api/v1/counts", {"buckets": "1000000"}),
    ("/api/v1/counts", {"buckets": "0"}),
    ("/api/v1/counts", {"start": "1970-01-01T00:00:00Z", "end": "2200-01-01T00:00:00Z", "buckets": "100"}),
    ("/api/v1/top", {"field": "_source"}),
    ("/api/v1/top", {"field": "message"}),
    ("/api/v1/top", {"field": "app", "limit": "100000"}),
    ("/api/v1/top", {}),
    ("/api/v1/values", {"field": "_id", "prefix": ""}),
    ("/api/v1/values", {"field": "app", "prefix": "*" * 200}),
    ("/api/v1/values", {"field": "app", "prefix": "\\"}),
    ("/api/v1/patterns", {"limit": "100000"}),
    ("/api/v1/compare", {"before_start": "x"}),
    ("/api/v1/compare", {"version_a": "*" * 300, "version_b": "a"}),
    ("/api/v1/dead-letters", {"limit": "1000000"}),
    ("/api/v1/ledger", {"host": "../x"}),
    ("/api/v1/requests/_all", {}),
    ("/api/v1/requests/..%2f..%2f_search", {}),
    ("/api/v1/requests/%00", {}),
    ("/api/v1/requests/" + "a" * 5000, {}),
    ("/api/v1/records/_all", {"at": "0"}),
    ("/api/v1/records/x-1", {"at": "9" * 30}),
    ("/api/v1/records/x-1/context", {"at": "1", "before": "100000"}),
    ("/api/v1/records/x-" + "9" * 40, {"at": "1"}),
    ("/records/x-1", {"at": "-1"}),
    ("/requests", {"id": "a/../../b\n"}),
    ("/logs-*/_search", {}),
    ("/_all/_search", {}),
    ("/%2e%2e/%2e%2e/etc/passwd", {}),
    ("/static/../../config.py", {}),
    ("/static/%2e%2e/app.py", {}),
    ("/static/..%5capp.py", {}),
    ("/static/%00", {}),
    ("/api/v1/tail", {"query": "(" * 100}),
    ("/api/v1/tail", {"back": "1000000"}),
    ("/api/v1/tail", {"last_event_id": "x" * 3000}),
)


def cursors() -> list[str]:
    """Fifty places to go on from that we never gave out."""
    good = cursor.encode(Place(1_795_357_800_000_000_000, "web3n", 7))
    changed = [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(0, len(good), 2)]
    cut = [good[:length] for length in range(1, len(good), 4)]
    made = [base64.urlsafe_b64encode(b"123456789" + text).decode() for text in (b"1/1/x", b"0/0/", b"-1/-1/x", b"\xff")]
    other = [
        "null",
        "0",
        "[]",
        "../..",
        "=" * 40,
        "\0",
        "💥",
        "A" * 512,
        good + "=",
        good + "A",
        good.lower(),
        f" {good}",
    ]
    found = [one for one in (*changed, *cut, *made, *other) if one != good]
    return found[:50]


def questions() -> Iterator[tuple[str, bool | None]]:
    """Give all: a link, and whether it must be refused (None: either will do)."""
    for number, (text, refused) in enumerate(QUERIES):
        for way in {RECORDS, WAYS[number % len(WAYS)]}:
            yield link(way, {"query": text, **_NEEDS.get(way, {})}), True if refused else None
    for path, parameters in PARAMETERS:
        yield link(path, parameters), None
    for text in cursors():
        yield link(RECORDS, {"cursor": text}), True


def link(path: str, parameters: dict[str, str]) -> str:
    """A path with parameters."""
    return f"{path}?{urlencode(parameters)}" if parameters else path
