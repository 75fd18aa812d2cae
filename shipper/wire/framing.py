"""Syslog over TCP (RFC 6587): bytes in, messages out; no sockets, no clocks.

A peer uses one of two framings, seen at its first byte: a digit 1-9 is octet counting (3.4.1), all else is
non-transparent framing (3.4.2), here called newline. Nobody answers, so nothing is sent twice: a message that is too
long is cut and delivered, never refused.
"""

import re

from shipper.errors import WireError

#: RFC 6587 3.4.1: SYSLOG-FRAME = MSG-LEN SP SYSLOG-MSG, MSG-LEN = NONZERO-DIGIT *DIGIT.
_COUNT = re.compile(rb"([1-9][0-9]{0,8}) ")
#: What is there of such a number when more is to come.
_COUNT_BEGUN = re.compile(rb"[1-9][0-9]{0,8}")
_NONZERO_DIGITS = b"123456789"


class SyslogFraming:
    """One connection. Feed `receive_data`, at the end `receive_eof`.

    It holds at most `max_frame_bytes` of an unfinished message, plus one read.
    """

    def __init__(self, max_frame_bytes: int) -> None:
        self._limit = max_frame_bytes
        self._octet_counted: bool | None = None
        self._unfinished = bytearray()
        #: Bytes that the unfinished message needs before a look at it is worth the time (octet counting).
        self._wanted = 0
        #: Octets still to skip of a message that was cut (octet counting).
        self._skip_octets = 0
        #: True while the rest of a cut line is skipped (newline).
        self._skip_line = False
        #: Messages cut at the limit or by the end of the connection.
        self.truncated = 0
        #: What the peer broke. All messages before are handed out; nothing is read any more.
        self.error: WireError | None = None

    @property
    def partial(self) -> int:
        """Bytes held of an unfinished message."""
        return len(self._unfinished)

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete, without framing; then look at `error`."""
        if self.error is not None or not data:
            return []
        if self._octet_counted is None:
            self._octet_counted = data[:1] in _NONZERO_DIGITS
        return self._read_counted(data) if self._octet_counted else self._read_lines(data)

    def receive_eof(self) -> list[bytes]:
        """Return what is there of an unfinished message: its rest will never come."""
        rest, self._unfinished = bytes(self._unfinished), bytearray()
        if self._octet_counted:
            count = _COUNT.match(rest)
            rest = rest[count.end() :] if count else b""
            self.truncated += bool(rest)
        elif rest:
            return self._lines([rest])
        return [rest] if rest else []

    def _read_counted(self, data: bytes) -> list[bytes]:
        if self._unfinished:
            if len(self._unfinished) + len(data) < self._wanted:
                self._unfinished += data
                return []
            data = b"".join((self._unfinished, data))
        messages: list[bytes] = []
        rest = self._read_counted_messages(data, messages)
        self._unfinished = bytearray(memoryview(data)[rest:])
        return messages

    def _read_counted_messages(self, data: bytes, messages: list[bytes]) -> int:
        """Append what is complete to `messages`; return where the unfinished message begins."""
        match, keep, size, limit = _COUNT.match, messages.append, len(data), self._limit
        at = self._skip_octets
        self._wanted = 0
        while at < size:
            count = match(data, at)
            if count is None:
                return self._unfinished_count(data, at)
            start = count.end()
            end = start + int(count[1])
            if end > size and size - start < limit:
                self._wanted = min(end, start + limit) - at
                break
            if end - start > limit:
                self.truncated += 1
                keep(data[start : start + limit])
            else:
                keep(data[start:end])
            at = end
        self._skip_octets = max(0, at - size)
        return min(at, size)

    def _unfinished_count(self, data: bytes, at: int) -> int:
        """Return where the unfinished message begins, or the end when these are no digits of a length."""
        self._skip_octets = 0
        if _COUNT_BEGUN.fullmatch(data[at : at + 10]):
            return at
        self.error = WireError("octet counting: a message must begin with its length, 1 to 9 digits, and a space")
        return len(data)

    def _read_lines(self, data: bytes) -> list[bytes]:
        if b"\0" in data:
            # RFC 6587 3.4.2: the trailer is LF, though some use NUL. Empty lines are no messages, so LF NUL is one end.
            data = data.replace(b"\0", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines:
            if self._skip_line:
                self._skip_line = False
                del lines[0]
            elif self._unfinished:
                lines[0] = b"".join((self._unfinished, lines[0]))
            self._unfinished = bytearray()
            lines = self._lines(lines)
        if not self._skip_line:
            self._unfinished += rest
            # One more than the limit may be the CR before the LF to come.
            if len(self._unfinished) > self._limit + 1:
                lines += self._lines([bytes(self._unfinished)])
                self._unfinished = bytearray()
                self._skip_line = True
        return lines

    def _lines(self, lines: list[bytes]) -> list[bytes]:
        """Take the CR off, drop empty lines, cut those that are too long."""
        lines = [line[:-1] if line[-1] == 13 else line for line in lines if line]
        if lines and len(max(lines, key=len)) > self._limit:
            self.truncated += sum(len(line) > self._limit for line in lines)
            lines = [line[: self._limit] for line in lines]
        return [line for line in lines if line] if b"" in lines else lines
