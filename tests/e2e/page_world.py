"""A shop as it looks on an evening: what its apps wrote in three hours, one checkout that failed, one host with a hole.

Served by the real application over a store in memory; for pictures of the pages and for tests of their script.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from shipper.api.app import build
from shipper.api.feed import Hub
from shipper.record.times import from_ns
from tests.unit.api_world import NOW, SECOND, MemoryReader, entry, record

MS = 1_000_000
#: The checkout that failed, twenty minutes ago.
FAILED = "7b1f9c2e40aa"
_HOSTS = {
    "gateway": "edge-1", "web": "web-3", "orders": "web-4", "payments": "pay-1", "stock": "web-4", "mail": "batch-1",
}  # fmt: skip
_TRACE = """Traceback (most recent call last):
  File "/app/payments/charge.py", line 88, in charge
    answer = bank.post("/v1/charges", json=body, timeout=2.0)
payments.bank.BankTimeout: no answer in 2.0 s"""
#: Milliseconds, app, level, message, and what else the record says.
_Line = tuple[float, str, str, str, dict[str, Any]]
#: What happens in a checkout, at first, then when it succeeds, and when it fails.
_CHECKOUT: tuple[_Line, ...] = (
    (0.0, "gateway", "info", "POST /checkout accepted from 203.0.113.7", {}),
    (4.4, "web", "info", "POST /checkout user=7f3a91 items=3", {}),
    (61.0, "orders", "debug", "validating cart 8812", {}),
)
_GOOD: tuple[_Line, ...] = (
    (72.0, "stock", "info", "3 items reserved in warehouse north", {}),
    (89.4, "payments", "info", "charging 149.90 EUR by card", {}),
    (162.0, "payments", "info", "charged 149.90 EUR", {}),
    (170.0, "orders", "info", "order 51207 stored", {}),
    (181.0, "mail", "info", "confirmation queued (template order_confirmed.v3)", {}),
    (185.0, "orders", "info", "done", {}),
    (188.0, "web", "info", "POST /checkout 200 in 188 ms", {}),
)
_BAD: tuple[_Line, ...] = (
    (420.0, "stock", "info", "reserving 3 items in warehouse north", {}),
    (433.0, "stock", "warn", "version of item:461 changed meanwhile, trying again", {}),
    (790.0, "stock", "info", "3 items reserved in warehouse north", {}),
    (805.0, "orders", "info", "cart 8812 valid, total 149.90 EUR", {}),
    (1180.0, "payments", "info", "charging 149.90 EUR by card", {}),
    (2590.0, "payments", "warn", "bank slow: no answer in 1.4 s, trying again (attempt 2 of 2)", {}),
    (4021.0, "payments", "error", "charge failed: no answer from the bank", {"error.stack_trace": _TRACE}),
    (4042.3, "orders", "error", "payment failed, order 51208 put on hold", {}),
    (4063.0, "web", "warn", "POST /checkout 502 in 4058 ms", {}),
)
_OTHERS = (
    ("stock", "debug", "cache miss for item:{n}, reading from postgres"),
    ("web", "info", "GET /cart 200 in {n} ms"),
    ("web", "info", "GET /item/{n} 200 in 14 ms"),
    ("orders", "notice", "connection to postgres opened again after {n} ms"),
    ("payments", "warn", "pool exhausted: 20 of 20 in use, waited {n} ms"),
    ("mail", "info", "sent order confirmation to user:{n}"),
    ("stock", "error", "cannot reserve item:{n}: version changed meanwhile"),
)


class World:
    """Makes records with a number in the series of their host."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}

    def write(self, at: int, app: str, level: str, message: str, **more: Any) -> dict[str, Any]:
        """Add one record."""
        host = _HOSTS[app]
        series = f"0tq4m8{host.replace('-', '')}n"
        number = self._numbers[series] = self._numbers.get(series, 0) + 1
        made = record(number, message, at=at, series=series) | {
            "host.name": host, "service.name": app, "service.version": "2026.11.3", "log.level": level,
            "event.ingested": from_ns(at + 90 * MS), "orchestrator.resource.name": f"/shop/{app}",
            "orchestrator.resource.id": f"shop_{app}.4f1e9a", **more,
        }  # fmt: skip
        self.records.append(made)
        return made

    def checkout(self, at: int, request: str, failed: bool) -> None:
        """One request through the shop."""
        end = 4070.1 if failed else 189.0
        status = 502 if failed else 200
        http = {"http.request.method": "POST", "url.path": "/checkout"}
        for ms, app, level, message, more in (*_CHECKOUT, *(_BAD if failed else _GOOD)):
            self.write(at + int(ms * MS), app, level, message, **{"http.request.id": request}, **more)
        done = {
            **http,
            "http.response.status_code": status,
            "event.duration": int(end * MS),
            "http.request.id": request,
        }
        self.write(at + int(end * MS), "gateway", "info", f"POST /checkout {status} {end:.0f} ms", **done)


def shop(hours: float = 3, seed: int = 11) -> MemoryReader:
    """Some hours of the shop; more errors in the last twenty minutes."""
    chance = random.Random(seed)
    world = World()
    began = at = NOW - int(hours * 3600) * SECOND
    while at < NOW - 5 * SECOND:
        at += chance.randrange(1, 16) * SECOND
        late = at > NOW - 1300 * SECOND
        app, level, message = chance.choices(_OTHERS, (6, 9, 9, 1, 6 if late else 1, 4, 3 if late else 0.3))[0]
        world.write(at, app, level, message.format(n=chance.randrange(2, 900)))
        if chance.random() < 0.08:
            world.checkout(at + SECOND, f"{chance.randrange(16**12):012x}", failed=False)
    world.checkout(NOW - 1200 * SECOND, FAILED, failed=True)
    world.checkout(NOW - 23 * SECOND, "c41d7e0a9b22", failed=False)
    reader = MemoryReader(*world.records)
    numbers = {one["shipper.series"]: one["event.sequence"] for one in world.records}
    hosts = {one["shipper.series"]: one["host.name"] for one in world.records}
    times = {"started_at": began, "updated_at": NOW - 4 * SECOND}
    reader.entries = [
        entry(series, 1, last, fate="stored", host=hosts[series], **times) for series, last in numbers.items()
    ]
    return reader


def cut(reader: MemoryReader, host: str = "batch-1", lost: int = 3) -> None:
    """Lose numbers of a host while the checkout failed."""
    (whole,) = (one for one in reader.entries if one.host == host)
    before = {"started_at": whole.started_at, "updated_at": NOW - 1203 * SECOND}
    after = {"started_at": NOW - 1197 * SECOND, "updated_at": NOW - 4 * SECOND}
    last = whole.last
    reader.entries.remove(whole)
    reader.entries.append(entry(whole.series, 1, last, fate="stored", host=host, **before))
    reader.entries.append(entry(whole.series, last + lost + 1, last + lost + 40, fate="stored", host=host, **after))


@dataclass(frozen=True, slots=True)
class Served:
    """The application at an address, and what its live tails hear."""

    url: str
    hub: Hub
    reader: MemoryReader


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(reader: MemoryReader) -> AsyncIterator[Served]:
    """Serve the application over a store in memory, at a time that stands still."""
    listening = socket.create_server(("127.0.0.1", 0))
    hub = Hub(reader, clock=lambda: NOW)
    web = build(reader, clock=lambda: NOW, hub=hub)
    server = _Server(uvicorn.Config(web, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", hub, reader)
    finally:
        hub.end("the test is over")
        server.should_exit = True
        await running
        listening.close()
