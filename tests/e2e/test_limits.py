"""Memory and time stay bounded whatever peers do and however long the store takes; a stop keeps its limit."""

import asyncio
import contextlib
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.bench.sink import Sink
from tests.e2e.delivery import burst
from tests.e2e.peers import OPEN, RelpSession, ended, frame, log_lines, metric, ready, stamped
from tests.integration.host import Host
from tests.servers.process import free_port, wait_until
from tests.shipper_process import ShipperProcess

MOST_MB = 250
#: Of every record but rsyslogd's own, whose series end in h.
_ID = re.compile(rb'"_index":"logs-[^"]*","_id":"([^"-]+[^"h-]-[^"]+)"')


class SlowElasticsearch:
    """A stand-in in a thread that answers `_bulk` late or, while `hangs`, never; it knows what it has accepted."""

    def __init__(self, seconds: float = 0) -> None:
        self.hangs = False
        self.seconds = seconds
        self.accepted: list[bytes] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._listening = threading.Event()

    @property
    def store(self) -> dict[str, Any]:
        """Settings of a store that is kept here."""
        return {"type": "elasticsearch", "urls": [f"http://127.0.0.1:{self.port}"], "request_seconds": 1}

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        made = self

        class Connection(Sink):
            def answer(self, head: bytes, body: bytes) -> None:
                answer = super().answer
                if b"/_bulk" not in head.partition(b"\r\n")[0]:
                    answer(head, body)
                elif not made.hangs:
                    made.accepted += _ID.findall(body)
                    made._loop.call_later(made.seconds, answer, head, body)

        server = await self._loop.create_server(Connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stopping.wait()
        server.close()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()


@pytest.fixture
def slow() -> Iterator[SlowElasticsearch]:
    with SlowElasticsearch() as server:
        yield server


def sqlite(folder: Path) -> dict[str, Any]:
    return {"type": "sqlite", "path": str(folder / "data")}


def test_a_burst_arrives_though_the_store_is_slow(rsyslogd: str, run_dir: Path) -> None:
    """rsyslog's disk queue must not fall asleep on what it has spooled: see `_answer_goodbye` of the RELP source."""
    port = free_port()
    with SlowElasticsearch(seconds=0.3) as server:
        with ShipperProcess(run_dir / "shipper", server.store, port=port), Host(rsyslogd, run_dir, port) as host:
            burst(host, 1, 10_000)
            # A queue that sleeps is woken after 60 s; a second delivery is the real store's business.
            wait_until(lambda: len(set(server.accepted)) >= 10_000, 180, "all accepted")
            assert len(set(server.accepted)) == 10_000


def test_half_frames_on_200_connections(run_dir: Path) -> None:
    """100 MB of them: more than may be held, so the largest are given up."""
    half = b"2 syslog %d " % 2**20 + b"x" * 2**19
    with ShipperProcess(run_dir / "shipper", sqlite(run_dir)) as shipper, contextlib.ExitStack() as stack:
        good = stack.enter_context(RelpSession(shipper.port, seconds=120))
        for _ in range(200):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", shipper.port), timeout=30))
            with contextlib.suppress(ConnectionError):
                peer.sendall(OPEN + half)
        good.deliver(*[stamped(number, "beside half frames") for number in range(1, 1001)])
        # 95 halves fit into 48 MiB; a half that is still growing may cost one that has grown, but never nearly all.
        assert metric(shipper, "shipper_connections") >= 32
        # Each connection may be in the middle of a read when the limit is reached.
        assert metric(shipper, "shipper_held_bytes") <= 80 * 2**20
        assert shipper.peak_mb() < MOST_MB
        assert log_lines(shipper)


def push_until_not_read(shipper: ShipperProcess, rude: RelpSession) -> None:
    """Send 4,000 at a time (more than 10,000 unanswered would be against the rules) until nobody reads any more."""
    for _ in range(500):
        rude.send(*[b""] * 4000)
        wait_until(lambda: metric(shipper, "shipper_records_in_flight") == 0, 30, "all that was read is stored")


def test_a_peer_that_never_reads_its_answers(slow: SlowElasticsearch, run_dir: Path) -> None:
    with ShipperProcess(run_dir / "shipper", slow.store) as shipper, RelpSession(shipper.port) as good:
        with RelpSession(shipper.port, seconds=1) as rude:
            with pytest.raises(TimeoutError):
                push_until_not_read(shipper, rude)
            good.deliver(*[stamped(number, "beside a rude peer") for number in range(1, 1001)])
            assert shipper.peak_mb() < MOST_MB
            # It does not hold up a stop for long either.
            assert shipper.process.stop(20) == 0
            assert log_lines(shipper)[-1]["message"] == "stopped: everything accepted is stored"


def test_a_thousand_connects_in_a_second(run_dir: Path) -> None:
    with ShipperProcess(run_dir / "shipper", sqlite(run_dir)) as shipper, RelpSession(shipper.port) as good:
        for first in range(0, 1000, 100):
            with contextlib.ExitStack() as stack:
                for _ in range(100):
                    stack.enter_context(socket.create_connection(("127.0.0.1", shipper.port), timeout=30))
                good.deliver(stamped(first + 1, "beside many"))
        wait_until(lambda: metric(shipper, "shipper_connections") == 1, 30, "one connection is left")
        with contextlib.ExitStack() as stack:
            for _ in range(600):  # more than max_connections, all at once
                stack.enter_context(socket.create_connection(("127.0.0.1", shipper.port), timeout=30))
            good.deliver(stamped(1001, "beside too many"))
            wait_until(lambda: metric(shipper, "shipper_connections_closed_total") >= 89, 30, "too many are closed")
        wait_until(lambda: metric(shipper, "shipper_connections") == 1, 30, "one connection is left")
        with RelpSession(shipper.port) as another:
            another.deliver(stamped(1002, "after it"))
        assert shipper.peak_mb() < MOST_MB
        assert all(line["log.level"] in ("info", "warning") for line in log_lines(shipper))


def push(port: int, first: int, stop: threading.Event, sent: list[int]) -> None:
    """Send records of 4 kB, at most 9,000 unanswered, until told to stop; then wait for the answers."""
    with RelpSession(port, seconds=60) as session:
        session.socket.settimeout(60)
        number = first
        while not stop.is_set() and number - first < 9000:
            session.send(*[stamped(number + more, "x" * 4000) for more in range(50)])
            number += 50
        stop.wait()
        session.wait()
        sent.append(session.sent)


def test_a_store_that_hangs_while_everybody_pushes(slow: SlowElasticsearch, rsyslogd: str, run_dir: Path) -> None:
    port, stop, sent = free_port(), threading.Event(), list[int]()
    shipper = ShipperProcess(run_dir / "shipper", slow.store, port=port)
    with shipper, Host(rsyslogd, run_dir, port) as host:
        slow.hangs = True
        pushers = [threading.Thread(target=push, args=(port, 1 + 10_000 * n, stop, sent)) for n in range(3)]
        for pusher in pushers:
            pusher.start()
        burst(host, 1, 20_000)
        wait_until(lambda: metric(shipper, "shipper_reading_paused_total") > 0, 60, "reading stops")
        wait_until(lambda: metric(shipper, "shipper_store_retries_total") >= 6, 60, "the store is tried again")
        assert "no answer in time" in str(ready(shipper))
        assert metric(shipper, "shipper_held_bytes") < 80 * 2**20
        assert shipper.peak_mb() < MOST_MB
        assert not slow.accepted
        slow.hangs = False
        stop.set()
        for pusher in pushers:
            pusher.join()
        wait_until(lambda: len(set(slow.accepted)) == sum(sent) + 20_000, 180, "all accepted")
        assert sum(sent) > 6000  # 48 MiB hold about 7,500 of them
        assert ready(shipper) is None
        assert shipper.peak_mb() < MOST_MB


def test_a_stop_while_the_store_hangs(slow: SlowElasticsearch, run_dir: Path) -> None:
    slow.hangs = True
    settings = slow.store | {"request_seconds": 30}
    with ShipperProcess(run_dir / "shipper", settings, pipeline={"drain_seconds": 1}) as shipper:
        with RelpSession(shipper.port) as session:
            session.send(*[stamped(number, "never stored") for number in range(1, 5001)])
            wait_until(lambda: metric(shipper, "shipper_records_in_flight") == 5000, 30, "all is read")
            shipper.process.signal(signal.SIGTERM)
            assert shipper.process.wait(5) == 1
            assert session.answered == 0
            assert ended(session.socket)
        lines = log_lines(shipper)
        assert not any("error.stack_trace" in line for line in lines)
        assert [line["message"] for line in lines if line["log.level"] == "error"] == [
            "the stop took too long; what was not acknowledged will be sent again"
        ]


def test_a_stop_with_a_good_store_answers_all(run_dir: Path) -> None:
    with ShipperProcess(run_dir / "shipper", sqlite(run_dir)) as shipper, RelpSession(shipper.port) as session:
        session.send(*[stamped(number, "stored") for number in range(1, 5001)])
        session.wait(1)
        assert shipper.process.stop(20) == 0
        # What was read is answered; the rest, if any, the peer still has.
        ended(session.socket)
        assert log_lines(shipper)[-1]["message"] == "stopped: everything accepted is stored"


def test_frames_one_byte_at_a_time(run_dir: Path) -> None:
    with ShipperProcess(run_dir / "shipper", sqlite(run_dir)) as shipper, RelpSession(shipper.port) as session:
        session.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in frame(1, stamped(1, "slowly")):
            session.socket.sendall(bytes([octet]))
        session.wait(1)
