"""Questions by what they try, and trees made at random from what is in the records."""

import random
from typing import Final

from shipper.record.times import from_ns
from shipper.search.expression import And, Between, Equals, Everything, Expression, Like, Not, Or, Present, Words
from shipper.search.kql import parse
from shipper.search.words import words
from tests.contract.query_records import HOSTS, IPS, MESSAGES, NOON, SECOND, SERVICES

_DAY: Final = from_ns(NOON)[:10]
_HOUR: Final = from_ns(NOON - 3600 * SECOND)[:13]

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "words": (
        "", "*", "*:*", "timed", "timed out", '"timed out"', '"out timed"', "timed_out", "timed-out", "TIMED",
        "com.shop.Cart", "com.shop", "shop.Cart", "IllegalStateException", "java.lang.IllegalStateException",
        "10.0.0.1", "10.0.0", "10.0.0.1:8080", "8080", "/api/v1/cart", "/api/v1/cart/", "GET /api/v1/cart",
        "cart-items", "user=17", "Ärger", "ärger", "ARGER", "größe", "GRÖSSE", "straße", "strasse", "user_id",
        "user_id=42", "order-id", "abc-def", '"a b"', "a=b", "a b", '"a b c"', '"b a b c"', '"c d" a', "1,234.50",
        "1,234", "1.234", "100%", "done;", '"C:\\\\temp\\\\new"', "C:\\\\temp", '"text here"', "(parentheses)",
        "brackets", '"{braces}"', '"* and what?"', '"a~b c^2"', '"<html> a->b"', "你好", "你", "世界", '"你 好"', "мир",
        "МИР", "bob@example.com", "bob", "e-mail", "timeouts", '"time out"', "x" * 255, "x" * 45, "x" * 300,
        "_leading", "under_score_", "5xx", "v1.2.3", "don't", "dont", "O'Reilly", "o'reilly", '"multi line"',
        '"line text with"', '"and the lazy"', '"or not"', "12:30:05", "http://shop/api", "a -> b", "--- timeout", "30s",
    ),
    "ids in free words": ("req-1", '"req-1"', "Req-1", "0af7651916cd43dd8448eb211c80319c", "message:timed",
                          "message:req-1", "message:10.0.0.1", 'message:"abc-def"'),
    "wildcards in words": (
        "time*", "*out", "t?meout", "timeout?", "timeouts*", "com.shop.*", "com.*", "*cart", "10.0.*", "10.0.0.?",
        "10.0.0.1*", "/api/v1/ca*", "cart-*", "größ*", "gr?ße", "*ä*", "stra*", "user_*", "*_id", "5*", "t*d_o*t",
        "*e*e*", "message:time*", "message:*", "error.message:*out", "error.message:Gr*", "error.stack_trace:time*",
        "x*x*x*",
        "don'*", "1,2*", "ab*ef", "мир*", "*",
    ),
    "text fields": (
        'error.message:"timed out"', "error.message:timed", "error.message:größe", "error.message:*",
        "error.stack_trace:charge", 'error.stack_trace:"line 88"', "error.stack_trace:TimeoutError", "not message:*",
        "not error.message:timed", "error.message:(timed or größe)", "message:(timed and out)",
    ),
    "keywords": (
        "app:shop-api", "app:Shop-API", "app:SHOP-API", 'app:"shop api"', "service:shop", "service.name:shop-web",
        "app:größe", 'app:"s*op"', "app:s\\*op", 'app:""', f"app:{'z' * 1024}", f"app:{'z' * 1025}", "app:/shop/api",
        "app:/shop", 'app:"/shop/api"', "orchestrator.resource.name:nightly", "host:web-1", "host.name:web-1",
        "host:web", "host:(web-1 or pay-1)", "not host:web-1", "app:*", "not app:*", "_exists_:app", "-_exists_:app",
        "trace.id:*", "request:req-1", "request:(req-1 or req-2 or timed)", "http.request.id:10.0.0.1", "tags:late",
        "tags:truncated", "tags:(truncated and invalid_utf8)", "tags:truncated and not tags:invalid_utf8", "tags:*",
        "not tags:*", "user.id:*", "not user.id:*", "orchestrator.resource.name:*",
    ),
    "wildcards in keywords": (
        "app:shop*", "app:*api", "app:shop?api", "app:s*p*i", "app:/shop/*", 'app:"/shop/*"', "app:/shop*",
        "app:/*/api", "host:web-?", "host:*-1", "host:?????", "app:gr*e", "app:gr??e", "app:z*", "app:s\\**", "app:?",
        "app:*?", "not host:web*", "tags:*8", "request:abc*", "app:(shop* or größ?)", "app:Shop*", "app:shop\\ *",
    ),
    "levels": (
        "level:error", "level:ERR", "level:warning", "level:fatal", "level >= warn", "level > warn", "level < info",
        "level <= info", "level:[info TO warn]", "level:{info TO warn}", "level:(debug or error)", "level:err*",
        "level:*", "not level:*", "not level >= error", "level >= warn and not level:critical", "log.level:notice",
        "level < trace", "level > emergency",
    ),
    "numbers": (
        "status:200", "status:404", "status >= 500", "status > 500", "status < 500", "status <= 404", "status:>=500",
        "status:[500 TO 599]", "status:{500 TO 599}", "status:[500 TO 599}", "status:{500 TO 599]", "status:[* TO 404]",
        "status:[500 TO *]", "status:*", "not status:*", "status:-1", "status < 0", "status >= 9223372036854775807",
        "status:9223372036854775807", "status <= 9223372036854775807", "status:(200 or 404)", "not status:200",
        "status >= 400 and status < 500", "marathon.task.ports:31001", "marathon.task.ports > 31005",
        "marathon.task.ports >= 31001 and marathon.task.ports < 31002", "event.sequence <= 20",
        "marathon.task.ports:[31003 TO 31009]", "status:[599 TO 200]",
    ),
    "addresses": (
        "client.ip:10.0.0.1", "client.ip:10.0.0.0/24", "client.ip:10.0.0.5/8", "client.ip:0.0.0.0/0",
        "client.ip:2001:db8::1", 'client.ip:"2001:db8::/32"', 'client.ip:"::/0"', "client.ip:10.0.0.7",
        'client.ip:"::ffff:10.0.0.1"', 'client.ip:"2001:0db8:0:0::0001"', "client.ip:*", "not client.ip:*",
        "client.ip:(10.0.0.1 or 192.168.0.0/16)", 'client.ip:"::ffff:10.0.0.0/120"',
    ),
    "times": (
        f"@timestamp:{_DAY}", f"time:{_DAY}", f"@timestamp >= {_DAY}T11:00", f"@timestamp > {_HOUR}:00",
        f"@timestamp <= {_HOUR}:00", f"@timestamp:{_HOUR}:30", f'@timestamp:"{_DAY} 11:15"', "@timestamp >= now-30m",
        "@timestamp < now-1h", "@timestamp:[now-1h TO now-30m]", "@timestamp:now/h", "@timestamp >= now/d",
        "event.created > 1h", "event.created < 90m", "not event.created > 1h", "event.created:*",
        f"shipper.received_at >= {_HOUR}:20:00.123", "shipper.received_at < now-1h", "shipper.received_at:*",
        "@timestamp > 5000d", f"@timestamp:{_DAY[:7]}", "@timestamp >= 2200-01-01", 'event.created > "today 11:00"',
    ),
    "flattened": (
        "labels.cart:17", 'labels.cart:"17"', "labels.cart:1*", "labels.cart:*", "not labels.cart:*", "labels.cart:170",
        "labels.flag:true", "labels.ratio:1.5", "labels.cart.id:*", "labels.cart.id:c-1", "labels.cart.id:c-2",
        "labels.cart.items:2", "labels.cart.items:three", "labels.a.b.c:deep", "labels.a.b.d:mixed", "labels.a.b:*",
        "labels.user:bob", "labels.user:*", "labels.empty:*", 'labels.empty:""', "labels.list:*", "labels.list.k:v2",
        '"labels.odd key!":"x y"', "labels.odd\\ key!:x*", f"labels.user:{'y' * 1024}", f"labels.cart:{'y' * 1025}",
        "labels.user:y*", "labels.path:/shop/*", "labels.path:/shop/api/1", 'labels.star:"a*b?c\\\\d"',
        "labels.star:a\\**",
        "labels.nothing:*", "labels:*", "not labels:*", "marathon.labels.team:blue",
        "marathon.labels.team:(blue and red)",
        "marathon.labels.tier.x:1", "marathon.labels.team:r*", "marathon.labels:*", "labels.Cart:17",
        "log.syslog.structured_data:*", "labels.cart:(17 or 170)",
    ),
    "combined": (
        "timed and not host:web-1", "timed or level:error", "not (timed or level:error)", "(a or b) and (c or d)",
        "not not timed", "!timed && level >= warn || host:pay-1", "+timed -out", "-timed", "timed AND out OR refused",
        "timed or out and refused", "not timed out", "NOT (host:web-1 OR host:web-2)", "level:(not info)",
        "app:(shop* and not shop-web)", "status:(404 or >=500) and host:web*", "((((timed))))", "* and timed", "not *",
        "level >= error app:shop-api", "a b c d", "not labels.cart:17 and labels:*",
        "level:error or (status >= 500 and not client.ip:10.0.0.0/8) or \"timed out\"",
        "(host:web-1 and level:info) or (host:web-2 and level:error) or (host:pay-1 and time*)",
    ),
}  # fmt: skip


def trees() -> dict[str, list[tuple[str, Expression]]]:
    """Return all questions by group, each as text and as what it asks."""
    found = {group: [(text, parse(text, NOON)) for text in texts] for group, texts in TEXTS.items()}
    chance = random.Random(5)
    found["generated"] = [(repr(tree), tree) for tree in (_tree(chance, 3) for _ in range(100))]
    return found


def _tree(chance: random.Random, depth: int) -> Expression:
    kind = chance.random()
    if depth == 0 or kind < 0.3:
        return _leaf(chance)
    if kind < 0.5:
        return Not(_tree(chance, depth - 1))
    parts = tuple(_tree(chance, depth - 1) for _ in range(chance.randrange(0 if depth < 3 else 2, 4)))
    return And(parts) if kind < 0.75 else Or(parts)


def _leaf(chance: random.Random) -> Expression:
    makers = (_phrase, _pattern, _value, _number, _period, _presence)
    return chance.choice(makers)(chance)


def _phrase(chance: random.Random) -> Expression:
    cut = words(chance.choice([message for message in MESSAGES if words(message)]))
    first = chance.randrange(len(cut))
    phrase = tuple(cut[first : first + chance.randrange(1, 4)])
    return Words(phrase, " ".join(phrase), chance.choice((None, "message", "error.message")))


def _pattern(chance: random.Random) -> Expression:
    if chance.random() < 0.5:
        word = chance.choice(words(chance.choice([message for message in MESSAGES if words(message)])))
        return Like(_with_wildcards(chance, word), chance.choice((None, "message", "error.stack_trace")))
    return Like(_with_wildcards(chance, chance.choice(SERVICES[1:6])), "service.name")


def _with_wildcards(chance: random.Random, text: str | None) -> str:
    signs = list(text or "shop")
    for _ in range(chance.randrange(1, 3)):
        signs[chance.randrange(len(signs))] = chance.choice("*?")
    return "".join(signs) if set(signs) - set("*?") else "".join(signs) + "e"


def _value(chance: random.Random) -> Expression:
    values: list[Expression] = [
        Equals("host.name", chance.choice(HOSTS)),
        Equals("service.name", chance.choice(SERVICES) or "shop"),
        Equals("client.ip", chance.choice(IPS[1:-1]) or ""),
        Equals("http.response.status_code", chance.choice((200, 404, 500))),
        Equals("labels.cart", chance.choice(("17", "170", "18"))),
        Equals("labels.user", "bob"),
        Equals("tags", "truncated"),
        Like("1*", "labels.cart"),
    ]
    return chance.choice(values)


def _number(chance: random.Random) -> Expression:
    field = chance.choice(("http.response.status_code", "marathon.task.ports", "event.sequence"))
    low = chance.choice((None, chance.randrange(600), chance.randrange(31000, 31020)))
    return Between(field, low, chance.choice((None, 500, 31002)))


def _period(chance: random.Random) -> Expression:
    field = chance.choice(("@timestamp", "event.created", "shipper.received_at"))
    low = NOON - chance.randrange(7200 * SECOND)
    return chance.choice(
        [Between(field, low, None), Between(field, None, low), Between(field, low, low + 600 * SECOND + 17)]
    )


def _presence(chance: random.Random) -> Expression:
    present: list[Expression] = [Present(field) for field in ("tags", "labels.cart", "client.ip", "message", "labels")]
    return chance.choice([Everything(), *present])
