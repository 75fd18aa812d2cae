"""A RELP client that sends as fast as the answers allow, in a process of its own, and notes when they came."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

WINDOW = 4000
CHUNK = 200


class Sender(asyncio.Protocol):
    """One session: `open`, then frames, at most WINDOW of them unanswered, at most `rate` a second (0: no limit)."""

    def __init__(self, frames: Sequence[bytes], rate: float, done: asyncio.Event) -> None:
        self.frames, self.rate, self.done = frames, rate, done
        self.sent = self.answered = 0
        self.started = 0.0
        self.sent_at: list[float] = []
        self.latencies: list[float] = []
        self.tail = b""
        self.writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        offers = b"relp_version=0\nrelp_software=bench\ncommands=syslog"
        self.transport.write(b"1 open %d %s\n" % (len(offers), offers))

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.send()

    def data_received(self, data: bytes) -> None:
        text = self.tail + data
        answers = text.count(b"200 OK")
        self.tail = text[-5:] if not text.endswith(b"\n") else b""
        now = time.perf_counter()
        if not self.started:
            answers -= 1
            self.started = now
        for chunk in range(self.answered // CHUNK, (self.answered + answers) // CHUNK):
            self.latencies.append(now - self.sent_at[chunk])
        self.answered += answers
        if self.answered >= len(self.frames):
            self.done.set()
        else:
            self.send()

    def send(self) -> None:
        while self.writable and self.sent < len(self.frames) and self.sent - self.answered <= WINDOW - CHUNK:
            if self.rate:
                due = self.started + self.sent / self.rate
                wait = due - time.perf_counter()
                if wait > 0:
                    asyncio.get_running_loop().call_later(wait, self.send)
                    return
            self.transport.write(b"".join(self.frames[self.sent : self.sent + CHUNK]))
            self.sent_at.append(time.perf_counter())
            self.sent += CHUNK


def framed(payloads: list[bytes]) -> list[bytes]:
    """RELP `syslog` frames, transactions from 2 on."""
    return [
        b"%d syslog %d %s\n" % (number % 999_999_998 + 1, len(payload), payload)
        for number, payload in enumerate(payloads, 1)
    ]


async def _send(port: int, frames: list[bytes], rate: float) -> Sender:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    _, sender = await loop.create_connection(lambda: Sender(frames, rate, done), "127.0.0.1", port)
    await done.wait()
    return sender


def main() -> None:
    """PORT FILE RATE: send the records of FILE (one per line); print seconds, median and p99 answer time in ms."""
    import uvloop

    port, path, rate = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    payloads = [line + b"\n" for line in path.read_bytes().split(b"\n") if line]
    frames = framed(payloads[: len(payloads) // CHUNK * CHUNK])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sender = runner.run(_send(port, frames, rate))
    seconds = time.perf_counter() - sender.started
    latencies = sorted(sender.latencies)
    print(
        len(frames),
        f"{seconds:.3f}",
        f"{latencies[len(latencies) // 2] * 1000:.1f}",
        f"{latencies[int(len(latencies) * 0.99)] * 1000:.1f}",
    )


if __name__ == "__main__":
    main()
