"""RELP: what rsyslog's omrelp speaks. A record is answered when it is safe, and in the order in which it came."""

from collections import deque
from typing import Literal

from pydantic import Field

from shipper.errors import WireError
from shipper.sources import Intake
from shipper.sources._connection import Connection
from shipper.sources._listening import TcpSettings, TcpSource
from shipper.wire.relp import SERVER_CLOSE, Command, Records, RelpServer, answers

#: Records that share one receipt: they are answered together, so not too many.
_RECORDS_PER_RECEIPT = 256

EXAMPLE = {"type": "relp", "host": "127.0.0.1", "port": 5140}


class Config(TcpSettings):
    """Settings of a RELP source."""

    type: Literal["relp"] = "relp"
    port: int = Field(5140, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    max_frames_in_flight: int = Field(
        10_000, ge=128, description="most unanswered records of one connection; above rsyslog's windowSize"
    )
    open_seconds: float = Field(10, gt=0, description="seconds that a peer may take for TLS and its first open")

    def build(self) -> TcpSource:
        """Return the source."""
        return TcpSource(self.type, self, lambda source, intake: _Session(source, intake, self))


class _Answer:
    """Answers to one receipt's records, or to a command; sent when it is its turn."""

    __slots__ = ("_session", "count", "octets", "ready")

    def __init__(self, session: "_Session", octets: bytes, count: int, ready: bool = False) -> None:
        self._session = session
        self.octets = octets
        self.count = count
        self.ready = ready

    def settled(self) -> None:
        self.ready = True
        self._session.answer_soon()


class _Session(Connection):
    """One RELP session."""

    def __init__(self, source: TcpSource, intake: Intake, settings: Config) -> None:
        super().__init__(source, intake)
        self.first_seconds = settings.open_seconds
        self._relp = RelpServer(settings.max_frame_bytes, settings.max_frames_in_flight)
        self._answers: deque[_Answer] = deque()
        self._answering = False

    def _receive(self, data: bytes) -> WireError | None:
        goodbye = False
        for event in self._relp.receive_data(data):
            if isinstance(event, Records):
                self._submit_records(event)
            elif event.name == b"close":
                self._answer_goodbye(event)
                goodbye = True
            else:
                self._answers.append(_Answer(self, event.answer, 1, ready=True))
                self.answer_soon()
        if self._relp.opened:
            self._starts()
        if goodbye:
            self.finish("")
        return self._relp.error

    def _submit_records(self, records: Records) -> None:
        for first in range(0, len(records.payloads), _RECORDS_PER_RECEIPT):
            payloads = records.payloads[first : first + _RECORDS_PER_RECEIPT]
            octets = answers(records.txnrs[first : first + _RECORDS_PER_RECEIPT])
            answer = _Answer(self, octets, len(payloads))
            self._answers.append(answer)
            self._submit(payloads, answer.settled)

    def _answer_goodbye(self, close: Command) -> None:
        """Answer `close` at once; the answers that are owed for records follow as they are settled.

        rsyslog never sends again what it sent before a close, answered or not, so waiting saves nothing. But the
        worker of its disk queue waits for this answer, and what is spooled meanwhile wakes no other worker: it lies on
        the disk until the next overflow (tests/e2e/test_faults.py).
        """
        self._write(close.answer)
        self._relp.answered(1)

    def _partial(self) -> int:
        return self._relp.partial

    def _end(self) -> None:
        self._relp.receive_eof()

    def _owes(self) -> bool:
        return bool(self._answers)

    def _last_words(self) -> bytes:
        return SERVER_CLOSE if self._relp.opened else b""

    def answer_soon(self) -> None:
        """Send what is ready, after all that settles in this turn of the loop: one write for many receipts."""
        if not self._answering:
            self._answering = True
            self._loop.call_soon(self._answer)

    def _answer(self) -> None:
        self._answering = False
        ready = []
        while self._answers and self._answers[0].ready:
            answer = self._answers.popleft()
            ready.append(answer.octets)
            self._relp.answered(answer.count)
        if ready:
            self._write(b"".join(ready))
        self._close_if_done()
