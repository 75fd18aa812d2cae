"""Writes numbered records with request ids at a rate until its standard input closes; prints how many, each second.

`python -m tests.bench.outage_writer SOCKET RATE`: ten records follow each other with one request id.
"""

import select
import socket
import sys
import time

#: Records of one request; every 33rd record is a warning.
PER_REQUEST, WARNING = 10, 33


def request_of(number: int) -> str:
    """The request that a record belongs to."""
    return f"outage-{number // PER_REQUEST:09d}"


def main() -> None:
    path, rate = sys.argv[1], float(sys.argv[2])
    began = told = time.monotonic()
    number = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.connect(path)
        while not select.select([sys.stdin], [], [], 0)[0]:
            now = time.monotonic()
            stamp = time.strftime("%b %e %H:%M:%S")
            while number < (now - began) * rate:
                number += 1
                priority = 12 if number % WARNING == 0 else 14
                text = f"record {number} of the outage, request_id={request_of(number)}: order accepted, customer told"
                log.send(f"<{priority}>{stamp} shop[7]: {text}".encode())
            if now - told >= 1:
                told = now
                print(number, flush=True)
            time.sleep(0.005)  # the load is what has a pace here
    print(number, flush=True)


if __name__ == "__main__":
    main()
