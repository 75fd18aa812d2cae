"""Time from writing a record to finding it by its request id, while other load runs."""

import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from shipper.record import times
from tests.shipper_process import ShipperProcess

INTERVAL = 0.2
GIVE_UP = 30.0
OFFERS = b"relp_version=0\nrelp_software=probe\ncommands=syslog"


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    probes: int
    median: float
    p99: float

    def __str__(self) -> str:
        return f"median {self.median:.0f} ms, p99 {self.p99:.0f} ms ({self.probes} probes)"


def measure_latency(shipper: ShipperProcess, running: Callable[[], bool]) -> Latency:
    """Write a probe over a RELP session of its own, ask for it until it is there, and so on while `running()`."""
    found: list[float] = []
    series = f"{int(time.time()):08x}cafen"
    with socket.create_connection(("127.0.0.1", shipper.port)) as peer:
        peer.sendall(b"1 open %d %s\n" % (len(OFFERS), OFFERS))
        peer.recv(4096)
        number = 0
        while running() or number < 20:
            number += 1
            found.append(_probe(shipper, peer, series, number))
            time.sleep(INTERVAL)
    found.sort()
    return Latency(len(found), found[len(found) // 2] * 1000, found[int(len(found) * 0.99)] * 1000)


def _probe(shipper: ShipperProcess, peer: socket.socket, series: str, number: int) -> float:
    request_id = uuid.uuid4().hex
    payload = (
        f'{{"v":"1","series":"{series}","sequence":"{number}","host_time":"{times.from_ns(time.time_ns())[:26]}+00:00",'
        f'"host":"probe","input":"imuxsock","pri":"14","container":"","message":"probe: request_id={request_id}"}}\n'
    ).encode()
    started = time.perf_counter()
    peer.sendall(b"%d syslog %d %s\n" % (number + 1, len(payload), payload))
    while time.perf_counter() - started < GIVE_UP:
        if shipper.get(f"/api/v1/records?request_id={request_id}&limit=1")["records"]:
            return time.perf_counter() - started
        time.sleep(0.005)
    return GIVE_UP
