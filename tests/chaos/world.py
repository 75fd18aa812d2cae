"""One host, one shipper with SQLite, what is done to them, and the account of every record afterwards."""

import asyncio
import contextlib
import socket
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shipper.api.accounts import Books, books
from shipper.search.holes import Kind
from shipper.stores.sqlite import Config
from tests.chaos.line import Line
from tests.chaos.small_disk import small_disk
from tests.chaos.writer import WARNING, Writer, Written
from tests.e2e.delivery import messages_in_sqlite, numbers, wait_settled
from tests.e2e.peers import ready
from tests.integration.host import Host
from tests.servers.process import Process, ServerFailed, free_port, wait_until
from tests.shipper_process import ShipperProcess

RATE = 2500.0
#: As late as this nothing can still be on its way; the reasons of holes are asked for as of then.
_LATER_NS = 3600 * 1_000_000_000
_WAKE_SECONDS = 90
#: As systemd does: the socket is descriptor 3, and LISTEN_PID the pid of the program after exec.
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the records of one run."""

    sent: int
    stored: int
    doubled: int
    #: Sent and not stored, and how many of those are warnings.
    lost: int
    lost_warnings: int
    dropped_warnings: int
    #: What the ledger says is missing, and why.
    missing: int
    kinds: dict[str, int]
    #: What reader and queues counted as dropped.
    dropped: int
    #: Records that lay in a queue until rsyslogd was started anew.
    asleep: int
    refused: int
    longest_seconds: float
    #: Of the longest of the writers.
    seconds: float
    long_calls: int


@dataclass
class World:
    """Use it in a `with`; then write, do harm, and ask `account` last: it ends host and shipper."""

    rsyslogd: str
    folder: Path
    #: How late answers come to the host, in seconds.
    answer_seconds: float = 0
    #: Whether the container socket is held by somebody else, as systemd does.
    systemd: bool = False
    #: Size of the disk that the queues are on; 0: the machine's.
    disk_megabytes: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ending = contextlib.ExitStack()
        self._data = self.folder / "data"
        self._writers: list[Writer] = []
        self._first = 1

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            port = free_port()
            store = {"type": "sqlite", "path": str(self._data)}
            self.shipper = stack.enter_context(ShipperProcess(self.folder / "shipper", store, port=port))
            line = stack.enter_context(Line(port, self.answer_seconds)) if self.answer_seconds else None
            self.host = Host(self.rsyslogd, self.folder, line.port if line else port, **self.settings)
            if self.disk_megabytes:
                stack.enter_context(small_disk(self.host.work, self.disk_megabytes))
            if self.systemd:
                self._held = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                self._held.bind(str(self.host.socket))
            stack.callback(self.host.close)
            self.start_host()
            self._ending = stack.pop_all()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ending.close()

    def start_host(self) -> None:
        """Start the host, or start it again."""
        if not self.systemd:
            self.host.start()
            return
        argv = [sys.executable, "-c", _HAND_OVER, str(self._held.fileno()), *self.host.argv]
        self.host.process = Process(argv, log=self.host.log, pass_fds=[self._held.fileno()])
        self.host.process.wait_until(self.host.ready, 60, "the host is ready")

    def write(self, count: int, rate: float = RATE) -> Writer:
        """Start to write so many records; numbers go on from the last writer's."""
        writer = self._ending.enter_context(Writer(self.host.socket, self._first, count, rate))
        self._first += count
        self._writers.append(writer)
        return writer

    def written(self, count: int, rate: float = RATE) -> None:
        """Write so many records, and wait until the reader has read them."""
        before = self.host.status()["received"]
        self.write(count, rate).done()
        wait_until(lambda: self.host.status()["received"] == before + count, 60, "all is read")

    def taken(self) -> None:
        """Wait until rsyslogd has all that the reader has read."""
        wait_until(lambda: self.host.status()["backlog_records"] == 0, 60, "the backlog is empty")

    def end_rsyslogd(self, *, kill: bool) -> None:
        """End rsyslogd and wait until another one runs."""
        before = self.host.rsyslogd()
        self.host.kill9_rsyslogd() if kill else self.host.stop_rsyslogd()
        self.another("rsyslogd", before)
        wait_until(self.host.ready, 60, "it is ready")

    def another(self, child: str, before: int) -> None:
        """Wait until another process is the reader, or rsyslogd, than the one before."""
        wait_until(lambda: self.host.status()[child]["pid"] not in (None, before), 60, f"another {child}")

    @contextlib.contextmanager
    def store_down(self) -> Iterator[None]:
        """Let the store take nothing; it has taken one record before, as it must exist to be locked."""
        self.written(1)
        wait_until(lambda: list(self._data.rglob("records-*.db")), 30, "there is a store")
        with contextlib.ExitStack() as stack:
            for path in self._data.rglob("records-*.db"):
                database = stack.enter_context(
                    contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30))
                )
                database.execute("BEGIN IMMEDIATE")
            yield
        wait_until(lambda: ready(self.shipper) is None, 60, "the store is tried again")

    def account(self) -> Account:
        """Wait for all that still comes, end the host in order, and compare what was sent with what is known of it."""
        written = [writer.done() for writer in self._writers]
        sent = sum(one.sent for one in written)
        before = wait_settled(self.shipper, sent).stored
        if before < sent and self._waiting():  # a queue that sleeps: the holder wakes it, at most once a minute
            with contextlib.suppress(ServerFailed):
                wait_until(lambda: not self._waiting(), _WAKE_SECONDS)
            before = wait_settled(self.shipper, sent).stored
        waiting = before < sent and self._waiting()
        self.host.stop()
        asleep = self._wake(sent, before) if waiting else 0
        found = self._books()
        assert self.shipper.process.stop(60) == 0
        return self._compare(written, found, asleep)

    def _waiting(self) -> int:
        """Records in the host's queues, as its newest report says."""
        (host,) = self.shipper.get("/api/v1/ledger")["hosts"]
        return sum(queue["records"] or 0 for queue in host["queues"] if queue["queue"] != "heartbeat")

    def _wake(self, sent: int, before: int) -> int:
        """Start the host once more, and return how many records that brought."""
        self.start_host()
        after = wait_settled(self.shipper, sent).stored
        self.host.stop()
        return after - before

    def _books(self) -> Books:
        """The ledger as the product reads it, an hour later."""

        async def ask() -> Books:
            async with Config(path=str(self._data)).reader("dev") as reader:
                return await books(reader, time.time_ns() + _LATER_NS)

        wait_until(lambda: self._goodbye(asyncio.run(ask())), 30, "the host's last report")
        return asyncio.run(ask())

    @staticmethod
    def _goodbye(found: Books) -> bool:
        return all(host.there.state == "stopped" for host in found.hosts)

    def _compare(self, written: list[Written], found: Books, asleep: int) -> Account:
        stored = numbers(messages_in_sqlite(self._data))
        distinct = set(stored)
        sent = sum(one.sent for one in written)
        lines = [one for one in found.accounts if one.ledger.series[-1:] in "wn"]
        kinds = {kind.value: sum(one.kinds[kind] for one in lines) for kind in Kind}
        (host,) = found.hosts
        assert host.reports is not None
        dropped: Counter[str] = Counter()
        for reader in host.reports.readers:
            dropped.update({series[-1:]: one.dropped for series, one in reader.series.items()})
        for queue in host.reports.queues:
            dropped[queue.queue] += queue.dropped
        del dropped["heartbeat"]
        refused = sum(one.refused for one in written)
        warnings = sum(1 for number in range(1, self._first) if number % WARNING == 0)
        return Account(
            sent=sent,
            stored=len(distinct),
            doubled=len(stored) - len(distinct),
            lost=sent - len(distinct),
            lost_warnings=warnings - sum(1 for number in distinct if number % WARNING == 0),
            dropped_warnings=dropped["w"] + dropped["warning"],
            missing=sum(one.ledger.missing for one in lines),
            kinds={kind: count for kind, count in kinds.items() if count},
            dropped=sum(dropped.values()),
            asleep=asleep,
            refused=refused,
            longest_seconds=max(one.longest_seconds for one in written),
            seconds=max(one.seconds for one in written),
            long_calls=sum(one.long_calls for one in written),
        )
