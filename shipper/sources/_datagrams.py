"""What all datagram sources share: a socket that is read while there is room; the kernel's buffer takes the rest."""

import asyncio
import socket
import time
from typing import Any

from shipper.record import Receipt, Received
from shipper.sources import Intake
from shipper.telemetry import RECORDS_TRUNCATED

#: Most datagrams, and about most bytes, of one wake-up.
_DATAGRAMS = 256
_BYTES = 2**20
#: Most wake-ups' worth of datagrams that a stop still takes out of the kernel's buffer: peers may never cease to send.
_LAST_READS = 256
_ASK_AGAIN_SECONDS = 0.1


class DatagramSource:
    """Reads one datagram socket. A subclass binds it and names peers."""

    def __init__(self, name: str, max_frame_bytes: int) -> None:
        self.name = name
        #: Nothing is ever unfinished: a datagram comes whole.
        self.partial = 0
        #: "host:port" or the path that is listened on; "" before that.
        self.address = ""
        self._limit = max_frame_bytes
        # One byte more shows what was longer.
        self._buffer = memoryview(bytearray(max_frame_bytes + 1))
        self._stopping = False
        self._waiting = False
        self._unsettled = 0
        self._all_settled = asyncio.Event()

    # What a subclass says.

    async def _bind(self) -> socket.socket:
        """Return a bound socket that does not block; ConfigError when it cannot be."""
        raise NotImplementedError

    def _name(self, address: Any) -> str:
        """Return the name of an address, our own or a peer's."""
        raise NotImplementedError

    def _unbind(self) -> None:
        """Let nobody find the socket any more."""

    async def run(self, intake: Intake, stopping: asyncio.Event, ready: asyncio.Event) -> None:
        """See `shipper.sources.Source`. What the kernel holds at a stop is still taken."""
        self._loop, self._intake, self._socket = asyncio.get_running_loop(), intake, await self._bind()
        try:
            self.address = self._name(self._socket.getsockname())
            self._loop.add_reader(self._socket, self._read)
            self._wait_if_full()
            ready.set()
            await stopping.wait()
            self._stop_reading()
            self._unbind()
            for _ in range(_LAST_READS):
                if intake.full or not self._read():
                    break
            if self._unsettled:
                await self._all_settled.wait()
        finally:
            self._stop_reading()
            self._unbind()
            self._socket.close()

    def resume(self) -> None:
        """There is room again."""
        self._waiting = False
        if not self._stopping:
            self._loop.add_reader(self._socket, self._read)

    def abort(self, reason: str) -> None:
        """Ask again a little later: there are no unfinished frames here to give up."""
        self._loop.call_later(_ASK_AGAIN_SECONDS, self._ask_again)

    def _ask_again(self) -> None:
        self.resume()
        self._wait_if_full()

    def _stop_reading(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._loop.remove_reader(self._socket)
            self._intake.forget(self)

    def _wait_if_full(self) -> None:
        if self._intake.full and not self._waiting and not self._stopping:
            self._waiting = True
            self._loop.remove_reader(self._socket)
            self._intake.wait(self)

    def _read(self) -> bool:
        """Submit what is there, one `Received` for each peer; return False when the kernel has no more."""
        received_at = time.time_ns()
        found: dict[Any, list[bytes]] = {}
        buffer, limit, receive = self._buffer, self._limit, self._socket.recvfrom_into
        truncated, size_of_all, more = 0, 0, True
        for _ in range(_DATAGRAMS):
            try:
                size, address = receive(buffer)
            except BlockingIOError:
                more = False
                break
            if size > limit:
                truncated += 1
            # Some senders end a datagram as they would end a line or a string in C.
            if payload := bytes(buffer[: min(size, limit)]).rstrip(b"\n\0"):
                found.setdefault(address, []).append(payload)
            size_of_all += size
            if size_of_all >= _BYTES:
                break
        if truncated:
            RECORDS_TRUNCATED.labels(self.name).inc(truncated)
        for address, payloads in found.items():
            self._unsettled += 1
            receipt = Receipt(len(payloads), self._settled)
            self._intake.submit(Received(payloads, self.name, self._name(address), received_at, receipt))
        self._wait_if_full()
        return more

    def _settled(self) -> None:
        self._unsettled -= 1
        if self._stopping and not self._unsettled:
            self._all_settled.set()
