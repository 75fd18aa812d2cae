"""What rsyslogd says of its queues, and how to tell that records lie asleep on disk.

The file part of a disk-assisted queue has a worker of its own that ends as soon as the file is empty; while it closes
its connection it wakes no other, so what is spooled meanwhile lies there until the next overflow, which may be tomorrow
(seen with rsyslog 8.2302 and a slow receiver, in 2 of 16 bursts). A start of rsyslogd wakes it.
"""

import json
import time
from collections.abc import Callable
from typing import Final

_ON_DISK: Final = "[DA]"
_SUFFIX: Final = " queue"
#: Reports go through this one: while more and more of them leave it, the shipper answers. Its window is small, else
#: hundreds of them would leave it while nobody answers, and a queue that waits would be taken for one that sleeps.
_HEARTBEAT: Final = "heartbeat queue"
#: rsyslogd's own messages come through it.
_MAIN: Final = "main Q"
#: Queues that are remembered; there are four.
_MOST_QUEUES: Final = 64
#: A slow store makes a queue stand still, a day that is closed for `refusal_seconds`; one that sleeps stands still for
#: good. A start of rsyslogd is no cure for the former: stopping in the middle of its work, it loses what it has sent.
_STILL_SECONDS: Final = 60.0
#: What containers and files write goes through this one.
_NORMAL: Final = "normal queue"
#: Its records on disk that a kill -9 may cost: queue.checkpointInterval.
_CHECKPOINT_RECORDS: Final = 500
#: Reports that are remembered, of times at which the queue got more.
_MOST_REPORTS: Final = 1000


class Queues:
    """Keeps the newest figures of rsyslogd's statistics (impstats), line by line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sizes: dict[str, int] = {}
        #: Since when each queue stands still with nothing in memory, and with how many records on disk.
        self._still: dict[str, tuple[float, int]] = {}
        #: What has been put into the heartbeat queue, and how much of it had left it at the last report.
        self._heartbeats = self._heartbeats_sent = 0
        #: When how many records had been put into the normal queue in all, the oldest first.
        self._put: list[tuple[float, int]] = []

    def hear(self, line: str) -> bool:
        """Take a line that rsyslogd wrote; True when it was figures."""
        _, found, text = line.partition(": {")
        if not found or '"origin":' not in text:
            return False
        try:
            figures = json.loads("{" + text)
            name, size, put = str(figures["name"]), int(figures.get("size", 0)), int(figures.get("enqueued", 0))
        except (ValueError, TypeError, KeyError):
            return False
        if figures.get("origin") == "core.queue" and (name in self._sizes or len(self._sizes) < _MOST_QUEUES):
            if name == next(iter(self._sizes), ""):  # what each report begins with: the last one is complete
                self._look()
            self._sizes[name] = size
            if name == _NORMAL:
                self._note(put)
            elif name == _HEARTBEAT:
                self._heartbeats = put
        return True

    def forget(self) -> None:
        """Another rsyslogd: what the last one said is no longer true."""
        self._sizes.clear()
        self._still.clear()
        self._put.clear()
        self._heartbeats = self._heartbeats_sent = 0

    def sent_until(self) -> float:
        """Return a time: what was put into the normal queue before it is not in memory any more; 0: nothing is known.

        Records leave memory in the order in which they came, to the shipper or to disk.
        """
        if not self._put:
            return 0.0
        in_memory, on_disk = self._sizes.get(_NORMAL, 0), self._sizes.get(_NORMAL + _ON_DISK, 0)
        gone = self._put[-1][1] - in_memory - min(on_disk, _CHECKPOINT_RECORDS)
        return max((at for at, put in self._put if put <= gone), default=0.0)

    def waiting(self) -> dict[str, int] | None:
        """Return how many records are in its memory and on its disk, as of the last report; None before the first.

        Reports and rsyslogd's own messages are not among them.
        """
        if not self._sizes:
            return None
        sizes = {name: size for name, size in self._sizes.items() if not name.startswith((_HEARTBEAT, _MAIN))}
        on_disk = sum(size for name, size in sizes.items() if name.endswith(_ON_DISK))
        return {"memory": sum(sizes.values()) - on_disk, "disk": on_disk}

    def asleep(self) -> str:
        """Return what lies asleep, in words; "" when nothing does.

        Asleep is a queue with nothing in memory and the same records on disk for a minute, while reports go out.
        """
        now = self._clock()
        found = [(queue, size) for queue, (since, size) in self._still.items() if now - since >= _STILL_SECONDS]
        return ", ".join(f"{size:,} records of the queue {queue}" for queue, size in found)

    def _look(self) -> None:
        """Compare a complete report with those before."""
        now, sizes = self._clock(), self._sizes
        sent = self._heartbeats - sizes.get(_HEARTBEAT, 0) - sizes.get(_HEARTBEAT + _ON_DISK, 0)
        goes_out = sent > self._heartbeats_sent
        self._heartbeats_sent = sent
        for name, in_memory in sizes.items():
            on_disk = sizes.get(name + _ON_DISK, 0)
            if not on_disk or in_memory or not goes_out:
                self._still.pop(name.removesuffix(_SUFFIX), None)
            elif self._still.get(name.removesuffix(_SUFFIX), (0.0, -1))[1] != on_disk:
                self._still[name.removesuffix(_SUFFIX)] = (now, on_disk)

    def _note(self, put: int) -> None:
        """Keep how many records the normal queue has got so far; nothing new makes the last report newer."""
        if self._put and self._put[-1][1] == put:
            self._put.pop()
        self._put.append((self._clock(), put))
        if len(self._put) > _MOST_REPORTS:
            del self._put[1]
