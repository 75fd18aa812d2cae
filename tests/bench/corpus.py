"""Records of about 400 bytes as they come over RELP: made here, from a seed, the same every time."""

import random
from collections.abc import Iterator

import orjson

SERVICES = ("gateway", "orders", "payments", "stock", "mail")
VERBS = ("GET", "POST", "PUT", "DELETE")
LEVELS = ("INFO",) * 7 + ("DEBUG", "WARN", "ERROR")
TEXTS = (
    "accepted order for delivery on the next working day, customer notified",
    "connection to upstream timed out after 3 attempts, will try the next host",
    "cache entry refreshed from primary store, replica lag within bounds now",
    "payment authorised by provider, settlement expected with the daily batch",
)


def _request_id(chance: random.Random) -> str:
    return f"{chance.getrandbits(64):016x}"


def json_message(chance: random.Random, request_id: str) -> str:
    """A structured log line of about 220 bytes."""
    return orjson.dumps(
        {
            "level": chance.choice(LEVELS).lower(),
            "msg": chance.choice(TEXTS),
            "request_id": request_id,
            "logger": "shop.http",
            "status": chance.choice((200, 200, 201, 404, 500)),
            "method": chance.choice(VERBS),
            "path": f"/v1/items/{chance.randrange(100_000)}",
            "duration_ms": chance.randrange(1, 4000) / 10,
        }
    ).decode()


def plain_message(chance: random.Random, request_id: str) -> str:
    """A text line of about 200 bytes with a level and a request id in it."""
    return (
        f"{chance.choice(LEVELS)} shop.worker-{chance.randrange(16)} [request_id={request_id}] "
        f"{chance.choice(TEXTS)} 10.1.{chance.randrange(256)}.{chance.randrange(256)} {chance.randrange(10_000)} ms "
        f"item={chance.randrange(10**6)}"
    )


def messages(count: int, seed: int, json_share: float) -> Iterator[tuple[str, str]]:
    """Service and message of `count` records; about ten records share a request id."""
    chance = random.Random(seed)
    request_id = _request_id(chance)
    for _ in range(count):
        if chance.random() < 0.1:
            request_id = _request_id(chance)
        make = json_message if chance.random() < json_share else plain_message
        yield chance.choice(SERVICES), make(chance, request_id)


def host_json(count: int, series: str, seconds: int, seed: int = 1, json_share: float = 0.4) -> Iterator[bytes]:
    """What our rsyslog template writes: one flat JSON object per record, 1000 records per second of host time."""
    for number, (service, message) in enumerate(messages(count, seed, json_share), 1):
        clock = _clock(seconds + number // 1000)
        record = {
            "v": "1",
            "series": series,
            "sequence": str(number),
            "host_time": f"{clock}.{number % 1000:03d}123+00:00",
            "host": "host-1.example",
            "input": "imuxsock",
            "pri": "14",
            "container": "",
            "message": f"{_stamp(seconds + number // 1000)} {service}[{number % 500}]: {message}",
        }
        yield orjson.dumps(record) + b"\n"


def rfc5424(count: int, seconds: int, seed: int = 1, json_share: float = 0.4) -> Iterator[bytes]:
    """RFC 5424 with one structured data element."""
    for number, (service, message) in enumerate(messages(count, seed, json_share), 1):
        clock = _clock(seconds + number // 1000)
        yield (
            f"<14>1 {clock}.{number % 1000:03d}123Z host-1.example {service} {number % 500} REQ "
            f'[origin@32473 ip="10.1.2.3" software="shop"] {message}\n'
        ).encode()


def _clock(seconds: int) -> str:
    from shipper.record import times

    return times.from_ns(seconds * 1_000_000_000)[:19]


def _stamp(seconds: int) -> str:
    import time

    return time.strftime("%b %d %H:%M:%S", time.gmtime(seconds))
