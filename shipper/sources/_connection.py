"""One TCP connection of a source: when to read, when to stop reading, and how to close without losing anything."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from shipper.errors import WireError
from shipper.record import Received
from shipper.sources import Intake
from shipper.sources._listening import Listened, TcpSource
from shipper.sources._sockets import endpoint, hung_up
from shipper.sources._tls import TlsError, Tunnel, begins_tls
from shipper.telemetry import CONNECTIONS

#: A dead peer is noticed after about 10 + 3 * 5 seconds.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
#: Answers that a peer may leave unread before we stop reading from it, in bytes.
_UNREAD_ANSWERS = 256 * 1024
#: After our last words the peer has this long to close, so that its unread bytes do not turn our close into a reset,
#: which would take the answers with it; seconds, and how many times more while the last words wait to be read.
_LINGER_SECONDS = 0.5
_LINGER_ROUNDS = 10
#: In a stop a peer is read until it is quiet for so long, at most so long in all, in seconds. What lies unread when we
#: close is lost when rsyslog's worker has just ended: it counts a record as delivered once it is sent.
_QUIET_SECONDS = 0.1
_LAST_READS_SECONDS = 1.0


class Connection(asyncio.Protocol):
    """One peer. A subclass says how bytes become records (`_receive`, `_partial`, `_end`) and what is still owed.

    Reading stops while the intake is full, while the peer does not read its answers, and for good in `finish`.
    """

    #: How long the peer may take for its first words, with TLS for the handshake, too; in seconds.
    first_seconds: float = 10.0

    def __init__(self, source: TcpSource, intake: Intake) -> None:
        self._source = source
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, None)
        self._peer = ""
        #: Its TLS; None: plain.
        self._tunnel: Tunnel | None = None
        self._heard = False
        #: Bytes of an unfinished frame, as told to the intake.
        self.partial = 0
        #: True once the peer said what it must say first.
        self.started = False
        self._waiting = False
        self._unread = False
        self._finishing = False
        #: Set in a stop: when reading ends though the peer goes on, by the loop's clock.
        self._read_until = 0.0
        self._last_words_said = False
        self._peer_finished = False
        #: When the last read was, by the loop's clock, and in nanoseconds since 1970.
        self._active_at = 0.0
        self._received_at = 0
        self._timer: asyncio.TimerHandle | None = None

    # What a subclass says.

    def _receive(self, data: bytes) -> WireError | None:
        """Submit the records in `data`; return what the peer broke."""
        raise NotImplementedError

    def _partial(self) -> int:
        """Return the bytes held of an unfinished frame."""
        raise NotImplementedError

    def _end(self) -> None:
        """There will be no more bytes: submit or drop what is unfinished."""
        raise NotImplementedError

    def _owes(self) -> bool:
        """Return True while the peer waits for answers."""
        return False

    def _last_words(self) -> bytes:
        """Return what to say before closing."""
        return b""

    # The life of a connection, as the loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it when there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._peer = endpoint(transport.get_extra_info("peername"))
        CONNECTIONS.labels(self._source.name).inc()
        too_many = len(self._source.connections) >= self._source.settings.max_connections
        self._source.connections.add(self)
        if too_many or self._source.stopping:
            self._source.closed("too_many" if too_many else "stopping", self._peer)
            self.cut()
            return
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)
        self._transport.set_write_buffer_limits(high=_UNREAD_ANSWERS)
        if self._source.certificates is not None:
            self._tunnel = self._source.certificates.tunnel()
        self._active_at = self._loop.time()
        self._timer = self._loop.call_later(self.first_seconds, self._look_whether_idle)
        # uvloop begins to read right after this call, whatever is asked for in it.
        self._loop.call_soon(self._wait_if_full)

    def data_received(self, data: bytes) -> None:
        """Submit what came. Exceptions other than WireError are bugs and reach the loop."""
        if self._finishing:
            return
        self._active_at = self._loop.time()
        self._received_at = time.time_ns()
        error = self._hear(data)
        self._count_partial()
        if error is not None:
            self.finish("tls" if isinstance(error, TlsError) else "protocol", str(error))
        elif self._tunnel is not None and self._tunnel.ended:
            self.eof_received()
        self._wait_if_full()

    def eof_received(self) -> bool:
        """Read to the end; the peer may still read answers, so the connection stays open for them."""
        self._peer_finished = True
        self.finish(*self._why_gone())
        return not self._last_words_said

    def connection_lost(self, error: Exception | None) -> None:
        """Submit what the kernel still holds, forget answers."""
        if self._timer is not None:
            self._timer.cancel()
        if error is not None and not self._finishing:
            self._read_rest()
        if not self._finishing:
            reason, why = self._why_gone()
            if reason:
                self._source.closed(reason, self._peer, why)
        self._stop_reading()
        self._source.gone(self)

    def pause_writing(self) -> None:
        """The peer does not read its answers: no more from it."""
        self._unread = True
        self._read_or_not()

    def resume_writing(self) -> None:
        """The peer read its answers."""
        self._unread = False
        self._active_at = self._loop.time()
        self._read_or_not()

    # What the intake says.

    def resume(self) -> None:
        """There is room again."""
        self._waiting = False
        self._active_at = self._loop.time()
        self._read_or_not()

    def abort(self, reason: str) -> None:
        """Close for the intake's reason; what was submitted is still answered."""
        self.finish(reason)

    # What the source says.

    def finish(self, reason: str, why: str = "") -> None:
        """Read no more; close when all that is owed is answered. `reason` is counted unless empty (the peer's wish)."""
        if self._finishing:
            return
        if reason == "stopping" and self._reads_on():
            return
        if reason:
            self._source.closed(reason, self._peer, why)
        if reason == "stopping" and hung_up(self._transport.get_extra_info("socket").fileno()):
            self._read_rest()
        self._stop_reading()
        self._read_or_not()
        self._close_if_done()

    def cut(self) -> None:
        """Close at once, without a word."""
        self._finishing = True
        self._transport.abort()

    # How.

    def _write(self, octets: bytes) -> None:
        """Send to the peer, unless the connection is closing."""
        if self._tunnel is not None:
            self._tunnel.send(octets)
            octets = self._tunnel.outgoing()
        if octets and not self._transport.is_closing():
            self._transport.write(octets)

    def _hear(self, data: bytes) -> WireError | None:
        """Take what was read off the socket, encrypted or not; return what the peer broke."""
        if self._tunnel is None:
            if not self._heard and begins_tls(data):
                return TlsError("the peer speaks TLS, this source does not (set tls for it, or none on the sender)")
            self._heard = True
            return self._receive(data)
        plain = self._tunnel.receive(data)
        self._write(b"")  # the handshake's own
        return (self._receive(plain) if plain else None) or self._tunnel.error

    def _why_gone(self) -> tuple[str, str]:
        """Return reason and why for a peer that hung up: nothing, unless our certificate may be the reason."""
        if self._tunnel is None or self.started or not self._tunnel.begun:
            return "", ""  # who connects and says nothing is a health check
        return "tls", "the peer hung up at the handshake: does it take our certificate?"

    def _submit(self, payloads: Sequence[bytes], settled: Callable[[], None] | None = None) -> None:
        receipt = self._source.receipt(len(payloads), settled)
        self._intake.submit(Received(payloads, self._source.name, self._peer, self._received_at, receipt))

    def _count_partial(self) -> None:
        partial = self._partial()
        if partial != self.partial:
            self._intake.hold(partial - self.partial)
            self.partial = partial

    def _wait_if_full(self) -> None:
        """Stop every connection of this source, else each could bring one read more over the limit.

        The largest unfinished frame first: when unfinished frames alone fill the memory, the intake aborts that one.
        """
        if self._intake.full:
            for connection in sorted(self._source.connections, key=_by_partial, reverse=True):
                if self._intake.full:
                    connection.wait()

    def wait(self) -> None:
        """Stop reading until the intake calls `resume`."""
        if not self._waiting and not self._finishing:
            self._waiting = True
            self._read_or_not()
            self._intake.wait(self)

    def _read_or_not(self) -> None:
        if self._transport.is_closing() or self._peer_finished:
            return
        # After the last words bytes are read only to be thrown away.
        wanted = self._last_words_said or not (self._waiting or self._unread or self._finishing)
        if wanted != self._transport.is_reading():
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _reads_on(self) -> bool:
        """Return True while a stop waits for the peer to be quiet, and look again soon."""
        now = self._loop.time()
        self._read_until = self._read_until or now + _LAST_READS_SECONDS
        quiet = now - max(self._active_at, self._read_until - _LAST_READS_SECONDS) >= _QUIET_SECONDS
        if quiet or now >= self._read_until or not self._transport.is_reading():
            return False
        self._loop.call_later(_QUIET_SECONDS / 4, self.finish, "stopping")
        return True

    def _stop_reading(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._end()
            self._count_partial()
        self._waiting = False
        self._intake.forget(self)

    def _read_rest(self) -> None:
        """Read what the peer sent before it hung up.

        rsyslog never sends again what it sent before a close of its own. So what has arrived is taken, though the
        intake may be full, a failed write of an answer made the loop give up reading, or we are stopping.
        """
        self._received_at = time.time_ns()
        with suppress(OSError):
            connected = self._transport.get_extra_info("socket")
            while data := os.read(connected.fileno(), 2**18):
                if self._hear(data) is not None:
                    break

    def _close_if_done(self) -> None:
        if not self._finishing or self._last_words_said or self._owes() or self._transport.is_closing():
            return
        self._last_words_said = True
        if words := self._last_words():
            self._write(words)
        if self._tunnel is not None:
            self._tunnel.end()
            self._write(b"")
        if self._peer_finished:
            self._transport.close()
        else:
            self._write_eof()
        self._linger(_LINGER_ROUNDS)

    def _write_eof(self) -> None:
        try:
            self._transport.write_eof()
        except OSError:  # ENOTCONN: the peer reset the connection, and the loop did not notice yet
            self._transport.abort()
        else:
            self._read_or_not()

    def _linger(self, rounds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_LINGER_SECONDS, self._end_of_linger, rounds)

    def _end_of_linger(self, rounds: int) -> None:
        if rounds and self._transport.get_write_buffer_size():
            self._linger(rounds - 1)
        else:
            self._transport.abort()

    def _starts(self) -> None:
        """Note the peer's first words: from now on it may be quiet for longer."""
        if not self.started:
            self.started = True
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(self._source.settings.idle_seconds, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        if self._finishing:
            return
        if self._tunnel is not None and self._tunnel.begun and not self._tunnel.ready:
            self.finish("tls", f"handshake not finished after {self.first_seconds:g} seconds")
            return
        if not self.started:
            self.finish("silent", f"not begun after {self.first_seconds:g} seconds")
            return
        limit = self._source.settings.idle_seconds
        left = limit if self._owes() or self._waiting else self._active_at + limit - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_whether_idle)
        else:
            self.finish("idle")


def _by_partial(connection: Listened) -> int:
    return connection.partial
