"""A RELP receiver that keeps nothing: prints its port, then for each line read what came since the last "reset".

As JSON: how many lines of tests.bench.host_writer, and the monotonic time of the last; for "reset" also median and p99
of the milliseconds they took.
"""

import asyncio
import json
import sys
import time
from typing import cast

from shipper.wire.relp import Records, RelpServer, answers

_MARK = b" t="
_MOST_BYTES = 2**20
_MOST_FRAMES = 100_000


class Taken:
    """How long each line took, in milliseconds, and when the last came (monotonic, seconds)."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self.last_at = 0.0


class Receiver(asyncio.Protocol):
    """One session; every record is answered at once."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._server = RelpServer(_MOST_BYTES, _MOST_FRAMES)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        for event in self._server.receive_data(data):
            if isinstance(event, Records):
                self._take(event.payloads, now)
                self._transport.write(answers(event.txnrs))
                self._server.answered(len(event.txnrs))
            else:
                self._transport.write(event.answer)

    def _take(self, payloads: list[bytes], now: int) -> None:
        for payload in payloads:
            _, mark, rest = payload.rpartition(_MARK)
            if mark:
                self._taken.milliseconds.append((now - int(rest.partition(b'"')[0])) / 1e6)
                self._taken.last_at = now / 1e9


async def _serve() -> None:
    taken = Taken()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(taken), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while asked := await loop.run_in_executor(None, sys.stdin.readline):
        answer: dict[str, float] = {"count": len(taken.milliseconds), "last_at": taken.last_at}
        if asked == "reset\n":
            found = sorted(taken.milliseconds)
            answer |= {"median_ms": _at(found, 0.5), "p99_ms": _at(found, 0.99)}
            taken.milliseconds.clear()
        print(json.dumps(answer), flush=True)


def _at(found: list[float], share: float) -> float:
    return found[int(len(found) * share)] if found else 0.0


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
