"""Writes log lines to a datagram socket at a rate; standard library only, so that it also runs inside a container.

python -IS host_writer.py SOCKET RATE SECONDS START CORE: RATE 0 is as fast as the socket takes them, START a monotonic
time, CORE -1 any. Prints as JSON: lines written, seconds taken, monotonic time of the end,
milliseconds of the longest send, CPU seconds.
"""

import json
import os
import socket
import sys
import time

WAKE_SECONDS = 0.002
STAMP = "Nov 23 10:00:00"
TEXTS = (
    "accepted order for delivery on the next working day, customer notified",
    "connection to upstream timed out after 3 attempts, will try the next host",
    "cache entry refreshed from primary store, replica lag within bounds now",
    "payment authorised by provider, settlement expected with the daily batch",
)


def main() -> None:
    path, rate, seconds, start, core = sys.argv[1], *map(float, sys.argv[2:6])
    if core >= 0:
        os.sched_setaffinity(0, {int(core)})
    sent, longest = 0, 0.0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.connect(path)
        time.sleep(max(0.0, start - time.monotonic()))
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * rate) if rate else sent + 100
            while sent < due:
                before = time.monotonic()
                log.send(line(sent))
                longest = max(longest, time.monotonic() - before)
                sent += 1
            if rate:
                time.sleep(WAKE_SECONDS)
    ended = time.monotonic()
    said = {"sent": sent, "seconds": ended - began, "ended_at": ended, "longest_ms": longest * 1000}
    print(json.dumps(said | {"cpu_seconds": time.process_time()}))


def line(number: int) -> bytes:
    """A line of about 220 bytes with the time at which it is written at its end; every 33rd is a warning."""
    priority = 12 if number % 33 == 0 else 14
    text = TEXTS[number % 4]
    return (
        f"<{priority}>{STAMP} shop[{number % 500}]: INFO shop.worker-{number % 16} [request_id={number // 10:016x}] "
        f"{text} 10.1.{number % 256}.7 item={number:06d} t={time.monotonic_ns()}"
    ).encode()


if __name__ == "__main__":
    main()
