"""Up to when rsyslogd has let go of what it was given: what it holds in memory only dies with a kill -9.

The holder learns it from rsyslogd's figures, the tailer asks before it forgets where it was.
"""

import mmap
import struct
from collections.abc import Callable

_TIME = struct.Struct("d")

#: Returns a time in monotonic seconds: what was handed to rsyslogd before it is no longer only in its memory.
SentUntil = Callable[[], float]


class Sent:
    """A time in memory that forked processes share; 0 until something is known."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def set(self, until: float) -> None:
        """Note a time in monotonic seconds."""
        _TIME.pack_into(self._memory, 0, until)

    def until(self) -> float:
        """Return the time noted last."""
        return float(_TIME.unpack_from(self._memory)[0])
