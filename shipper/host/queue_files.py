"""How full rsyslogd's queues on disk are, which is when the tailer waits."""

import os
from typing import Final

#: Bytes that may be read, and seconds that may pass, between two looks at the queues.
_LOOK_BYTES: Final = 8 * 2**20
_LOOK_SECONDS: Final = 1.0
#: The tailer's own files in the same folder begin so.
_OWN: Final = "tailer"


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
            self._half_full = self._size() > self._limit / 2
        return self._half_full

    def _size(self) -> int:
        size = 0
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(_OWN) and entry.is_file(follow_symlinks=False):
                        size += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:  # a queue file that rsyslogd removed meanwhile: what is left is looked at next time
            pass
        except OSError:
            return 0
        return size
