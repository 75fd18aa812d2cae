"""About 300 records that questions are asked of: odd words, every kind of field, values that an index leaves out."""

import random
import time
from typing import Any, Final

from shipper.record import Record
from shipper.record.levels import LEVELS
from shipper.record.times import day, from_ns

SECOND: Final = 10**9
DAY_NS: Final = 86_400 * SECOND
#: Noon of today: all of them are within two hours of it, so of one day or two.
NOON: Final = time.time_ns() // DAY_NS * DAY_NS + DAY_NS // 2
START: Final = "65614f3a9c1e"

MESSAGES: Final = (
    "upstream timed out while reading",
    "request timed_out after 30s",
    "com.shop.Cart failed: java.lang.IllegalStateException",
    "connect to 10.0.0.1:8080 refused",
    "connect to 10.0.0.12:8080 refused",
    "GET /api/v1/cart?user=17&x=y HTTP/1.1 200",
    "GET /api/v1/cart-items/9 HTTP/1.1 404",
    "Ärger mit der Übertragung: größe 42",
    "ärger ÄRGER straße STRASSE",
    "user_id=42 order-id=abc-def a=b",
    "user 42 ordered 3 items, total 1,234.50 EUR",
    "the quick brown fox AND the lazy dog or NOT",
    "percent 100% done; path C:\\temp\\new file.txt",
    'quoted "text here" and (parentheses) [brackets] {braces}',
    "stars * and what? a~b c^2 <html> a->b",
    "你好 世界 мир Привет",
    "e-mail bob@example.com sent",
    "timeout",
    "Timeouts: time out, timed-out",
    "x" * 300,
    "a b a b c a b c d",
    "_leading under_score_ __ 5xx v1.2.3",
    "don't can't O'Reilly",
    "",
    "--- ... !!!",
    "multi\nline\ttext with\r\nbreaks",
)
LABELS: Final[tuple[Any, ...]] = (
    None,
    {"cart": 17},
    {"cart": "17", "user": "bob"},
    {"cart": 170, "flag": True, "ratio": 1.5},
    {"cart": {"id": "c-1", "items": [1, 2, "three"]}},
    {"cart.id": "c-2", "cart": {"size": 3}},
    {"a": {"b": {"c": "deep"}}, "a.b": {"d": "mixed"}},
    {"user": None, "empty": "", "list": [], "odd key!": "x y"},
    {"user": "y" * 1024, "cart": "y" * 1025},
    {"path": "/shop/api/1", "star": "a*b?c\\d", "list": [{"k": "v1"}, {"k": "v2"}]},
    {},
)
STATUSES: Final = (None, 200, 200, 404, 499, 500, 503, 599, -1, 2**63 - 1, "200", "abc", 2**63)
IPS: Final = (None, "10.0.0.1", "10.0.0.12", "10.1.2.3", "192.168.1.1", "2001:db8::1", "::ffff:10.0.0.7", "not an ip")
SERVICES: Final = (None, "shop-api", "shop-web", "shop api", "Shop-API", "s*op", "", "größe", "z" * 1024, "z" * 1025)
APPS: Final = (None, "/shop/api", "/shop/web", "/shop", "/search/api", "nightly")
HOSTS: Final = ("web-1", "web-2", "pay-1")
TAGS: Final[tuple[Any, ...]] = (None, None, ["truncated"], ["truncated", "invalid_utf8"], "late", [])
PORTS: Final[tuple[Any, ...]] = (None, [31001, 31002], [31002], 31010)
REQUESTS: Final = (None, None, "req-1", "req-2", "timed", "10.0.0.1", "abc-def")


def records() -> list[Record]:
    """Return them, the same ones each time but for the day."""
    chance = random.Random(11)
    made = []
    numbers = {"n": 0, "w": 0}
    at = NOON - 7200 * SECOND
    for count in range(300):
        at += chance.randrange(1, 48 * SECOND)
        letter = "w" if chance.random() < 0.2 else "n"
        numbers[letter] += 1
        message = MESSAGES[count % len(MESSAGES)] if count < 2 * len(MESSAGES) else _sentence(chance)
        made.append(_record(chance, f"{START}{letter}", numbers[letter], at, message))
    return made


def _sentence(chance: random.Random) -> str:
    first, second = chance.choice(MESSAGES), chance.choice(MESSAGES)
    return " ".join(chance.sample((first + " " + second).split(), k=min(6, len((first + " " + second).split()))))


def _record(chance: random.Random, series: str, sequence: int, at: int, message: str) -> Record:
    created = from_ns(at)
    said = at - chance.choice((0, 0, 1, 1500, 2_000_000, 90 * SECOND))
    fields = {
        "@timestamp": from_ns(said),
        "message": message,
        "event.created": created,
        "host.name": chance.choice(HOSTS),
        "log.level": chance.choice((None, *LEVELS)),
        "service.name": chance.choice(SERVICES),
        "orchestrator.resource.name": chance.choice(APPS),
        "http.request.id": chance.choice(REQUESTS),
        "trace.id": chance.choice((None, None, None, "0af7651916cd43dd8448eb211c80319c", "timed")),
        "http.response.status_code": chance.choice(STATUSES),
        "client.ip": chance.choice(IPS),
        "labels": chance.choice(LABELS),
        "marathon.labels": chance.choice((None, {"team": "blue", "tier.x": "1"}, {"team": ["red", "blue"]})),
        "marathon.task.ports": chance.choice(PORTS),
        "tags": chance.choice(TAGS),
        "error.message": chance.choice((None, None, "connection timed out", "Größe fehlt")),
        "error.stack_trace": chance.choice((None, None, None, 'File "/app/shop.py", line 88, in charge\nTimeoutError')),
        "shipper.received_at": from_ns(at + 1_234_567),
        "event.original": chance.choice((None, "original words")),
    }
    made = Record(message.encode(), at)
    made.series, made.sequence, made.host, made.host_time = series, sequence, str(fields["host.name"]), created
    made.day = day(created)
    made.fields = {name: value for name, value in fields.items() if value is not None}
    return made
