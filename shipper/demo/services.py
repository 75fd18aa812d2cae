"""A small shop to look at: gateway (JSON), orders (logfmt) and payments (plain text) call each other and log.

Every request has an id and a W3C trace that travel along; about one in twenty fails somewhere, and the error goes up.
The same seed gives the same requests.
"""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

DEBUG, INFO, WARNING, ERROR = 7, 6, 4, 3
_USER_FACILITY: Final = 1 << 3

#: The share of orders that fail, for each way to fail; and the request that does in any case, to have one to show soon.
_BANK_FAILS, _DATABASE_FAILS = 0.06, 0.02
_ALWAYS_FAILS: Final = 2

_BANK_TIMEOUT: Final = """\
ERROR charge of {total} EUR for order {order} failed [request_id={request_id}]
Traceback (most recent call last):
  File "/srv/payments/charge.py", line 88, in charge
    answer = bank.transfer(card, amount, timeout=0.8)
  File "/srv/payments/bank.py", line 41, in transfer
    raise BankTimeout(f"no answer in {{timeout}} s")
payments.bank.BankTimeout: no answer in 0.8 s"""


class Failed(Exception):
    """A service answers a call with an error: what its caller is told."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Call:
    """One request on its way through the services, and what it is about."""

    request_id: str
    trace_id: str
    chance: random.Random
    always_fails: bool
    order: int
    items: int
    total: str
    #: Records that the services have written about it, and those services.
    written: int = 0
    services: set[str] = field(default_factory=set)

    def traceparent(self) -> str:
        """Return the header for the next call: the trace, and a span of its own."""
        return f"00-{self.trace_id}-{self.chance.getrandbits(64) | 1:016x}-01"


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that is over: how it ended and how many records tell its story."""

    request_id: str
    status: int
    milliseconds: int
    written: int
    services: int

    @property
    def failed(self) -> bool:
        """Whether it ended in an error."""
        return self.status >= 500


class Shop:
    """The three services and those who call them. `send` takes one syslog message and says whether it was taken."""

    def __init__(
        self,
        send: Callable[[bytes], bool],
        *,
        seed: str,
        rate: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._send = send
        self._seed = seed
        self._rate = rate
        self._sleep = sleep
        self._clock = clock
        #: The latest requests that are over, oldest first.
        self.answered: deque[Answered] = deque(maxlen=200)

    async def run(self, stopping: asyncio.Event) -> None:
        """Send requests at the rate until told to stop, then let those on their way end."""
        gaps = random.Random(f"{self._seed} gaps")  # noqa: S311 no secret
        number = 0
        async with asyncio.TaskGroup() as running:
            while not stopping.is_set():
                running.create_task(self.request(number))
                number += 1
                try:
                    await asyncio.wait_for(stopping.wait(), gaps.expovariate(self._rate))
                except TimeoutError:
                    continue

    async def request(self, number: int) -> Answered:
        """Let one customer do one thing."""
        chance = random.Random(f"{self._seed} {number}")  # noqa: S311 no secret
        call = Call(
            request_id=f"{chance.getrandbits(48):012x}",
            trace_id=f"{chance.getrandbits(128) | 1:032x}",
            chance=chance,
            always_fails=number == _ALWAYS_FAILS,
            order=10_000 + number,
            items=chance.randint(1, 5),
            total=f"{chance.uniform(4, 180):.2f}",
        )
        answered = await self._gateway(call)
        self.answered.append(answered)
        return answered

    async def _gateway(self, call: Call) -> Answered:
        began, parent = self._clock(), call.traceparent()
        buys = call.always_fails or call.chance.random() < 0.6
        method, path = ("POST", "/orders") if buys else ("GET", f"/orders/{call.order}")
        about: dict[str, object] = {
            "method": method,
            "path": path,
            "request_id": call.request_id,
            "traceparent": parent,
        }
        client = f"203.0.113.{call.chance.randint(1, 254)}"
        self._write_json(call, INFO, f"{method} {path}", {**about, "client_ip": client})
        await self._work(call, 4)
        status, failure = (201 if buys else 200), None
        try:
            await (self._place(call) if buys else self._read(call))
        except Failed as error:
            status, failure = 502, error
        await self._work(call, 2)
        took = round((self._clock() - began) * 1000)
        about |= {"status": status, "duration_ms": took}
        if failure is None:
            self._write_json(call, INFO, f"{method} {path} answered {status}", about)
        else:
            told = {"type": "UpstreamError", "message": f"orders answered {failure.status}: {failure}"}
            self._write_json(call, ERROR, f"{method} {path} failed", {**about, "error": told})
        return Answered(call.request_id, status, took, call.written, len(call.services))

    async def _read(self, call: Call) -> None:
        await self._work(call, 8)
        self._write_logfmt(call, INFO, "order read", rows=1)

    async def _place(self, call: Call) -> None:
        self._write_logfmt(call, INFO, "order received", items=call.items, total=call.total)
        await self._work(call, 12)
        fails = call.chance.random()
        if fails < _DATABASE_FAILS and not call.always_fails:
            self._write_logfmt(call, ERROR, "cannot store the order", err="deadlock detected, 3 tries")
            raise Failed(500, "deadlock detected")
        try:
            await self._charge(call, slow=call.chance.random() < 0.08)
        except Failed as error:
            self._write_logfmt(call, ERROR, "payment failed", err=f"payments answered {error.status}: {error}")
            raise Failed(500, f"payment failed: {error}") from error
        await self._work(call, 6)
        self._write_logfmt(call, INFO, "order placed", items=call.items)

    async def _charge(self, call: Call, *, slow: bool) -> None:
        known = f"[request_id={call.request_id}]"
        self._write(call, "payments", INFO, f"INFO charging {call.total} EUR for order {call.order} {known}")
        if call.always_fails or call.chance.random() < _BANK_FAILS:
            await self._sleep(0.8)
            told = _BANK_TIMEOUT.format(total=call.total, order=call.order, request_id=call.request_id)
            self._write(call, "payments", ERROR, told)
            raise Failed(504, "the bank did not answer in 0.8 s")
        await self._work(call, 60)
        if slow:
            await self._sleep(0.4)
            self._write(call, "payments", WARNING, f"WARNING the bank took more than 400 ms {known}")
        self._write(
            call,
            "payments",
            INFO,
            f"INFO charged order {call.order}, reference {call.order * 7919 % 10**6:06d} {known}",
        )

    async def _work(self, call: Call, milliseconds: float) -> None:
        """Take about so long, now and then much longer, as real services do."""
        await self._sleep(milliseconds / 1000 * call.chance.lognormvariate(0, 0.6))

    def _write_json(self, call: Call, severity: int, message: str, known: dict[str, object]) -> None:
        level = {INFO: "info", ERROR: "error"}[severity]
        self._write(
            call, "gateway", severity, json.dumps({"time": self._time(), "level": level, "msg": message, **known})
        )

    def _write_logfmt(self, call: Call, severity: int, message: str, **known: object) -> None:
        level = {INFO: "info", ERROR: "error"}[severity]
        pairs = {"request_id": call.request_id, "traceparent": call.traceparent(), "order": call.order, **known}
        text = " ".join(f"{key}={json.dumps(value) if ' ' in str(value) else value}" for key, value in pairs.items())
        self._write(call, "orders", severity, f'time={self._time()} level={level} msg="{message}" {text}')

    def _time(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="microseconds")

    def _write(self, call: Call, tag: str, severity: int, text: str) -> None:
        """Write what syslog(3) would: PRI, local time, tag and process id, text."""
        now = time.localtime(self._clock())
        stamp = f"{time.strftime('%b', now)} {now.tm_mday:2d} {time.strftime('%H:%M:%S', now)}"
        call.services.add(tag)
        pid = {"gateway": 101, "orders": 202, "payments": 303}[tag]
        call.written += self._send(f"<{_USER_FACILITY | severity}>{stamp} {tag}[{pid}]: {text}".encode())
