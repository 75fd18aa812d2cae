"""The server's side of RELP: bytes in, records and commands out; no sockets, no clocks.

The rules are those of https://www.rsyslog.com/doc/relp.html; its sections are named where they are obeyed.

"RELP FRAME":  RELP-FRAME = HEADER DATA TRAILER      HEADER = TXNR SP COMMAND SP DATALEN      DATA = [SP 1*OCTET]
               TXNR, DATALEN = 1*9DIGIT              COMMAND = 1*32ALPHA                      TRAILER = LF

The peer pipelines: many records are in flight, each is answered when it is safe. A record is never answered with 500:
librelp would break the session and send the same records again, for ever.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from shipper import __version__
from shipper.errors import WireError

#: A record's header as rsyslog writes it. One match a frame is as fast as split() or find(), and strict:
#: int() alone would take "+5", "1_0" and " 12".
_SYSLOG_HEADER = re.compile(rb"([1-9][0-9]{0,8}) syslog ([0-9]{1,9}) ")
_LF = 0x0A
_MAX_DIGITS = 9
_MAX_COMMAND = 32
#: Longest header and the octet after it.
_MAX_HEADER = _MAX_DIGITS + 1 + _MAX_COMMAND + 1 + _MAX_DIGITS + 1

#: "OFFERS": relp_version is what librelp sends (0); relp_software says who we are; commands what else than open and
#: close we take.
_OFFERS = b"200 OK\nrelp_version=0\nrelp_software=shipper,%s\ncommands=syslog" % __version__.encode()
_OK = b" rsp 6 200 OK\n"
#: "Hint Command serverclose": sent with transaction number 0, never answered.
SERVER_CLOSE = b"0 serverclose 0\n"


@dataclass(slots=True)
class Records:
    """Records that came one after the other, and the transaction numbers that `answers` wants."""

    payloads: list[bytes] = field(default_factory=list)
    txnrs: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Command:
    """Any other command, with its answer ready."""

    name: bytes
    answer: bytes


def answers(txnrs: Sequence[bytes]) -> bytes:
    """Return the answers that these records are safe ('Command "rsp"': the number MUST be the command's)."""
    return _OK.join((*txnrs, b"")) if txnrs else b""


class RelpServer:
    """One session. Feed `receive_data`; tell `answered` how many answers went out.

    It holds at most one unfinished frame: `max_frame_bytes` and its header, plus one read.
    """

    def __init__(self, max_frame_bytes: int, max_frames_in_flight: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._max_in_flight = max_frames_in_flight
        self._in_flight = 0
        self._unfinished = bytearray()
        #: Bytes that the unfinished frame needs before a look at it is worth the time.
        self._wanted = 0
        #: True from the first "open" on.
        self.opened = False
        #: What the peer broke. All that it sent before is handed out; nothing is read any more.
        self.error: WireError | None = None

    @property
    def partial(self) -> int:
        """Bytes held of an unfinished frame."""
        return len(self._unfinished)

    def answered(self, count: int) -> None:
        """Make room for `count` more frames: their answers went out, or never will."""
        self._in_flight -= count

    def receive_eof(self) -> None:
        """Drop the unfinished frame; nobody answered it, so the peer sends it again."""
        self._unfinished = bytearray()

    def receive_data(self, data: bytes) -> list[Records | Command]:
        """Return what is complete, in the order in which it was sent; then look at `error`."""
        events: list[Records | Command] = []
        if self.error is not None:
            return events
        if self._unfinished:
            if len(self._unfinished) + len(data) < self._wanted:
                self._unfinished += data
                return events
            data = b"".join((self._unfinished, data))
        try:
            rest = self._read(data, events)
        except WireError as error:
            self.error = error
            rest = len(data)
        self._unfinished = bytearray(memoryview(data)[rest:])
        return events

    def _read(self, data: bytes, events: list[Records | Command]) -> int:
        """Append what is complete to `events`; return where the unfinished frame begins."""
        self._wanted = 0
        at, size = 0, len(data)
        while at < size:
            if self.opened:
                at = self._read_records(data, at, events)
            after = self._read_frame(data, at, events)
            if after == at:
                break
            at = after
        return at

    def _read_records(self, data: bytes, at: int, events: list[Records | Command]) -> int:
        """Read ordinary records as long as there are any; whatever is odd is left to `_read_frame`."""
        records = Records()
        match, keep_txnr, keep_payload = _SYSLOG_HEADER.match, records.txnrs.append, records.payloads.append
        size, limit = len(data), self._max_frame_bytes
        for _ in range(self._max_in_flight - self._in_flight):
            header = match(data, at)
            if header is None:
                break
            txnr, length = header.groups()
            start = header.end()
            end = start + int(length)
            if end >= size or end - start > limit or end == start or data[end] != _LF:
                break
            keep_txnr(txnr)
            # rsyslog's template ends its text with a newline of its own.
            keep_payload(data[start : end - 1] if data[end - 1] == _LF else data[start:end])
            at = end + 1
        if records.txnrs:
            self._in_flight += len(records.txnrs)
            events.append(records)
        return at

    def _read_frame(self, data: bytes, at: int, events: list[Records | Command]) -> int:
        """Read one frame of any kind by every rule; return `at` when it is unfinished."""
        header = _read_header(data, at)
        if header is None:
            return at
        txnr, command, start, length = header
        if length > self._max_frame_bytes:
            raise WireError(f"frame of {length} bytes is over the limit of {self._max_frame_bytes}")
        end = start + length
        if end >= len(data):
            self._wanted = end + 1 - at
            return at
        if data[end] != _LF:
            raise WireError(f"byte {data[end]:#04x} where a frame of {length} bytes should end with LF")
        # A window that is full does not keep the peer from saying goodbye.
        if self._in_flight >= self._max_in_flight and command != b"close":
            raise WireError(f"more than {self._max_in_flight} frames in flight")
        if command == b"syslog":
            self._keep_record(txnr, data[start:end], events)
        else:
            events.append(self._command(txnr, command))
        self._in_flight += 1
        return end + 1

    def _keep_record(self, txnr: bytes, payload: bytes, events: list[Records | Command]) -> None:
        if not self.opened:
            # 'Command "open"': the connection is only ready after the answer to open.
            raise WireError("syslog before open")
        payload = payload.removesuffix(b"\n")
        if events and isinstance(events[-1], Records):
            events[-1].payloads.append(payload)
            events[-1].txnrs.append(txnr)
        else:
            events.append(Records([payload], [txnr]))

    def _command(self, txnr: bytes, command: bytes) -> Command:
        if command == b"open":
            # Behind a proxy without a backend librelp queues an open for each try and then sends them all.
            self.opened = True
            return Command(command, b"%b rsp %d %b\n" % (txnr, len(_OFFERS), _OFFERS))
        if command == b"close":
            return Command(command, b"%b rsp 0\n" % txnr)
        refusal = b"500 unknown command"
        return Command(command, b"%b rsp %d %b\n" % (txnr, len(refusal), refusal))


def _read_header(data: bytes, at: int) -> tuple[bytes, bytes, int, int] | None:
    """Return transaction number, command, where DATA starts and its length; None when there is more to come."""
    header = data[at : at + _MAX_HEADER]
    txnr, space, rest = header.partition(b" ")
    _check_number("transaction number", txnr, bool(space))
    if not space:
        return None
    if not txnr.strip(b"0"):
        # "RELP FRAME": 0 is for hints, and of hints there is only the server's serverclose.
        raise WireError("transaction number 0 is the server's")
    command, space, rest = rest.partition(b" ")
    if len(command) > _MAX_COMMAND or not (command.isalpha() or (not command and not space)):
        raise WireError(f"command must be 1 to {_MAX_COMMAND} letters")
    if not space:
        return None
    # DATALEN ends with SP, or with the frame's LF when there is no DATA.
    digits = rest.partition(b" ")[0].partition(b"\n")[0]
    ended = len(digits) < len(rest)
    _check_number("length", digits, ended)
    if not ended:
        return None
    start = at + len(txnr) + 1 + len(command) + 1 + len(digits)
    if data[start] == _LF:
        if digits.strip(b"0"):
            raise WireError(f"frame of {int(digits)} bytes ends before its data")
        return txnr, command, start, 0
    return txnr, command, start + 1, int(digits)


def _check_number(what: str, digits: bytes, ended: bool) -> None:
    """Raise WireError unless these are 1 to 9 ASCII digits, or may become such a number."""
    if len(digits) > _MAX_DIGITS or not (digits.isdigit() or (not digits and not ended)):
        raise WireError(f"{what} must be 1 to {_MAX_DIGITS} digits")
