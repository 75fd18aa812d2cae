"""How full rsyslogd's queues on disk are, which is when the tailer waits."""

from typing import Final

from shipper.host import machine

#: Bytes that may be read, and seconds that may pass, between two looks at the queues.
_LOOK_BYTES: Final = 8 * 2**20
_LOOK_SECONDS: Final = 1.0


class QueueFiles:
    """Watches the sizes of rsyslogd's files in the work directory against their limit."""

    def __init__(self, folder: str, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._next = 0.0
        self._bytes_left = 0
        self._half_full = False

    def count(self, size: int) -> None:
        """Say how much was read, so that a burst is noticed in less than a second."""
        self._bytes_left -= size

    def are_half_full(self, now: float) -> bool:
        """Say whether more than half of the limit is in use; looked at once a second or every 8 MiB read."""
        if now >= self._next or self._bytes_left <= 0:
            self._next = now + _LOOK_SECONDS
            self._bytes_left = _LOOK_BYTES
            self._half_full = machine.queue_bytes(self._folder) > self._limit / 2
        return self._half_full
