"""A small world for tests of the API, page and command line: a naive store in memory, and records of a shop."""

import random
from dataclasses import replace
from typing import Any, Self

from shipper.errors import StoreBusy
from shipper.record.times import from_ns, to_ns
from shipper.search.ledger import Entry, Range, Report, merge
from shipper.search.query import Around, Buckets, Counts, Neighbours, Page, Place, Query, Top
from tests import naive

SECOND = 1_000_000_000
#: What the clock of these tests says.
NOW = to_ns("2026-11-22T14:30:00Z")


def place_of(record: dict[str, Any]) -> Place:
    """Place of a record in the order of answers."""
    return Place(to_ns(record["@timestamp"]), record["shipper.series"], record["event.sequence"])


class MemoryReader:
    """Answers by looking at every record; right because it is simple."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = list(records)
        self.letters: list[dict[str, Any]] = []
        self.entries: list[Entry] = []
        self.kept_reports: list[Report] = []
        self.incomplete: tuple[str, ...] = ()
        #: What every call raises.
        self.error: Exception | None = None
        self.trouble: str | None = None
        self.asked: list[Query] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def search(self, query: Query) -> Page:
        self._fail()
        self.asked.append(query)
        found = [(place_of(record), record) for record in self.records if naive.asked(record, query)]
        found.sort(key=lambda pair: _key(pair[0]), reverse=query.newest_first)
        if query.after is not None:
            after = _key(query.after)
            found = [p for p in found if (_key(p[0]) < after if query.newest_first else _key(p[0]) > after)]
        page = found[: query.limit]
        return Page([record for _, record in page], page[-1][0] if len(found) > len(page) else None, self.incomplete)

    async def counts(self, query: Query, buckets: Buckets, by: str | None) -> Counts:
        self._fail()
        self.asked.append(query)
        return replace(naive.counts(self.records, query, buckets, by), incomplete=self.incomplete)

    async def top(self, query: Query, field: str, limit: int) -> Top:
        self._fail()
        self.asked.append(query)
        return replace(naive.top(self.records, query, field, limit), incomplete=self.incomplete)

    async def around(self, around: Around) -> Neighbours:
        self._fail()
        return replace(naive.around(self.records, around), incomplete=self.incomplete)

    async def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        self._fail()
        return self.letters[:limit]

    async def ledger(self, *hosts: str) -> list[Entry]:
        self._fail()
        return [entry for entry in self.entries if not hosts or entry.host in hosts]

    async def reports(self, *hosts: str) -> list[Report]:
        self._fail()
        return [report for report in self.kept_reports if not hosts or report.host in hosts]

    async def present(self, series: str, numbers: Range, limit: int = 10_000) -> list[Range]:
        self._fail()
        sequences = sorted(r["event.sequence"] for r in self.records if r["shipper.series"] == series)
        return merge([(n, n) for n in sequences if numbers[0] <= n <= numbers[1]][:limit])

    async def healthy(self) -> str | None:
        self._fail()
        return self.trouble

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


def busy() -> MemoryReader:
    """A store that cannot answer now."""
    reader = MemoryReader()
    reader.error = StoreBusy("connection refused")
    return reader


def _key(place: Place) -> tuple[int, str, int]:
    return place.timestamp, place.series, place.sequence


def record(
    sequence: int, message: str = "hello", *, at: int | str = NOW, series: str = "65614f3a9c1en", **fields: Any
) -> dict[str, Any]:
    """One stored record; fields with `__` for a dot (log__level="error")."""
    named = {name.replace("__", "."): value for name, value in fields.items()}
    time = at if isinstance(at, str) else from_ns(at)
    return {
        "@timestamp": time,
        "message": message,
        "event.created": time,
        "event.sequence": sequence,
        "host.name": "web-3",
        "service.name": "shop-api",
        "log.level": "info",
        "shipper.series": series,
        **named,
    }


def entry(series: str, first: int, last: int, fate: str = "stored", host: str = "web-3", **times: int) -> Entry:
    """One ledger entry."""
    started = times.get("started_at", NOW - 3600 * SECOND)
    return Entry(
        f"{series}-{first}", host, series, fate, first, last, times.get("count", last - first + 1), started,
        times.get("updated_at", started),
    )  # fmt: skip


_TRACE = """Traceback (most recent call last):
  File "/app/shop/payment.py", line 88, in charge
    response = self.client.post("/v1/charges", json=body, timeout=2.0)
  File "/app/.venv/lib/python3.11/site-packages/httpx/_client.py", line 1144, in post
    return self.request("POST", url, content=content, data=data)
httpx.ReadTimeout: timed out"""

_LINES = (
    ("edge-haproxy", "lb-1", "info", "10.0.3.7:51422 http-in~ shop/web-3 0/0/1/184/185 200 1532 GET /cart HTTP/1.1"),
    ("shop-web", "web-3", "info", "GET /cart 200 in 184 ms"),
    ("shop-api", "web-3", "debug", "cache miss for cart:8812, reading from postgres"),
    ("shop-api", "web-4", "info", "cart 8812 has 3 items, total 149.90 EUR"),
    ("shop-payment", "pay-1", "notice", "retrying charge (attempt 2 of 3) after timeout"),
    ("shop-payment", "pay-1", "error", f"charge failed: upstream timed out\n{_TRACE}"),
    ("shop-payment", "pay-2", "warn", "connection pool exhausted: 20 of 20 in use, waited 312 ms"),
    ("shop-search", "web-4", "info", "query \"blaue schuhe größe 42\" returned 128 hits in 23 ms"),
    ("cron-invoices", "batch-1", "critical", "cannot open /var/lib/invoices/2026-11: No space left on device"),
    ("shop-mail", "batch-1", "info", "sent order confirmation to user:7f3a91 (template order_confirmed.v3)"),
    ("kernel", "web-4", "emergency", "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [java:4711]"),
    ("shop-auth", "web-3", "trace", "token verified kid=2026-10 alg=ES256 exp=1795361400"),
)  # fmt: skip


def shop(count: int = 200, seed: int = 7) -> list[dict[str, Any]]:
    """Varied records of a shop: requests across apps, two days, hostile lines among them."""
    chance = random.Random(seed)
    requests = [f"req-{chance.randrange(16**12):012x}" for _ in range(12)]
    records = []
    at = NOW - 16 * 3600 * SECOND
    for number in range(1, count + 1):
        at += chance.randrange(1, 500) * SECOND // (1 if chance.random() < 0.8 else 1000)
        app, host, level, message = chance.choice(_LINES)
        fields: dict[str, Any] = {"http.request.id": chance.choice(requests)} if chance.random() < 0.7 else {}
        made = record(number, message, at=at + chance.randrange(1000) * 1001, series=f"{host.replace('-', '')}{'n'}")
        made |= {"host.name": host, "service.name": app, "log.level": level, **fields}
        if "Traceback" in message:
            made |= {"message": message.split("\n")[0], "error.stack_trace": _TRACE, "error.type": "httpx.ReadTimeout"}
        made["labels"] = {"user": "7f3a91", "region": "eu-central-1", "attempt": number % 3}
        records.append(made)
    for number, message in enumerate(_HOSTILE, count + 1):
        records.append(record(number, message, at=NOW - (40 - number % 40) * SECOND, host__name="web-9"))
    return records


_HOSTILE = (
    "<script>document.title='ran'</script><img src=x onerror=alert(1)>",
    "\x1b[31mred\x1b[0m and \x1b]0;title\x07 and a backspace\x08 and \u202egnp.exe\u202c",
    "tab\tseparated\tvalues\nsecond line\r\nthird line\rcarriage",
    "x" * 10_000,
    "long message " + "lorem ipsum dolor sit amet " * 3900,
    "مرحبا بالعالم - שלום עולם - 你好 - 👩‍👩‍👧‍👦 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "",
)


def request_story(request_id: str = "6f1c2a9e") -> list[dict[str, Any]]:
    """One request across five apps, with an error in the fourth and a silence before it."""
    script = (
        (0, "edge-haproxy", "lb-1", "info", "POST /checkout accepted"),
        (1_200_000, "shop-web", "web-3", "info", "POST /checkout user=7f3a91"),
        (4_000_000, "shop-api", "web-4", "debug", "validating cart 8812"),
        (9_400_000, "shop-api", "web-4", "info", "cart 8812 valid, total 149.90 EUR"),
        (11_000_000, "shop-payment", "pay-1", "info", "charging 149.90 EUR with provider stripe"),
        (2_013_000_000, "shop-payment", "pay-1", "warn", "provider slow: no answer in 2 s, trying again"),
        (4_021_000_000, "shop-payment", "pay-1", "error", "charge failed: upstream timed out"),
        (4_022_300_000, "shop-api", "web-4", "error", "payment service answered 502"),
        (4_023_000_000, "shop-web", "web-3", "warn", "POST /checkout 502 in 4022 ms"),
        (4_024_100_000, "edge-haproxy", "lb-1", "info", "POST /checkout 502 4024 ms"),
        (4_090_000_000, "shop-mail", "batch-1", "info", 'sent "your payment failed" to user:7f3a91'),
    )
    records = []
    for number, (offset, app, host, level, message) in enumerate(script, 1):
        made = record(number, message, at=NOW - 600 * SECOND + offset, series=f"{host.replace('-', '')}n")
        made |= {"host.name": host, "service.name": app, "log.level": level, "http.request.id": request_id}
        if "upstream timed out" in message:
            made |= {"error.stack_trace": _TRACE, "error.type": "httpx.ReadTimeout", "error.message": "timed out"}
        records.append(made)
    return records
