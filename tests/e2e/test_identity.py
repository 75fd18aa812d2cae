"""One document per record, whatever happens between two deliveries; one number per record, whoever writes at once."""

import socket
import threading
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from shipper.record import times
from tests.bench import relp_sender
from tests.e2e.delivery import messages_in_sqlite, tally, wait_settled
from tests.integration.host import Host
from tests.servers.process import free_port
from tests.shipper_process import ShipperProcess

RECORDS = 200_000


@pytest.mark.alone
def test_two_writers_at_full_speed_never_share_a_number(rsyslogd: str, run_dir: Path) -> None:
    port = free_port()
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(run_dir / "data")}, port=port)

    def write(name: bytes) -> None:
        with host.writer() as writer:
            for number in range(RECORDS):
                writer.send(b"<14>record %d by %s" % (number, name))

    with shipper, Host(rsyslogd, run_dir, port) as host:
        writers = [threading.Thread(target=write, args=(name,)) for name in (b"one", b"another")]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        settled = wait_settled(shipper, 2 * RECORDS, seconds=180)
        # A number given twice would have been a collision: a dead letter here, a lost record elsewhere.
        assert shipper.get("/api/v1/dead-letters")["dead_letters"] == []
        assert (settled.stored, settled.missing) == (2 * RECORDS, 0)
    found = Counter(message.split(" by ")[1] for message in messages_in_sqlite(run_dir / "data") if " by " in message)
    assert found == {"one": RECORDS, "another": RECORDS}


def _payload(sequence: int, host_time: str, message: str, **more: str) -> bytes:
    record = {
        "v": "1", "series": "65614f3a9c1en", "sequence": str(sequence), "host_time": host_time, "host": "h1",
        "input": "imuxsock", "pri": "14", "container": "", "message": message,
    }  # fmt: skip
    return orjson.dumps(record | more) + b"\n"


def _deliver(shipper: ShipperProcess, *payloads: bytes) -> None:
    """Send frames in a session of their own and wait for every answer."""
    offers = b"relp_version=0\nrelp_software=test\ncommands=syslog"
    with socket.create_connection(("127.0.0.1", shipper.port), timeout=30) as peer:
        peer.sendall(b"1 open %d %s\n" % (len(offers), offers) + b"".join(relp_sender.framed(list(payloads))))
        answers = b""
        while answers.count(b" rsp ") < len(payloads) + 1:
            answers += peer.recv(65536)


def test_a_second_delivery_is_the_same_document_though_more_is_known(run_dir: Path) -> None:
    # A second before midnight; a parser that has changed; a container that became known.
    late = f"{_yesterday()}T23:59:59.999999+00:00"
    first = _payload(1, late, '{"msg": "one", "level": "warn", "request_id": "r-12345678"}')
    second = _payload(1, late, '{"msg": "one", "level": "warn", "request_id": "r-12345678"}', container="c0ffee")
    data = run_dir / "data"
    store = {"type": "sqlite", "path": str(data)}
    with ShipperProcess(run_dir / "shipper", store, parsers=["host_json", "plain"]) as shipper:
        _deliver(shipper, first)
    with ShipperProcess(run_dir / "shipper", store) as shipper:
        _deliver(shipper, second)
        _deliver(shipper, second, second)
        settled = tally(shipper)
        assert (settled.stored, settled.duplicates, settled.missing) == (1, 3, 0)
        assert shipper.get("/api/v1/dead-letters")["dead_letters"] == []
        _deliver(shipper, _payload(1, late, "another record under the same id"))
        (letter,) = shipper.get("/api/v1/dead-letters")["dead_letters"]
        assert letter["reason"] == "id collision"
    assert len(messages_in_sqlite(data)) == 1


def _yesterday() -> str:
    return times.from_ns(time.time_ns() - 86_400 * 1_000_000_000)[:10]
